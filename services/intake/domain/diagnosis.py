"""What is wrong with an item that the quick check did not take, said in words."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from services.intake.domain.fields import diagnose, id_as_number, instant_of, shape
from services.intake.domain.item import (
    ITEM_LIMIT,
    NAME_LIMIT,
    Item,
    Refused,
    change_id,
)
from services.intake.domain.types import HOUSED, Catalogue, EventType
from services.kernel.contracts.changes import RETRACTED
from services.kernel.contracts.envelope import (
    Confidence,
    Confidentiality,
    LegalBasis,
    Precision,
)
from services.kernel.errors import Fault
from services.kernel.yamlfile import nearest

_KNOWN: Final = {f.name for f in msgspec.structs.fields(Item)}
_REQUIRED: Final = {
    "type": "the event type, such as health.vitals",
    "source": "the name of the sending system or list",
    "sourceid": "the source's own number of this fact, the same one at every re-send",
    "time": "when it happened, with offset",
}
_MOMENTS: Final = ("time", "observedat", "sentat", "receivedat")
_NAMES: Final = ("source", "sourceid", "person", "household", "place")
WORDS: Final[dict[str, tuple[str, ...]]] = {
    "precision": Precision.__args__,  # type: ignore[attr-defined]
    "confidence": Confidence.__args__,  # type: ignore[attr-defined]
    "legalbasis": LegalBasis.__args__,  # type: ignore[attr-defined]
    "confidentiality": Confidentiality.__args__,  # type: ignore[attr-defined]
}


def faults_of(
    fields: dict[str, Any], size: int, catalogue: Catalogue, *, replay: bool
) -> list[Fault]:
    """Return every fault of an item given as JSON values; at least one."""
    faults = list(_envelope_faults(fields, replay=replay))
    name = fields.get("type")
    kind = catalogue.types.get(name) if isinstance(name, str) else None
    if kind is not None:
        faults.extend(diagnose(kind.fields, fields.get("data", {})))
        faults.extend(_key_faults(fields, kind))
        faults.extend(_household_faults(fields, kind))
    elif isinstance(name, str):
        faults.insert(0, _unknown_type(name, catalogue))
    if size > ITEM_LIMIT:
        faults.insert(0, _oversize(size))
    if not faults:
        faults.append(
            _fault("item", "an item as the API describes it", "another form", "compare the two")
        )
    return faults


def readable(original: bytes, fields: dict[str, Any], faults: list[Fault]) -> Refused:
    """Return a refusal with everything that could be read of the item."""
    names = {key: _name(fields.get(key)) for key in ("source", "sourceid", "person", "household")}
    source, sourceid = names["source"], names["sourceid"]
    kind, repairs, origin = (fields.get(key) for key in ("type", "repairs", "origin"))
    return Refused(
        original,
        faults,
        id=change_id(source, sourceid) if source and sourceid else None,
        type=kind if isinstance(kind, str) and kind.isprintable() and len(kind) <= 100 else None,  # noqa: PLR2004
        source=source or "",
        person=names["person"],
        household=names["household"],
        repairs=repairs if isinstance(repairs, str) else None,
        origin=origin if isinstance(origin, str) else None,
        receivedat=instant_of(fields.get("receivedat")),
    )


def _envelope_faults(fields: dict[str, Any], *, replay: bool) -> list[Fault]:
    faults = [
        _fault(
            key[:60],
            "one of " + ", ".join(sorted(_KNOWN)),
            f"an unknown field{nearest(key, _KNOWN)}",
            "correct or remove it",
            "unknown_field",
        )
        for key in fields
        if key not in _KNOWN
    ]
    faults += [
        _fault(key, what, "nothing there", f"give {key}", "missing")
        for key, what in _REQUIRED.items()
        if fields.get(key) is None
    ]
    for key in _MOMENTS:
        if fields.get(key) is not None:
            faults += _moment_faults(key, fields[key])
    for key in _NAMES:
        if fields.get(key) is not None:
            faults += _name_faults(key, fields[key])
    for key, words in WORDS.items():
        value = fields.get(key, words[0])
        if value not in words:
            hint = nearest(value, words) if isinstance(value, str) else ""
            faults.append(
                _fault(
                    key,
                    "one of " + ", ".join(words),
                    shape(value) + hint,
                    "choose one of them",
                    "not_enum",
                )
            )
    faults += _reference_faults(fields)
    if fields.get("receivedat") is not None and not replay:
        faults.append(
            _fault(
                "receivedat",
                "nothing: the door alone stamps the receipt",
                "a time",
                "leave it out",
                "not_yours",
            )
        )
    faults += _other_faults(fields)
    return faults


def _other_faults(fields: dict[str, Any]) -> list[Fault]:
    faults = []
    for key in ("type", "traceparent", "repairs", "origin"):
        value = fields.get(key)
        if value is not None and not isinstance(value, str):
            faults.append(_fault(key, "a text", shape(value), "write a text", "not_text"))
    related = fields.get("related", [])
    if not isinstance(related, list):
        faults.append(_fault("related", "a list of person ids", shape(related), "send a list"))
    else:
        for place, name in enumerate(related):
            faults += _name_faults(f"related[{place}]", name)
    if fields.get("person") is not None and fields.get("person") == fields.get("household"):
        faults.append(
            _fault(
                "person",
                "another id than the household's",
                "the same id twice",
                "give people and households ids of their own",
                "same_name",
            )
        )
    return faults


def _reference_faults(fields: dict[str, Any]) -> list[Fault]:
    both = [key for key in ("supersedes", "retracts") if fields.get(key) is not None]
    expected = 'the id of a change, or {"source": ..., "sourceid": ...}'
    faults: list[Fault] = []
    for key in both:
        value = fields[key]
        good = isinstance(value, str) or (
            isinstance(value, dict)
            and set(value) == {"source", "sourceid"}
            and not any(_name_faults(key, part) for part in value.values())
        )
        if not good:
            faults.append(
                _fault(key, expected, shape(value), "name the change so", "not_reference")
            )
        elif _itself(value, fields):
            faults.append(
                _fault(
                    key,
                    "another change",
                    "the change itself",
                    "give the correction a sourceid of its own",
                    "itself",
                )
            )
    if len(both) > 1:
        faults.append(
            _fault(
                "retracts",
                "supersedes or retracts, not both",
                "both",
                "send the correction alone; it replaces the original",
                "both",
            )
        )
    if fields.get("type") == RETRACTED and "retracts" not in both:
        faults.append(
            _fault("retracts", expected, "nothing there", "say what is taken back", "missing")
        )
    return faults


def _household_faults(fields: dict[str, Any], kind: EventType) -> list[Fault]:
    data = fields.get("data")
    if kind.name not in HOUSED or not isinstance(data, dict) or fields.get("household") is None:
        return []
    if data.get("household") in (None, fields["household"]):
        return []
    return [
        _fault(
            "data.household",
            "the household of the change",
            "another one",
            "name it once",
            "two_households",
        )
    ]


def _itself(value: object, fields: dict[str, Any]) -> bool:
    if isinstance(value, dict):
        return all(value[key] == fields.get(key) for key in value)
    source, sourceid = _name(fields.get("source")), _name(fields.get("sourceid"))
    return bool(source and sourceid) and value == change_id(source or "", sourceid or "")


def _key_faults(fields: dict[str, Any], kind: EventType) -> list[Fault]:
    keys = ("person", "household", "place") if kind.subject == "place" else ("person", "household")
    if any(fields.get(key) is not None for key in (*keys, "supersedes", "retracts")):
        return []
    return [
        _fault(
            keys[-1] if kind.subject == "place" else kind.subject,
            "a " + " or a ".join(keys),
            "nothing there",
            "say whom it is about; an id nobody knows yet is welcome",
            "missing",
        )
    ]


def _moment_faults(key: str, value: object) -> list[Fault]:
    if isinstance(value, str) and instant_of(value) is not None:
        return []
    naive = isinstance(value, str) and instant_of(value + "Z") is not None
    found = "a time without offset" if naive else shape(value)
    remedy = "add the offset, +08:00 for China" if naive else "write it as RFC 3339"
    expected = "a time with offset such as 2026-09-01T08:00:00+08:00"
    return [_fault(key, expected, found, remedy, "no_offset" if naive else "not_time")]


def _name_faults(key: str, value: object) -> list[Fault]:
    expected = f"a text of 1 to {NAME_LIMIT} printable characters"
    if isinstance(value, str) and 0 < len(value) <= NAME_LIMIT and value.isprintable():
        return []
    if id_as_number(value):
        return [
            _fault(
                key,
                expected,
                "an ID number typed as a number",
                "make it a text and type all digits again",
                "id_as_number",
            )
        ]
    return [_fault(key, expected, shape(value), "correct the id", "not_text")]


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and not _name_faults("", value) else None


def _unknown_type(name: str, catalogue: Catalogue) -> Fault:
    return _fault(
        "type",
        f"an event type of pack {catalogue.name} {catalogue.version}",
        f"an unknown type{nearest(name, catalogue.types)}",
        "correct the type, or add it to the pack's events.yaml",
        "unknown_type",
    )


def _oversize(size: int) -> Fault:
    return _fault(
        "item",
        f"at most {ITEM_LIMIT} bytes",
        f"{size} bytes",
        "send files elsewhere and name them by their digest",
        "too_large",
    )


def broken_json(original: bytes, exc: Exception) -> Fault:
    """Return where text stops being JSON, by line and column."""
    place = "JSON"
    try:
        json.loads(original)
    except json.JSONDecodeError as found:
        place = f"line {found.lineno} column {found.colno}"
    except (UnicodeDecodeError, ValueError, RecursionError):
        place = "text"
    if isinstance(exc, RecursionError):
        reason = "fields within fields without end"
    else:
        not_text = isinstance(exc, UnicodeDecodeError)
        reason = "bytes that are not UTF-8" if not_text else "broken JSON"
    return _fault(place, "JSON in UTF-8", reason, "correct the text there", "not_json")


def _fault(where: str, expected: str, found: str, remedy: str, code: str = "invalid") -> Fault:
    return Fault(where=where, expected=expected, found=found, remedy=remedy, code=code)
