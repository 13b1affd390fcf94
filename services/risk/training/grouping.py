"""The rows of one group (a household's people) as one example, by a recipe that is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from services.risk.domain.forbidden import words_of
from services.risk.training.spec import Spec
from services.risk.training.table import Column, Floats, Ints, Table

SAME_SHARE = 0.995
HEAD_SHARE = 0.95
MAX_SHARES = 8
PAIR = 2
"""Values of a yes/no column."""
_HEAD_WORDS = frozenset({"head", "householder", "reference", "ishead", "户主"})


@dataclass(frozen=True)
class Fold:
    """One column of the group table: what of which person column. `kind` is the column's type."""

    name: str
    source: str
    how: str
    kind: str
    value: str = ""


@dataclass(frozen=True)
class FoldPlan:
    """How groups become examples; `head` is a column that is true for one row of each group."""

    group: str
    head: str
    folds: tuple[Fold, ...]

    def plain(self) -> dict[str, object]:
        """Return the plan as JSON values."""
        return asdict(self)


def plan_of(stored: Mapping[str, object]) -> FoldPlan:
    """Return the plan from its JSON values."""
    folds = tuple(Fold(**f) for f in stored["folds"])  # type: ignore[attr-defined]
    return FoldPlan(str(stored["group"]), str(stored["head"]), folds)


def group_index(table: Table, group: str) -> Ints:
    """Return a number a row, equal for rows of one group; a row without group stands alone."""
    codes = table[group].codes.astype(np.int64)
    lost = codes < 0
    codes[lost] = table[group].distinct + np.arange(int(lost.sum()))
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def find_head(table: Table, index: Ints, names: Sequence[str]) -> str:
    """Return a yes/no column that is true for exactly one row of nearly every group, or nothing."""
    found, groups = [], int(index.max()) + 1
    for name in names:
        column = table[name]
        if column.distinct != 2 or column.missing.any():  # noqa: PLR2004
            continue
        true = _truth(column)
        once = np.bincount(index[true], minlength=groups) == 1
        if once.mean() >= HEAD_SHARE and true.sum() < table.rows:
            found.append(name)
    named = [n for n in found if set(words_of(n)) & _HEAD_WORDS]
    return (named or found or [""])[0]


def _truth(column: Column) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    yes = {"1", "1.0", "yes", "true", "y", "t", "是", "head"}
    flags = np.asarray([text.lower() in yes for text in column.texts] + [False])
    return np.asarray(flags[column.codes], bool)


def make_plan(table: Table, kinds: Mapping[str, str], group: str, spec: Spec) -> FoldPlan:
    """Return the declared folds of each column, and the default ones where none are declared."""
    index = group_index(table, group)
    head = spec.head or find_head(table, index, [n for n in kinds if n in table.columns])
    folds = [Fold("members", "", "members", "number")]
    for name, kind in kinds.items():
        declared = spec.of(name).fold
        if kind == "date" or name == head:
            continue
        hows = declared or _default(table[name], kind, index, head)
        for how in hows:
            folds += _folds(table[name], name, kind, how)
    return FoldPlan(group, head, tuple(folds))


def _default(column: Column, kind: str, index: Ints, head: str) -> tuple[str, ...]:
    low, high = np.full(index.max() + 1, 2**31), np.full(index.max() + 1, -2)
    np.minimum.at(low, index, column.codes)
    np.maximum.at(high, index, column.codes)
    leader = ("head",) if head else ()
    if np.mean(low == high) >= SAME_SHARE:
        amount = kind == "number" and column.distinct > 2  # noqa: PLR2004
        return ("own", "per_member") if amount else ("own",)
    if kind == "category":
        return (*leader, "share")
    if column.distinct == 2:  # noqa: PLR2004
        return (*leader, "mean", "sum")
    return (*leader, "mean", "max", "min")


def _folds(column: Column, name: str, kind: str, how: str) -> list[Fold]:
    if how == "share":
        common = np.argsort(-column.counts, kind="stable")[:MAX_SHARES]
        return [
            Fold(f"{name}|share {column.texts[k]}", name, "share", "number", column.texts[k])
            for k in common
        ]
    if how in {"own", "head"}:
        return [Fold(f"{name}|{how}", name, how, kind)]
    return [Fold(f"{name}|{how}", name, how, "number")]


