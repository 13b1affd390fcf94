"""The parts of a map, as read from its file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from typing import Any, Literal

import msgspec

As = Literal["text", "integer", "number", "boolean", "date", "time", "list"]


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """A text made of columns: their values joined, or put into a template; or row number; or fixed.

    Where a column is empty the whole is missing.
    """

    columns: tuple[str, ...] = ()
    join: str = ""
    template: str | None = None
    row: bool = False
    value: str | None = None
    prefix: str = ""
    suffix: str = ""


class When(msgspec.Struct, frozen=True, kw_only=True):
    """An instant made of columns. `plus` in microseconds; `words` None: the change's own time.

    format: strptime's, or `iso`, `unix`, `unix_ms`. at: time of day for days.
    """

    words: Words | None = None
    format: str = "iso"
    at: str | None = None
    plus: int = 0


class Only(msgspec.Struct, frozen=True):
    """Rows whose column has one of these values."""

    column: str
    values: frozenset[str]


class TypeOf(msgspec.Struct, frozen=True):
    """The event type: fixed, or by a column's value. other: for values not in the table."""

    fixed: str | None = None
    column: str | None = None
    values: dict[str, str] = {}
    other: str | None = None
    skip_other: bool = False


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One payload field. `table` translates values before conversion; None in it is missing."""

    words: Words | None = None
    kind: As = "text"
    table: dict[str, Any] | None = None
    format: str = "iso"
    separator: str = ";"
    constant: Any = None


class ChangeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One change that a row may give."""

    id: Words
    time: When
    type: TypeOf
    received: When | None = None
    names: dict[str, Words] = {}
    references: dict[str, Words] = {}
    fixed: dict[str, str] = {}
    data: dict[str, Cell] = {}
    if_present: tuple[str, ...] = ()
    only: tuple[Only, ...] = ()


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of file: which names it has, and what its rows give."""

    pattern: str
    changes: tuple[ChangeSpec, ...]
    only: tuple[Only, ...] = ()

    def columns(self) -> dict[str, None]:
        """Return every column that the log's changes read, in order of mention."""
        found: dict[str, None] = {}
        for only in self.only:
            found[only.column] = None
        for change in self.changes:
            found.update(dict.fromkeys(_columns(change)))
        return found


class Map(msgspec.Struct, frozen=True, kw_only=True):
    """A whole map. until: an instant, or with `until_after` microseconds after the last receipt."""

    source: str
    zone: tzinfo
    logs: tuple[Log, ...]
    encoding: str = "utf-8"
    delimiter: str = ","
    empty: frozenset[str] = frozenset({""})
    until: int | None = None
    until_after: int = 24 * 3_600_000_000

    def end(self, last_received: int) -> int:
        """Return the instant up to which a replay runs, never before its last receipt."""
        if self.until is not None:
            return max(self.until, last_received)
        return last_received + self.until_after


def _columns(change: ChangeSpec) -> Iterator[str]:
    yield from change.if_present
    for only in change.only:
        yield only.column
    if change.type.column is not None:
        yield change.type.column
    words = [change.id, *change.names.values(), *change.references.values()]
    words += [when.words for when in (change.time, change.received) if when and when.words]
    words += [cell.words for cell in change.data.values() if cell.words is not None]
    for each in words:
        yield from each.columns
