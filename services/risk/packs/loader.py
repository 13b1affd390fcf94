"""A pack folder → `Pack`: header, events, rules, passing facts, model. Tells all faults at once."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.kernel.clock import MINUTE, fixed_zone
from services.kernel.contracts.registry_types import REGISTRY_TYPES, SOURCE_NAME
from services.kernel.errors import Fault
from services.kernel.yamlfile import Node, folder, parse, read, refuse
from services.risk.domain.calendar import Calendar, Zone
from services.risk.domain.pack import (
    EventType,
    Feature,
    FieldType,
    Level,
    ModelSlot,
    Pack,
    PassRule,
    Rule,
)
from services.risk.domain.terms import Select
from services.risk.packs.language import Language
from services.risk.packs.outcomes import outcome_faults
from services.risk.packs.rules import read_group, read_rule

_LEVELS = 4
_FIELD_KINDS = ("integer", "number", "boolean", "text", "enum", "date", "time", "list")
_DEFAULT_AHEAD = 5 * MINUTE


def load(root: Path) -> Pack:
    """Return the pack in the folder `root`.

    Raises:
        Faults: everything wrong with it, each with file and line.
    """
    faults: list[Fault] = []
    header = read(root / "pack.yaml", faults)
    events = read_events(root, faults)
    if header is None:
        refuse(f"pack {root.name}", faults)
        raise AssertionError
    got = header.map(
        (
            "name",
            "version",
            "zone",
            "scheme",
            "own_sources",
            "calendars",
            "unreadable",
            "description",
        ),
        ("name", "version", "zone", "scheme"),
    )
    zone_name = got["zone"].text() if "zone" in got else "+00:00"
    zone = Zone(read_zone(got["zone"])) if "zone" in got else Zone(dt.UTC)
    calendars = _calendars(got.get("calendars"), zone)
    language = Language(events, frozenset(calendars))
    groups = _groups(root, language, zone, faults)
    rules = _rules(root, language, zone, faults)
    ladders, passes = _alerts(root, language, {r.id for r in rules}, events, faults)
    unreadable = got["unreadable"].text() if "unreadable" in got else "none"
    _check_ladders(rules, ladders, unreadable, got.get("unreadable"), faults)
    faults.extend(outcome_faults(rules, events))
    pack = Pack(
        name=got["name"].text() if "name" in got else "",
        version=got["version"].text() if "version" in got else "",
        digest=digest(root),
        zone=zone,
        zone_name=zone_name,
        own_sources=frozenset(n.text() for n in got["own_sources"].items())
        if "own_sources" in got
        else frozenset(),
        scheme=_scheme(got["scheme"]) if "scheme" in got else (),
        calendars=calendars,
        events=events,
        rules=tuple(rules),
        passes=tuple(passes),
        unreadable=None if unreadable == "none" else unreadable,
        model=_model(root, language, faults),
        groups=tuple(groups),
    )
    refuse(f"pack {root.name}", faults)
    return pack


def digest(root: Path) -> str:
    """Return the SHA-256 over the names and bytes of the pack's YAML files."""
    found = hashlib.sha256()
    for path in sorted(root.rglob("*.yaml")):
        found.update(f"{path.relative_to(root).as_posix()}\0".encode())
        found.update(path.read_bytes() + b"\0")
    return found.hexdigest()


def read_zone(node: Node) -> dt.tzinfo:
    """Return the zone written at `node`: an offset such as +08:00 or an IANA name."""
    name = node.text()
    try:
        return fixed_zone(name) if name[:1] in "+-" else ZoneInfo(name)
    except (ValueError, ZoneInfoNotFoundError):
        node.fail("an offset such as +08:00 or an IANA zone name", "correct the zone")
        return dt.UTC


def read_events(root: Path, faults: list[Fault]) -> dict[str, EventType]:
    """Return the event catalogue: the built-in registry types and the pack's own."""
    events: dict[str, EventType] = {}
    builtin = parse(REGISTRY_TYPES, faults, SOURCE_NAME)
    for node in [*([builtin] if builtin else []), *folder(root, "events", faults)]:
        for item in node.items():
            event = _event(item)
            if event.type in events:
                item.fail("each type once", "remove one of them", f"{event.type!r} again")
            events[event.type] = event
    return events


