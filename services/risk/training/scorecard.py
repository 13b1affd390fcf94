"""All figures about one set of answers: what the card, the page and the tests read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from services.risk.domain.forbidden import words_of
from services.risk.training.inference import days_of
from services.risk.training.metrics import (
    MIN_ROWS,
    Confusion,
    at_capacity,
    auc,
    auc_interval,
    average_precision,
    brier,
    calibration_bins,
    calibration_error,
    calibration_line,
    macro_f1,
    subgroups,
)
from services.risk.training.population import Answers, Weighting, population
from services.risk.training.recipe import Task
from services.risk.training.table import Bools, Column, Floats, Ints, Table
from services.risk.training.thresholds import Placement

CAPACITIES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
THRESHOLDS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
AGE_BANDS = (18, 50, 60, 70, 80)
MAX_GROUPS, MAX_LABELS, MAX_BANDS = 8, 15, 10
WINDOW_DAYS = 60
_SUBGROUP_WORDS = frozenset(
    {
        "sex",
        "gender",
        "race",
        "ethnicity",
        "ethnic",
        "disability",
        "disabled",
        "region",
        "leftbehind",
        "migrant",
        "special",
    }
)
_SUBGROUP_CHINESE = ("性别", "民族", "残疾", "留守", "户籍")


@dataclass(frozen=True)
class View:
    """How to look: the class whose finding matters, columns to break down by, days of the rows.

    Defaults: `focus` the last class (nominal: the rarest), `by` found by name. `times` give the
    days gained by visiting in order of risk, `scores` are compared with the model, `weighting` adds
    the figures for the population.
    """

    focus: str = ""
    by: tuple[str, ...] = ()
    times: Floats | None = None
    scores: Mapping[str, Floats] = field(default_factory=dict)
    weighting: Weighting | None = None


def scorecard(
    task: Task,
    y: Ints,
    probability: Floats,
    placement: Placement,
    table: Table,
    kinds: Mapping[str, str],
    view: View,
) -> dict[str, Any]:
    """Return every figure.

    Args:
        task: classes in order.
        y: n true classes.
        probability: n x K, of rows the model did not learn from.
        placement: how `level` was chosen.
        table: the n rows with all columns, used ones and others.
        kinds: types of the used columns.
        view: what to look at.
    """
    chosen = placement.choose(probability)
    at = focus_class(task, y, view.focus)
    truth, score = y == at, probability[:, at]
    above = chosen == at if task.kind != "ordinal" else chosen >= at
    rows = np.arange(len(y))
    groups = breakdowns(table, kinds, view.by)
    rivals = {name: _filled(score) for name, score in _rivals(table, view).items()}
    results: dict[str, Any] = {
        "rows": len(y),
        "classes": list(task.classes),
        "focus": task.classes[at],
        "log_loss": float(-np.mean(np.log(np.maximum(probability[rows, y], 1e-15)))),
        "macro_f1": macro_f1(y, chosen, len(task.classes)),
        "accuracy": float(np.mean(chosen == y)),
        "placement": placement.rule,
        "confusion": _confusion_table(y, chosen, len(task.classes)),
        "per_class": {
            name: summary(y == k, probability[:, k]) for k, name in enumerate(task.classes)
        },
        "capacity": [at_capacity(truth, score, share) for share in CAPACITIES],
        "thresholds": [_threshold(truth, score, t) for t in _marks(score)],
        "subgroups": {name: subgroups(labels, truth, above, score) for name, labels in groups},
        "min_rows": MIN_ROWS,
        "compare": {name: compare(truth, score) for name, score in _rivals(table, view).items()},
    }
    if view.times is not None:
        results["days_gained"] = days_gained(truth, score, view.times)
    if view.weighting is not None:
        said = Answers(task.classes, y, probability, chosen, at, above)
        results["population"] = population(said, view.weighting, groups, rivals, CAPACITIES)
    return results


def _rivals(table: Table, view: View) -> dict[str, Floats]:
    age = age_column(table)
    return {**({} if age is None else {"age alone": age.numbers()}), **view.scores}


def _filled(score: Floats) -> Floats:
    """Return the score with missing values below all others."""
    missing = np.isnan(score)
    return np.where(missing, np.nanmin(score) - 1 if not missing.all() else 0.0, score)


def focus_class(task: Task, y: Ints, focus: str) -> int:
    """Return the class whose finding matters."""
    if focus in task.classes:
        return task.classes.index(focus)
    if task.kind != "nominal":
        return len(task.classes) - 1
    return int(np.argmin(np.bincount(y, minlength=len(task.classes))))


def summary(truth: Bools, probability: Floats) -> dict[str, Any]:
    """Return the figures of one class against the rest."""
    slope, intercept = calibration_line(truth, probability)
    return {
        "positives": int(truth.sum()),
        "share": float(truth.mean()),
        "auc": auc(truth, probability),
        "auc_interval": auc_interval(truth, probability),
        "average_precision": average_precision(truth, probability),
        "ece": calibration_error(truth, probability),
        "brier": brier(truth, probability),
        "slope": slope,
        "intercept": intercept,
        "bins": calibration_bins(truth, probability),
    }


def compare(truth: Bools, score: Floats) -> dict[str, Any]:
    """Return what another score (age, a rule) finds on the same rows; missing counts as lowest."""
    missing, filled = np.isnan(score), _filled(score)
    return {
        "auc": auc(truth, filled),
        "auc_interval": auc_interval(truth, filled),
        "average_precision": average_precision(truth, filled),
        "missing": int(missing.sum()),
        "capacity": [at_capacity(truth, filled, share) for share in CAPACITIES],
    }


def _confusion_table(y: Ints, chosen: Ints, classes: int) -> list[list[int]]:
    flat = np.bincount(y * classes + chosen, minlength=classes * classes)
    return [[int(v) for v in row] for row in flat.reshape(classes, classes)]


def _marks(score: Floats) -> list[float]:
    inside = [t for t in THRESHOLDS if score.min() < t <= score.max()]
    return inside or [float(np.quantile(score, 0.9))]


def _threshold(truth: Bools, score: Floats, threshold: float) -> dict[str, Any]:
    confusion = Confusion.of(truth, score >= threshold)
    return {
        "threshold": threshold,
        "tp": confusion.tp,
        "fp": confusion.fp,
        "tn": confusion.tn,
        "fn": confusion.fn,
        "rates": confusion.rates(),
    }


def age_column(table: Table) -> Column | None:
    """Return the column that holds the age in years (or an age band), if one is named so."""
    for name, column in table.columns.items():
        words = words_of(name)
        named = words[:1] == ["age"] or words[-1:] == ["age"] or "年龄" in name
        if named and column.distinct > 2 and not np.isnan(column.parsed).all():  # noqa: PLR2004
            youngest, oldest = float(np.nanmin(column.parsed)), float(np.nanmax(column.parsed))
            if youngest >= 0 and 18 <= oldest <= 120:  # noqa: PLR2004
                return column
    return None


def breakdowns(
    table: Table,
    kinds: Mapping[str, str],
    by: Sequence[str],
) -> list[tuple[str, list[str]]]:
    """Return (column, label a row) to break the figures down by; numbers become bands."""
    age = age_column(table)
    names = list(by) or [
        name
        for name, column in table.columns.items()
        if (set(words_of(name)) & _SUBGROUP_WORDS or any(w in name for w in _SUBGROUP_CHINESE))
        and 1 < column.distinct <= MAX_LABELS
    ]
    if not by and age is not None and age.name not in names:
        names.append(age.name)
    out = []
    for name in names[:MAX_GROUPS]:
        column = table[name]
        number = (kinds.get(name) == "number" and column.distinct > MAX_BANDS) or (
            age is not None and name == age.name
        )
        out.append(
            (
                name,
                _bands(column, is_age=age is not None and name == age.name)
                if number
                else [text or "(missing)" for text in column.text_rows()],
            )
        )
    return out


def _bands(column: Column, *, is_age: bool) -> list[str]:
    values = column.numbers()
    edges = np.unique(np.nanquantile(values, [0.25, 0.5, 0.75]))
    if is_age and np.nanquantile(values, 0.75) >= AGE_BANDS[2]:
        inside = [e for e in AGE_BANDS if np.nanmin(values) < e <= np.nanmax(values)]
        edges = np.asarray(inside or edges, float)
    place = np.searchsorted(edges, values, side="right")
    words = [
        f"< {edges[0]:g}",
        *(f"{a:g} – {b:g}" for a, b in pairwise(edges)),
        f"≥ {edges[-1]:g}",
    ]
    return ["(missing)" if np.isnan(v) else words[k] for v, k in zip(values, place, strict=True)]


def days_gained(
    truth: Bools,
    score: Floats,
    times: Floats,
    window: int = WINDOW_DAYS,
) -> dict[str, float]:
    """Return by how many days found problems come earlier if visits are made in order of score.

    The visits of each window keep their dates and number; only who is visited first changes.
    """
    start = np.floor((times - np.nanmin(times)) / window)
    gains: list[Floats] = []
    for k in np.unique(start[~np.isnan(start)]):
        inside = np.flatnonzero(start == k)
        slots = np.sort(times[inside])
        order = inside[np.argsort(-score[inside], kind="stable")]
        new = np.empty(len(times))
        new[order] = slots
        hits = inside[truth[inside]]
        gains.append(times[hits] - new[hits])
    every = np.concatenate(gains) if gains else np.empty(0)
    half = 1.96 * float(np.std(every)) / np.sqrt(max(len(every), 1))
    mean = float(np.mean(every)) if len(every) else float("nan")
    return {
        "mean_days": mean,
        "low": mean - half,
        "high": mean + half,
        "cases": float(len(every)),
        "window_days": float(window),
    }


def lead_times(
    chosen: Bools,
    truth: Bools,
    table: Table,
    time: str,
    outcome_time: str,
) -> dict[str, float]:
    """Return how many days before the outcome the true cases were named."""
    days = days_of(table[outcome_time]) - days_of(table[time])
    found = days[chosen & truth & ~np.isnan(days)]
    if len(found) == 0:
        return {"cases": 0.0}
    low, middle, high = np.quantile(found, [0.25, 0.5, 0.75])
    return {
        "cases": float(len(found)),
        "median": float(middle),
        "q25": float(low),
        "q75": float(high),
    }
