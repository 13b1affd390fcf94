"""Score a file chunk by chunk: row order kept, memory bounded, one probability column a class."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from services.risk.adapters.model_arrays import Floats
from services.risk.adapters.sklearn_model import Model, Scores
from services.risk.training.encode import raw_matrix
from services.risk.training.faults import refuse
from services.risk.training.grouping import fold_table, group_index, plan_of
from services.risk.training.table import Bools, Table, nearest_names, read_chunks, read_table

WHOLE_FILE = 50_000_000


@dataclass(frozen=True)
class Summary:
    """What `score` reports."""

    rows: int
    levels: Mapping[str, int]
    outside: int
    notes: tuple[str, ...]


def score_file(
    model: Model,
    data: Path,
    out: Path,
    *,
    encoding: str = "utf-8",
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Write `p_<class>` and `level` for each row of `data`, in its order.

    Raises:
        WrongUse: the file cannot be read, or lacks most of the model's columns.
    """
    writable(out, data)
    levels = dict.fromkeys(model.classes, 0)
    rows = outside = 0
    notes: list[str] = []
    part = out.with_name(out.name + ".part")
    with (
        _removed_on_failure(part),
        threadpool_limits(limits=1),
        part.open("w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.writer(stream)
        population = bool(model.about["population"])
        writer.writerow(
            [
                *(f"p_{name}" for name in model.classes),
                "level",
                *(["outside_population"] if population else []),
            ]
        )
        for table in _tables(model, data, encoding, progress):
            if rows == 0:
                notes += check_columns(model, table)
            scores = score_table(model, table)
            out_of = outside_population(model, table)
            _write(writer, model, scores, out_of if population else None)
            for name, count in zip(
                model.classes, np.bincount(scores.level, minlength=len(model.classes)), strict=True
            ):
                levels[name] += int(count)
            rows, outside = rows + table.rows, outside + int(out_of.sum())
    part.replace(out)
    return Summary(rows, levels, outside, tuple(notes))


@contextmanager
def _removed_on_failure(part: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def writable(out: Path, data: Path) -> None:
    """Refuse a place that cannot be written, or where the answer would replace the data.

    Raises:
        WrongUse: no such folder, a folder, or the data itself.
    """
    found = ""
    if not out.parent.is_dir():
        found = "a folder that does not exist"
    elif out.is_dir():
        found = "a folder"
    elif out.exists() and data.exists() and out.samefile(data):
        found = "the data itself"
    if found:
        raise refuse(
            f"--out {out}",
            found=found,
            expected="a new file in a folder that exists",
            remedy="choose another name",
        )


def _tables(
    model: Model, data: Path, encoding: str, progress: Callable[[int, int], None] | None
) -> Iterator[Table]:
    missing = model.about["missing_words"]
    if model.about["per_group"]:
        yield read_table(
            data, encoding=encoding, missing_words=missing, max_rows=WHOLE_FILE, progress=progress
        )
    else:
        yield from read_chunks(data, encoding=encoding, missing_words=missing, progress=progress)


def _write(writer: Any, model: Model, scores: Scores, outside: Bools | None) -> None:
    names = [model.classes[k] for k in scores.level]
    for k, (row, name) in enumerate(zip(scores.probability, names, strict=True)):
        cells = [f"{p:.10g}" for p in row]
        writer.writerow([*cells, name, *([] if outside is None else [int(outside[k])])])


def check_columns(model: Model, table: Table) -> list[str]:
    """Return notes about columns the file lacks; refuse a file that is plainly another table."""
    if model.about["per_group"]:
        needed = {f["source"] for f in model.about["per_group"]["folds"] if f["source"]}
        if model.about["group"] not in table.columns:
            table[model.about["group"]]
    else:
        needed = {column.name for column in model.columns}
    lacking = sorted(needed - set(table.columns))
    if len(lacking) > len(needed) / 2:
        raise refuse(
            f"{table.source}: columns",
            found=f"{len(needed) - len(lacking)} of the model's {len(needed)}",
            expected="the table the model was trained on",
            remedy=f"first one missing: {lacking[0]!r}" + nearest_names(lacking[0], table.columns),
        )
    return (
        [f"columns not in the file, taken as missing in every row: {', '.join(lacking)}"]
        if lacking
        else []
    )


def raw_of(model: Model, table: Table) -> tuple[Floats, np.ndarray[Any, Any]]:
    """Return the raw matrix of the examples, and for each row of the table its example."""
    columns = list(model.columns)
    if model.about["per_group"]:
        plan = plan_of(model.about["per_group"])
        index = group_index(table, plan.group)
        lacking = {f.source for f in plan.folds if f.source} - set(table.columns)
        folds = tuple(f for f in plan.folds if f.source not in lacking)
        folded, _ = fold_table(table, type(plan)(plan.group, plan.head, folds), index)
        return raw_matrix(folded, columns), index
    return raw_matrix(table, columns, model.about["time"]), np.arange(table.rows)


def score_table(model: Model, table: Table, *, explain: bool = False) -> Scores:
    """Return the scores of each row of a table (a group's rows share the group's answer)."""
    raw, index = raw_of(model, table)
    scores = model.score(raw, explain=explain)
    if not model.about["per_group"]:
        return scores
    return Scores(
        scores.probability[index],
        scores.margin[index],
        scores.base,
        None if scores.contribution is None else scores.contribution[index],
        scores.level[index],
    )


def outside_population(model: Model, table: Table) -> Bools:
    """Return which rows the training population left out (their scores are not to be used)."""
    out = np.zeros(table.rows, bool)
    for item in model.about["population"]:
        if item["column"] in table.columns:
            column = table[item["column"]]
            out |= np.asarray([t in item["values"] for t in column.texts] + [False])[column.codes]
    return out
