"""The figures for the people a sample stands for, by its sampling weights; bootstrap intervals.

A survey asks some groups more often than others and says by a weight how many people each row
stands for. Figures that count rows are about the sample; these are about the population.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.risk.training.faults import refuse
from services.risk.training.metrics import (
    MIN_ROWS,
    Ranking,
    at_capacity,
    auc,
    average_precision,
    brier,
    calibration_bins,
    calibration_error,
    calibration_line,
    effective,
    macro_f1,
)
from services.risk.training.table import Bools, Column, Floats, Ints

DRAWS, FEWEST, MOST_NUMBERS = 400, 100, 20_000_000
"""Bootstrap draws; fewer on large tables, where intervals are narrow anyway."""
SEED = 20


@dataclass(frozen=True)
class Weighting:
    """The column that says how many people each row stands for, and its values."""

    column: str
    weight: Floats


@dataclass(frozen=True)
class Answers:
    """What was said of n rows: `at` is the class in focus, `above` whether it was chosen."""

    classes: tuple[str, ...]
    y: Ints
    probability: Floats
    chosen: Ints
    at: int
    above: Bools


def weights_of(column: Column) -> Floats:
    """Return the weight of each row.

    Raises:
        WrongUse: a weight is missing, negative or no number, or all are zero.
    """
    values = column.numbers()
    wrong = int(np.sum(~(values >= 0)))
    if wrong or values.sum() == 0:
        raise refuse(
            f"--weight {column.name!r}",
            found=f"{wrong:,} rows without a number of zero or more"
            if wrong
            else "no row with a number over zero",
            expected="in every row how many people it stands for",
            remedy="leave such rows out of the file, or leave --weight out",
        )
    return values


def population(
    said: Answers,
    weighting: Weighting,
    groups: Sequence[tuple[str, list[str]]],
    rivals: Mapping[str, Floats],
    shares: Sequence[float],
) -> dict[str, Any]:
    """Return the figures of `scorecard` for the population; keys as there."""
    weight = weighting.weight
    truth, score = said.y == said.at, said.probability[:, said.at]
    own = said.probability[np.arange(len(said.y)), said.y]
    return {
        "weight": weighting.column,
        "rows": len(weight),
        "effective_rows": effective(weight),
        "log_loss": float(-np.average(np.log(np.maximum(own, 1e-15)), weights=weight)),
        "macro_f1": macro_f1(said.y, said.chosen, len(said.classes), weight),
        "per_class": {
            name: _summary(said.y == k, said.probability[:, k], weight)
            for k, name in enumerate(said.classes)
        },
        "capacity": _capacity(truth, score, weight, shares),
        "subgroups": {
            name: _subgroups(labels, truth, said.above, score, weight) for name, labels in groups
        },
        "compare": {
            name: {
                "auc": auc(truth, other, weight),
                "auc_interval": _auc_interval(truth, other, weight),
                "capacity": _capacity(truth, other, weight, shares),
            }
            for name, other in rivals.items()
        },
    }


def draws(rows: int) -> Iterator[Ints]:
    """Yield how often each row is drawn (Poisson bootstrap, from a seed), again and again."""
    rng = np.random.default_rng(SEED)
    for _ in range(int(np.clip(MOST_NUMBERS // max(rows, 1), FEWEST, DRAWS))):
        yield rng.poisson(1.0, rows)


def _between(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.nanquantile(np.asarray(values), [0.025, 0.975])
    return float(low), float(high)


def _auc_interval(truth: Bools, score: Floats, weight: Floats) -> tuple[float, float]:
    if truth.sum() < 2 or (~truth).sum() < 2:  # noqa: PLR2004
        return 0.0, 1.0
    ranking = Ranking.of(truth, score)
    return _between([ranking.auc(weight * times) for times in draws(len(weight))])


def _summary(truth: Bools, probability: Floats, weight: Floats) -> dict[str, Any]:
    slope, intercept = calibration_line(truth, probability, weight)
    return {
        "positives": int(truth.sum()),
        "share": float(np.average(truth, weights=weight)),
        "auc": auc(truth, probability, weight),
        "auc_interval": _auc_interval(truth, probability, weight),
        "average_precision": average_precision(truth, probability, weight),
        "ece": calibration_error(truth, probability, weight=weight),
        "brier": brier(truth, probability, weight),
        "slope": slope,
        "intercept": intercept,
        "bins": calibration_bins(truth, probability, weight=weight),
    }


def _capacity(
    truth: Bools, score: Floats, weight: Floats, shares: Sequence[float]
) -> list[dict[str, Any]]:
    ranking = Ranking.of(truth, score)
    drawn = np.asarray([ranking.recalls(weight * times, shares) for times in draws(len(weight))])
    return [
        {
            **at_capacity(truth, score, share, weight),
            "recall_interval": _between(drawn[:, k].tolist()),
        }
        for k, share in enumerate(shares)
    ]


def _subgroups(
    labels: Sequence[str], truth: Bools, above: Bools, score: Floats, weight: Floats
) -> list[dict[str, Any]]:
    names, out = np.asarray(labels), []
    for name in sorted(set(labels), key=lambda n: (not n.startswith("<"), n)):
        inside = names == name
        own = weight[inside]
        row: dict[str, Any] = {
            "group": name,
            "rows": int(inside.sum()),
            "positives": int(truth[inside].sum()),
            "share": float(own.sum() / weight.sum()),
        }
        if inside.sum() >= MIN_ROWS and own.sum() > 0:
            row |= {
                "observed": float(np.average(truth[inside], weights=own)),
                "rates": _rates(truth[inside], above[inside], own),
                "auc": auc(truth[inside], score[inside], own),
                "ece": calibration_error(truth[inside], score[inside], weight=own),
                "mean_probability": float(np.average(score[inside], weights=own)),
            }
        out.append(row)
    return out


def _rates(truth: Bools, above: Bools, weight: Floats) -> dict[str, tuple[float, float, float]]:
    point = _shares(truth, above, weight)
    drawn = [_shares(truth, above, weight * times) for times in draws(len(weight))]
    return {name: (value, *_between([d[name] for d in drawn])) for name, value in point.items()}


def _shares(truth: Bools, above: Bools, weight: Floats) -> dict[str, float]:
    cells = np.bincount(2 * truth.astype(int) + above, weights=weight, minlength=4)
    tn, fp, fn, tp = (float(cell) for cell in cells)
    pairs = {
        "tpr": (tp, tp + fn),
        "fnr": (fn, tp + fn),
        "fpr": (fp, fp + tn),
        "ppv": (tp, tp + fp),
        "selected": (tp + fp, tp + fp + tn + fn),
    }
    return {name: hits / total if total else float("nan") for name, (hits, total) in pairs.items()}
