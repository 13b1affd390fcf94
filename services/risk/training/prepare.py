"""From a file and a request to rows, outcome and features; everything left out is written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from services.kernel.errors import WrongUse
from services.risk.training.faults import refuse
from services.risk.training.grouping import (
    FoldPlan,
    fold_table,
    group_index,
    group_outcome,
    make_plan,
)
from services.risk.training.inference import ID_SHARE, Roles, days_of, group_candidates, infer
from services.risk.training.leaks import (
    Finding,
    alone_auc,
    binned,
    filled_for_one_outcome,
    group_finding,
    known_late,
    predicts_alone,
    repeated_rows,
    rest_auc,
    sample_of,
    siblings,
    telling_ids,
)
from services.risk.training.population import Weighting, weights_of
from services.risk.training.recipe import Task
from services.risk.training.spec import Spec
from services.risk.training.table import MAX_ROWS, Floats, Ints, Table, read_table

MIN_ROWS, MIN_CLASS = 50, 10
MAX_CLASSES = 20


@dataclass(frozen=True)
class Request:
    """What `train` was asked for; empty means not given. Options go before the features file."""

    data: Path
    target: str
    group: str = ""
    per_group: bool = False
    time: str = ""
    weight: str = ""
    positive: str = ""
    order: tuple[str, ...] = ()
    split: str = "auto"
    encoding: str = "utf-8"
    folds: int = 0
    seed: int = 7
    max_rows: int = MAX_ROWS
    capacity: float | None = None
    cost: float | None = None
    plain: bool = False
    spec: Spec = field(default_factory=Spec)


@dataclass(frozen=True)
class Prepared:
    """Rows ready for the recipe. `persons` is the table before groups were folded."""

    table: Table
    kinds: Mapping[str, str]
    y: Ints
    task: Task
    groups: Ints
    group: str
    times: Floats | None
    time: str
    plan: FoldPlan | None
    roles: Roles
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    persons: Table
    weighting: Weighting | None


def settled(request: Request) -> Request:
    """Return the request with what only the features file says filled in."""
    spec = request.spec
    return replace(
        request,
        target=request.target or spec.target,
        group=request.group or spec.group,
        time=request.time or spec.time,
        weight=request.weight or spec.weight,
        positive=request.positive or spec.positive,
        order=request.order or spec.order,
    )


def prepare(request: Request, progress: Callable[[int, int], None] | None = None) -> Prepared:
    """Return the prepared rows.

    Raises:
        WrongUse: the table cannot give a model, with place, expectation and remedy.
    """
    table = read_table(
        request.data,
        encoding=request.encoding,
        keep_by=request.group or None,
        max_rows=request.max_rows,
        missing_words=request.spec.missing,
        progress=progress,
    )
    notes = [*table.notes]
    check_names(table, request)
    table = _population(table, request.spec, notes)
    table, y, task = outcome(table, request, notes)
    roles = infer(
        table,
        request.spec,
        target=request.target,
        group=request.group,
        time=request.time,
        weight=request.weight,
    )
    group, findings = _group(table, roles, request, notes)
    several_groups(table, group)
    persons, plan, kinds = table, None, dict(roles.kinds)
    index = group_index(table, group) if group else np.arange(table.rows)
    if request.per_group:
        table, y, plan, kinds = _fold(table, y, task, kinds, group, index, request, notes)
        index = np.arange(table.rows)
    else:
        table, y, index, persons, found = _without_copies(table, y, index, persons, roles, request)
        findings += found
    enough(y, task)
    times = days_of(table[request.time]) if request.time and not request.per_group else None
    time = request.time if times is not None else ""
    findings += _leaks(table, roles, kinds, y, index, task, request, notes)
    if not kinds:
        raise refuse(
            "features",
            found="no usable column",
            expected="at least one",
            remedy="see what was left out and why: "
            + "; ".join(f"{item.column}: {item.kind}" for item in roles.left_out[:8]),
        )
    notes += roles.notes
    return Prepared(
        table,
        kinds,
        y,
        task,
        np.unique(index, return_inverse=True)[1].astype(np.int64),
        group,
        times,
        time,
        plan,
        roles,
        tuple(findings),
        tuple(notes),
        persons,
        weighting_of(persons, request.weight, group if plan is not None else ""),
    )


def weighting_of(persons: Table, weight: str, group: str = "") -> Weighting | None:
    """Return how many people each example stands for: a `group` as many as the mean of its rows.

    Raises:
        WrongUse: a weight is missing, negative or no number.
    """
    if not weight:
        return None
    values = weights_of(persons[weight])
    if group:
        index = group_index(persons, group)
        values = np.bincount(index, values) / np.bincount(index)
    return Weighting(weight, values)


def check_names(table: Table, request: Request) -> None:
    """Refuse column names that the table does not have, naming the nearest."""
    for option, name in (
        ("--target", request.target),
        ("--group", request.group),
        ("--time", request.time),
        ("--weight", request.weight),
    ):
        _only_role(table, option, name, request)
        if name and name not in table.columns:
            try:
                table[name]
            except WrongUse as exc:
                raise refuse(
                    f"{option} {name!r}",
                    found="no such column",
                    expected="a column of the file",
                    remedy=str(exc).rsplit("; ", 1)[-1],
                ) from None
    for name in request.spec.features:
        if name not in table.columns:
            table[name]
    if request.per_group and not request.group:
        raise refuse(
            "--per-group",
            found="no --group",
            expected="the column that names the group",
            remedy="add --group COLUMN",
        )
    if not request.target:
        raise refuse(
            "--target", found="nothing", expected="the outcome column", remedy="add --target"
        )


def _only_role(table: Table, option: str, name: str, request: Request) -> None:
    """Refuse the outcome column in a second role, and a column that is two columns of the file."""
    twice = any(note.startswith(f"column {name!r} occurs twice") for note in table.notes)
    if name and twice:
        raise refuse(
            f"{option} {name!r}",
            found="two columns of this name",
            expected="one",
            remedy="name the columns apart in the file",
        )
    if name and option != "--target" and name == request.target:
        raise refuse(
            f"{option} {name!r}",
            found="the outcome column",
            expected="another column",
            remedy=f"correct {option}, or leave it out",
        )


def _population(table: Table, spec: Spec, notes: list[str]) -> Table:
    keep = np.ones(table.rows, bool)
    for item in spec.population:
        column = table[item.column]
        out = np.asarray([text in item.values for text in column.texts] + [False])[column.codes]
        notes.append(
            f"population: {int(out.sum()):,} rows left out where {item.column} is "
            f"{', '.join(item.values)}: {item.reason}"
        )
        keep &= ~out
    return table if keep.all() else table.take(np.flatnonzero(keep))


def outcome(table: Table, request: Request, notes: list[str]) -> tuple[Table, Ints, Task]:
    """Return the rows that have an outcome, the outcome as 0..K-1, and the task."""
    column = table[request.target]
    gone = int(column.missing.sum())
    if gone:
        notes.append(f"{gone:,} rows without a value in {request.target!r} were left out")
        table = table.take(np.flatnonzero(~column.missing))
        column = table[request.target]
    words = list(column.texts)
    if request.positive:
        return _binary(table, request, words)
    if len(words) < 2:  # noqa: PLR2004
        shown = repr(words[0]) if words else "nothing"
        raise refuse(
            f"--target {request.target!r}",
            found=f"one class only ({shown})",
            expected="at least two classes",
            remedy="check the column, or collect other outcomes",
        )
    if len(words) > MAX_CLASSES:
        raise refuse(
            f"--target {request.target!r}",
            found=f"{len(words):,} distinct values",
            expected=f"2..{MAX_CLASSES} classes",
            remedy="choose the outcome column, or name one value with --positive",
        )
    if request.order:
        classes, kind = _ordered(words, request), "ordinal"
    else:
        numbers = column.parsed
        classes = words if np.isnan(numbers).any() else [words[i] for i in np.argsort(numbers)]
        kind = "nominal"
    if len(classes) == 2:  # noqa: PLR2004
        kind = "binary"
    place = np.asarray([classes.index(word) for word in words])
    return table, place[column.codes].astype(np.int64), Task(kind, tuple(classes))


def _binary(table: Table, request: Request, words: list[str]) -> tuple[Table, Ints, Task]:
    column, wanted = table[request.target], request.positive
    hits = [i for i, word in enumerate(words) if word == wanted or (_same_number(word, wanted))]
    if not hits:
        raise refuse(
            f"--positive {wanted!r}",
            found="no row with this value",
            expected=f"one of {', '.join(map(repr, words[:8]))}",
            remedy="correct the value",
        )
    others = [word for i, word in enumerate(words) if i not in hits]
    if not others:
        raise refuse(
            f"--target {request.target!r}",
            found=f"one class only ({wanted!r})",
            expected="at least two classes",
            remedy="check the column",
        )
    rest = others[0] if len(others) == 1 else f"not {wanted}"
    y = np.isin(column.codes, hits).astype(np.int64)
    return table, y, Task("binary", (rest, wanted))


def _same_number(a: str, b: str) -> bool:
    try:
        return float(a) == float(b)
    except ValueError:
        return False


def _ordered(words: list[str], request: Request) -> list[str]:
    missing = [w for w in words if w not in request.order]
    extra = [w for w in request.order if w not in words]
    if missing or extra:
        raise refuse(
            "--order",
            found=", ".join(request.order),
            expected=f"each of {', '.join(words)} once, lowest first",
            remedy="correct the list",
        )
    return list(request.order)


def enough(y: Ints, task: Task) -> None:
    """Refuse a table from which nothing can be learned and judged."""
    counts = np.bincount(y, minlength=len(task.classes))
    rarest = int(np.argmin(counts))
    if len(y) < MIN_ROWS:
        raise refuse(
            "the table",
            found=f"{len(y)} usable rows",
            expected=f"at least {MIN_ROWS}",
            remedy="collect more rows; until then use rules alone",
        )
    if counts[rarest] < MIN_CLASS:
        raise refuse(
            f"class {task.classes[rarest]!r}",
            found=f"{counts[rarest]} rows",
            expected=f"at least {MIN_CLASS}",
            remedy="collect more, or join rare classes",
        )


def _group(
    table: Table, roles: Roles, request: Request, notes: list[str]
) -> tuple[str, list[Finding]]:
    """Return the group column (declared, else inferred); other ids of groups are no features."""
    seen = group_candidates(table, roles, target=request.target, time=request.time)
    seen = [name for name in seen if name != request.weight]
    group, findings = request.group, []
    if not group and seen:
        group = seen[0]
        findings = group_finding(group, table[group], declared=False)
    column = table.columns.get(group)
    repeats = column is not None and column.distinct < int(column.counts.sum())
    if request.split == "random" and repeats:
        raise refuse(
            "--split random",
            found=f"{group!r} repeats: rows of one group on both sides",
            expected="whole groups on one side",
            remedy=f"leave --split out (folds are made by {group!r}); "
            "a random split would report a success that is not there",
        )
    for name in {*seen, group} - {request.group}:
        if name in table.columns:
            roles.drop(
                name, "id of a group", "分组编号，不是特征。", "the id of a group, no feature"
            )
    if group and not repeats and not request.per_group:
        notes.append(f"every value of {group!r} occurs once: folds of rows")
    return group, findings


def several_groups(table: Table, group: str) -> None:
    """Refuse a group column with one value in every row."""
    column = table.columns.get(group)
    if column is not None and column.distinct == 1 and not column.missing.any():
        raise refuse(
            f"--group {group!r}",
            found="one group only",
            expected="several, so that some can be judged by what others taught",
            remedy="check the column",
        )


def _fold(
    table: Table,
    y: Ints,
    task: Task,
    kinds: dict[str, str],
    group: str,
    index: Ints,
    request: Request,
    notes: list[str],
) -> tuple[Table, Ints, FoldPlan, dict[str, str]]:
    plan = make_plan(table, kinds, group, request.spec)
    folded, kinds = fold_table(table, plan, index)
    outcomes, mixed = group_outcome(y, table, plan, index, len(task.classes))
    notes.append(
        f"{table.rows:,} rows became {folded.rows:,} groups of {group!r}"
        + (f"; the head is the row with {plan.head!r}" if plan.head else "")
    )
    if mixed:
        whose = "the head's" if plan.head else "the commonest"
        notes.append(f"{mixed:,} groups hold more than one outcome: {whose} counts")
    empty = [name for name, column in folded.columns.items() if column.distinct < 2]  # noqa: PLR2004
    return folded, outcomes, plan, {n: k for n, k in kinds.items() if n not in empty}


def _without_copies(
    table: Table, y: Ints, index: Ints, persons: Table, roles: Roles, request: Request
) -> tuple[Table, Ints, Ints, Table, list[Finding]]:
    names = [
        n
        for n, c in table.columns.items()
        if (n not in roles.ids and c.distinct > 1 and c.distinct < ID_SHARE * table.rows)
        or n in {request.target, request.group}
        or roles.kinds.get(n) == "number"
    ]
    copies, findings = repeated_rows(table, names)
    if len(copies) == 0:
        return table, y, index, persons, []
    kept = np.setdiff1d(np.arange(table.rows), copies)
    return table.take(kept), y[kept], index[kept], persons.take(kept), findings


def _leaks(
    table: Table,
    roles: Roles,
    kinds: dict[str, str],
    y: Ints,
    index: Ints,
    task: Task,
    request: Request,
    notes: list[str],
) -> list[Finding]:
    """Return the column leaks, and take the leaking columns out of `kinds`."""
    groups = np.unique(index, return_inverse=True)[1].astype(np.int64)
    sample = sample_of(y, groups, len(task.classes), request.seed)
    trusted = {
        n for n in kinds if request.spec.of(n).allowed or request.spec.of(n).known == "before"
    }
    judged = [n for n in kinds if n not in trusted]
    time = "" if request.per_group else request.time
    findings = known_late(table, roles, time)
    findings += filled_for_one_outcome(table, judged, y, task.classes)
    findings += telling_ids(table, roles, sample) if not request.per_group else []
    gone = {f.column for f in findings}
    alone = {
        n: alone_auc(binned(table[n], kinds[n], sample.rows), sample)
        for n in judged
        if n not in gone
    }
    suspects = [n for n, value in alone.items() if value >= min(0.85, 0.9)]
    if suspects:
        others = [n for n in kinds if n not in suspects and n not in gone]
        matrix = [binned(table[n], kinds[n], sample.rows).astype(float) for n in others]
        rest = rest_auc(
            np.stack(matrix, axis=1) if matrix else np.empty((len(sample.rows), 0)), sample
        )
        findings += predicts_alone({n: alone[n] for n in suspects}, rest)
    leaking = [f.column for f in findings if f.kind == "alone"]
    near = siblings(leaking, [n for n in kinds if n not in gone])
    if near:
        notes.append(
            "look at " + ", ".join(near) + ": named like a leaking column; if written at the "
            "same moment, declare `known: after` in the features file"
        )
    for finding in findings:
        kinds.pop(finding.column, None)
        if finding.kind != "id":
            roles.drop(finding.column, f"leak: {finding.kind}", finding.zh, finding.en)
    return findings