def fold_table(table: Table, plan: FoldPlan, index: Ints) -> tuple[Table, dict[str, str]]:
    """Return one row a group, in order of the groups' numbers, and the kind of each column."""
    leader = _leaders(table, plan.head, index)
    size = np.bincount(index).astype(float)
    columns: dict[str, Column] = {}
    for fold in plan.folds:
        if fold.how == "members":
            columns[fold.name] = number_column(fold.name, size)
        elif fold.how in {"own", "head"}:
            taken = table[fold.source].take(leader)
            columns[fold.name] = Column(fold.name, taken.codes, taken.values)
        else:
            columns[fold.name] = number_column(
                fold.name, _folded(table[fold.source], fold, index, size)
            )
    kinds = {fold.name: fold.kind for fold in plan.folds}
    return Table(
        columns, len(size), table.rows_in_file, table.notes, table.digest, table.source
    ), kinds


def _leaders(table: Table, head: str, index: Ints) -> Ints:
    """Return the row that stands for each group: its head, else its first row."""
    first = np.full(index.max() + 1, -1, np.int64)
    rows = np.arange(table.rows)[::-1]
    first[index[rows]] = rows
    if head and head in table.columns:
        heads = np.flatnonzero(_truth(table[head]))[::-1]
        first[index[heads]] = heads
    return first


def _folded(column: Column, fold: Fold, index: Ints, size: Floats) -> Floats:
    groups = len(size)
    if fold.how == "share":
        flag = np.asarray([text == fold.value for text in column.texts] + [False])[column.codes]
        return np.bincount(index, weights=flag, minlength=groups) / size
    values = (
        column.numbers()
        if column.distinct != PAIR or not np.isnan(column.parsed).any()
        else (np.where(column.missing, np.nan, (column.codes == 1).astype(float)))
    )
    seen = ~np.isnan(values)
    count = np.bincount(index[seen], minlength=groups)
    total = np.bincount(index[seen], weights=values[seen], minlength=groups)
    makers: dict[str, Callable[[], Floats]] = {
        "count": lambda: count.astype(float),
        "sum": lambda: np.where(count, total, np.nan),
        "mean": lambda: np.divide(total, count, out=np.full(groups, np.nan), where=count > 0),
        "per_member": lambda: np.divide(
            total, count * size, out=np.full(groups, np.nan), where=count > 0
        ),
        "max": lambda: _extreme(index[seen], values[seen], groups, largest=True),
        "min": lambda: _extreme(index[seen], values[seen], groups, largest=False),
    }
    return makers[fold.how]()


def _extreme(index: Ints, values: Floats, groups: int, *, largest: bool) -> Floats:
    out = np.full(groups, -np.inf if largest else np.inf)
    (np.maximum if largest else np.minimum).at(out, index, values)
    return np.where(np.isinf(out), np.nan, out)


def number_column(name: str, values: Floats) -> Column:
    """Return a column of these numbers."""
    seen = ~np.isnan(values)
    distinct, inverse = np.unique(values[seen], return_inverse=True)
    codes = np.full(len(values), -1, np.int32)
    codes[seen] = inverse
    return Column(name, codes, pa.array([repr(float(v)) for v in distinct], pa.string()))


def group_outcome(
    y: Ints,
    table: Table,
    plan: FoldPlan,
    index: Ints,
    classes: int,
) -> tuple[Ints, int]:
    """Return the outcome of each group (its head's, else the commonest), and how many disagree."""
    groups = int(index.max()) + 1
    counts = np.zeros((groups, classes), np.int64)
    np.add.at(counts, (index, y), 1)
    mixed = int(np.sum((counts > 0).sum(axis=1) > 1))
    if plan.head:
        return y[_leaders(table, plan.head, index)], mixed
    flipped = classes - 1 - np.argmax(counts[:, ::-1], axis=1)
    return flipped.astype(np.int64), mixed
