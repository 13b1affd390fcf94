"""Payload fields of an event type: the compiled check of good data, and the diagnosis of bad data.

Good data is decided by msgspec in one pass (about a microsecond). Only what it refuses is looked at
field by field, to say what is wrong in words; the two agree, and `diagnose` never passes what the
compiled check refused without a fault.
"""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from services.kernel.contracts.protected import PREFIX, is_sealed
from services.kernel.errors import Fault
from services.kernel.yamlfile import nearest

Kind = Literal["integer", "number", "boolean", "text", "date", "time", "enum", "list"]
KINDS: Final[tuple[Kind, ...]] = (
    "integer", "number", "boolean", "text", "date", "time", "enum", "list",
)  # fmt: skip
EXACT: Final = 1 << 53
"""Beyond this size a JSON number is not exact for every reader."""
TEXT_LIMIT: Final = 10_000
LIST_LIMIT: Final = 1_000
_LOOKS_LIKE_ID: Final = 1e14
"""A number this large where a text is expected is an ID number that a spreadsheet made a number."""

_TELLABLE: Final = 1e6
"""Smaller numbers are measurements and may be told; larger ones may be phone or ID numbers."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a payload.

    low, high: inclusive bounds of a number. max_length: characters of a text (of each text in a
    list, which holds at most 1,000). values: words of an enum. of: kind of a list's items.
    protected: a text that leaves the door encrypted only.
    """

    name: str
    kind: Kind
    required: bool = False
    unit: str = ""
    low: float | None = None
    high: float | None = None
    max_length: int = TEXT_LIMIT
    values: tuple[str, ...] = ()
    of: Kind = "text"
    protected: bool = False


Payload = msgspec.json.Decoder[msgspec.Struct]


def compile_payload(event_type: str, fields: tuple[Field, ...]) -> Payload:
    """Return a decoder that takes exactly the good payloads of the fields.

    What it returns encodes canonically: fields by name, missing and null ones left out, so that
    equal content is equal bytes, whatever order and spelling it came in.
    """
    ordered = sorted(fields, key=lambda f: (not f.required, f.name))
    slots: list[Any] = []
    for place, field in enumerate(ordered):
        kind = _annotation(field, field.kind)
        slots.append((f"f{place}", kind) if field.required else (f"f{place}", kind | None, None))
    struct = msgspec.defstruct(
        "Payload_" + "".join(c if c.isalnum() else "_" for c in event_type),
        slots,
        rename={f"f{place}": field.name for place, field in enumerate(ordered)},
        forbid_unknown_fields=True,
        omit_defaults=True,
        frozen=True,
        gc=False,
    )
    return msgspec.json.Decoder(struct)


def diagnose(fields: tuple[Field, ...], data: object) -> list[Fault]:
    """Return every fault of a payload as JSON values; where is `data.<field>`. Empty when good."""
    if not isinstance(data, dict):
        return [_fault("data", "an object of fields", shape(data), 'send {"field": value, ...}')]
    by_name = {field.name: field for field in fields}
    faults = [
        _fault(
            f"data.{key[:60]}",
            "one of " + ", ".join(by_name) if by_name else "no field at all",
            f"an unknown field{nearest(key, by_name)}",
            "correct the name, or leave the field out",
            "unknown_field",
        )
        for key in data
        if key not in by_name
    ]
    for field in fields:
        value = data.get(field.name)
        if value is None:
            if field.required:
                faults.append(
                    _fault(
                        f"data.{field.name}", expectation(field), "nothing there",
                        "fill it in", "missing",
                    )
                )  # fmt: skip
            continue
        faults.extend(_value_faults(field, field.kind, f"data.{field.name}", value))
    return faults


def expectation(field: Field) -> str:
    """Return in words what a field takes, with its unit and bounds."""
    bounds = ""
    if field.low is not None or field.high is not None:
        low = "" if field.low is None else f"{field.low:g}"
        high = "" if field.high is None else f"{field.high:g}"
        bounds = f" {low}..{high}"
    unit = f" {field.unit}" if field.unit else ""
    words = {
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "text": f"a text of at most {field.max_length} characters",
        "date": "a date such as 2026-09-01",
        "time": "a time with offset such as 2026-09-01T08:00:00+08:00",
        "enum": "one of " + ", ".join(field.values),
        "list": f"a list of at most {LIST_LIMIT} {field.of} values",
    }
    return words[field.kind] + bounds + unit


