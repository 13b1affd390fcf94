"""One household in the naive model: at every instant that could matter, everything is decided anew.

What it knows is worked out from its whole record each time; only where its rules stand is
remembered, because floors have a history. See docs/semantics.md, sections 2 to 5 and 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from tests.generated.naive.facts import DAY, Fact, Look, Truth
from tests.generated.naive.rules import NEVER, RULES, Answer, Rule, instants

STAYS: Final = {1: 3 * DAY, 2: 2 * DAY, 3: DAY}


class Told(NamedTuple):
    """A fact is told."""

    fact: Fact


class TakenBack(NamedTuple):
    """A fact never was."""

    id: str


class Left(NamedTuple):
    """A subject left with everything that is known of it."""

    who: str


class Came(NamedTuple):
    """A subject came with facts."""

    who: str
    facts: tuple[Fact, ...]


Record = Told | TakenBack | Left | Came


@dataclass
class Standing:
    """Where one rule (and key) of one subject stands."""

    truth: Truth = False
    since: int = 0
    clock: int = 0
    armed: int = 0
    made_by: tuple[str, ...] = ()
    floor: int = 0
    falls_at: int = NEVER
    before: tuple[int, int, int, int] | None = None

    def held(self) -> tuple[int, int, int, int] | None:
        """Return the floor that is held up now."""
        return (self.floor, self.falls_at, self.since, self.clock) if self.floor else None


class Reason(NamedTuple):
    """A rule that holds a level up."""

    rule: str
    key: str
    level: int
    held: bool
    since: int
    clock: int


class Said(NamedTuple):
    """What is concluded of a subject at an instant."""

    who: str
    at: int
    level: int
    reasons: tuple[Reason, ...]
    unknown: frozenset[tuple[str, str]]
    ended: tuple[tuple[str, str, str], ...]


Place = tuple[str, str, str]
"""Subject, rule, key."""
View = tuple[int, tuple[Reason, ...], frozenset[tuple[str, str]]]
"""Level, reasons, unknown (rule, key)."""


@dataclass
class House:
    """A household: its record, and where the rules of its people and its own stand."""

    name: str
    log: list[Record] = field(default_factory=list)
    standings: dict[Place, Standing] = field(default_factory=dict)
    looked: set[Place] = field(default_factory=set)
    done: int = 0
    said: list[Said] = field(default_factory=list)
    handed: int = 0

    # -- what is known -------------------------------------------------------------------------

    def known(self, log: Sequence[Record] | None = None) -> list[Fact]:
        """Return every fact that stands after all records, worked out from the first one on."""
        log = self.log if log is None else log
        gone = {r.id for r in log if isinstance(r, TakenBack)}
        clocks: dict[str, int] = {}
        corrects: dict[str, str] = {}
        facts: dict[str, Fact] = {}
        for record in log:
            told: tuple[Fact, ...] = ()
            match record:
                case Told(fact):
                    told = (fact,)
                case Came(who, carried):
                    told = carried
                    facts = {i: f for i, f in facts.items() if not (f.who == who and f.tied)}
                case Left(who):
                    facts = {i: f for i, f in facts.items() if f.who != who}
            for fact in told:
                facts.setdefault(fact.id, fact)
                clocks[fact.id] = min(fact.clock, clocks.get(fact.id, fact.clock))
                if fact.corrects is not None:
                    corrects[fact.id] = fact.corrects
                    gone.add(fact.corrects)

        def clock(name: str) -> int:
            own = clocks.get(name, NEVER)
            return min(own, clock(corrects[name])) if name in corrects else own

        found = [(f, clock(i)) for i, f in facts.items() if i not in gone]
        return [f if f.clock == at else replace(f, clock=at) for f, at in found]

    def look(self, facts: list[Fact], who: str, now: int) -> Look:
        """Return the household as one subject's rules see it."""
        people = sorted({f.who for f in facts if not f.tied and f.who != self.name})
        elsewhere = sorted({f.who for f in facts if f.tied})
        return Look(
            now,
            own=[f for f in facts if f.who == who and not f.tied],
            home=[f for f in facts if f.who == self.name],
            members=[[f for f in facts if f.who == name] for name in people],
            tied=[[f for f in facts if f.who == name and f.tied] for name in elsewhere],
        )

    def people(self, log: Sequence[Record] | None = None) -> set[tuple[str, bool]]:
        """Return who was told of and has not left, and whether only as tied to the household."""
        found: dict[str, bool] = {self.name: False}
        for record in self.log if log is None else log:
            match record:
                case Told(fact):
                    found.setdefault(fact.who, fact.tied)
                case Came(who, _):
                    found[who] = False
                case Left(who):
                    found.pop(who, None)
        found[self.name] = False
        return set(found.items())

    def places(self, facts: list[Fact]) -> list[tuple[str, Rule, str]]:
        """Return every subject, rule and key about which anything was told."""
        people = {who for who, tied in self.people() if not tied}
        told = {f.type for f in facts}
        found: dict[Place, Rule] = {}
        for who in sorted(people):
            for rule in RULES:
                if rule.household != (who == self.name):
                    continue
                if not told.intersection((*rule.own, *rule.home, *rule.around)):
                    continue
                if rule.keys is None:
                    found[who, rule.id, ""] = rule
                    continue
                own = [f for f in facts if f.who == who and f.type in rule.own and not f.tied]
                for key in {rule.keys(f) for f in own}:
                    found[who, rule.id, str(key)] = rule
        by_id = {rule.id: rule for rule in RULES}
        for place in self.standings:
            if place[0] in people:
                found[place] = by_id[place[1]]
        return [(who, rule, key) for (who, _, key), rule in sorted(found.items())]

    # -- time ----------------------------------------------------------------------------------

    def pass_time(self, until: int) -> None:
        """Decide everything at every instant from the last one on and before `until`."""
        facts = self.known()
        possible = sorted(i for i in instants(facts) if self.done <= i < until)
        looks: dict[str, Look] = {}
        while True:
            falls = [s.falls_at for s in self.standings.values()]
            ahead = [i for i in (*possible, *falls) if self.done <= i < until]
            if not ahead:
                break
            now = min(ahead)
            self._decide(facts, now, None, looks=looks)
            possible = [i for i in possible if i > now]
            self.done = max(self.done, now)
        self.done = max(self.done, until)

    # -- records -------------------------------------------------------------------------------

    def take(self, record: Record, at: int) -> None:
        """Take in one record at its processing time."""
        self.pass_time(at)
        before = self.known()
        self.log.append(record)
        if isinstance(record, Left):
            self.standings = {p: s for p, s in self.standings.items() if p[0] != record.who}
            self.looked = {p for p in self.looked if p[0] != record.who}
        facts = self.known()
        if isinstance(record, Came):
            self._remember(record, at, before)
        self._decide(facts, at, self._concerned(record, before, facts), record, before)

    def _remember(self, record: Came, at: int, before: list[Fact]) -> None:
        """Make the subject's memory anew from its facts; keep what is remembered here already."""
        alone = House(self.name)
        if record.who != self.name:
            alone.log = [Told(f) for f in before if f.who == self.name]
        now = 0
        for fact in record.facts:
            now = min(max(now, fact.received), at)
            alone.take(Told(fact), now)
        alone.pass_time(at)
        mine = any(f.who == record.who and not f.tied for f in before)
        for place in list(self.standings):
            if place[0] == record.who and not mine:
                del self.standings[place]
        for place, theirs in alone.standings.items():
            if place[0] == record.who:
                here = self.standings.get(place)
                self.standings[place] = theirs if here is None else _joined(here, theirs)
        self.looked |= {place for place in alone.looked if place[0] == record.who}

    def _concerned(self, record: Record, before: list[Fact], facts: list[Fact]) -> set[Place]:
        """Return whom a record concerns: by the types of what it tells, takes back and corrects."""
        about = {f.id: f for f in before} | {f.id: f for f in facts}
        told: list[Fact] = []
        match record:
            case Told(fact):
                told = [f for f in (about.get(fact.id), about.get(fact.corrects or "")) if f]
            case TakenBack(id_):
                told = [about[id_]] if id_ in about else []
            case Came(_, carried):
                told = list(carried)
        people_before = self.people(self.log[:-1])
        moved = people_before != self.people() or isinstance(record, Left | Came)
        home = {f.type for f in facts if f.who == self.name}
        found: set[Place] = set()
        for who, rule, key in self.places([*facts, *told]):
            mine = [f for f in told if f.who == who and not f.tied and f.type in rule.own]
            if rule.keys is not None:
                mine = [f for f in mine if str(rule.keys(f)) == key]
            at_home = any(f.who == self.name and f.type in rule.home for f in told)
            around = any(f.type in rule.around for f in told) or (bool(rule.around) and moved)
            arrived = (who, False) not in people_before and home & set(rule.home)
            known_here = isinstance(record, Came) and who == record.who
            standing = known_here and (who, rule.id, key) in self.standings
            if mine or at_home or around or arrived or standing:
                found.add((who, rule.id, key))
        return found

    # -- deciding ------------------------------------------------------------------------------

    def _decide(
        self,
        facts: list[Fact],
        now: int,
        concerned: set[Place] | None,
        record: Record | None = None,
        before: list[Fact] | None = None,
        looks: dict[str, Look] | None = None,
    ) -> None:
        """Decide what is concerned (None: everything there is), and say what is new.

        looks: what was seen of these same facts before, at another instant.
        """
        old = self._views()
        ended: dict[str, list[tuple[str, str, str]]] = {}
        if concerned is not None:
            self.looked |= concerned
        looks = {} if looks is None else looks
        for who, rule, key in self.places([*facts, *(before or [])]):
            place = who, rule.id, key
            if concerned is not None and place not in concerned:
                continue
            if who not in looks:
                looks[who] = self.look(facts, who, now)
            looks[who].now = now
            answer = rule.decide(looks[who], key)
            standing = self.standings.setdefault(place, Standing())
            how = self._turn(standing, rule, answer, now, facts, place, record, before or [])
            if how:
                ended.setdefault(who, []).append((rule.id, key, how))
        if record is not None:
            self._earlier_clocks(facts, now)
        for who, found in self._views().items():
            came = isinstance(record, Came) and record.who == who
            if came or found != old.get(who, (0, (), frozenset())):
                self.said.append(Said(who, now, *found, tuple(ended.get(who, ()))))

    def _turn(
        self,
        standing: Standing,
        rule: Rule,
        answer: Answer,
        now: int,
        facts: list[Fact],
        place: Place,
        record: Record | None,
        before: list[Fact],
    ) -> str:
        """Bring one standing from its old truth to the new one; return how it ended, if it did."""
        s, was = standing, standing.truth
        s.truth = answer.truth
        lifted = (
            isinstance(record, Told)
            and record.fact.type == rule.lifted_by
            and record.fact.who in (place[0], self.name)
        )
        if lifted:
            s.before = None
        if answer.truth is True:
            if was is not True:
                s.before, s.made_by, s.armed = s.held(), _ids(record), answer.armed
                made = [f for f in facts if f.id in s.made_by]
                if isinstance(record, Came):
                    made = [f for f in made if f.type in (*rule.own, *rule.home, *rule.around)]
                    s.made_by = tuple(f.id for f in made)
                started = min([f.clock for f in made], default=now)
                s.since, s.clock = now, min(max(started, answer.armed), now)
                s.floor, s.falls_at = rule.level, NEVER
            return ""
        takes_back = isinstance(record, TakenBack) or (
            isinstance(record, Told) and record.fact.corrects is not None
        )
        removed = takes_back and bool({f.id for f in before} - {f.id for f in facts})
        if (was is True or s.floor) and (
            lifted or (removed and not self._ever(rule, place, s.since, now, facts))
        ):
            self._lift(s, now)
            return "withdrawn"
        if was is True:
            if rule.at_once or s.since == now:
                self._lift(s, now)
            else:
                s.falls_at, s.before = now + STAYS[s.floor], None
            return "ended"
        if s.floor and s.falls_at <= now:
            _fall(s, now)
        return ""

    def _ever(self, rule: Rule, place: Place, since: int, now: int, facts: list[Fact]) -> bool:
        """Return whether by what stands now the rule was true at any instant from `since` on."""
        possible = {since} | {i for i in instants(facts) if since < i <= now}
        possible |= {i - 1 for i in possible if i > since}
        return any(
            rule.decide(self.look(facts, place[0], i), place[2]).truth is True for i in possible
        )

    def _lift(self, standing: Standing, now: int) -> None:
        s = standing
        s.floor, s.falls_at, s.since, s.clock = s.before or (0, NEVER, s.since, s.clock)
        s.before = None
        while s.floor and s.falls_at < now:
            _fall(s, s.falls_at)

    def _earlier_clocks(self, facts: list[Fact], now: int) -> None:
        """While a truth stands, the earliest clock of what made it true wins."""
        corrects = {r.fact.id: r.fact.corrects for r in self.log if isinstance(r, Told)}
        for standing in self.standings.values():
            if standing.truth is True and standing.made_by:
                heirs = [f for f in facts if _heir(f.id, standing.made_by, corrects)]
                started = min([f.clock for f in heirs], default=NEVER)
                started = min(max(started, standing.armed), now)
                standing.clock = min(standing.clock, started)

    def _views(self) -> dict[str, View]:
        """Return what there is to say of each subject, by name."""
        reasons: dict[str, list[Reason]] = {}
        unknown: dict[str, set[tuple[str, str]]] = {}
        for (who, rule, key), s in sorted(self.standings.items()):
            told, unclear = reasons.setdefault(who, []), unknown.setdefault(who, set())
            if s.truth is None and (who, rule, key) in self.looked:
                unclear.add((rule, key))
            if s.floor or s.truth is True:
                told.append(Reason(rule, key, s.floor, s.truth is not True, s.since, s.clock))
        return {
            who: (max([r.level for r in told], default=0), tuple(told), frozenset(unknown[who]))
            for who, told in reasons.items()
        }


def _fall(standing: Standing, at: int) -> None:
    standing.floor -= 1
    standing.falls_at = at + STAYS[standing.floor] if standing.floor else NEVER


def _ids(record: Record | None) -> tuple[str, ...]:
    match record:
        case Told(fact):
            return (fact.id,)
        case Came(_, facts):
            return tuple(f.id for f in facts)
    return ()


def _heir(fact: str, made_by: tuple[str, ...], corrects: Mapping[str, str | None]) -> bool:
    """Return whether a fact is one of these, or corrects one, directly or through others."""
    name: str | None = fact
    while name is not None:
        if name in made_by:
            return True
        name = corrects.get(name)
    return False


def _joined(one: Standing, other: Standing) -> Standing:
    """Return both memories as one: what either holds is held, the truth that began first counts."""
    first, second = sorted([one, other], key=lambda s: (s.truth is not True, s.since))
    if second.truth is True:
        armed, clock = min(first.armed, second.armed), min(first.clock, second.clock)
        return replace(first, clock=clock, armed=armed, made_by=first.made_by + second.made_by)
    if first.truth is True:
        return replace(first, before=second.held() or first.before)
    higher = max([one, other], key=lambda s: (s.floor, s.falls_at if s.floor else 0))
    return replace(higher)
