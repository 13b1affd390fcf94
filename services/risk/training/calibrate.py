"""Scores to probabilities by a straight line on log-odds, so explanations still add up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax

from services.risk.training.table import Floats, Ints

PULL = 1.0
"""Pull (in rows) of slope to 1 and shifts to 0, so that ten rows cannot tear the line."""


@dataclass(frozen=True)
class Calibration:
    """`slope` is positive: order is kept. `shift` has one value a head, or one a cut (ordinal)."""

    kind: str
    slope: float
    shift: tuple[float, ...]

    def margins(self, scores: Floats) -> Floats:
        """Return log-odds: n x 1 (binary), n x K (one a class), n x (K-1) (at least level k)."""
        if self.kind == "ordinal":
            scores = scores.mean(axis=1, keepdims=True)
        return np.asarray(self.slope * scores + np.asarray(self.shift))

    def probabilities(self, scores: Floats) -> Floats:
        """Return n x K probabilities that sum to 1."""
        return probabilities_of(self.kind, self.margins(scores))


def probabilities_of(kind: str, margins: Floats) -> Floats:
    """Return class probabilities from log-odds."""
    if kind == "nominal":
        return np.asarray(softmax(margins, axis=1))
    above = np.asarray(expit(margins))
    full = np.hstack([np.ones((len(above), 1)), above, np.zeros((len(above), 1))])
    return np.asarray(full[:, :-1] - full[:, 1:])


def log_loss_of(kind: str, margins: Floats, y: Ints, weight: Floats | None = None) -> float:
    """Return the mean negative log-likelihood (nats); `weight` counts a row as so many."""
    rows = np.arange(len(y))
    if kind == "nominal":
        return float(-np.average(log_softmax(margins, axis=1)[rows, y], weights=weight))
    chosen = probabilities_of(kind, margins)[rows, y]
    return float(-np.average(np.log(np.maximum(chosen, 1e-15)), weights=weight))


def fit_calibration(
    kind: str, scores: Floats, y: Ints, classes: int, weight: Floats | None = None
) -> Calibration:
    """Return the line with the smallest log-loss on scores of rows not learned from."""
    if kind == "ordinal":
        latent = scores.mean(axis=1, keepdims=True)
        shares = [np.average(y > k, weights=weight) for k in range(classes - 1)]
        above = np.clip(shares, 1e-6, 1 - 1e-6)
        start = np.log(above / (1 - above)) - latent.mean()
        return _ordinal(latent, y, start, weight)
    width = 1 if kind == "binary" else classes

    def loss(x: Floats) -> float:
        margins = np.exp(x[0]) * scores + x[1:]
        return log_loss_of(kind, margins, y, weight) + PULL * float(x @ x) / len(y)

    best = minimize(loss, np.zeros(1 + width), method="L-BFGS-B").x
    return Calibration(kind, float(np.exp(best[0])), tuple(map(float, best[1:])))


def _ordinal(latent: Floats, y: Ints, start: Floats, weight: Floats | None) -> Calibration:
    def shifts(x: Floats) -> Floats:
        falls = np.exp(x[2:])
        return np.asarray(x[1] - np.concatenate([[0.0], np.cumsum(falls)]))

    def loss(x: Floats) -> float:
        margins = np.exp(x[0]) * latent + shifts(x)
        return log_loss_of("ordinal", margins, y, weight) + PULL * float(x[0] ** 2) / len(y)

    falls = np.log(np.maximum(-np.diff(start), 1e-3))
    best = minimize(loss, np.concatenate([[0.0, start[0]], falls]), method="L-BFGS-B").x
    return Calibration("ordinal", float(np.exp(best[0])), tuple(map(float, shifts(best))))


def cross_fitted(
    kind: str, scores: Floats, y: Ints, fold: Ints, classes: int, weight: Floats | None = None
) -> Floats:
    """Return log-odds; no row was calibrated with a line that its own fold helped to draw."""
    sample = fit_calibration(kind, scores, y, classes, weight)
    out = np.empty_like(sample.margins(scores))
    for k in np.unique(fold):
        inside = fold == k
        enough = len(np.unique(y[~inside])) == classes
        rest = None if weight is None else weight[~inside]
        line = sample
        if enough:
            line = fit_calibration(kind, scores[~inside], y[~inside], classes, rest)
        out[inside] = line.margins(scores[inside])
    return out