def shape(value: object) -> str:
    """Return what kind of value this is without giving it away (it may be personal)."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        return f"a whole number of {len(str(abs(value)))} digits"
    if isinstance(value, float):
        return "a number with a fraction or exponent"
    if isinstance(value, str):
        return f"a text of {len(value)} characters"
    return "a list" if isinstance(value, list) else "an object"


def id_as_number(value: object) -> bool:
    """Tell whether a number looks like an ID number that a spreadsheet turned into a number."""
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool)
        and abs(value) >= _LOOKS_LIKE_ID
    )  # fmt: skip


def instant_of(value: object) -> datetime | None:
    """Return an RFC 3339 text with offset as a datetime, else None."""
    try:
        found: datetime = msgspec.convert(value, Annotated[datetime, Meta(tz=True)])
        return found
    except msgspec.ValidationError:
        return None


def day_of(value: object) -> date | None:
    """Return a text such as 2026-09-01 as a date, else None."""
    try:
        return msgspec.convert(value, date)
    except msgspec.ValidationError:
        return None


def _annotation(field: Field, kind: Kind) -> Any:  # noqa: ANN401 - a type made at run time
    if kind == "integer":
        low = -EXACT if field.low is None else math.ceil(field.low)
        high = EXACT if field.high is None else math.floor(field.high)
        return Annotated[int, Meta(ge=low, le=high)]
    if kind == "number":
        return Annotated[float, Meta(ge=field.low, le=field.high)]
    if kind == "text":
        return Annotated[str, Meta(max_length=field.max_length)]
    if kind == "list":
        return Annotated[list[_annotation(field, field.of)], Meta(max_length=LIST_LIMIT)]  # type: ignore[misc]
    if kind == "time":
        return Annotated[datetime, Meta(tz=True)]
    if kind == "enum":
        return Literal[field.values]
    return {"boolean": bool, "date": date}[kind]


def _value_faults(field: Field, kind: Kind, where: str, value: object) -> list[Fault]:
    if kind == "list":
        return _list_faults(field, where, value)
    if kind in ("integer", "number"):
        return _number_faults(field, kind, where, value)
    if kind == "boolean":
        good: object = isinstance(value, bool)
    elif kind == "date":
        good = day_of(value) if isinstance(value, str) else None
    elif kind == "time":
        return [] if isinstance(value, str) and instant_of(value) else [_time_fault(where, value)]
    elif kind == "enum":
        good = isinstance(value, str) and value in field.values
    else:
        return _text_faults(field, where, value)
    if good:
        return []
    hint = nearest(value, field.values) if kind == "enum" and isinstance(value, str) else ""
    return [
        _fault(where, expectation(field), shape(value) + hint, "correct the value", f"not_{kind}")
    ]


def _list_faults(field: Field, where: str, value: object) -> list[Fault]:
    if not isinstance(value, list) or len(value) > LIST_LIMIT:
        found = f"{len(value)} items" if isinstance(value, list) else shape(value)
        return [_fault(where, expectation(field), found, "send a list", "not_list")]
    faults: list[Fault] = []
    for place, item in enumerate(value):
        at = f"{where}[{place}]"
        if item is None:
            faults.append(_fault(at, f"a {field.of}", "null", "leave the entry out", "missing"))
        else:
            faults.extend(_value_faults(field, field.of, at, item))
    return faults


def _text_faults(field: Field, where: str, value: object) -> list[Fault]:
    if isinstance(value, str) and len(value) <= field.max_length:
        return [_sealed_fault(where)] if field.protected and is_sealed(value) else []
    if id_as_number(value):
        return [
            _fault(
                where, expectation(field), "an ID number typed as a number",
                "make the cell a text and type all its digits again; the number has lost some",
                "id_as_number",
            )
        ]  # fmt: skip
    if isinstance(value, str):
        return [_fault(where, expectation(field), shape(value), "shorten it", "too_long")]
    return [
        _fault(where, expectation(field), shape(value), 'write it in quotes: "..."', "not_text")
    ]


def _sealed_fault(where: str) -> Fault:
    return _fault(
        where,
        f"a text in clear, which does not begin with {PREFIX}",
        "one that was encrypted before",
        "send what it says; the door encrypts it",
        "already_encrypted",
    )


def _number_faults(field: Field, kind: Kind, where: str, value: object) -> list[Fault]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        hint = "write the number without quotes" if isinstance(value, str) else "send a number"
        return [_fault(where, expectation(field), shape(value), hint, f"not_{kind}")]
    if kind == "integer" and not isinstance(value, int):
        return [_fault(where, expectation(field), shape(value), "round it yourself", "not_integer")]
    low = -EXACT if field.low is None and kind == "integer" else field.low
    high = EXACT if field.high is None and kind == "integer" else field.high
    if (low is not None and value < low) or (high is not None and value > high):
        unit = f" {field.unit}" if field.unit else ""
        remedy = (
            f"likely another unit: this field is in {field.unit}; convert, or correct the number"
            if field.unit
            else "correct the number"
        )
        found = f"{value:g}{unit}" if abs(value) < _TELLABLE else shape(value)
        return [_fault(where, expectation(field), found, remedy, "out_of_range")]
    return []


def _time_fault(where: str, value: object) -> Fault:
    naive = isinstance(value, str) and instant_of(value + "Z") is not None
    return _fault(
        where,
        "a time with offset such as 2026-09-01T08:00:00+08:00",
        "a time without offset" if naive else shape(value),
        "add the offset, +08:00 for China" if naive else "write it as RFC 3339",
        "no_offset" if naive else "not_time",
    )


def _fault(where: str, expected: str, found: str, remedy: str, code: str = "invalid") -> Fault:
    return Fault(where=where, expected=expected, found=found, remedy=remedy, code=code)