def _event(node: Node) -> EventType:
    got = node.map(
        ("type", "subject", "title", "max_ahead", "profile", "fields"), ("type", "subject", "title")
    )
    fields = got["fields"].entries() if "fields" in got else {}
    return EventType(
        type=got["type"].text() if "type" in got else "",
        subject=got["subject"].choice(("person", "household", "place"))
        if "subject" in got
        else "person",  # type: ignore[arg-type]
        title=got["title"].bilingual() if "title" in got else {},
        max_ahead=got["max_ahead"].duration() if "max_ahead" in got else _DEFAULT_AHEAD,
        profile=got["profile"].boolean() if "profile" in got else False,
        fields={name: _field(field) for name, field in fields.items()},
    )


def _field(node: Node) -> FieldType:
    got = node.map(
        ("type", "required", "unit", "min", "max", "values", "of", "max_length", "title",
         "protected"),
        ("type",),
    )  # fmt: skip
    kind = got["type"].choice(_FIELD_KINDS) if "type" in got else "text"
    values = tuple(n.text() for n in got["values"].items()) if "values" in got else ()
    if kind == "enum" and not values:
        node.fail("`values` for an enum", "list the allowed values", "none")
    return FieldType(
        kind=kind,  # type: ignore[arg-type]
        required=got["required"].boolean() if "required" in got else False,
        unit=got["unit"].text() if "unit" in got else None,
        low=got["min"].number() if "min" in got else None,
        high=got["max"].number() if "max" in got else None,
        values=values,
        protected=got["protected"].boolean() if "protected" in got else False,
    )


def _scheme(node: Node) -> tuple[Level, ...]:
    levels = []
    for item in node.items():
        got = item.map(
            ("level", "color", "name", "fall_after", "visit_every", "contact_every"),
            ("level", "color", "name"),
        )
        level = got["level"].integer(0, _LEVELS - 1) if "level" in got else 0
        if level and "fall_after" not in got:
            item.fail(
                "`fall_after` for every level above 0", "add how long an ended floor stays", "none"
            )
        levels.append(
            Level(
                level=level,
                color=got["color"].text() if "color" in got else "",
                name=got["name"].bilingual() if "name" in got else {},
                fall_after=got["fall_after"].duration() if "fall_after" in got else 0,
                visit_every=got["visit_every"].duration() if "visit_every" in got else None,
                contact_every=got["contact_every"].duration() if "contact_every" in got else None,
            )
        )
    if [level.level for level in levels] != list(range(_LEVELS)):
        node.fail(
            "the levels 0, 1, 2, 3 in order", "list each level once", f"{[x.level for x in levels]}"
        )
    return tuple(levels)


def _calendars(node: Node | None, zone: Zone) -> dict[str, Calendar]:
    calendars = {}
    for name, item in (node.entries() if node else {}).items():
        got = item.map(("open", "weekdays", "closed", "extra"), ("open",))
        spans = []
        for span in got["open"].items() if "open" in got else ():
            ends = span.map(("from", "to"), ("from", "to"))
            first, last = (ends[k].date() if k in ends else None for k in ("from", "to"))
            if first and last:
                spans.append((first, last))
        days = (
            [n.integer(1, 7) for n in got["weekdays"].items()] if "weekdays" in got else range(1, 8)
        )
        calendars[name] = Calendar(
            zone, tuple(spans), frozenset(days), _dates(got.get("closed")), _dates(got.get("extra"))
        )
    return calendars


def _dates(node: Node | None) -> frozenset[dt.date]:
    found = [n.date() for n in node.items()] if node else []
    return frozenset(d for d in found if d is not None)


def _rules(root: Path, language: Language, zone: Zone, faults: list[Fault]) -> list[Rule]:
    rules: list[Rule] = []
    for node in folder(root, "rules", faults):
        for item in node.items():
            rule = read_rule(item, language, zone)
            if any(known.id == rule.id for known in rules):
                item.fail("each rule id once", "give it another id", f"{rule.id!r} again")
            rules.append(rule)
    return rules


