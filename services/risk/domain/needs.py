"""What conditions read: fields per type, types of the subject itself and of those around it."""

from __future__ import annotations

from services.risk.domain import terms as t
from services.risk.domain.pack import Rule


class Needs:
    """Collects what conditions read: fields per type, types of the subject and of others."""

    def __init__(self) -> None:
        self.fields: dict[str, set[str]] = {}
        self.own: set[str] = set()
        self.around: set[str] = set()
        self.looks_around = False
        self.named: list[tuple[str, t.Operand]] = []
        self._outside = 0

    def field(self, kind: str, name: str) -> None:
        """Note a field that is read."""
        self.fields.setdefault(kind, set()).add(name)

    def kind(self, kind: str) -> None:
        """Note a type that is read."""
        self.fields.setdefault(kind, set())
        (self.around if self._outside else self.own).add(kind)

    def rule(self, rule: Rule) -> None:
        """Note what a rule reads."""
        for condition in (rule.who, rule.when):
            if condition is not None:
                self.condition(condition)
        for kind in rule.lifted_by:
            self.fields.setdefault(kind, set())
        if rule.expect is not None:
            self.expect(rule.expect)

    def expect(self, e: t.Expect) -> None:
        """Note what an expectation reads."""
        for select, key in ((e.armed_by, e.armed_key), (e.by, e.by_key)):
            self.select(select)
            if isinstance(key, t.FieldOf):
                self.field(select.type, key.name)
        if e.due_field is not None:
            self.field(e.armed_by.type, e.due_field)

    def select(self, s: t.Select) -> None:
        """Note what a selection of facts reads."""
        self.kind(s.type)
        if s.where is not None:
            self._where(s.where, s.type)

    def _where(self, condition: t.Condition, kind: str) -> None:
        match condition:
            case t.All(parts) | t.AnyOf(parts):
                for part in parts:
                    self._where(part, kind)
            case t.Not(part):
                self._where(part, kind)
            case t.Compare(_, left, right):
                for side in (left, right):
                    if isinstance(side, t.FieldOf):
                        self.field(kind, side.name)

    def condition(self, condition: t.Condition) -> None:
        """Note what a condition reads."""
        match condition:
            case t.All(parts) | t.AnyOf(parts):
                for part in parts:
                    self.condition(part)
            case t.Not(part):
                self.condition(part)
            case t.Compare(_, left, right):
                self.operand(left)
                self.operand(right)
            case t.Absent(facts, _, armed_by, _):
                self.select(facts)
                if armed_by is not None:
                    self.select(armed_by)
                self._name(f"since {facts.type}", t.Since(facts))
            case t.Active(facts, _, until):
                self.select(facts)
                if until is not None:
                    self.field(facts.type, until)
                self._name(f"since {facts.type}", t.Since(facts))
            case t.AnyMember(inner, _):
                self._inside(inner)

    def _inside(self, inner: t.Condition) -> None:
        self.looks_around = True
        self._outside += 1
        self.condition(inner)
        self._outside -= 1

    def _name(self, name: str, operand: t.Operand) -> None:
        if not self._outside:
            self.named.append((name, operand))

    def operand(self, operand: t.Operand) -> None:
        """Note what an operand reads, and its name for people."""
        match operand:
            case t.Latest(sources):
                for select, name in sources:
                    self.select(select)
                    self.field(select.type, name)
                self._name(f"latest {sources[0][0].type}.{sources[0][1]}", operand)
            case t.Count(facts):
                self.select(facts)
                self._name(f"count {facts.type}", operand)
            case t.Since(facts):
                self.select(facts)
                self._name(f"since {facts.type}", operand)
            case t.Aggregate(how, facts, name):
                self.select(facts)
                self.field(facts.type, name)
                self._name(f"{how} {facts.type}.{name}", operand)
            case t.Delta(facts, name):
                self.select(facts)
                self.field(facts.type, name)
                self._name(f"delta {facts.type}.{name}", operand)
            case t.Streak(kind, where):
                self.kind(kind)
                self._where(where, kind)
                self._name(f"streak {kind}", operand)
            case t.Age(birth):
                self.operand(birth)
                self._name("age", operand)
            case t.Members(condition):
                self._inside(condition)
                self._name("members", operand)
