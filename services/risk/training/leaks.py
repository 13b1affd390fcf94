"""Six ways in which a table can fool its reader, each found, named and explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, poisson

from services.risk.domain.forbidden import words_of
from services.risk.training.inference import Roles, days_of
from services.risk.training.metrics import auc
from services.risk.training.table import Bools, Column, Floats, Ints, Table, column_hashes

SAMPLE = 20_000
ALONE_SURE = 0.985
"""A column that orders the outcome this well by itself is the outcome under another name."""
ALONE_SUSPECT, GAP = 0.85, 0.15
ALONE_HALVES = 0.90
"""Suspect: knows far more than all other columns together (gap), or halves what they leave open."""
FILLED_PURITY, FILLED_COVERAGE, FILLED_CHANCE = 0.98, 0.2, 1e-6
FILLED_GAIN = 0.02
LATE_SHARE = 0.01
ID_ORDER = 0.70
CHANCE_FACTOR, COPIES_CHANCE = 3.0, 1e-3


@dataclass(frozen=True)
class Finding:
    """One leak. `kind` is one of: alone, id, filled, after, group, twice."""

    kind: str
    column: str
    action: str
    zh: str
    en: str
    figures: Mapping[str, float] = field(default_factory=dict)

    def plain(self) -> dict[str, object]:
        """Return the finding as JSON values."""
        return {**asdict(self), "figures": dict(self.figures)}


@dataclass(frozen=True)
class Sample:
    """Rows on which columns are tried, with two halves that share no group."""

    rows: Ints
    half: Bools
    outcomes: tuple[Bools, ...]


def sample_of(y: Ints, groups: Ints, classes: int, seed: int) -> Sample:
    """Return at most SAMPLE rows, whole groups, split into halves."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(int(groups.max()) + 1)[groups]
    rows = np.flatnonzero(order < np.quantile(order, min(1.0, SAMPLE / len(y))) + 1)
    ranks = order[rows]
    half = ranks % 2 == 0
    kinds = range(classes) if classes > 2 else (1,)  # noqa: PLR2004
    return Sample(rows, half, tuple(y[rows] == k for k in kinds))


def alone_auc(codes: Ints, sample: Sample) -> float:
    """Return the best one-against-rest AUC of a column by itself, learned on the other half."""
    size = int(codes.max(initial=0)) + 1
    best = 0.5
    for truth in sample.outcomes:
        score = np.zeros(len(codes))
        for half in (sample.half, ~sample.half):
            total = np.bincount(codes[half], minlength=size)
            hits = np.bincount(codes[half], weights=truth[half], minlength=size)
            base = truth[half].mean() if half.any() else 0.0
            score[~half] = ((hits + 5 * base) / (total + 5))[codes[~half]]
        found = [auc(truth[part], score[part]) for part in (sample.half, ~sample.half)]
        if not np.isnan(found).any():
            best = max(best, float(np.mean(found)))
    return best


def binned(column: Column, kind: str, rows: Ints) -> Ints:
    """Return small codes: 32 equal-mass bins of a number, else categories; 0 for missing."""
    if kind == "category":
        return column.codes[rows].astype(np.int64) + 1
    values = days_of(column)[rows] if kind == "date" else column.numbers()[rows]
    if np.isnan(values).all():
        return np.zeros(len(values), np.int64)
    edges = np.unique(np.nanquantile(values, np.linspace(0, 1, 33)[1:-1]))
    return np.where(np.isnan(values), 0, np.searchsorted(edges, values, side="right") + 1)


def known_late(table: Table, roles: Roles, time: str) -> list[Finding]:
    """Return date columns that lie after the moment of prediction in more than a few rows."""
    if not time:
        return []
    moment, out = days_of(table[time]), []
    for name in list(roles.dates):
        late = float(np.nanmean(days_of(table[name]) > moment)) if name in roles.kinds else 0.0
        if late > LATE_SHARE:
            out.append(
                Finding(
                    "after",
                    name,
                    "left out",
                    f"有 {late:.0%} 的行，其日期晚于预测时间“{time}”：预测时还不知道。",
                    f"in {late:.0%} of the rows its date lies after {time!r}, the moment of "
                    f"prediction",
                    {"share_later": late},
                )
            )
    return out


def filled_for_one_outcome(
    table: Table,
    names: list[str],
    y: Ints,
    classes: tuple[str, ...],
) -> list[Finding]:
    """Return columns whose being filled (or empty) names the outcome almost surely."""
    out, prior = [], np.bincount(y, minlength=len(classes)) / len(y)
    for name in names:
        gone = table[name].missing
        for state, inside in (("filled", ~gone), ("empty", gone)):
            rows = int(inside.sum())
            if rows == 0 or rows == len(y):
                continue
            counts = np.bincount(y[inside], minlength=len(classes))
            k = int(np.argmax(counts))
            purity, coverage = counts[k] / rows, counts[k] / max(np.sum(y == k), 1)
            chance = float(binom.sf(counts[k] - 1, rows, prior[k]))
            if (
                purity >= FILLED_PURITY
                and coverage >= FILLED_COVERAGE
                and chance < FILLED_CHANCE
                and purity - prior[k] > FILLED_GAIN
            ):
                word = "有值" if state == "filled" else "空缺"
                out.append(
                    Finding(
                        "filled",
                        name,
                        "left out",
                        f"该列{word}的行中 {purity:.1%} 是“{classes[k]}”："
                        f"是否填写本身就泄露了结果。",
                        f"where it is {state}, {purity:.1%} of the rows are {classes[k]!r}: "
                        f"whether it is written down gives the outcome away",
                        {"purity": float(purity), "coverage": float(coverage)},
                    )
                )
                break
    return out