def _groups(root: Path, language: Language, zone: Zone, faults: list[Fault]) -> list[Rule]:
    groups: list[Rule] = []
    for node in folder(root, "groups", faults, required=False):
        for item in node.items():
            group = read_group(item, language, zone)
            if any(known.id == group.id for known in groups):
                item.fail("each group once", "give it another name", f"{group.id!r} again")
            groups.append(group)
    return groups


def _alerts(
    root: Path,
    language: Language,
    rules: set[str],
    events: Mapping[str, EventType],
    faults: list[Fault],
) -> tuple[set[str], list[PassRule]]:
    """Return the names of the ladders (alerts reads them itself) and the passing facts."""
    ladders: set[str] = set()
    passes: list[PassRule] = []
    for node in folder(root, "alerts", faults, required=False):
        got = node.map(("ladders", "passes"))
        ladders |= set(got["ladders"].entries()) if "ladders" in got else set()
        for item in got["passes"].items() if "passes" in got else ():
            passing = _pass(item, language, rules, events)
            if passing is not None:
                passes.append(passing)
    return ladders, passes


def _pass(
    node: Node, language: Language, rules: set[str], events: Mapping[str, EventType]
) -> PassRule | None:
    got = node.map(("type", "role", "rules", "where", "instance", "outcome"), ("type", "role"))
    if not {"type", "role"} <= got.keys():
        return None
    kind = got["type"].text()
    if kind not in events:
        got["type"].fail("an event type of the catalogue", "correct it or add it to events.yaml")
        return None
    listed = got["rules"].items() if "rules" in got else []
    for item in listed:
        if item.value not in rules:
            item.fail("the id of a rule", "correct the id")
    where = language.where(got["where"], kind) if "where" in got else None
    return PassRule(
        facts=Select(kind, None, where),
        role=got["role"].choice(("acknowledged", "handled", "closed")),  # type: ignore[arg-type]
        rules=tuple(n.text() for n in listed),
        instance=language.key(got.get("instance"), kind),
        outcome=got["outcome"].text() if "outcome" in got else "",
    )


def _check_ladders(
    rules: list[Rule], ladders: set[str], unreadable: str, at: Node | None, faults: list[Fault]
) -> None:
    for rule in rules:
        if rule.ladder is not None and rule.ladder not in ladders:
            faults.append(
                Fault(rule.where, "a ladder of alerts.yaml", repr(rule.ladder), "add the ladder")
            )
        if rule.level == _LEVELS - 1 and rule.ladder is None:
            faults.append(
                Fault(rule.where, "a ladder for a rule of level 3", "none", "add `ladder: …`")
            )
    if unreadable != "none" and unreadable not in ladders and at is not None:
        at.fail("a ladder of alerts.yaml, or none", "add the ladder")


def _model(root: Path, language: Language, faults: list[Fault]) -> ModelSlot | None:
    path = root / "model.yaml"
    node = read(path, faults) if path.exists() else None
    if node is None:
        return None
    got = node.map(("features", "linear", "levels", "cap"), ("features", "levels"))
    features = []
    for item in got["features"].items() if "features" in got else ():
        parts = item.map(("name", "value", "direction", "title"), ("name", "value"))
        if not {"name", "value"} <= parts.keys():
            continue
        features.append(
            Feature(
                parts["name"].text(),
                language.operand(parts["value"], "person", None),
                parts["direction"].choice(("0", "+", "-")) if "direction" in parts else "0",  # type: ignore[arg-type]
                parts["title"].bilingual() if "title" in parts else {},
            )
        )
    linear = (
        got["linear"].map(("intercept", "weights"), ("intercept", "weights"))
        if "linear" in got
        else {}
    )
    weights = linear["weights"].entries() if "weights" in linear else {}
    for name, weight in weights.items():
        if name not in {f.name for f in features}:
            weight.fail("the name of a feature", "correct the name", repr(name))
    cap = got["cap"].integer(0, 2) if "cap" in got else 2
    return ModelSlot(
        tuple(features),
        tuple(n.number() for n in got["levels"].items()) if "levels" in got else (),
        cap,
        linear["intercept"].number() if "intercept" in linear else None,
        {name: weight.number() for name, weight in weights.items()},
    )
