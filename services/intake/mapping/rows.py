"""Lines of a file → rows: tables and JSONL. A broken row is told and never stops the rest."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final, NamedTuple

import msgspec

from services.intake.domain.diagnosis import broken_json
from services.intake.mapping.plan import Row
from services.intake.mapping.spec import Log
from services.kernel.errors import Fault, WrongUse

SPAN_LINES: Final = 50
"""A quoted cell may span this many lines; an open quote beyond it is a broken line."""
SAMPLE: Final = 1_000
"""Rows of a JSONL file in which a column of the map must turn up once."""
_decode: Final = msgspec.json.Decoder().decode


class Line(NamedTuple):
    number: int
    text: str
    fault: Fault | None = None


# -- JSONL -------------------------------------------------------------------------------------


def json_rows(lines: Iterator[Line], log: Log) -> tuple[Sequence[str], Iterator[Row]]:
    """Return the columns that turn up, and the rows; `a.b` is the field b of the object a."""
    wanted = list(log.columns())
    paths = [name.split(".") for name in wanted]
    rows = _json_split(lines, paths)
    sample = list(islice(rows, SAMPLE))
    seen = [
        name
        for place, name in enumerate(wanted)
        if any(row.fault is None and row.values[place] is not _ABSENT for row in sample)
    ]
    if not any(row.fault is None for row in sample):
        seen = wanted  # nothing readable to compare the map with
    kept = [wanted.index(name) for name in seen]

    def only_seen(row: Row) -> Row:
        if row.fault is not None:
            return row
        values = [None if row.values[p] is _ABSENT else row.values[p] for p in kept]
        return row._replace(values=values)

    return seen, map(only_seen, chain(sample, rows))


_ABSENT: Final = object()


def _json_split(lines: Iterator[Line], paths: list[list[str]]) -> Iterator[Row]:
    number = 0
    for line in lines:
        if not line.text.strip():
            continue
        number += 1
        fault = line.fault
        values: list[Any] = []
        if fault is None:
            try:
                found = _decode(line.text)
                if isinstance(found, dict):
                    values = [_dig(found, path) for path in paths]
                else:
                    fault = Fault("line", "a JSON object", "another JSON value", "write {...}")
            except (msgspec.MsgspecError, UnicodeEncodeError) as exc:
                fault = broken_json(line.text.encode("utf-8", "replace"), exc)
        yield Row(number, line.number, values, line.text, fault)


def _dig(found: dict[str, Any], path: list[str]) -> Any:  # noqa: ANN401
    whole = ".".join(path)
    if whole in found:
        return found[whole]
    value: Any = found
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return _ABSENT
        value = value[part]
    return value


# -- tables ------------------------------------------------------------------------------------


def table_rows(
    lines: Iterator[Line], delimiter: str, file: str
) -> tuple[Sequence[str], Iterator[Row]]:
    """Return the columns of the first line and the rows after it."""
    head = next(lines, None)
    if head is None or head.fault is not None or not head.text:
        raise WrongUse(Fault(file, "column names on the first line", "none", "add a line of names"))
    columns = _split(head.text, delimiter) or []
    doubled = sorted({name for name in columns if columns.count(name) > 1})
    if doubled:
        raise WrongUse(
            Fault(
                f"{file}:1", "each column once", f"column {doubled[0]!r} twice",
                "rename one of them",
            )
        )  # fmt: skip
    return columns, _table_split(lines, delimiter, len(columns))


def _table_split(lines: Iterator[Line], delimiter: str, width: int) -> Iterator[Row]:
    waiting: list[Line] = []
    number = 0
    while True:
        line = waiting.pop(0) if waiting else next(lines, None)
        if line is None:
            return
        if line.fault is None and not line.text:
            continue
        number += 1
        if line.fault is not None:
            yield Row(number, line.number, (), line.text, line.fault)
            continue
        cells = _split(line.text, delimiter) if line.text.count('"') % 2 == 0 else None
        text = line.text
        if cells is None and line.text.count('"') % 2:
            cells, text = _spanning(line, lines, waiting, delimiter, width)
        yield _row(number, line, cells, text, width)


def _spanning(
    line: Line, lines: Iterator[Line], waiting: list[Line], delimiter: str, width: int
) -> tuple[list[str] | None, str]:
    """Join a line whose quote is open with the lines after it; give them back if that is no row."""
    waiting.extend(islice(lines, max(0, SPAN_LINES - len(waiting))))
    text = line.text
    for taken, more in enumerate(waiting, 1):
        if more.fault is not None:
            break
        text += "\n" + more.text
        if text.count('"') % 2 == 0:
            cells = _split(text, delimiter)
            if cells is not None and len(cells) == width:
                del waiting[:taken]
                return cells, text
            break
    return None, line.text


def _split(text: str, delimiter: str) -> list[str] | None:
    """Return the cells of a row, None when its quotes are wrong."""
    if '"' not in text:
        return text.split(delimiter)
    try:
        found = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return found[0] if len(found) == 1 else None


def _row(number: int, line: Line, cells: list[str] | None, text: str, width: int) -> Row:
    if cells is None:
        fault = Fault(
            where="line",
            expected="every quote closed, and doubled inside a quoted cell",
            found="a quote that does not fit",
            remedy="correct the quotes of the line",
            code="bad_quote",
        )
        return Row(number, line.number, (), text, fault)
    if len(cells) != width:
        fault = Fault(
            where="line",
            expected=f"{width} cells, as many as the first line has",
            found=f"{len(cells)} cells",
            remedy="add or remove separators, or put a cell that holds one in quotes",
            code="cell_count",
        )
        return Row(number, line.number, (), text, fault)
    return Row(number, line.number, cells, text)
