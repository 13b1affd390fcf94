"""Folds in which no group stands on both sides and nothing is learned from the future."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from services.risk.training.faults import refuse
from services.risk.training.table import Floats, Ints

SMALL = 5000
TIME_CUTS = (0.6, 0.8)
"""With a time column: learn on the rows before each cut, judge on the rows up to the next one."""
TIME_GROUP_FOLDS = 3


@dataclass(frozen=True)
class Folds:
    """Pairs of row numbers (learn, judge), and in words how they were made."""

    pairs: tuple[tuple[Ints, Ints], ...]
    method: str

    @property
    def judged(self) -> Ints:
        """Rows judged in some fold, sorted; with a time column the earliest rows are not."""
        return np.sort(np.concatenate([judge for _, judge in self.pairs]))


def make_folds(
    y: Ints,
    *,
    groups: Ints,
    grouped: bool,
    times: Floats | None,
    folds: int,
    seed: int,
) -> Folds:
    """Return the folds: by group where there is one, forward in time where there is a time.

    Raises:
        WrongUse: too few rows of a class to judge anything.
    """
    if times is not None:
        return _forward(y, groups, times, grouped=grouped, seed=seed)
    count = folds or (10 if len(y) < SMALL else 5)
    rarest = int(np.bincount(y).min())
    distinct = len(np.unique(groups)) if grouped else len(y)
    count = min(count, rarest, distinct)
    spread = min(len(np.unique(groups[y == k])) for k in np.unique(y))
    if grouped and spread == 1 and rarest > 1:
        raise _in_one_group(spread)
    count = min(count, spread)
    if count < 2:  # noqa: PLR2004
        raise refuse(
            "the table",
            found=f"{rarest} rows of the rarest class in {distinct} groups",
            expected="at least 10",
            remedy="collect more rows, or join rare classes",
        )
    shuffle = np.zeros(len(y))
    if grouped:
        maker = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        pairs = tuple((a, b) for a, b in maker.split(shuffle, y, groups))
        if any(len(np.unique(y[learn])) < len(np.unique(y)) for learn, _ in pairs):
            raise _in_one_group(spread)
        return Folds(pairs, f"{count} folds, whole groups on one side")
    plain = StratifiedKFold(count, shuffle=True, random_state=seed)
    return Folds(tuple((a, b) for a, b in plain.split(shuffle, y)), f"{count} folds of rows")


def _in_one_group(groups: int) -> Exception:
    return refuse(
        "the table",
        found=f"all rows of one class in {groups} of the groups",
        expected="every class in several groups, so that it can be learned in one and judged in "
        "another",
        remedy="check the group column, or collect more groups",
    )


def _forward(y: Ints, groups: Ints, times: Floats, *, grouped: bool, seed: int) -> Folds:
    if np.isnan(times).all():
        raise refuse(
            "--time",
            found="no value that is a date or a number",
            expected="days such as 2024-05-01, 2024年5月1日 or 5/1/2024, or numbers",
            remedy="correct the column, or leave --time out",
        )
    order = np.where(np.isnan(times), np.inf, times)
    edges = [*np.quantile(times[~np.isnan(times)], TIME_CUTS), np.inf]
    parts = TIME_GROUP_FOLDS if grouped else 1
    part = np.random.default_rng(seed).integers(0, parts, int(groups.max()) + 1)[groups]
    pairs = []
    for start, end in pairwise(edges):
        for k in range(parts):
            learn = np.flatnonzero((order < start) & ((part != k) | (parts == 1)))
            judge = np.flatnonzero((order >= start) & (order < end) & (part == k))
            if len(judge) and len(np.unique(y[learn])) == len(np.unique(y)):
                pairs.append((learn, judge))
    if not pairs:
        raise refuse(
            "the time column",
            found="no cut with every class before it",
            expected="rows of every class in the earlier half",
            remedy="leave --time out",
        )
    words = f"forward in time: learn before each of {len(TIME_CUTS)} cuts, judge until the next"
    return Folds(tuple(pairs), words + (", groups on one side only" if grouped else ""))
