"""Classes from unweighted probabilities: by p / prior^a, by cost, or by how many can be visited."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.risk.training.metrics import macro_f1
from services.risk.training.table import Floats, Ints

POWERS = tuple(round(0.1 * k, 1) for k in range(11))
DEFAULT_POWER = 0.7
"""Kept both macro-F1 and honest probabilities on a four-level set (shared data notes)."""


@dataclass(frozen=True)
class Placement:
    """How `level` is chosen: the class with the largest weight x probability."""

    rule: str
    weights: tuple[float, ...]
    threshold: float | None = None

    def choose(self, probabilities: Floats) -> Ints:
        """Return the chosen class of each row."""
        if self.threshold is not None:
            return np.asarray(probabilities[:, -1] >= self.threshold, np.int64)
        return np.asarray(np.argmax(probabilities * np.asarray(self.weights), axis=1), np.int64)


def place(
    probabilities: Floats,
    y: Ints,
    *,
    capacity: float | None,
    cost: float | None,
    weight: Floats | None = None,
) -> Placement:
    """Return the placement, learned on probabilities of rows that the model did not learn from.

    Args:
        probabilities: n x K, out of fold.
        y: the classes, 0..K-1.
        capacity: share of rows that can be visited (binary only), 0..1.
        cost: how many times worse a missed case is than a needless visit (binary only).
        weight: how many people each row stands for; None counts every row as one.
    """
    count = probabilities.shape[1]
    even = (1.0,) * count
    if capacity is not None:
        border = _border(probabilities[:, -1], capacity, weight)
        return Placement(f"capacity {capacity:g}", even, border)
    if cost is not None:
        return Placement(f"cost {cost:g} : 1", even, 1 / (1 + cost))
    prior = np.bincount(y, weights=weight, minlength=count)
    prior = prior / prior.sum()
    scores = np.asarray(
        [
            macro_f1(y, np.argmax(probabilities / prior**power, axis=1), count, weight)
            for power in POWERS
        ]
    )
    smooth = np.convolve(np.pad(scores, 1, mode="edge"), np.ones(3) / 3, mode="valid")
    near = np.flatnonzero(smooth >= smooth.max() - 0.001)
    power = POWERS[int(near[np.argmin([abs(POWERS[k] - DEFAULT_POWER) for k in near])])]
    weights = tuple(float(w) for w in prior**-power)
    if count == 2:  # noqa: PLR2004
        border = weights[0] / (weights[0] + weights[1])
        return Placement(f"probability / prior^{power:g}", weights, float(border))
    return Placement(f"probability / prior^{power:g}", weights)


def _border(score: Floats, capacity: float, weight: Floats | None) -> float:
    """Return the score above which the share `capacity` of all people stands."""
    if weight is None:
        return float(np.quantile(score, 1 - capacity))
    order = np.argsort(score, kind="stable")
    below = np.cumsum(weight[order]) / weight.sum()
    return float(score[order][min(int(np.searchsorted(below, 1 - capacity)), len(order) - 1)])