def predicts_alone(alone: Mapping[str, float], rest: float) -> list[Finding]:
    """Return columns that order the outcome alone as nothing else in the table can."""
    out = []
    for name, value in sorted(alone.items(), key=lambda item: -item[1]):
        sure = value >= ALONE_SURE
        gap = value >= ALONE_SUSPECT and value - rest >= GAP
        halves = value >= ALONE_HALVES and (1 - value) <= (1 - rest) / 2
        if sure or gap or halves:
            out.append(
                Finding(
                    "alone",
                    name,
                    "left out",
                    f"单凭这一列 AUC 就有 {value:.3f}，其余各列合起来只有 {rest:.3f}："
                    f"很可能就是结果本身或其副本。",
                    f"by itself it orders the outcome with AUC {value:.3f}, all other columns "
                    f"together "
                    f"{rest:.3f}: most likely the outcome under another name",
                    {"auc_alone": value, "auc_others": rest},
                )
            )
    return out


def telling_ids(table: Table, roles: Roles, sample: Sample) -> list[Finding]:
    """Return ids whose order tells the outcome (given out after it, or sorted by it)."""
    out = []
    for name in roles.ids:
        column = table[name]
        numbers = column.numbers()
        place = np.where(np.isnan(numbers), column.codes, numbers)[sample.rows]
        edges = np.unique(np.quantile(place, np.linspace(0, 1, 33)[1:-1]))
        value = alone_auc(np.searchsorted(edges, place, side="right"), sample)
        noise = 3.0 / np.sqrt(max(1, min(int(t.sum()) for t in sample.outcomes)))
        if value >= ID_ORDER and value - 0.5 > noise / 2:
            out.append(
                Finding(
                    "id",
                    name,
                    "left out",
                    f"编号的次序就能分出结果（AUC {value:.3f}）：编号可能是事后给的。",
                    f"its order alone tells the outcome (AUC {value:.3f}): "
                    "numbers may have been given out after it",
                    {"auc_alone": value},
                )
            )
    return out


def repeated_rows(table: Table, names: list[str]) -> tuple[Ints, list[Finding]]:
    """Return the rows to drop (copies of an earlier row) and the finding, if copies are no chance.

    Where rows are equal by chance, many more pairs differ in one column only, and their number
    tells how many equal pairs to expect. Copies are reported when there are far more than that.
    """
    if len(names) < 3:  # noqa: PLR2004
        return np.empty(0, np.int64), []
    each = {name: column_hashes(table[name]) for name in names}
    total = np.zeros(table.rows, np.uint64)
    for hashes in each.values():
        total += hashes
    equal = _pairs(total)
    if equal == 0:
        return np.empty(0, np.int64), []
    every = table.rows * (table.rows - 1) / 2
    by_chance = []
    for hashes in each.values():
        same = min(_pairs(hashes) / every, 0.999999)
        by_chance.append((_pairs(total - hashes) - equal) * same / (1 - same))
    expected = CHANCE_FACTOR * sorted(by_chance)[1] + 0.1
    if poisson.sf(equal - 1, expected) > COPIES_CHANCE:
        return np.empty(0, np.int64), []
    _, first = np.unique(total, return_index=True)
    copies = np.setdiff1d(np.arange(table.rows), first)
    rows = len(copies)
    return copies, [
        Finding(
            "twice",
            "",
            "left out",
            f"有 {rows:,} 行与另一行完全相同：同一行会同时出现在学习和检验中。",
            f"{rows:,} rows are copies of another row: one would be learned, the other judged",
            {"rows": float(rows)},
        )
    ]


def _pairs(hashes: NDArray[np.uint64]) -> float:
    """Return the number of pairs of equal values."""
    counts = np.unique(hashes, return_counts=True)[1].astype(float)
    return float(np.sum(counts * (counts - 1)) / 2)


def group_finding(name: str, column: Column, *, declared: bool) -> list[Finding]:
    """Return the finding that rows belong together although no group was declared."""
    if declared:
        return []
    rows = int(column.counts[column.counts > 1].sum())
    return [
        Finding(
            "group",
            name,
            "grouped by it",
            f"“{name}”在 {rows:,} 行里重复：随机拆分会让同一人（户）出现在两边，因此按它分组拆分。",
            f"{name!r} repeats over {rows:,} rows: a random split would put one person or "
            f"household on "
            "both sides, so whole groups are kept together",
            {"rows": float(rows)},
        )
    ]


def siblings(leaks: list[str], names: list[str]) -> list[str]:
    """Return other columns that share the last word of a leaking column's name (xCount, x_flag)."""
    ends = {words_of(leak)[-1] for leak in leaks if len(words_of(leak)) > 1}
    return [n for n in names if n not in leaks and len(words_of(n)) > 1 and words_of(n)[-1] in ends]


def rest_auc(matrix: Floats, sample: Sample) -> float:
    """Return the AUC that a quick model reaches, halves learned from each other."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415

    if matrix.shape[1] == 0:
        return 0.5
    filled = matrix.copy()
    filled[:, np.isnan(filled).all(axis=0)] = 0.0
    best = 0.5
    for truth in sample.outcomes:
        values = []
        for half in (sample.half, ~sample.half):
            model = HistGradientBoostingClassifier(
                max_iter=60,
                max_leaf_nodes=12,
                random_state=0,
                early_stopping=False,
                l2_regularization=5.0,
            )
            part = filled[half].copy()
            part[:, np.isnan(part).all(axis=0)] = 0.0
            if truth[half].all() or not truth[half].any():
                return best
            model.fit(part, truth[half])
            values.append(auc(truth[~half], model.decision_function(filled[~half])))
        best = max(best, float(np.nanmean(values)))
    return best
