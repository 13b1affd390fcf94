"""Reads a map file; every fault with line, expectation and remedy, all at once."""

from __future__ import annotations

import codecs
import re
import string
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Final, get_args
from zoneinfo import ZoneInfoNotFoundError

from services.intake.domain.diagnosis import WORDS
from services.intake.domain.statements import zone_named
from services.intake.mapping.spec import (
    As,
    Cell,
    ChangeSpec,
    Log,
    Map,
    Only,
    TypeOf,
    When,
    Words,
)
from services.kernel.clock import DAY, parse_rfc3339
from services.kernel.errors import Fault
from services.kernel.yamlfile import Node, duration_us, read, refuse

_TOP: Final = (
    "source", "zone", "encoding", "delimiter", "empty", "until", "logs", "changes", "only",
    "description",
)  # fmt: skip
_WORDS: Final = ("column", "columns", "join", "template", "row", "value", "prefix", "suffix")
_WHEN: Final = (*_WORDS, "format", "at", "plus")
_CELL: Final = (*_WORDS, "as", "values", "format", "separator")
_NAMES: Final = ("person", "household", "place")
_REFERENCES: Final = ("supersedes", "retracts")
_CHANGE: Final = (
    "id", *_NAMES, *_REFERENCES, "time", "received", "type", "data", "if_present", "only", *WORDS,
)  # fmt: skip
_KINDS: Final[tuple[As, ...]] = get_args(As)
_TIME_OF_DAY: Final = re.compile(r"\d\d?:\d\d(:\d\d)?")


def load(path: Path) -> Map:
    """Return the map in a file.

    Raises:
        Faults: everything wrong with it.
    """
    faults: list[Fault] = []
    node = read(path, faults)
    found = _map(node) if node is not None else None
    refuse(f"map {path.name}", faults)
    assert found is not None  # noqa: S101 - a node without faults gives a map
    return found


def _map(node: Node) -> Map:
    got = node.map(_TOP, ("source", "zone"))
    if ("logs" in got) == ("changes" in got):
        node.fail("either `logs` or `changes`", "write one of them", "both or neither")
    logs = [_log(item) for item in got["logs"].items()] if "logs" in got else []
    if "changes" in got:
        only = _onlys(got["only"]) if "only" in got else ()
        logs.append(Log(pattern="*", changes=_changes(got["changes"]), only=only))
    elif "only" in got:
        got["only"].fail("`only` inside each log", "move it there", "it beside `logs`")
    until, after = _until(got["until"]) if "until" in got else (None, DAY)
    empty = frozenset(_plain_text(item) for item in got["empty"].items()) if "empty" in got else ()
    return Map(
        source=got["source"].text() if "source" in got else "",
        zone=_zone(got["zone"]) if "zone" in got else UTC,
        logs=tuple(logs),
        encoding=_encoding(got["encoding"]) if "encoding" in got else "utf-8",
        delimiter=_delimiter(got["delimiter"]) if "delimiter" in got else ",",
        empty=frozenset({"", *empty}),
        until=until,
        until_after=after,
    )


def _log(node: Node) -> Log:
    got = node.map(("file", "changes", "only"), ("file", "changes"))
    return Log(
        pattern=got["file"].text() if "file" in got else "*",
        changes=_changes(got["changes"]) if "changes" in got else (),
        only=_onlys(got["only"]) if "only" in got else (),
    )


def _changes(node: Node) -> tuple[ChangeSpec, ...]:
    found = tuple(_change(item) for item in node.items())
    if not found and isinstance(node.value, list):
        node.fail("at least one change", "say what a row gives", "an empty list")
    return found


def _change(node: Node) -> ChangeSpec:
    got = node.map(_CHANGE, ("id", "time", "type"))
    names: dict[str, Words] = {name: _words(got[name], text=True) for name in _NAMES if name in got}
    if not names and "retracts" not in got and isinstance(node.value, dict):
        node.fail("person, household or place", "say whom the change is about", "none of them")
    time = _when(got["time"]) if "time" in got else When()
    if time.words is None and "time" in got:
        got["time"].fail("a column", "say where the time stands", "no column")
    present = got.get("if_present")
    return ChangeSpec(
        id=_words(got["id"]) if "id" in got else Words(),
        time=time,
        type=_type(got["type"]) if "type" in got else TypeOf(),
        received=_when(got["received"]) if "received" in got else None,
        names=names,
        references={name: _words(got[name]) for name in _REFERENCES if name in got},
        fixed={name: got[name].choice(words) for name, words in WORDS.items() if name in got},
        data={name: _cell(cell) for name, cell in got["data"].entries().items()}
        if "data" in got
        else {},
        if_present=_texts(present) if present is not None else (),
        only=_onlys(got["only"]) if "only" in got else (),
    )


def _words(node: Node, *, text: bool = False) -> Words:
    """Return a text made of columns; `text`: a bare text is a fixed value."""
    if text and isinstance(node.value, str):
        return Words(value=node.value)
    return _from_columns(node, node.map(_WORDS))


