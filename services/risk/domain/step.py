"""One instant of one fold: who must be looked at, and how each rule's standing turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

from services.kernel.clock import NEVER
from services.kernel.contracts import assessments as a
from services.risk.domain.change import Change
from services.risk.domain.compiled import Compiled, CompiledRule
from services.risk.domain.looking import View
from services.risk.domain.pack import SEPARATOR
from services.risk.domain.state import FALSE, TRUE, Fact, Household, Instance, Subject


class Step:
    """Work at one instant: `todo` (subject, instance key) → rule; `touched` subject → is it news.

    clock: where a life clock started by what is taken in starts (carried: facts that a move brings,
    each with its own); armed: but not before what armed the rule was received and due.
    withdrawing: a fact is being taken back, so that floors which stood on it lift at once.
    lifting: rules whose `lifted_by` came.
    """

    __slots__ = (
        "armed", "carried", "cause", "clock", "compiled", "ended", "lifting", "now", "state",
        "todo", "touched", "withdrawing",
    )  # fmt: skip

    def __init__(
        self, compiled: Compiled, state: Household, now: int, *, cause: str | None, clock: int
    ) -> None:
        self.compiled = compiled
        self.state = state
        self.now = now
        self.cause = cause
        self.clock = clock
        self.armed = 0
        self.carried: Sequence[Change] = ()
        self.withdrawing = False
        self.lifting: set[str] = set()
        self.todo: dict[tuple[str, str], CompiledRule | None] = {}
        self.touched: dict[str, bool] = {}
        self.ended: dict[str, list[a.Ended]] = {}

    # -- who must be looked at -----------------------------------------------------------------

    def touch(self, name: str, kind: str, fact: Fact) -> None:
        """Note every (subject, rule) whose answer this fact of `name` may change."""
        compiled, state = self.compiled, self.state
        at_home, subject = name == state.id, state.subjects[name]
        if kind in compiled.feature_types:
            compiled.features.touch(state, name, kind)
        if not subject.tied:
            for rule in (compiled.of_home if at_home else compiled.of_person).get(kind, ()):
                if rule.expect is None:
                    self.todo[name, rule.id] = rule
                else:
                    self._schedule(name, rule, kind, (fact,))
        if at_home and kind in compiled.home:
            members = self._members()
            for rule in compiled.home[kind]:
                for member in members:
                    self._schedule(member, rule, kind, (fact,))
        for rule in compiled.around.get(kind, ()):
            self._everyone(rule)
        for rule in compiled.lifts.get(kind, ()):
            self._lift(rule, name)

    def _lift(self, rule: CompiledRule, name: str) -> None:
        self.lifting.add(rule.id)
        home = self.state.id
        for member in (home, *self._members()) if name == home else (home, name):
            for key in self.state.subjects[member].instances:
                if key.partition(SEPARATOR)[0] == rule.id:
                    self.todo[member, key] = rule

    def arrive(self, name: str) -> None:
        """Schedule what a new subject changes: for those around it, and by what its home knows."""
        self.look_around()
        home = self.state.subjects[self.state.id]
        if self.state.subjects[name].tied:
            return
        wanted = "household" if name == self.state.id else "person"
        for rule in self.compiled.from_nothing:
            if rule.rule.subject == wanted:
                self.todo[name, rule.id] = rule
        if name == self.state.id:
            return
        for kind, facts in home.facts.items():
            for rule in self.compiled.home.get(kind, ()):
                self._schedule(name, rule, kind, facts)

    def look_around(self) -> None:
        """Schedule every rule that looks at other members, one of whom has come or gone."""
        for subject in self.state.subjects.values():
            subject.read = None
        for rule in self.compiled.around_any:
            self._everyone(rule)

    def standing_of(self, name: str) -> None:
        """Schedule every instance that one subject has."""
        for key in self.state.subjects[name].instances:
            self.todo[name, key] = None

    def due(self, name: str, subject: Subject) -> None:
        """Schedule the instances of one subject whose time has come."""
        for key, instance in subject.instances.items():
            if instance.due() <= self.now:
                self.todo[name, key] = None

    def _schedule(self, name: str, rule: CompiledRule, kind: str, facts: Sequence[Fact]) -> None:
        expect = rule.expect
        if expect is None:
            self.todo[name, rule.id] = rule
            return
        keys = {key for fact in facts for key in expect.keys_of(kind, fact)}
        if kind not in (expect.armed_type, expect.by_type) or kind in rule.who_types:
            holder = self.state.id if expect.armed_type in self.compiled.at_home else name
            armed = self.state.subjects[holder].facts.get(expect.armed_type, ())
            keys |= {key for fact in armed for key in expect.keys_of(expect.armed_type, fact)}
        for key in sorted(keys):
            self.todo[name, f"{rule.id}{SEPARATOR}{key}" if key else rule.id] = rule

    def _everyone(self, rule: CompiledRule) -> None:
        household = rule.rule.subject == "household"
        for name in (self.state.id,) if household else self._members():
            self._schedule(name, rule, "", ())

    def _members(self) -> list[str]:
        home = self.state.id
        return [n for n, s in self.state.subjects.items() if n != home and not s.tied]

    # -- deciding ------------------------------------------------------------------------------

    def decide(self) -> None:
        """Evaluate everything scheduled; every touched subject knows its next due afterwards."""
        subjects, touched, view = self.state.subjects, self.touched, View(self.state, self.now)
        for (name, key), known in self.todo.items():
            subject = subjects.get(name)
            if subject is None or subject.tied:
                continue
            rule = known or self.compiled.rules.get(key.partition(SEPARATOR)[0])
            if rule is None:  # a rule of an earlier pack
                del subject.instances[key]
                touched[name] = True
                continue
            view.facts = subject.facts
            if self._decide_one(view, name, subject, key, rule):
                touched[name] = True
            elif name not in touched:
                touched[name] = False
        for name in touched:
            if name in subjects:
                subjects[name].reschedule()

    def _decide_one(
        self, view: View, name: str, subject: Subject, key: str, rule: CompiledRule
    ) -> bool:
        view.changes_at, view.armed = NEVER, 0
        truth = rule.decide(view) if rule.expect is None else self._truth(view, rule, key)
        instance = subject.instances.get(key)
        if instance is None:
            if truth == FALSE and view.changes_at == NEVER:
                return False
            instance = subject.instances[key] = Instance()
        changes_at, falls_at = instance.changes_at, instance.falls_at
        instance.changes_at = view.changes_at
        if truth == instance.truth and not instance.floor:  # as it was, and nothing is held up
            news = False
        else:
            self.armed = view.armed
            news = self._turn(name, instance, key, rule, truth)
        if instance.idle():
            del subject.instances[key]
        if news or changes_at != instance.changes_at or falls_at != instance.falls_at:
            subject.touch()
        return news

    def _truth(self, view: View, rule: CompiledRule, key: str) -> int:
        if rule.expect is None:
            return rule.decide(view)
        return rule.decide_key(view, self.compiled.at_home, key.partition(SEPARATOR)[2])

    def _turn(
        self, name: str, instance: Instance, key: str, rule: CompiledRule, truth: int
    ) -> bool:
        """Bring one instance from its old truth to the new one; return whether that is news."""
        before, now = instance.truth, self.now
        instance.truth = truth
        lifted = rule.id in self.lifting
        if lifted:
            instance.earlier = None
        if truth == TRUE:
            return before != TRUE and self._begin(instance, rule)
        held = instance.floor
        if (before == TRUE or held) and (lifted or self._undone(name, key, rule, instance.since)):
            self._end(name, instance, key, withdrawn=True, stays=0)
            return True
        if before == TRUE:
            stays = 0 if rule.rule.at_once or instance.since == now else self._stays(held)
            self._end(name, instance, key, withdrawn=False, stays=stays)
            return True
        if held and instance.falls_at <= now:
            self._fall(instance, now)
            return True
        return truth != before

    def _begin(self, instance: Instance, rule: CompiledRule) -> bool:
        i = instance
        i.earlier = (i.floor, i.falls_at, i.since, i.clock) if i.floor else None
        brought = [past for past in self.carried if past.type in rule.types]
        clock = min((past.clock for past in brought), default=self.clock)
        if self.carried:
            i.by = tuple(past.id for past in brought)
        else:
            i.by = () if self.cause is None else (self.cause,)
        i.since, i.clock = self.now, min(max(clock, self.armed), self.now)
        i.floor, i.falls_at, i.armed = rule.rule.level, NEVER, self.armed
        return True

    def _end(self, name: str, instance: Instance, key: str, *, withdrawn: bool, stays: int) -> None:
        """Let go of a truth; without a stay its floor lifts, to what an earlier one still holds."""
        if stays and instance.floor:
            instance.falls_at, instance.earlier = self.now + stays, None
        else:
            self._lift_floor(instance)
        rule_id, _, tail = key.partition(SEPARATOR)
        how: a.Ending = "withdrawn" if withdrawn else "ended"
        self.ended.setdefault(name, []).append(a.Ended(rule=rule_id, how=how, instance=tail))

    def _lift_floor(self, instance: Instance) -> None:
        earlier, instance.earlier = instance.earlier, None
        if earlier is None:
            instance.floor, instance.falls_at = 0, NEVER
            return
        instance.floor, instance.falls_at, instance.since, instance.clock = earlier
        while instance.floor and instance.falls_at < self.now:
            self._fall(instance, instance.falls_at)

    def _fall(self, instance: Instance, at: int) -> None:
        instance.floor -= 1
        instance.falls_at = at + self._stays(instance.floor) if instance.floor else NEVER

    def _undone(self, name: str, key: str, rule: CompiledRule, since: int) -> bool:
        """Return whether, without what is being taken back, the truth had never been since `since`.

        Looks at `since`, around every fact and member after it, and wherever time alone may turn
        the answer.
        """
        if not self.withdrawing:
            return False
        instants = [since]
        for subject in self.state.subjects.values():
            if since < subject.came <= self.now:
                instants += (subject.came - 1, subject.came)
            for kind in rule.types & subject.facts.keys():
                for fact in subject.facts[kind]:
                    if since < fact.occurred <= self.now:
                        instants += (fact.occurred - 1, fact.occurred)
        heapify(instants)
        looked = since - 1
        while instants:
            instant = heappop(instants)
            if instant <= looked:
                continue
            looked = instant
            view = View(self.state, instant)
            view.facts = self.state.subjects[name].facts
            if self._truth(view, rule, key) == TRUE:
                return False
            if view.changes_at <= self.now:
                heappush(instants, view.changes_at)
        return True

    def _stays(self, level: int) -> int:
        return self.compiled.pack.scheme[level].fall_after


def standing(instances: Mapping[str, Instance]) -> set[tuple[str, int, int]]:
    """Return what a subject's instances say to the outside: key, floor, truth."""
    return {(key, i.floor, i.truth) for key, i in instances.items() if i.floor or i.truth}
