"""Figures of merit with intervals; every definition is one function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from services.risk.training.table import Bools, Floats, Ints

BINS = 10
CONFIDENCE = 0.95


def auc(truth: Bools, score: Floats, weight: Floats | None = None) -> float:
    """Return the share of (case, other) pairs in the right order, ties half; NaN if one class.

    `weight` counts a row (a pair: the product) as so many; here and below None counts each as one.
    """
    return Ranking.of(truth, score).auc(_ones(truth) if weight is None else weight)


def _ones(truth: Bools) -> Floats:
    return np.ones(len(truth))


@dataclass(frozen=True)
class Ranking:
    """Rows in order of score, lowest first; `ends` are the last places of equal scores."""

    order: Ints
    ends: Ints
    truth: Bools

    @classmethod
    def of(cls, truth: Bools, score: Floats) -> Ranking:
        order = np.argsort(score, kind="stable")
        ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
        return cls(order, ends, truth[order])

    def auc(self, weight: Floats) -> float:
        """Return the area under these weights; sorting once serves many."""
        ordered = weight[self.order]
        cases = np.diff(np.cumsum(np.where(self.truth, ordered, 0.0))[self.ends], prepend=0.0)
        others = np.diff(np.cumsum(np.where(self.truth, 0.0, ordered))[self.ends], prepend=0.0)
        pairs = cases.sum() * others.sum()
        below = np.cumsum(others) - others / 2
        return float(np.sum(cases * below) / pairs) if pairs > 0 else float("nan")

    def recalls(self, weight: Floats, shares: Sequence[float]) -> Floats:
        """Return the part of all cases in the top `shares`; ties share the last places."""
        ordered = weight[self.order]
        mass = np.append(0.0, np.cumsum(ordered)[self.ends])
        cases = np.append(0.0, np.cumsum(np.where(self.truth, ordered, 0.0))[self.ends])
        if cases[-1] <= 0:
            return np.full(len(shares), np.nan)
        left = np.interp((1 - np.asarray(shares)) * mass[-1], mass, cases)
        return np.asarray(1 - left / cases[-1])


def average_precision(truth: Bools, score: Floats, weight: Floats | None = None) -> float:
    """Return the area under the precision-recall steps; tied scores are one step."""
    if not truth.any():
        return float("nan")
    each = _ones(truth) if weight is None else weight
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.diff(score[order]) != 0, True)
    hits = np.cumsum(np.where(truth[order], each[order], 0.0))[ends]
    seen = np.cumsum(each[order])[ends]
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    return float(np.sum(np.diff(np.append(0, hits)) * precision) / hits[-1])


def calibration_bins(
    truth: Bools, probability: Floats, bins: int = BINS, weight: Floats | None = None
) -> list[dict[str, float]]:
    """Return equal-mass bins: mean probability, observed share with its interval, rows, mass."""
    order = np.argsort(probability, kind="stable")
    each = _ones(truth) if weight is None else weight
    parts = np.array_split(order, bins)
    if weight is not None:
        middle = np.cumsum(each[order]) - each[order] / 2
        place = np.minimum(middle / each.sum() * bins, bins - 1).astype(np.int64)
        parts = [order[place == k] for k in range(bins)]
    out = []
    for part in parts:
        mass = float(each[part].sum())
        if mass > 0:
            observed = float(each[part] @ truth[part]) / mass
            like = effective(each[part])
            low, high = wilson(observed * like, like)
            out.append(
                {
                    "rows": len(part),
                    "mass": mass,
                    "predicted": float(each[part] @ probability[part]) / mass,
                    "observed": observed,
                    "low": low,
                    "high": high,
                }
            )
    return out


def calibration_error(
    truth: Bools, probability: Floats, bins: int = BINS, weight: Floats | None = None
) -> float:
    """Return the expected calibration error over equal-mass bins, 0 (best) to 1."""
    found = calibration_bins(truth, probability, bins, weight)
    mass = sum(b["mass"] for b in found)
    return float(sum(b["mass"] * abs(b["predicted"] - b["observed"]) for b in found) / mass)


def calibration_line(
    truth: Bools, probability: Floats, weight: Floats | None = None
) -> tuple[float, float]:
    """Return slope and intercept of the observed log-odds over the predicted ones (ideal 1, 0)."""
    p = np.clip(probability, 1e-9, 1 - 1e-9)
    x = np.stack([np.log(p / (1 - p)), np.ones(len(p))], axis=1)
    each = _ones(truth) if weight is None else weight / weight.mean()
    beta = np.asarray([1.0, 0.0])
    for _ in range(50):
        mean = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        curve = each * np.maximum(mean * (1 - mean), 1e-12)
        hessian = (x * curve[:, None]).T @ x + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, x.T @ (each * (truth - mean)))
        beta = beta + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:  # noqa: PLR2004
            break
    return float(beta[0]), float(beta[1])


def brier(truth: Bools, probability: Floats, weight: Floats | None = None) -> float:
    """Return the mean squared error of the probability."""
    return float(np.average((probability - truth) ** 2, weights=weight))


def effective(weight: Floats) -> float:
    """Return how many equally weighted rows would tell as much (Kish): rows when all are equal."""
    squares = float(np.sum(weight**2))
    return float(weight.sum()) ** 2 / squares if squares > 0 else 0.0


def wilson(hits: float, total: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the Wilson interval of a share; (0, 1) when nothing was seen."""
    if total == 0:
        return 0.0, 1.0
    z = float(norm.ppf(0.5 + confidence / 2))
    share, square = hits / total, z * z / total
    middle = (share + square / 2) / (1 + square)
    half = z * np.sqrt(share * (1 - share) / total + square / (4 * total)) / (1 + square)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def auc_interval(
    truth: Bools, score: Floats, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Return DeLong's interval of the AUC."""
    positive, negative = score[truth], score[~truth]
    if len(positive) < 2 or len(negative) < 2:  # noqa: PLR2004
        return 0.0, 1.0
    every, m = rankdata(np.concatenate([positive, negative])), len(positive)
    over = (every[:m] - rankdata(positive)) / len(negative)
    under = 1 - (every[m:] - rankdata(negative)) / m
    spread = np.sqrt(over.var(ddof=1) / m + under.var(ddof=1) / len(negative))
    area, z = auc(truth, score), float(norm.ppf(0.5 + confidence / 2))
    return float(max(0.0, area - z * spread)), float(min(1.0, area + z * spread))


def at_capacity(
    truth: Bools, score: Floats, share: float, weight: Floats | None = None
) -> dict[str, float]:
    """Return what the top `share` by score holds; ties share the last places."""
    each = _ones(truth) if weight is None else weight
    places = share * float(each.sum())
    if weight is None:
        places = float(min(max(1, round(places)), len(score)))
    order = np.argsort(-score, kind="stable")
    last = int(np.searchsorted(np.cumsum(each[order]), places * (1 - 1e-12)))
    border = score[order[min(last, len(order) - 1)]]
    above, tied = score > border, score == border
    part = (places - float(each[above].sum())) / max(float(each[tied].sum()), 1e-300)
    found = float(each[above] @ truth[above] + part * (each[tied] @ truth[tied]))
    cases = float(each @ truth)
    return {
        "share": share,
        "places": places,
        "found": found,
        "border": float(border),
        "recall": found / cases if cases else float("nan"),
        "precision": found / places,
    }


def macro_f1(truth: Ints, chosen: Ints, classes: int, weight: Floats | None = None) -> float:
    """Return the mean F1 over classes."""
    each = np.ones(len(truth)) if weight is None else weight
    scores = []
    for k in range(classes):
        hit = float(each[(truth == k) & (chosen == k)].sum())
        total = float(each[truth == k].sum() + each[chosen == k].sum())
        scores.append(2 * hit / total if total else 0.0)
    return float(np.mean(scores))


@dataclass(frozen=True)
class Confusion:
    """Counts of a yes/no decision against the truth."""

    tp: int
    fp: int
    tn: int
    fn: int

    @classmethod
    def of(cls, truth: Bools, chosen: Bools) -> Confusion:
        return cls(
            int(np.sum(truth & chosen)),
            int(np.sum(~truth & chosen)),
            int(np.sum(~truth & ~chosen)),
            int(np.sum(truth & ~chosen)),
        )

    def rates(self) -> dict[str, tuple[float, float, float]]:
        """Return (share, low, high) of TPR, FNR, FPR, PPV and the share selected."""
        pairs = {
            "tpr": (self.tp, self.tp + self.fn),
            "fnr": (self.fn, self.tp + self.fn),
            "fpr": (self.fp, self.fp + self.tn),
            "ppv": (self.tp, self.tp + self.fp),
            "selected": (self.tp + self.fp, self.tp + self.fp + self.tn + self.fn),
        }
        return {
            name: (hits / total if total else float("nan"), *wilson(hits, total))
            for name, (hits, total) in pairs.items()
        }


MIN_ROWS = 100


def subgroups(
    labels: Sequence[str],
    truth: Bools,
    chosen: Bools,
    probability: Floats,
    min_rows: int = MIN_ROWS,
) -> list[dict[str, object]]:
    """Return one row a group: counts, rates with intervals, AUC, calibration error.

    A group with fewer rows than `min_rows` is named with its size and no rates.
    """
    names = np.asarray(labels)
    out: list[dict[str, object]] = []
    for name in sorted(set(labels), key=lambda n: (not n.startswith("<"), n)):
        inside = names == name
        row: dict[str, object] = {
            "group": name,
            "rows": int(inside.sum()),
            "positives": int(truth[inside].sum()),
        }
        if inside.sum() >= min_rows:
            confusion = Confusion.of(truth[inside], chosen[inside])
            row |= {
                "rates": confusion.rates(),
                "auc": auc(truth[inside], probability[inside]),
                "auc_interval": auc_interval(truth[inside], probability[inside]),
                "ece": calibration_error(truth[inside], probability[inside]),
                "mean_probability": float(probability[inside].mean()),
            }
        out.append(row)
    return out
