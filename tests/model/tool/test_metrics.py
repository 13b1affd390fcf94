"""Figures of merit against hand counts and published tables."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from services.risk.training.metrics import (
    Confusion,
    at_capacity,
    auc,
    auc_interval,
    average_precision,
    calibration_error,
    calibration_line,
    macro_f1,
    subgroups,
    wilson,
)
from services.risk.training.scorecard import days_gained

PUBLISHED = {
    "Black": ((1369, 805, 990, 532), (0.4485, 0.2799, 0.630)),
    "White": ((505, 349, 1139, 461), (0.2345, 0.4772, 0.591)),
}
"""Two-year recidivism, medium or high score: (TP, FP, TN, FN), (FPR, FNR, PPV) as published."""


def published_rows() -> tuple[list[str], list[bool], list[bool]]:
    names: list[str] = []
    truth: list[bool] = []
    chosen: list[bool] = []
    for name, ((tp, fp, tn, fn), _) in PUBLISHED.items():
        names += [name] * (tp + fp + tn + fn)
        truth += [True] * tp + [False] * (fp + tn) + [True] * fn
        chosen += [True] * (tp + fp) + [False] * (tn + fn)
    return names, truth, chosen


def test_subgroup_rates_are_the_published_ones() -> None:
    names, truth, chosen = published_rows()
    probability = np.where(chosen, 0.7, 0.3)
    rows = {
        str(r["group"]): r
        for r in subgroups(names, np.asarray(truth), np.asarray(chosen), probability)
    }
    for name, (_, (fpr, fnr, ppv)) in PUBLISHED.items():
        rates = rows[name]["rates"]
        assert isinstance(rates, dict)
        assert rates["fpr"][0] == pytest.approx(fpr, abs=5e-5)
        assert rates["fnr"][0] == pytest.approx(fnr, abs=2e-4)
        assert rates["ppv"][0] == pytest.approx(ppv, abs=5e-4)
        assert rates["fpr"][1] < fpr < rates["fpr"][2]


def test_a_small_group_gets_its_size_and_no_rates() -> None:
    rows = subgroups(
        ["a"] * 150 + ["b"] * 99,
        np.arange(249) % 3 == 0,
        np.arange(249) % 2 == 0,
        np.linspace(0, 1, 249),
    )
    assert "rates" in rows[0]
    assert rows[1] == {"group": "b", "rows": 99, "positives": 33}


def test_areas_equal_scikit_learn_also_with_ties() -> None:
    rng = np.random.default_rng(0)
    score = rng.integers(0, 12, 800) / 12
    truth = rng.random(800) < score
    assert auc(truth, score) == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
    assert average_precision(truth, score) == pytest.approx(average_precision_score(truth, score))
    low, high = auc_interval(truth, score)
    assert low < auc(truth, score) < high


def test_macro_f1_equals_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    y, chosen = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    assert macro_f1(y, chosen, 4) == pytest.approx(f1_score(y, chosen, average="macro"))


def test_the_wilson_interval_is_the_textbook_one() -> None:
    low, high = wilson(10, 100)
    assert low == pytest.approx(0.0552, abs=1e-4)
    assert high == pytest.approx(0.1744, abs=1e-4)


def test_honest_probabilities_have_small_error_and_slope_one() -> None:
    rng = np.random.default_rng(2)
    p = rng.beta(1, 6, 60_000)
    truth = rng.random(60_000) < p
    assert calibration_error(truth, p) < 0.006
    slope, intercept = calibration_line(truth, p)
    assert slope == pytest.approx(1, abs=0.05)
    assert intercept == pytest.approx(0, abs=0.08)


def test_exaggerated_probabilities_are_told_by_the_slope() -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(size=20_000)
    truth = rng.random(20_000) < 1 / (1 + np.exp(-z))
    assert calibration_line(truth, 1 / (1 + np.exp(-2 * z)))[0] == pytest.approx(0.5, abs=0.05)


def test_at_capacity_shares_the_last_places_among_ties() -> None:
    truth = np.asarray([True, False, True, False])
    found = at_capacity(truth, np.asarray([0.9, 0.5, 0.5, 0.1]), 0.5)
    assert found["found"] == pytest.approx(1.5)
    assert found["recall"] == pytest.approx(0.75)


def test_visiting_in_order_of_risk_gains_days_and_an_empty_score_gains_none() -> None:
    times = np.arange(60.0)
    truth = np.zeros(60, bool)
    truth[[20, 40, 59]] = True
    assert days_gained(truth, truth.astype(float), times)["mean_days"] == pytest.approx(
        (20 + 39 + 57) / 3
    )
    assert days_gained(truth, np.zeros(60), times)["mean_days"] == pytest.approx(0)


def test_counts_of_a_decision_are_the_four_cells() -> None:
    found = Confusion.of(
        np.asarray([True, True, False, False]), np.asarray([True, False, True, False])
    )
    assert (found.tp, found.fn, found.fp, found.tn) == (1, 1, 1, 1)
