"""Texts and values of a log → values of a payload, and columns → instants."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, tzinfo
from functools import lru_cache
from typing import Any, Final

from services.intake.mapping.spec import As, Cell, When
from services.kernel.clock import to_us

EXPECTED: Final[dict[As, str]] = {
    "text": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date",
    "time": "a time",
    "list": "a list",
}
_SPOILED_ID: Final = re.compile(r"\d(\.\d+)?[eE]\+?\d{1,3}")
_TRUE: Final = frozenset({"true", "1", "yes", "y", "t", "是", "有"})
_FALSE: Final = frozenset({"false", "0", "no", "n", "f", "否", "无"})


class BadValue(Exception):
    """A cell that cannot be read; `found` without the value itself where it may be personal."""

    def __init__(self, found: str, expected: str, remedy: str, code: str) -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected
        self.remedy = remedy
        self.code = code
        self.place: int | None = None


def text_of(value: Any) -> str:  # noqa: ANN401 - a CSV text or any JSON value
    """Return a cell as text; an ID number that a spreadsheet spoiled is refused.

    Raises:
        BadValue: digits were lost (5.22E+17), or the cell holds an object or a list.
    """
    if isinstance(value, str):
        if _SPOILED_ID.fullmatch(value):
            raise BadValue(
                "an ID number typed as a number",
                "a text with all its digits",
                "make the cell a text and type all its digits again; the number has lost some",
                "id_as_number",
            )
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return str(int(value))
    if isinstance(value, float):
        return repr(value)
    raise BadValue("a list or an object", "a text or a number", "map one of its parts", "not_text")


def instant(value: Any, when: When, zone: tzinfo) -> int:  # noqa: ANN401
    """Return the instant of a cell in microseconds since 1970.

    Raises:
        BadValue: it is not in the map's format.
    """
    text = text_of(value) if not isinstance(value, str) else value
    found = _instant(text.strip(), when.format, when.at, zone)
    if found is None:
        raise BadValue(
            f"a text of {len(text)} characters",
            f"a time in the format {when.format}",
            "correct the cell, or the format in the map",
            "not_time",
        )
    return found


@lru_cache(maxsize=100_000)
def _instant(text: str, form: str, at: str | None, zone: tzinfo) -> int | None:
    try:
        if form in ("unix", "unix_ms"):
            return round(float(text) * (1_000_000 if form == "unix" else 1_000))
        moment = (
            datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)  # noqa: DTZ007
        )
        if at is not None:
            parts = [int(part) for part in at.split(":")]
            moment = moment.replace(
                hour=parts[0],
                minute=parts[1],
                second=parts[2] if len(parts) > 2 else 0,  # noqa: PLR2004
            )
        return to_us(moment if moment.tzinfo is not None else moment.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        return None


def converter(cell: Cell, zone: tzinfo) -> Callable[[Any], Any]:
    """Return the function that turns a cell that is not empty into a payload value.

    It raises BadValue for what it cannot read.
    """
    convert = _CONVERTERS[cell.kind]
    table = cell.table

    def run(value: Any) -> Any:  # noqa: ANN401
        if table is not None:
            word = text_of(value)
            if word not in table:
                raise BadValue(
                    f"a text of {len(word)} characters that the map does not translate",
                    "one of " + ", ".join(table),
                    "correct the cell, or add the value to the map",
                    "not_in_table",
                )
            value = table[word]
            return None if value is None else convert(value, cell, zone)
        return convert(value, cell, zone)

    return run


def _text(value: Any, _: Cell, __: tzinfo) -> str:  # noqa: ANN401
    return text_of(value)


def _integer(value: Any, cell: Cell, _: tzinfo) -> int:  # noqa: ANN401
    number = _float(value, cell)
    if isinstance(number, int):
        return number
    if not number.is_integer():
        raise _bad(value, cell)
    return int(number)


def _number(value: Any, cell: Cell, _: tzinfo) -> float | int:  # noqa: ANN401
    return _float(value, cell)


def _float(value: Any, cell: Cell) -> float | int:  # noqa: ANN401
    if isinstance(value, bool):
        raise _bad(value, cell)
    if isinstance(value, (int, float)):
        return value
    text = str(value).strip()
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        raise _bad(value, cell) from None
    if number != number or number in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN
        raise _bad(value, cell)
    return number


def _boolean(value: Any, cell: Cell, _: tzinfo) -> bool:  # noqa: ANN401
    if isinstance(value, bool):
        return value
    word = text_of(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise _bad(value, cell)


def _date(value: Any, cell: Cell, _: tzinfo) -> str:  # noqa: ANN401
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    text = str(value).strip()
    try:
        if cell.format == "iso":
            return datetime.fromisoformat(text).date().isoformat()
        return datetime.strptime(text, cell.format).date().isoformat()  # noqa: DTZ007
    except ValueError:
        raise _bad(value, cell) from None


def _time(value: Any, cell: Cell, zone: tzinfo) -> str:  # noqa: ANN401
    found = instant(value, When(format=cell.format), zone)
    return datetime.fromtimestamp(found / 1_000_000, zone).isoformat()


def _list(value: Any, cell: Cell, _: tzinfo) -> list[Any]:  # noqa: ANN401
    if isinstance(value, list):
        return value
    return [part.strip() for part in text_of(value).split(cell.separator) if part.strip()]


def _bad(value: Any, cell: Cell) -> BadValue:  # noqa: ANN401
    shown = f"a text of {len(value)} characters" if isinstance(value, str) else "another value"
    return BadValue(
        shown, EXPECTED[cell.kind], "correct the cell, or `as` in the map", f"not_{cell.kind}"
    )


_CONVERTERS: Final[dict[As, Callable[[Any, Cell, tzinfo], Any]]] = {
    "text": _text,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "time": _time,
    "list": _list,
}
