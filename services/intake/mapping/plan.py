"""A map compiled for a file's columns: functions from rows to the parts of an item."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Any, Final, NamedTuple

from services.intake.mapping.convert import BadValue, converter, instant, text_of
from services.intake.mapping.spec import ChangeSpec, Only, When, Words
from services.kernel.errors import Fault

Values = Sequence[Any]
Take = Callable[["Row"], Any]
MISSING: Final = "nothing there"


class Row(NamedTuple):
    """One row of a file.

    values: in the order of the mapper's columns; texts, or JSON values. number: counts rows from 1.
    line: of the file, where the row begins. text: the row as it stands there. fault: why it could
    not be split, then `values` is empty.
    """

    number: int
    line: int
    values: Values
    text: str
    fault: Fault | None = None


class Plan(NamedTuple):
    """One change, compiled."""

    spec: ChangeSpec
    keep: Callable[[Row], bool]
    id: Take
    type: Take
    time: Callable[[Row], int | None]
    received: Callable[[Row, int], int]
    names: list[tuple[str, Take]]
    references: list[tuple[str, Take]]
    data: list[tuple[str, Take]]


class Compiler:
    """Compiles changes for the columns of one file. Its functions raise BadValue for a bad cell."""

    def __init__(self, places: dict[str, int], empty: frozenset[str], zone: tzinfo) -> None:
        """Take where each column stands in a row, what counts as empty, and the map's zone."""
        self._places = places
        self._empty = empty
        self._zone = zone

    def change(self, spec: ChangeSpec) -> Plan:
        present = [self._places[name] for name in spec.if_present]
        only = self.only(spec.only)
        empty = self._empty

        def keep(row: Row) -> bool:
            return all(not is_empty(row.values[place], empty) for place in present) and only(row)

        return Plan(
            spec=spec,
            keep=keep,
            id=self._words(spec.id),
            type=self._type(spec),
            time=self._when(spec.time),
            received=self._received(spec.received),
            names=[(name, self._words(words)) for name, words in spec.names.items()],
            references=[(name, self._words(words)) for name, words in spec.references.items()],
            data=[(name, self._data(spec, name)) for name in spec.data],
        )

    def only(self, onlys: tuple[Only, ...]) -> Callable[[Row], bool]:
        wanted = [(self._places[only.column], only.values) for only in onlys]

        def keep(row: Row) -> bool:
            return all(_shown_value(row.values[place]) in values for place, values in wanted)

        return keep

    def _words(self, words: Words) -> Take:
        places = [self._places[name] for name in words.columns]
        empty, value, template = self._empty, words.value, words.template

        def take(row: Row) -> str | None:
            if words.row:
                found = str(row.number)
            elif value is not None:
                found = value
            else:
                parts = []
                for place in places:
                    cell = row.values[place]
                    if is_empty(cell, empty):
                        return None
                    parts.append(_at(place, text_of, cell))
                if template is not None:
                    found = template.format(**dict(zip(words.columns, parts, strict=True)))
                else:
                    found = words.join.join(parts)
            return words.prefix + found + words.suffix

        return take

    def _type(self, spec: ChangeSpec) -> Take:
        kind = spec.type
        if kind.column is None:
            return lambda _: kind.fixed
        place = self._places[kind.column]

        def take(row: Row) -> str | None:
            word = _at(place, text_of, row.values[place]) if row.values[place] is not None else ""
            found = kind.values.get(word, kind.other)
            if found is None and not kind.skip_other:
                bad = BadValue(
                    f"a text of {len(word)} characters that the map does not know",
                    "one of " + ", ".join(kind.values),
                    "add it to the map's `values`, or give `other`",
                    "unknown_type",
                )
                bad.place = place
                raise bad
            return found

        return take

    def _when(self, when: When) -> Callable[[Row], int | None]:
        assert when.words is not None  # noqa: S101 - the loader asks for it
        words = self._words(when.words)
        places = [self._places[name] for name in when.words.columns]
        zone = self._zone

        def take(row: Row) -> int | None:
            text = words(row)
            if text is None:
                bad = BadValue(MISSING, "a time", "fill it in, or use `if_present`", "missing")
                bad.place = places[0] if places else None
                raise bad
            found: int = _at(places[0] if places else None, instant, text, when, zone)
            return found + when.plus

        return take

    def _received(self, when: When | None) -> Callable[[Row, int], int]:
        if when is None:
            return lambda _, occurred: occurred
        if when.words is None:
            return lambda _, occurred: occurred + when.plus
        own = self._when(when)
        words = self._words(when.words)

        def take(row: Row, occurred: int) -> int:
            found = own(row) if words(row) is not None else None
            return occurred if found is None else found

        return take

    def _data(self, spec: ChangeSpec, name: str) -> Take:
        cell = spec.data[name]
        if cell.words is None:
            return lambda _: cell.constant
        convert, empty = converter(cell, self._zone), self._empty
        if len(cell.words.columns) == 1 and not (
            cell.words.prefix or cell.words.suffix or cell.words.template
        ):
            place = self._places[cell.words.columns[0]]

            def take(row: Row) -> Any:  # noqa: ANN401
                value = row.values[place]
                return None if is_empty(value, empty) else _at(place, convert, value)

            return take
        words = self._words(cell.words)

        def take_words(row: Row) -> Any:  # noqa: ANN401
            text = words(row)
            return None if text is None else convert(text)

        return take_words


def _at(place: int | None, call: Callable[..., Any], *given: Any) -> Any:  # noqa: ANN401
    """Call, and let what is wrong with the value say in which column it stands."""
    try:
        return call(*given)
    except BadValue as bad:
        bad.place = place
        raise


def is_empty(value: Any, empty: frozenset[str]) -> bool:  # noqa: ANN401
    return value is None or (isinstance(value, str) and value in empty)


def _shown_value(value: Any) -> str:  # noqa: ANN401
    return value if isinstance(value, str) else "" if value is None else str(value)
