"""A pack folder → the door's catalogue: event types, own sources, zone, what can give red.

Reads pack.yaml, events.yaml and the rules, the rules only for the names of event types in them;
what else a rule may say is risk's to judge. Strict: every fault with file and line, all at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfoNotFoundError

from services.intake.domain.fields import KINDS, TEXT_LIMIT, Field
from services.intake.domain.statements import zone_named
from services.intake.domain.types import (
    MAX_AHEAD,
    Catalogue,
    Subject,
    event_type,
    retraction,
)
from services.kernel.contracts.changes import CONTROL
from services.kernel.contracts.protected import BUILT_IN
from services.kernel.contracts.registry_types import REGISTRY_TYPES, SOURCE_NAME
from services.kernel.errors import Fault
from services.kernel.yamlfile import Node, folder, parse, read, refuse

RED: Final = 3
_HEADER: Final = (
    "name", "version", "zone", "scheme", "own_sources", "calendars", "unreadable", "description",
)  # fmt: skip
_FIELD: Final = (
    "type", "unit", "min", "max", "values", "required", "max_length", "of", "title", "protected",
)  # fmt: skip
_LOWERING: Final = frozenset({"examples", "lifted_by", "by", "title", "why", "action", "guidance"})
"""Parts of a rule whose event types can only lower a level, or are no event types at all."""


def load(root: Path) -> Catalogue:
    """Return the catalogue of the pack in the folder `root`.

    Raises:
        Faults: everything wrong with it, each with file, line, expectation and remedy.
    """
    faults: list[Fault] = []
    header = read(root / "pack.yaml", faults)
    got = header.map(_HEADER, ("name", "version", "zone")) if header is not None else {}
    declared = list(_declared(root, faults))
    red = _red_types(root, {name for name, *_ in declared}, faults)
    types = {
        name: event_type(name, subject, fields, max_ahead=ahead, red=name in red, title=title)
        for name, subject, fields, ahead, title in declared
    }
    taken_back = retraction()
    types[taken_back.name] = taken_back
    zone = _zone(got["zone"]) if "zone" in got else UTC
    refuse(f"pack {root.name}", faults)
    return Catalogue(
        name=got["name"].text(),
        version=got["version"].text(),
        zone=zone,
        own_sources=frozenset(
            node.text() for node in (got["own_sources"].items() if "own_sources" in got else [])
        ),
        unreadable="unreadable" in got and got["unreadable"].text() != "none",
        types=types,
        digest=_digest(root),
    )


def protected_fields(root: Path | None) -> dict[str, tuple[str, ...]]:
    """Return the names of protected fields by event type; of the built-in ones without a pack."""
    if root is None:
        return dict(BUILT_IN)
    return {kind.name: kind.protected for kind in load(root).types.values() if kind.protected}


Declared = tuple[str, Subject, tuple[Field, ...], int, dict[str, str]]


def _declared(root: Path, faults: list[Fault]) -> Iterator[Declared]:
    seen: set[str] = set()
    builtin = parse(REGISTRY_TYPES, faults, SOURCE_NAME)
    for node in [*([builtin] if builtin is not None else []), *folder(root, "events", faults)]:
        for entry in node.items():
            found = _event(entry)
            if found[0] in seen or found[0] in CONTROL:
                entry.fail(
                    "each type once, and none of the built-in ones",
                    "remove it, or give a type of your own another name",
                    f"{found[0]!r} again",
                )
            seen.add(found[0])
            yield found


def _event(node: Node) -> Declared:
    got = node.map(
        ("type", "subject", "title", "max_ahead", "profile", "fields"), ("type", "subject", "title")
    )
    if "profile" in got:
        got["profile"].boolean()
    fields = got["fields"].entries() if "fields" in got else {}
    subjects: tuple[Subject, ...] = ("person", "household", "place")
    subject = got["subject"].choice(subjects) if "subject" in got else "person"
    return (
        got["type"].text() if "type" in got else "",
        next(known for known in subjects if known == subject),
        tuple(_field(name, field) for name, field in fields.items()),
        got["max_ahead"].duration() if "max_ahead" in got else MAX_AHEAD,
        got["title"].bilingual() if "title" in got else {},
    )


def _field(name: str, node: Node) -> Field:
    got = node.map(_FIELD, ("type",))
    kind = got["type"].choice(KINDS) if "type" in got else "text"
    of = (
        got["of"].choice([k for k in KINDS if k not in ("list", "enum")]) if "of" in got else "text"
    )
    values = tuple(item.text() for item in got["values"].items()) if "values" in got else ()
    if kind == "enum" and not values:
        node.fail("the words of the enum", "add `values: [...]`", "none")
        values = ("?",)
    low = got["min"].number() if "min" in got else None
    high = got["max"].number() if "max" in got else None
    if low is not None and high is not None and low > high:
        node.fail("min at most max", "correct the bounds", f"min {low:g} above max {high:g}")
    protected = "protected" in got and got["protected"].boolean()
    if protected and kind != "text":
        node.fail("a text, where a field is protected", "make it a text", f"a field of kind {kind}")
    return Field(
        name=name,
        kind=next(known for known in KINDS if known == kind),
        required=got["required"].boolean() if "required" in got else False,
        unit=got["unit"].text() if "unit" in got else "",
        low=low,
        high=high,
        max_length=got["max_length"].integer(1, TEXT_LIMIT) if "max_length" in got else TEXT_LIMIT,
        values=values,
        of=next(known for known in KINDS if known == of),
        protected=protected,
    )


def _zone(node: Node) -> tzinfo:
    try:
        return zone_named(node.text())
    except (ValueError, ZoneInfoNotFoundError):
        node.fail("an offset such as +08:00, or an IANA zone name", "correct the zone")
        return UTC


def _red_types(root: Path, names: set[str], faults: list[Fault]) -> set[str]:
    """Return the types whose facts may give level 3: those that any level-3 rule mentions."""
    found: set[str] = set()
    groups = dict(_groups(root, faults))
    for node in folder(root, "rules", faults):
        for rule in node.items():
            level = rule.child("level")
            if level is None or level.value == RED:
                mentioned = set(_mentioned(rule.plain()))
                for group in mentioned & groups.keys():
                    mentioned |= groups[group]
                found |= mentioned & names
    return found


def _groups(root: Path, faults: list[Fault]) -> Iterator[tuple[str, set[str]]]:
    """Yield each group's name with what it mentions; a group stands on those above it."""
    known: dict[str, set[str]] = {}
    for node in folder(root, "groups", faults, required=False):
        for group in node.items():
            name = group.child("name")
            if name is not None:
                mentioned = set(_mentioned(group.plain()))
                known[str(name.value)] = mentioned.union(*(known.get(m, set()) for m in mentioned))
                yield str(name.value), known[str(name.value)]


def _mentioned(value: Any) -> Iterator[str]:  # noqa: ANN401 - whatever YAML holds
    """Yield every text in a rule that may name an event type, alone or as TYPE.FIELD."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key not in _LOWERING:
                yield from _mentioned(part)
    elif isinstance(value, list):
        for part in value:
            yield from _mentioned(part)
    elif isinstance(value, str):
        yield value
        yield value.rpartition(".")[0]


def _digest(root: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(root.rglob("*.yaml")):
        found.update(f"{path.relative_to(root).as_posix()}\0".encode())
        found.update(path.read_bytes() + b"\0")
    return found.hexdigest()
