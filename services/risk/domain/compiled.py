"""A pack ready to run: compiled rules, and which fact wakes which rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any

from services.kernel.clock import NEVER
from services.risk.domain import terms as t
from services.risk.domain.calendar import Zone
from services.risk.domain.conditions import Compiler
from services.risk.domain.features import Features, compile_features
from services.risk.domain.looking import Read, Test, View
from services.risk.domain.needs import Needs
from services.risk.domain.pack import Pack, PassRule, Rule
from services.risk.domain.state import FALSE, TRUE, UNKNOWN, Fact, Household
from services.risk.domain.written import Written


@dataclass(frozen=True)
class CompiledRule:
    """A rule ready to run on a view of its subject."""

    id: str
    rule: Rule
    who: Test | None
    when: Test | None
    expect: CompiledExpect | None
    reads: tuple[tuple[str, Read], ...]
    types: frozenset[str]
    who_types: frozenset[str]
    always: Test | None
    """`when`, of a rule that always counts and for everybody: nothing else need be asked."""

    def decide(self, view: View) -> int:
        """Return the truth of a rule with a condition; `who` false means not applicable."""
        if self.always is not None:
            return self.always(view)
        who = self._applies(view)
        if who == FALSE or self.when is None:
            return FALSE
        truth = self.when(view)
        return truth if who == TRUE or truth == FALSE else UNKNOWN

    def decide_key(self, view: View, at_home: frozenset[str], key: str) -> int:
        """Return the truth of one key of a rule with an expectation; not armed is false."""
        who = self._applies(view)
        if who == FALSE or self.expect is None:
            return FALSE
        truth = self.expect.decide(view, at_home, key)
        return truth if who == TRUE or truth == FALSE else UNKNOWN

    def _applies(self, view: View) -> int:
        """Return whether the rule counts by now, and for this subject."""
        rule = self.rule
        if not rule.valid_from <= view.now < rule.valid_to:
            view.soon(rule.valid_from)
            return FALSE
        if rule.valid_to != NEVER:
            view.soon(rule.valid_to)
        return self.who(view) if self.who else TRUE


@dataclass(frozen=True)
class CompiledExpect:
    """An expectation ready to run: which keys a fact touches, and the truth of one key."""

    armed_type: str
    by_type: str
    armed_here: Callable[[Fact], int] | None
    by_here: Callable[[Fact], int] | None
    armed_key: Callable[[Fact], Any] | None
    by_key: Callable[[Fact], Any] | None
    due: Callable[[Fact], int | None]
    back: int | None

    def keys_of(self, kind: str, fact: Fact) -> set[str]:
        """Return the instance keys that a fact of this type touches."""
        keys = set()
        for type_, read in ((self.armed_type, self.armed_key), (self.by_type, self.by_key)):
            if kind == type_:
                value = read(fact) if read else ""
                if value is not None:
                    keys.add(str(value))
        return keys

    def decide(self, view: View, at_home: frozenset[str], key: str) -> int:
        """Return the truth for one key; not armed is false.

        The newest arming fact counts. One that only may arm leaves open what an older one says.
        """
        facts = view.home if self.armed_type in at_home else view.facts
        answer: int | None = None
        for fact in reversed(facts.get(self.armed_type, [])):
            if self.armed_key is not None and str(self.armed_key(fact)) != key:
                continue
            if fact.occurred > view.now:
                view.soon(fact.occurred)
                continue
            arms = self.armed_here(fact) if self.armed_here else TRUE
            if arms == FALSE:
                continue
            truth = self._missed(view, at_home, key, fact)
            answer = truth if answer in (None, truth) else UNKNOWN
            if arms == TRUE:
                view.armed = max(view.armed, fact.received, self.due(fact) or 0)
                return answer
        return UNKNOWN if answer else FALSE

    def _missed(self, view: View, at_home: frozenset[str], key: str, armed: Fact) -> int:
        due = self.due(armed)
        if due is not None and due > view.now:
            view.soon(due)
        met = self._met(view, at_home, key, armed)
        if met == TRUE:
            return FALSE
        if due is None:
            return UNKNOWN
        if due > view.now:
            return FALSE
        return TRUE if met == FALSE else UNKNOWN

    def _met(self, view: View, at_home: frozenset[str], key: str, armed: Fact) -> int:
        facts = view.home if self.by_type in at_home else view.facts
        earliest = armed.occurred - self.back if self.back is not None else None
        answer = FALSE
        for fact in reversed(facts.get(self.by_type, [])):
            if earliest is not None and fact.occurred < earliest:
                break
            if self.by_key is not None and str(self.by_key(fact)) != key:
                continue
            if fact.occurred > view.now:
                view.soon(fact.occurred)
                continue
            truth = self.by_here(fact) if self.by_here else TRUE
            if truth == TRUE:
                return TRUE
            answer = max(answer, truth)
        return answer


@dataclass(frozen=True)
class Compiled:
    """A compiled pack with its index from event type to the rules it wakes.

    of_person, of_home: rules of the fact's own subject. home: rules of every member, for facts of
    the household. around: rules that look at other members. from_nothing: rules that are true of a
    subject of whom nothing is known.
    """

    pack: Pack
    rules: Mapping[str, CompiledRule]
    fields: Mapping[str, Mapping[str, int]]
    at_home: frozenset[str]
    of_person: Mapping[str, tuple[CompiledRule, ...]]
    of_home: Mapping[str, tuple[CompiledRule, ...]]
    home: Mapping[str, tuple[CompiledRule, ...]]
    around: Mapping[str, tuple[CompiledRule, ...]]
    around_any: tuple[CompiledRule, ...]
    from_nothing: tuple[CompiledRule, ...]
    lifts: Mapping[str, tuple[CompiledRule, ...]]
    passes: Mapping[str, tuple[tuple[PassRule, Callable[[Fact], int] | None, Any], ...]]
    features: Features
    feature_types: frozenset[str]

    def kept(self, kind: str) -> bool:
        """Return whether the state keeps facts of this type."""
        return kind in self.fields


def compile_pack(pack: Pack, make: type[Compiler] = Written) -> Compiled:
    """Return the pack ready to run. Cost: tens of milliseconds; done once per pack.

    Args:
        pack: The pack.
        make: Makes its closures: written out where that is faster, or plain; no answer differs.
    """
    needs = Needs()
    for rule in pack.rules:
        needs.rule(rule)
    for passing in pack.passes:
        needs.select(passing.facts)
        if isinstance(passing.instance, t.FieldOf):
            needs.field(passing.facts.type, passing.instance.name)
    for feature in pack.model.features if pack.model else ():
        needs.operand(feature.value)
    fields = {
        kind: {name: n for n, name in enumerate(sorted(names))}
        for kind, names in needs.fields.items()
    }
    at_home = frozenset(e.type for e in pack.events.values() if e.subject != "person")
    compiler = make(at_home, fields, pack.calendars, pack.zone)
    rules = {rule.id: _compile_rule(rule, compiler, pack.zone) for rule in pack.rules}
    index = _index(rules, at_home)
    features = compile_features(pack, at_home, compiler.read)
    return Compiled(
        pack=pack,
        rules=rules,
        fields=fields,
        at_home=at_home,
        of_person=index.of_person,
        of_home=index.of_home,
        home=index.home,
        around=index.around,
        around_any=index.around_any,
        from_nothing=tuple(rule for rule in rules.values() if _true_of_nothing(rule)),
        lifts=_grouped((kind, r) for r in rules.values() for kind in r.rule.lifted_by),
        passes=_grouped((p.facts.type, _compile_pass(p, compiler)) for p in pack.passes),
        features=features,
        feature_types=frozenset((*features.own, *features.all)),
    )


def _compile_pass(p: PassRule, compiler: Compiler) -> tuple[PassRule, Any, Any]:
    read = compiler.of_fact(p.instance, p.facts.type) if p.instance else None
    return p, compiler.where(p.facts), read


def _compile_rule(rule: Rule, compiler: Compiler, zone: Zone) -> CompiledRule:
    needs, of_who = Needs(), Needs()
    needs.rule(rule)
    if rule.who is not None:
        of_who.condition(rule.who)
    reads = tuple((name, compiler.read(o)) for name, o in needs.named)
    expect = _compile_expect(rule.expect, compiler, zone) if rule.expect else None
    when = compiler.test(rule.when) if rule.when else None
    bound = rule.who is not None or rule.valid_from > 0 or rule.valid_to != NEVER
    return CompiledRule(
        id=rule.id,
        rule=rule,
        who=compiler.test(rule.who) if rule.who else None,
        when=when,
        always=None if bound else when,
        expect=expect,
        reads=reads,
        types=frozenset(needs.own | needs.around),
        who_types=frozenset(of_who.own | of_who.around),
    )


def _compile_expect(e: t.Expect, compiler: Compiler, zone: Zone) -> CompiledExpect:
    due: Callable[[Fact], int | None]
    if e.due_field is not None:
        due = compiler.of_fact(t.FieldOf(e.armed_by.type, e.due_field, "time"), e.armed_by.type)
    elif e.due_after is not None:
        after = e.due_after
        due = lambda fact: fact.occurred + after  # noqa: E731
    else:
        minute = e.due_daily or 0
        due = lambda fact: zone.at(zone.day(fact.occurred), minute)  # noqa: E731
    return CompiledExpect(
        armed_type=e.armed_by.type,
        by_type=e.by.type,
        armed_here=compiler.where(e.armed_by),
        by_here=compiler.where(e.by),
        armed_key=compiler.of_fact(e.armed_key, e.armed_by.type) if e.armed_key else None,
        by_key=compiler.of_fact(e.by_key, e.by.type) if e.by_key else None,
        due=due,
        back=e.back,
    )


def _true_of_nothing(compiled: CompiledRule) -> bool:
    view = View(Household(""), 0)
    unfit = compiled.who is not None and compiled.who(view) != TRUE
    return not unfit and compiled.when is not None and compiled.when(view) == TRUE


@dataclass
class _Index:
    of_person: dict[str, tuple[CompiledRule, ...]]
    of_home: dict[str, tuple[CompiledRule, ...]]
    home: dict[str, tuple[CompiledRule, ...]]
    around: dict[str, tuple[CompiledRule, ...]]
    around_any: tuple[CompiledRule, ...]


def _index(rules: Mapping[str, CompiledRule], at_home: frozenset[str]) -> _Index:
    of_person: list[tuple[str, CompiledRule]] = []
    of_home: list[tuple[str, CompiledRule]] = []
    home: list[tuple[str, CompiledRule]] = []
    around: list[tuple[str, CompiledRule]] = []
    around_any = []
    for compiled in rules.values():
        needs = Needs()
        needs.rule(compiled.rule)
        person = compiled.rule.subject == "person"
        for kind in sorted(needs.own):
            own = of_person if person else of_home
            (home if person and kind in at_home else own).append((kind, compiled))
        around.extend((kind, compiled) for kind in sorted(needs.around))
        if needs.looks_around:
            around_any.append(compiled)
    grouped = [_grouped(pairs) for pairs in (of_person, of_home, home, around)]
    return _Index(grouped[0], grouped[1], grouped[2], grouped[3], tuple(around_any))


def _grouped(pairs: Any) -> dict[str, tuple[Any, ...]]:  # noqa: ANN401
    groups: dict[str, list[Any]] = {}
    for key, value in pairs:
        groups.setdefault(intern(key), []).append(value)
    return {key: tuple(values) for key, values in groups.items()}
