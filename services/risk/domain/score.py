"""The small built-in model: a logistic with weights written in the pack."""

from __future__ import annotations

import math
from collections.abc import Sequence

from services.kernel.contracts.assessments import ModelSays
from services.risk.domain.pack import ModelSlot

TOP = 5
"""Contributions that an assessment carries."""
_HIGHEST_ALONE = 2
"""The model alone never says red (design D9)."""


class Linear:
    """p = 1 / (1 + exp(-(intercept + sum of weight x value))); unknown adds nothing, is listed."""

    def __init__(self, slot: ModelSlot) -> None:
        self.name = "linear"
        self._names = [feature.name for feature in slot.features]
        self._weights = [slot.weights.get(name, 0.0) for name in self._names]
        self._weighted = [(n, weight) for n, weight in enumerate(self._weights) if weight]
        self._intercept = slot.intercept or 0.0
        self._thresholds = slot.thresholds
        self._cap = min(slot.cap, _HIGHEST_ALONE)

    def score(self, rows: Sequence[tuple[float | None, ...]]) -> list[ModelSays]:
        """Return what the model says of each row; cost: microseconds a row."""
        return [self._one(row) for row in rows]

    def levels(self, rows: Sequence[tuple[float | None, ...]]) -> list[int]:
        """Return the level of each row; cost: a microsecond a row."""
        return [level_of(self._probability(row), self._thresholds, self._cap) for row in rows]

    def _probability(self, row: tuple[float | None, ...]) -> float:
        total = 0.0
        for n, weight in self._weighted:
            value = row[n]
            if value is not None:
                total += weight * value
        return 1.0 / (1.0 + math.exp(-max(-700.0, min(700.0, self._intercept + total))))

    def _one(self, row: tuple[float | None, ...]) -> ModelSays:
        parts = [
            (name, weight * value)
            for name, weight, value in zip(self._names, self._weights, row, strict=True)
            if value is not None
        ]
        probability = self._probability(row)
        level = level_of(probability, self._thresholds, self._cap)
        missing = [name for name, value in zip(self._names, row, strict=True) if value is None]
        return ModelSays(
            level=level,
            probability=probability,
            contributions=largest(parts),
            missing=missing,
            model=self.name,
        )


def largest(parts: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """Return the contributions that weigh most, largest first; what adds nothing is left out."""
    return sorted((p for p in parts if p[1]), key=lambda p: -abs(p[1]))[:TOP]


def level_of(probability: float, thresholds: Sequence[float], cap: int) -> int:
    """Return how many thresholds the probability reaches, at most the cap and never 3."""
    return min(sum(probability >= t for t in thresholds), cap, _HIGHEST_ALONE)
