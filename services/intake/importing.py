"""Bringing files in through the door's API: with a map, or in the API's own form.

Without a map a JSONL line is an item, and a CSV has a column for each of the item's fields, with
`data.<field>` for the payload; cells are read as the event catalogue says. A broken line is kept
like any refused item and never stops the rest; a file may be sent again, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any, Final, Protocol, get_args

import msgspec

from services.intake import files
from services.intake.domain.diagnosis import broken_json
from services.intake.domain.item import Broken, Item
from services.intake.mapping import Row
from services.intake.mapping import load as load_map
from services.intake.mapping.convert import BadValue, converter, text_of
from services.intake.mapping.mapper import column_letters
from services.intake.mapping.spec import As, Cell
from services.kernel.errors import Fault, Faults
from services.kernel.yamlfile import nearest

BATCH: Final = 500
DATA: Final = "data."
_LISTS: Final = frozenset({"related"})
_FIELDS: Final = tuple(field.name for field in msgspec.structs.fields(Item) if field.name != "data")
_KINDS: Final[tuple[str, ...]] = get_args(As)
Sent = dict[str, Any] | Broken
Types = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Fields by name, by event type, as GET /v1/types gives them."""


class Api(Protocol):
    """What importing needs of the door's API."""

    def types(self) -> Mapping[str, Any]:
        """Return the answer of GET /v1/types."""
        ...

    def batch(self, items: list[Any]) -> Mapping[str, Any]:
        """Return the answer of POST /v1/changes:batch.

        Raises:
            Retryable: the door is out of reach; the file may be sent again from its beginning.
        """
        ...


class Watch(Protocol):
    """Whoever is shown how an import gets on."""

    def sent(self, counts: Counts) -> None:
        """Told after each batch."""
        ...


class Counts(msgspec.Struct):
    """What became of the items; conflicts are rejected too. faults: the first of them."""

    read: int = 0
    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    rejected: int = 0
    faults: list[dict[str, Any]] = []


MOST_FAULTS: Final = 20


def bring_in(
    paths: Sequence[Path],
    map_path: Path | None,
    api: Api,
    watch: Watch | None = None,
    *,
    size: int = BATCH,
) -> Counts:
    """Send files through the door and return what became of their items.

    Args:
        paths: CSV or JSONL, also with .gz.
        map_path: The map for them; None for files in the API's own form.
        api: The door.
        watch: Told after each batch.
        size: Items of a batch.

    Raises:
        WrongUse: a file cannot be read. Faults: the map or the columns are wrong.
        Retryable: the door is out of reach.
    """
    counts = Counts()
    for batch in _batches(items(paths, map_path, api), size):
        answer = api.batch([_as_json(sent) for sent in batch])
        _count(counts, answer, batch)
        if watch is not None:
            watch.sent(counts)
    return counts


def items(paths: Sequence[Path], map_path: Path | None, api: Api) -> Iterator[Sent]:
    """Yield the items of files, and what is wrong with their lines."""
    if map_path is not None:
        for found in files.mapped(load_map(map_path), paths, replay=False):
            yield found.sent
        return
    for path in paths:
        yield from (_plain_json(path) if files.is_json(path) else _plain_table(path, api))


def _plain_json(path: Path) -> Iterator[Sent]:
    for number, line in files.raw_lines(path):
        origin = f"{path.name}:{number}"
        try:
            item = msgspec.json.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            yield Broken(line.decode("utf-8", "replace"), broken_json(line, exc), origin)
            continue
        if isinstance(item, dict):
            yield {**item, "origin": origin}
        else:
            fault = Fault("line", "a JSON object", "another JSON value", "write {...}")
            yield Broken(line.decode(), fault, origin)


def _plain_table(path: Path, api: Api) -> Iterator[Sent]:
    with files.table(path) as (columns, rows):
        _refuse_unknown(columns, path.name)
        known = {kind["type"]: kind["fields"] for kind in api.types()["types"]}
        for row in rows:
            yield _of_row(row, columns, known, path.name)


def _refuse_unknown(columns: Sequence[str], file: str) -> None:
    unknown = [
        Fault(
            where=f"{file}:1",
            expected="one of " + ", ".join((*_FIELDS, "data.<field>")),
            found=f"column {name!r}{nearest(name, _FIELDS)}",
            remedy="rename the column, or describe the file with --map",
            code="unknown_column",
        )
        for name in columns
        if name not in _FIELDS and not name.startswith(DATA)
    ]
    if unknown:
        raise Faults(f"columns of {file}", unknown)


def _of_row(row: Row, columns: Sequence[str], types: Types, file: str) -> Sent:
    origin = f"{file}:{row.line}"
    if row.fault is not None:
        return Broken(row.text, row.fault, origin)
    cells = {name: value for name, value in zip(columns, row.values, strict=True) if value != ""}
    fields = types.get(cells.get("type", ""), {})
    item: dict[str, Any] = {"origin": origin}
    data: dict[str, Any] = {}
    first: Fault | None = None
    for place, name in enumerate(columns):
        if name not in cells:
            continue
        try:
            if name.startswith(DATA):
                data[name[len(DATA) :]] = _payload(cells[name], fields.get(name[len(DATA) :], {}))
            else:
                text = text_of(cells[name])
                item[name] = text.split(";") if name in _LISTS else text
        except BadValue as bad:
            where = f"cell {column_letters(place)}{row.number + 1}, column {name!r}"
            first = first or Fault(where, bad.expected, bad.found, bad.remedy, bad.code)
    item["data"] = data
    if first is None:
        return item
    known = {key: item.get(key) for key in ("sourceid", "type", "person", "household")}
    return Broken(row.text, first, origin, item.get("source", ""), draft=item, **known)


def _payload(text: str, field: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as the catalogue says
    kind = field.get("kind", "text")
    cell = Cell(kind=kind if kind in _KINDS and kind != "time" else "text")
    return converter(cell, UTC)(text)


def _batches(found: Iterator[Sent], size: int) -> Iterator[list[Sent]]:
    batch: list[Sent] = []
    for sent in found:
        batch.append(sent)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


def _as_json(sent: Sent) -> Any:  # noqa: ANN401 - JSON
    return sent if isinstance(sent, dict) else {"broken": msgspec.to_builtins(sent)}


def _count(counts: Counts, answer: Mapping[str, Any], batch: list[Sent]) -> None:
    counts.read += len(batch)
    for name in ("accepted", "duplicate", "conflict"):
        setattr(counts, name, getattr(counts, name) + answer[name])
    counts.rejected += answer["rejected"] + answer["conflict"]
    for sent, told in zip(batch, answer["items"], strict=True):
        if "fault" in told and len(counts.faults) < MOST_FAULTS:
            origin = sent.origin if isinstance(sent, Broken) else sent.get("origin")
            counts.faults.append({"origin": origin, "kept": told.get("kept"), **told["fault"]})