def _from_columns(node: Node, got: dict[str, Node], *, required: bool = True) -> Words:
    ways = [way for way in ("column", "columns", "template", "row", "value") if way in got]
    if len(ways) > 1 or (required and not ways and isinstance(node.value, dict)):
        node.fail(
            "one of column, columns, template, row, value", "keep one",
            " and ".join(ways) or "none of them",
        )  # fmt: skip
    template = got["template"].text() if "template" in got else None
    columns: tuple[str, ...] = ()
    if "column" in got:
        columns = (got["column"].text(),)
    elif "columns" in got:
        columns = _texts(got["columns"])
    elif template is not None:
        columns = _in_braces(got["template"], template)
    return Words(
        columns=columns,
        join=_plain_text(got["join"]) if "join" in got else "",
        template=template,
        row="row" in got and got["row"].boolean(),
        value=got["value"].text() if "value" in got else None,
        prefix=_plain_text(got["prefix"]) if "prefix" in got else "",
        suffix=_plain_text(got["suffix"]) if "suffix" in got else "",
    )


def _in_braces(node: Node, template: str) -> tuple[str, ...]:
    try:
        return tuple(name for _, name, _, _ in string.Formatter().parse(template) if name)
    except ValueError:
        node.fail("column names in braces, such as {case}/{course}", "close every brace")
        return ()


def _when(node: Node) -> When:
    got = node.map(_WHEN)
    columns = {name: part for name, part in got.items() if name in _WORDS}
    words = _from_columns(node, columns) if columns else None
    if words is None and "plus" not in got and isinstance(node.value, dict):
        node.fail("a column, or plus", "say where the time stands", "neither")
    at = _plain_text(got["at"]) if "at" in got else None
    if at is not None and not _TIME_OF_DAY.fullmatch(at):
        got["at"].fail('a time of day such as "08:00"', "write it in quotes")
    return When(
        words=words,
        format=got["format"].text() if "format" in got else "iso",
        at=at,
        plus=got["plus"].duration() if "plus" in got else 0,
    )


def _type(node: Node) -> TypeOf:
    if isinstance(node.value, str):
        return TypeOf(fixed=node.text())
    got = node.map(("column", "values", "other"), ("column", "values"))
    other = got["other"].text() if "other" in got else None
    return TypeOf(
        column=got["column"].text() if "column" in got else None,
        values={key: part.text() for key, part in got["values"].entries().items()}
        if "values" in got
        else {},
        other=None if other == "skip" else other,
        skip_other=other == "skip",
    )


def _cell(node: Node) -> Cell:
    if not isinstance(node.value, dict):
        return Cell(constant=node.plain())
    got = node.map(_CELL)
    kind = got["as"].choice(_KINDS) if "as" in got else "text"
    if set(got) == {"value"}:
        return Cell(constant=got["value"].plain())
    table = got["values"].entries() if "values" in got else None
    return Cell(
        words=_from_columns(node, {name: part for name, part in got.items() if name in _WORDS}),
        kind=next(known for known in _KINDS if known == kind),
        table={key: part.plain() for key, part in table.items()} if table is not None else None,
        format=got["format"].text() if "format" in got else "iso",
        separator=got["separator"].text() if "separator" in got else ";",
    )


def _onlys(node: Node) -> tuple[Only, ...]:
    nodes = node.items() if isinstance(node.value, list) else [node]
    found = []
    for each in nodes:
        got = each.map(("column", "values"), ("column", "values"))
        if "column" in got and "values" in got:
            found.append(Only(got["column"].text(), frozenset(_texts(got["values"]))))
    return tuple(found)


def _texts(node: Node) -> tuple[str, ...]:
    nodes = node.items() if isinstance(node.value, list) else [node]
    return tuple(_plain_text(each) for each in nodes)


def _plain_text(node: Node) -> str:
    """Return a text that may be empty; numbers and booleans as they are written in logs."""
    value: Any = node.value
    if isinstance(value, (str, int, float)):
        return str(value)
    node.fail("a text", "write it in quotes")
    return ""


def _until(node: Node) -> tuple[int | None, int]:
    if isinstance(node.value, str):
        after = duration_us(node.value)
        if after is not None:
            return None, after
    try:
        return parse_rfc3339(str(node.value)), 0
    except ValueError:
        node.fail("a duration such as 24h, or a time with offset in quotes", "correct it")
        return None, DAY


def _zone(node: Node) -> tzinfo:
    try:
        return zone_named(node.text())
    except (ValueError, ZoneInfoNotFoundError):
        node.fail("an offset such as +08:00, or an IANA zone name", "correct the zone")
        return UTC


def _encoding(node: Node) -> str:
    name = node.text()
    try:
        return codecs.lookup(name).name
    except LookupError:
        node.fail("an encoding such as utf-8 or gb18030", "correct the name")
        return "utf-8"


def _delimiter(node: Node) -> str:
    value = node.text() if node.value != "\t" else "\t"
    if len(value) != 1:
        node.fail('one character, such as ";" or "\\t"', "correct it")
        return ","
    return value
