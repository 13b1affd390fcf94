"""Folds keep groups and the future apart; classes are placed as asked; cards keep figures honest."""  # noqa: E501

from __future__ import annotations

import numpy as np
import pytest

from services.kernel.errors import WrongUse
from services.risk.training.splits import make_folds
from services.risk.training.thresholds import place


def rows(count: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 2, count), rng.integers(0, 150, count), rng.uniform(0, 900, count)


def test_no_group_stands_on_both_sides_and_every_row_is_judged_once() -> None:
    y, groups, _ = rows()
    folds = make_folds(y, groups=groups, grouped=True, times=None, folds=0, seed=7)
    for learn, judge in folds.pairs:
        assert not set(groups[learn]) & set(groups[judge])
    assert folds.judged.tolist() == list(range(600))


def test_with_a_time_nothing_is_learned_from_the_future_nor_from_the_same_group() -> None:
    y, groups, times = rows()
    folds = make_folds(y, groups=groups, grouped=True, times=times, folds=0, seed=7)
    for learn, judge in folds.pairs:
        assert times[learn].max() < times[judge].min()
        assert not set(groups[learn]) & set(groups[judge])
    assert len(set(folds.judged)) == len(folds.judged)


def test_a_class_of_one_row_cannot_be_judged() -> None:
    with pytest.raises(WrongUse, match="rarest class"):
        make_folds(
            np.asarray([1] + [0] * 99),
            groups=np.arange(100),
            grouped=False,
            times=None,
            folds=0,
            seed=7,
        )


def test_a_class_that_only_one_group_has_cannot_be_judged() -> None:
    y = np.asarray([1] * 40 + [0] * 160)
    groups = np.asarray([0] * 40 + [1 + k // 2 for k in range(160)])
    with pytest.raises(WrongUse, match="all rows of one class in 1 of the groups"):
        make_folds(y, groups=groups, grouped=True, times=None, folds=0, seed=7)
    groups[20:40] = 500
    folds = make_folds(y, groups=groups, grouped=True, times=None, folds=0, seed=7)
    assert [sorted(set(y[learn])) for learn, _ in folds.pairs] == [[0, 1], [0, 1]]


def test_a_time_that_nobody_can_read_is_refused() -> None:
    y, groups, times = rows()
    with pytest.raises(WrongUse, match="--time"):
        make_folds(y, groups=groups, grouped=True, times=times * np.nan, folds=0, seed=7)


def test_capacity_places_that_share_and_cost_sets_the_line() -> None:
    rng = np.random.default_rng(1)
    p = rng.beta(1, 5, 2000)
    both = np.stack([1 - p, p], axis=1)
    y = (rng.random(2000) < p).astype(int)
    at = place(both, y, capacity=0.1, cost=None)
    assert np.mean(at.choose(both)) == pytest.approx(0.1, abs=0.01)
    assert place(both, y, capacity=None, cost=9).threshold == pytest.approx(0.1)


def test_rare_classes_are_placed_by_probability_over_a_power_of_their_share() -> None:
    rng = np.random.default_rng(2)
    y = rng.choice(3, 3000, p=[0.8, 0.15, 0.05])
    p = rng.dirichlet([8, 1.5, 0.5], 3000) * 0.6 + 0.4 * np.eye(3)[y] * rng.random((3000, 1))
    p /= p.sum(axis=1, keepdims=True)
    chosen = place(p, y, capacity=None, cost=None)
    assert chosen.weights[2] > chosen.weights[0]
    assert (
        np.bincount(chosen.choose(p), minlength=3)[2]
        > np.bincount(p.argmax(axis=1), minlength=3)[2]
    )
