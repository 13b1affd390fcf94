"""The one default recipe: logistic, boosting, additive boosting, and their means on log-odds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from services.risk.adapters.model_arrays import Encoding, Linear
from services.risk.training.calibrate import cross_fitted, log_loss_of
from services.risk.training.encode import (
    BENT,
    STRAIGHT,
    Codebook,
    fit_design,
    fit_encoding,
    outcome_columns,
)
from services.risk.training.splits import Folds
from services.risk.training.table import Floats, Ints

RECIPE_VERSION = "2"
STRENGTHS = (0.01, 0.05, 0.2)
"""Inverse regularisation of the logistic."""
LOGISTICS = tuple(product((STRAIGHT, BENT), STRENGTHS))
"""Knots and strength of the logistic; the best by log-loss is taken."""
ROUNDS, STAGE = 400, 10
"""Most boosting rounds, and how often their number is judged."""
LEARNING_RATE = 0.05
LEAVES = 16
FEATURE_SHARE = 0.3
RIDGE = 5.0
KINDS = ("logistic", "boosting", "additive")
CANDIDATES = tuple(parts for size in (1, 2, 3) for parts in combinations(KINDS, size))
"""Single models, and means of two or three on the log-odds scale."""
PLAIN = KINDS[:1]
"""The logistic alone: trained in seconds, read as weights, scored with numpy and nothing else."""


@dataclass(frozen=True)
class Task:
    """What is predicted: `binary`, `nominal` or `ordinal` over `classes` in order."""

    kind: str
    classes: tuple[str, ...]

    @property
    def heads(self) -> int:
        """Scores a model gives: one, one a class, or one a cut between levels."""
        if self.kind == "binary":
            return 1
        return len(self.classes) - (1 if self.kind == "ordinal" else 0)


@dataclass(frozen=True)
class Choice:
    """What cross-validation chose, and the log-loss of every candidate."""

    parts: tuple[str, ...]
    knots: tuple[float, ...]
    strength: float
    rounds: Mapping[str, tuple[int, ...]]
    losses: Mapping[str, float]
    scores: Floats
    margins: Floats
    rows: Ints
    fold: Ints


@dataclass(frozen=True)
class Fitted:
    """The final estimators and the arrays that feed them."""

    parts: tuple[str, ...]
    encoding: Encoding | None
    linear: Linear | None
    estimators: Mapping[str, list[Any]]


@dataclass(frozen=True)
class Problem:
    """Everything the recipe learns from. `groups` are whole numbers; equal means one group."""

    book: Codebook
    raw: Floats
    y: Ints
    groups: Ints
    task: Task
    directions: Mapping[str, str]
    seed: int
    weight: Floats | None = None
    """How many people a row stands for. It draws the calibration line, and nothing else."""

    def part(self, rows: Ints) -> Problem:
        """Return the problem of these rows."""
        return Problem(
            self.book,
            self.raw[rows],
            self.y[rows],
            self.groups[rows],
            self.task,
            self.directions,
            self.seed,
            None if self.weight is None else self.weight[rows],
        )


def choose(
    problem: Problem,
    folds: Folds,
    tick: Callable[[str], None],
    kinds: Sequence[str] = KINDS,
) -> Choice:
    """Return the candidate with the smallest cross-validated, calibrated log-loss.

    `kinds` are tried, the logistic always among them.
    """
    judged, fold_of, found = [], [], []
    for number, (learn, judge) in enumerate(folds.pairs):
        found.append(_judge(problem.part(learn), problem.raw[judge], tick, kinds))
        judged.append(judge)
        fold_of.append(np.full(len(judge), number))
    rows, fold = np.concatenate(judged), np.concatenate(fold_of)
    y = problem.y[rows]
    weight = None if problem.weight is None else problem.weight[rows]
    stages = {
        kind: [np.concatenate(parts) for parts in zip(*(f[kind] for f in found), strict=True)]
        for kind in kinds
    }
    (knots, strength), logistic = _best_logistic(problem.task, stages["logistic"], y)
    scores, rounds = {"logistic": logistic}, {}
    for kind in kinds[1:]:
        scores[kind], rounds[kind] = _best_rounds(problem.task, stages[kind], y)
    losses: dict[str, float] = {}
    best: tuple[str, ...] = KINDS
    margins = logistic
    for parts in (each for each in CANDIDATES if set(each) <= set(kinds)):
        mean = np.mean([scores[p] for p in parts], axis=0)
        line = cross_fitted(problem.task.kind, mean, y, fold, len(problem.task.classes), weight)
        loss = log_loss_of(problem.task.kind, line, y, weight)
        if not losses or loss < min(losses.values()) - 1e-9:
            best, margins = parts, line
        losses[" + ".join(parts)] = loss
    blend = np.mean([scores[p] for p in best], axis=0)
    return Choice(best, knots, strength, rounds, losses, blend, margins, rows, fold)


def _judge(
    part: Problem, raw: Floats, tick: Callable[[str], None], kinds: Sequence[str]
) -> dict[str, list[Floats]]:
    """Return the scores of unseen rows: by strength (logistic), by stage (boosting)."""
    out: dict[str, list[Floats]] = {"logistic": []}
    for knots, strength in LOGISTICS:
        design = fit_design(part.book, part.raw, knots)
        signs = design.signs(part.directions)
        coef, intercept, _ = fit_logistic(part, design.matrix(part.raw), signs, strength)
        out["logistic"].append(np.asarray(design.matrix(raw) @ coef.T) + intercept)
        tick("logistic")
    if len(kinds) == 1:
        return out
    outcomes = outcome_columns(part.y, part.task.heads, ordinal=part.task.kind == "ordinal")
    encoding, matrix = fit_encoding(part.book, part.raw, outcomes, part.groups)
    unseen = encoding.apply(raw)
    for kind in kinds[1:]:
        models = fit_boosting(part, matrix, encoding, kind, (ROUNDS,) * part.task.heads)
        out[kind] = _staged(models, unseen)
        tick(kind)
    return out


def _staged(models: list[Any], matrix: Floats) -> list[Floats]:
    columns = []
    for model in models:
        every = [
            np.asarray(s, np.float32)
            for i, s in enumerate(model.staged_decision_function(matrix))
            if (i + 1) % STAGE == 0
        ]
        columns.append([s.reshape(len(s), -1) for s in every])
    return [np.hstack(stage).astype(np.float64) for stage in zip(*columns, strict=True)]


def _best_logistic(
    task: Task, tried: list[Floats], y: Ints
) -> tuple[tuple[tuple[float, ...], float], Floats]:
    losses = [_raw_loss(task, scores, y) for scores in tried]
    best = int(np.argmin(losses))
    return LOGISTICS[best], tried[best]


def _raw_loss(task: Task, scores: Floats, y: Ints) -> float:
    if task.kind != "ordinal":
        return log_loss_of(task.kind, scores, y)
    return sum(
        log_loss_of("binary", scores[:, [k]], (y > k).astype(int)) for k in range(task.heads)
    )


def _best_rounds(task: Task, stages: list[Floats], y: Ints) -> tuple[Floats, tuple[int, ...]]:
    if task.kind == "nominal":
        best = int(np.argmin([log_loss_of("nominal", s, y) for s in stages]))
        return stages[best], ((best + 1) * STAGE,) * task.heads
    columns, rounds = [], []
    for k in range(task.heads):
        above = (y > k).astype(int)
        best = int(np.argmin([log_loss_of("binary", s[:, [k]], above) for s in stages]))
        columns.append(stages[best][:, k])
        rounds.append((best + 1) * STAGE)
    return np.stack(columns, axis=1), tuple(rounds)


def fit_logistic(
    part: Problem,
    matrix: Any,
    signs: Ints,
    strength: float,
) -> tuple[Floats, Floats, list[Any]]:
    """Return h x d coefficients, h intercepts and the estimators; required signs always hold."""
    if part.task.kind == "nominal":
        model, coef = _logistic(matrix, part.y, strength, part.seed)
        full = np.zeros((part.task.heads, matrix.shape[1]))
        intercept = np.full(part.task.heads, -12.0)
        full[model.classes_], intercept[model.classes_] = _per_class(coef, model.intercept_)
        return full, intercept, [model]
    coefs, intercepts, models = [], [], []
    for k in range(part.task.heads):
        outcome = (part.y > k).astype(int)
        model, coef = _signed(matrix, outcome, signs, strength, part.seed)
        coefs.append(coef)
        intercepts.append(float(model.intercept_[0]))
        models.append(model)
    return np.stack(coefs), np.asarray(intercepts), models


def _per_class(coef: Floats, intercept: Floats) -> tuple[Floats, Floats]:
    """Return one row a class; two classes are stored as one row by scikit-learn."""
    if len(coef) == 1:
        return np.vstack([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
    return coef, intercept


def _logistic(matrix: Any, y: Ints, strength: float, seed: int) -> tuple[Any, Floats]:
    model = LogisticRegression(C=strength, max_iter=300, tol=1e-3, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(matrix, y)
    return model, np.asarray(model.coef_, np.float64)


def _signed(matrix: Any, y: Ints, signs: Ints, strength: float, seed: int) -> tuple[Any, Floats]:
    """Return a fit without the columns whose sign came out wrong, repeated until none is left."""
    kept = np.arange(matrix.shape[1])
    while True:
        model, coef = _logistic(matrix[:, kept], y, strength, seed)
        wrong = (signs[kept] * coef[0]) < 0
        if not wrong.any():
            full = np.zeros(matrix.shape[1])
            full[kept] = coef[0]
            return model, full
        kept = kept[~wrong]


def fit_boosting(
    part: Problem, matrix: Floats, encoding: Encoding, kind: str, rounds: tuple[int, ...]
) -> list[Any]:
    """Return one estimator (binary, nominal) or one a cut (ordinal)."""
    matrix = matrix.copy()
    matrix[:, np.isnan(matrix).all(axis=0)] = (
        0.0  # scikit-learn 1.9.1 fails on an all-missing column
    )
    targets = (
        [part.y]
        if part.task.kind == "nominal"
        else [(part.y > k).astype(int) for k in range(part.task.heads)]
    )
    sign = {"+": 1, "-": -1}
    cst = np.zeros(matrix.shape[1], np.int64)
    if part.task.kind != "nominal":
        for at, j in enumerate(encoding.numbers):
            cst[at] = sign.get(part.directions.get(part.book.columns[int(j)].name, "0"), 0)
    return [
        HistGradientBoostingClassifier(
            learning_rate=LEARNING_RATE,
            max_iter=count,
            max_leaf_nodes=LEAVES,
            min_samples_leaf=int(np.clip(len(part.y) // 100, 10, 100)),
            l2_regularization=RIDGE,
            max_features=FEATURE_SHARE,
            early_stopping=False,
            monotonic_cst=cst if cst.any() else None,
            interaction_cst="no_interactions" if kind == "additive" else None,
            random_state=part.seed,
        ).fit(matrix, target)
        for target, count in zip(targets, rounds, strict=False)
    ]


def fit_final(problem: Problem, choice: Choice, tick: Callable[[str], None]) -> Fitted:
    """Return the chosen parts fitted on all rows."""
    outcomes = outcome_columns(
        problem.y, problem.task.heads, ordinal=problem.task.kind == "ordinal"
    )
    encoding, linear = None, None
    estimators: dict[str, list[Any]] = {}
    if "logistic" in choice.parts:
        design = fit_design(problem.book, problem.raw, choice.knots)
        signs = design.signs(problem.directions)
        coef, intercept, models = fit_logistic(
            problem, design.matrix(problem.raw), signs, choice.strength
        )
        linear, estimators["logistic"] = design.collapse(coef, intercept, problem.raw), models
        tick("logistic")
    if choice.parts != ("logistic",):
        encoding, matrix = fit_encoding(problem.book, problem.raw, outcomes, problem.groups)
        for kind in KINDS[1:]:
            if kind in choice.parts:
                estimators[kind] = fit_boosting(
                    problem, matrix, encoding, kind, choice.rounds[kind]
                )
                tick(kind)
    return Fitted(choice.parts, encoding, linear, estimators)
