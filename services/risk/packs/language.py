"""Conditions as people write them in YAML → terms, with every fault named by file and line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from services.kernel.yamlfile import Node, duration_us, nearest
from services.risk.domain import terms as t
from services.risk.domain.pack import EventType, FieldType
from services.risk.packs.words import meant

COMPARISONS: Final = ("eq", "ne", "lt", "le", "gt", "ge", "in", "has")
_BOOLEANS: Final = ("all", "any", "not")
CONDITIONS: Final = (
    *_BOOLEANS,
    *COMPARISONS,
    "exists",
    "newest",
    "absent",
    "active",
    "any_member",
    "any_tied",
)
OPERANDS: Final = (
    "latest",
    "count",
    "sum",
    "max",
    "min",
    "delta",
    "streak",
    "since",
    "age",
    "members",
)
_KINDS: Final[Mapping[str, t.Kind]] = {
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "text": "text",
    "enum": "text",
    "date": "time",
    "time": "time",
    "list": "list",
}
_NOTHING: Final = t.All(())
_ONE: Final = t.Const(1, "number")


class Language:
    """Reads conditions against one event catalogue. `subject` is whose rule is being read."""

    def __init__(self, events: Mapping[str, EventType], calendars: frozenset[str]) -> None:
        self._events = events
        self._calendars = calendars
        self._groups: dict[str, tuple[str, t.Condition]] = {}

    def name_group(self, name: str, subject: str, condition: t.Condition) -> None:
        """Let what is read from now on write `name` for the condition."""
        self._groups[name] = (subject, condition)

    def condition(self, node: Node, subject: str) -> t.Condition:
        """Return the condition written at `node`; an always-true one after a fault."""
        if isinstance(node.value, str):
            return self._group(node, node.value, subject)
        picked = _single(node, CONDITIONS, "condition")
        if picked is None:
            return _NOTHING
        name, body = picked
        match name:
            case "all":
                return t.All(tuple(self.condition(n, subject) for n in body.items()))
            case "any":
                return t.AnyOf(tuple(self.condition(n, subject) for n in body.items()))
            case "not":
                return t.Not(self.condition(body, subject))
            case "exists" | "newest":
                return self._one_of(name, body, subject)
            case "absent":
                return self._absent(body, subject)
            case "active":
                return self._active(body, subject)
            case "any_member" | "any_tied":
                return t.AnyMember(self.condition(body, "person"), tied=name == "any_tied")
            case _:
                return self._comparison(name, body, subject, None)

    def where(self, node: Node, kind: str) -> t.Condition:
        """Return the condition on one fact of type `kind` written at `node`."""
        picked = _single(node, (*_BOOLEANS, *COMPARISONS), "condition of `where`")
        if picked is None:
            return _NOTHING
        name, body = picked
        match name:
            case "all":
                return t.All(tuple(self.where(n, kind) for n in body.items()))
            case "any":
                return t.AnyOf(tuple(self.where(n, kind) for n in body.items()))
            case "not":
                return t.Not(self.where(body, kind))
            case _:
                return self._comparison(name, body, "", kind)

    def expect(self, node: Node, subject: str) -> t.Expect | None:
        """Return the expectation written at `node`, or None after a fault."""
        got = node.map(("armed_by", "key", "due", "by", "back"), ("armed_by", "due", "by"))
        if not {"armed_by", "due", "by"} <= got.keys():
            return None
        armed = self._select_map(got["armed_by"], subject, windows=False)
        by_fields = got["by"].map(("type", "where", "key"), ("type",))
        by = self._select_map(got["by"], subject, windows=False, extra=("key",))
        armed_key = self._key(got.get("key"), armed.type)
        by_key = self._key(by_fields.get("key"), by.type)
        if (armed_key is None) != (by_key is None):
            node.fail(
                "a key on both sides or on none",
                "give `key` beside armed_by and in `by`",
                "one key",
            )
        field, after, daily = self._due(got["due"], armed.type)
        back = got["back"].duration() if "back" in got else None
        return t.Expect(armed, by, armed_key, by_key, field, after, daily, back)

    def _due(self, node: Node, kind: str) -> tuple[str | None, int | None, int | None]:
        if isinstance(node.value, str):
            operand = self._field(node, kind)
            if operand.kind != "time":
                node.fail("a field of type date or time", "name such a field or write {after: 7d}")
            return operand.name, None, None
        got = node.map(("after", "daily"))
        if "after" in got:
            return None, got["after"].duration(), None
        if "daily" in got:
            hour, _, minute = str(got["daily"].value).partition(":")
            if hour.isdigit() and minute.isdigit() and int(hour) <= 24 and int(minute) < 60:  # noqa: PLR2004
                return None, None, int(hour) * 60 + int(minute)
            got["daily"].fail('a quoted time of day such as "20:00"', "write hours and minutes")
        elif not got:
            node.fail("a field, {after: …} or {daily: …}", "say when it is due")
        return None, 0, None

    def key(self, node: Node | None, kind: str) -> t.FieldOf | t.LocalDate | None:
        """Return the operand that tells instances apart."""
        return self._key(node, kind)

    def _key(self, node: Node | None, kind: str) -> t.FieldOf | t.LocalDate | None:
        if node is None:
            return None
        if isinstance(node.value, dict):
            node.map(("date",), ("date",))
            return t.LocalDate()
        field = self._field(node, kind)
        known = self._type_of(kind, field.name)
        if known is not None and not known.required:
            node.fail(
                "a field that is always there",
                "write `required: true` in events.yaml: without it nobody knows which one is meant",
                f"{kind}.{field.name}, which may be missing",
            )
        return field

    # -- parts --------------------------------------------------------------------------------

    def _group(self, node: Node, name: str, subject: str) -> t.Condition:
        known = self._groups.get(name)
        if known is None:
            node.fail(
                "a condition, or the name of a group of groups.yaml",
                "correct the name, or write the group above the first place that uses it",
                f"{name!r}{nearest(name, self._groups)}",
            )
            return _NOTHING
        if known[0] != subject:
            node.fail(
                f"a group of {subject}s",
                "wrap it in any_member or members",
                f"{name!r}, a group of {known[0]}s",
            )
        return known[1]

    def _one_of(self, name: str, node: Node, subject: str) -> t.Condition:
        if name == "exists":
            return t.Compare("ge", t.Count(self._select_map(node, subject)), _ONE)
        facts = self._select_map(node, subject, windows=False)
        if facts.where is None:
            node.fail("`where`", "say what the newest fact must be like", "none")
        return t.Compare("ge", t.Streak(facts.type, facts.where or _NOTHING), _ONE)

    def _absent(self, node: Node, subject: str) -> t.Condition:
        got = node.map(
            ("type", "within", "where", "armed_by", "calendar"), ("type", "within", "armed_by")
        )
        facts = self._select_map(
            node, subject, windows=False, extra=("within", "armed_by", "calendar")
        )
        within = got["within"].duration() if "within" in got else 0
        armed = (
            self._select_map(got["armed_by"], subject, windows=False) if "armed_by" in got else None
        )
        calendar = None
        if "calendar" in got:
            calendar = got["calendar"].text()
            if calendar not in self._calendars:
                got["calendar"].fail("a calendar of pack.yaml", "add it under `calendars`")
                calendar = None
        return t.Absent(facts, within, armed, calendar)

    def _active(self, node: Node, subject: str) -> t.Condition:
        got = node.map(("type", "for", "until", "where"), ("type",))
        facts = self._select_map(node, subject, windows=False, extra=("for", "until"))
        if ("for" in got) == ("until" in got):
            node.fail(
                "exactly one of `for` and `until`", "give a length or a field", "none or both"
            )
        lasts = got["for"].duration() if "for" in got else None
        until = None
        if "until" in got:
            operand = self._field(got["until"], facts.type, dotted=False)
            until = operand.name
        return t.Active(facts, lasts, until)

    def _comparison(self, name: str, node: Node, subject: str, kind: str | None) -> t.Condition:
        sides = node.items()
        if len(sides) != 2:  # noqa: PLR2004
            wide = any("，" in str(side.value) for side in sides)
            remedy = f"write `{name}: [a, b]`" + (" with `,` instead of `，`" if wide else "")
            node.fail("two operands [a, b]", remedy, f"{len(sides)} operands")
            return _NOTHING
        left = self.operand(sides[0], subject, kind)
        right = self.operand(sides[1], subject, kind, listed=name == "in")
        self._agree(name, node, left, right)
        return t.Compare(name, left, right)  # type: ignore[arg-type]  # one of COMPARISONS

    def _agree(self, name: str, node: Node, left: t.Operand, right: t.Operand) -> None:
        a, b = kind_of(left), kind_of(right)
        if isinstance(right, t.Since) or (
            isinstance(left, t.Since) and not isinstance(right, t.Const)
        ):
            node.fail(
                "`since` on the left and a duration on the right", "turn the comparison round"
            )
        elif name == "has":
            if a != "list":
                node.fail("a list field on the left of `has`", "use `eq` for single values", a)
        elif a != b:
            node.fail("two operands of one kind", "compare like with like", f"{a} and {b}")
        elif a in ("text", "boolean", "list") and name not in ("eq", "ne", "in"):
            node.fail("eq, ne or in", f"{a} values have no order", name)

    def operand(
        self, node: Node, subject: str, kind: str | None, *, listed: bool = False
    ) -> t.Operand:
        """Return the operand written at `node`; the number 0 after a fault."""
        value = node.value
        if isinstance(value, list):
            items = [self.operand(n, subject, kind) for n in value]
            constants = [i for i in items if isinstance(i, t.Const)]
            if not listed or not constants or len(constants) != len(items):
                node.fail("a list of values, on the right of `in`", "write [a, b, …]")
                return t.Const(0, "number")
            return t.Const(tuple(c.value for c in constants), constants[0].kind)  # type: ignore[misc]
        if isinstance(value, str):
            return self._word(node, value, subject, kind)
        if isinstance(value, bool):
            return t.Const(value, "boolean")
        if isinstance(value, (int, float)):
            return t.Const(value, "number")
        if kind is not None:
            return self._of_fact(node)
        return self._computed(node, subject)

    def _of_fact(self, node: Node) -> t.Operand:
        picked = _single(node, ("date", "hour"), "operand of a fact")
        return t.LocalHour() if picked and picked[0] == "hour" else t.LocalDate()

    def _word(self, node: Node, word: str, subject: str, kind: str | None) -> t.Operand:
        if word.startswith("profile."):
            return self._profile(node, word.removeprefix("profile."), subject)
        if word.startswith("."):
            if kind is None:
                node.fail("a field of a fact only inside `where`", "use {latest: type.field}")
                return t.Const(word, "text")
            return self._field(node, kind)
        length = duration_us(word)
        return t.Const(word, "text") if length is None else t.Const(length, "duration")

    def _computed(self, node: Node, subject: str) -> t.Operand:
        picked = _operand_name(node)
        if picked is None:
            return t.Const(0, "number")
        name, body = picked
        match name:
            case "count":
                return t.Count(self._select(node, body, subject))
            case "since":
                return t.Since(self._select(node, body, subject))
            case "latest":
                facts, field = self._dotted(node, body, subject)
                return t.Latest(((facts, field),), self._kind(facts.type, field))
            case "sum" | "max" | "min":
                facts, field = self._numeric(node, body, subject)
                known = self._type_of(facts.type, field)
                low = -math.inf if known is None or known.low is None else known.low
                high = math.inf if known is None or known.high is None else known.high
                return t.Aggregate(name, facts, field, low, high)
            case "delta":
                facts, field = self._numeric(node, body, subject)
                return t.Delta(facts, field)
            case "streak":
                facts = self._select(node, body, subject)
                return t.Streak(facts.type, facts.where or _NOTHING)
            case "age":
                return self._age(body, subject)
            case _:
                return t.Members(self.condition(body, "person"))

    def _age(self, body: Node, subject: str) -> t.Operand:
        birth = self.operand(body, subject, None)
        if isinstance(birth, t.Latest) and birth.kind == "time":
            return t.Age(birth)
        body.fail("a date of the profile", "write {age: profile.birth_date}")
        return t.Const(0, "number")

    # -- facts --------------------------------------------------------------------------------

    def _select_map(
        self, node: Node, subject: str, *, windows: bool = True, extra: tuple[str, ...] = ()
    ) -> t.Select:
        allowed = ("type", "where", *(("within",) if windows else ()), *extra)
        got = node.map(allowed, ("type",))
        kind = self._known_type(got["type"], subject) if "type" in got else ""
        within = got["within"].duration() if windows and "within" in got else None
        where = self.where(got["where"], kind) if kind and "where" in got else None
        return t.Select(kind, within, where)

    def _select(self, node: Node, body: Node, subject: str) -> t.Select:
        kind = self._known_type(body, subject)
        return self._windowed(node, kind)

    def _windowed(self, node: Node, kind: str) -> t.Select:
        within, where = node.child("within"), node.child("where")
        return t.Select(
            kind,
            within.duration() if within else None,
            self.where(where, kind) if where and kind else None,
        )

    def _dotted(self, node: Node, body: Node, subject: str) -> tuple[t.Select, str]:
        kind, _, field = str(body.value).rpartition(".")
        known = self._known_type(body, subject, kind)
        if known and field not in self._events[known].fields:
            body.fail(
                f"a field of {known}",
                "correct the field",
                f"{field!r}{nearest(field, self._events[known].fields)}",
            )
            known = ""
        self._need_open(body, known, field)
        return self._windowed(node, known), field

    def _numeric(self, node: Node, body: Node, subject: str) -> tuple[t.Select, str]:
        facts, field = self._dotted(node, body, subject)
        if facts.type and self._kind(facts.type, field) != "number":
            body.fail("a number field", "choose a field with numbers")
        return facts, field

    def _known_type(self, node: Node, subject: str, name: str | None = None) -> str:
        kind = name if name is not None else str(node.value)
        event = self._events.get(kind)
        if event is None:
            node.fail(
                "an event type of the catalogue",
                "correct it or add it to events.yaml",
                f"{kind!r}{nearest(kind, self._events)}",
            )
            return ""
        if subject == "household" and event.subject == "person":
            node.fail(
                "a type told of households, or any_member / members around it",
                "wrap the condition in any_member",
                f"{kind}, told of persons",
            )
        return kind

    def _profile(self, node: Node, name: str, subject: str) -> t.Operand:
        having = [e for e in self._events.values() if e.profile and name in e.fields]
        own = [e for e in having if (e.subject == "person") == (subject == "person")]
        chosen = own or (
            [e for e in having if e.subject != "person"] if subject == "person" else []
        )
        if not chosen:
            names = sorted({f for e in self._events.values() if e.profile for f in e.fields})
            node.fail(
                "a field of a profile event type",
                "correct it or add it to events.yaml",
                f"profile.{name}{nearest(name, names)}",
            )
            return t.Const("", "text")
        for event in chosen:
            self._need_open(node, event.type, name)
        sources = tuple((t.Select(e.type), name) for e in sorted(chosen, key=lambda e: e.type))
        return t.Latest(sources, _KINDS[chosen[0].fields[name].kind], skip_null=True)

    def _field(self, node: Node, kind: str, *, dotted: bool = True) -> t.FieldOf:
        name = str(node.value).removeprefix(".") if dotted else str(node.value)
        field = self._type_of(kind, name)
        if field is None and kind:
            node.fail(
                f"a field of {kind}",
                "correct the field",
                f"{name!r}{nearest(name, self._events[kind].fields)}",
            )
        self._need_open(node, kind, name)
        return t.FieldOf(kind, name, _KINDS[field.kind] if field else "text")

    def _need_open(self, node: Node, kind: str, field: str) -> None:
        known = self._type_of(kind, field)
        if known is not None and known.protected:
            node.fail("a field that rules may read", "leave it out: it comes encrypted",
                      f"the protected {field!r}")  # fmt: skip

    def _type_of(self, kind: str, field: str) -> FieldType | None:
        event = self._events.get(kind)
        return event.fields.get(field) if event else None

    def _kind(self, kind: str, field: str) -> t.Kind:
        known = self._type_of(kind, field)
        return _KINDS[known.kind] if known else "text"


def kind_of(operand: t.Operand) -> str:
    """Return what kind of value an operand gives."""
    match operand:
        case t.Const(_, kind) | t.FieldOf(_, _, kind) | t.Latest(_, kind):
            return kind
        case t.LocalDate():
            return "text"
        case t.Since():
            return "duration"
        case _:
            return "number"


def _single(node: Node, known: tuple[str, ...], what: str) -> tuple[str, Node] | None:
    fields = node.entries()
    if len(fields) != 1:
        node.fail(f"one {what}", "combine several with `all` or `any`", f"{len(fields)} fields")
        return None
    name, body = next(iter(fields.items()))
    if name not in known:
        body.fail(
            f"one of {', '.join(known)}",
            "correct the operator",
            f"unknown operator {name!r}{meant(name, known)}",
        )
        return None
    return name, body


def _operand_name(node: Node) -> tuple[str, Node] | None:
    fields = node.entries()
    names = [name for name in fields if name not in ("within", "where")]
    if len(names) != 1:
        node.fail(f"one of {', '.join(OPERANDS)}", "write one operand", f"{len(names)} of them")
        return None
    if names[0] not in OPERANDS:
        fields[names[0]].fail(
            f"one of {', '.join(OPERANDS)}",
            "correct the operand",
            f"unknown operand {names[0]!r}{meant(names[0], OPERANDS)}",
        )
        return None
    return names[0], fields[names[0]]
