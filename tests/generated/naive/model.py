"""The naive model of the whole chain: rows in, the digest's lines and the course of levels out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from tests.generated.naive.desk import Counts, Desk, Page
from tests.generated.naive.facts import Fact, Row
from tests.generated.naive.house import Came, House, Left, Record, TakenBack, Told

STATED: Final = ("registry.person", "member.joined", "member.moved")
HOUSEHOLD_TYPES: Final = ("meter.reading", "home.hazard", "home.handled", "registry.household")
RED_TYPES: Final = (
    "health.vitals", "care.fall", "device.false_alarm", "rollcall.called", "rollcall.answered",
)  # fmt: skip

Level = tuple[int, int, frozenset[tuple[str, str, int, bool]], frozenset[tuple[str, str]]]
"""Instant, level, reasons (rule, key, level, held), unknown (rule, key)."""


class Outcome(NamedTuple):
    """What a run must come to. pages: one for each alert, step and target."""

    lines: list[str]
    levels: dict[str, list[Level]]
    accepted: int
    duplicate: int
    rejected: int
    counts: Counts
    pages: list[Page]


@dataclass
class Model:
    """Everything that the door has let in so far.

    call: what the chain calls a row, and a copy of it for another household; only names. spoken:
    the rows of each person, under the name that the row itself says.
    """

    call: Callable[[str, str | None], str] = lambda row, household: f"{row} {household}"
    rows: dict[str, Row] = field(default_factory=dict)
    spoken: defaultdict[str, list[tuple[int, Row]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    retracted: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    became: dict[str, str] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)
    ties: dict[str, list[str]] = field(default_factory=dict)
    houses: dict[str, House] = field(default_factory=dict)
    kept: dict[str, tuple[int, str]] = field(default_factory=dict)
    told: dict[str, Fact] = field(default_factory=dict)
    copied: set[tuple[str, str]] = field(default_factory=set)
    desk: Desk = field(default_factory=Desk)
    duplicate: int = 0
    rejected: int = 0

    # -- the door ------------------------------------------------------------------------------

    def take(self, row: Row) -> None:
        """Take one row, in order of receipt."""
        if row.bad:
            self._refuse(row)
            return
        known = self.rows.get(row.id)
        if known is not None:
            if known._replace(received=row.received) == row:
                self.duplicate += 1
            else:
                self.rejected += 1
            return
        if row.id in self.kept:
            who = self.name(self.kept[row.id][1])
            self._take(row)
            self.desk.repaired(who, row.id, row.received)
        else:
            self._take(row)

    def _refuse(self, row: Row) -> None:
        """Keep what cannot be taken; tell of it when it could have been a cry for help."""
        self.rejected += 1
        if row.id not in self.kept and row.type in RED_TYPES:
            who = self.name(row.person or "")
            self.kept[row.id] = (row.received, who)
            self._pass_time(self.homes[who], row.received)
            self.desk.unreadable(who, row.id, row.received)

    def _take(self, row: Row) -> None:
        self.rows[row.id] = row
        self.spoken[row.person or ""].append((len(self.rows), row))
        self.retracted.add(row.retracts or "")
        self.replaced.add(row.supersedes or "")
        match row.type:
            case "registry.merged":
                self._merge(row)
            case "fact.retracted":
                self._take_back(row)
            case kind if kind in HOUSEHOLD_TYPES:
                self._tell(row, row.household or "", row.household or "")
            case _:
                self._tell_of_person(row)

    # -- who is who ----------------------------------------------------------------------------

    def name(self, name: str) -> str:
        """Return what a name has become."""
        while name in self.became:
            name = self.became[name]
        return name

    def _home(self, who: str) -> str:
        """Return where a person lives by everything that was said so far."""
        names = [who, *(name for name in self.became if self.name(name) == who)]
        mine = [row for _, row in sorted(told for name in names for told in self.spoken[name])]
        place = {row.id: n for n, row in enumerate(mine)}
        stated = [
            (row.time, place.get(row.supersedes or "", place[row.id]), str(_stated(row)))
            for row in mine
            if _stated(row) is not None and row.id not in self.retracted | self.replaced
        ]
        if stated:
            return max(stated)[2]
        first = next((r.household for r in mine if r.household is not None), None)
        return first if first is not None else f"prov:{who}"

    def _tell_of_person(self, row: Row) -> None:
        who = self.name(row.person or "")
        home = self._settle(who, row.received)
        if row.type == "registry.tie":
            self._tie(who, str(row.data["household"]), row.received)
        self._tell(row, who, home)

    def _settle(self, who: str, at: int) -> str:
        """Let a person live where they do by now; return where."""
        home = self._home(who)
        before = self.homes.get(who, home)
        if home != before:
            self._carry(who, before, who, home, at)
        self.homes[who] = home
        return home

    def _tie(self, who: str, household: str, at: int) -> None:
        known = self.ties.setdefault(who, [])
        if household in known:
            return
        known.append(household)
        for fact in self._live(who):
            copied = replace(self._copy(fact, household), received=at, clock=at)
            self._give(household, Told(copied), at)

    def _merge(self, row: Row) -> None:
        was, became = self.name(str(row.data["was"])), self.name(str(row.data["became"]))
        start = self.homes[was]
        end = self.homes.setdefault(became, start)
        self._carry(was, start, became, end, row.received)
        self.became[was] = became
        del self.homes[was]

    def _carry(self, was: str, start: str, became: str, end: str, at: int) -> None:
        facts = [replace(fact, who=became) for fact in self._live(was)]
        self._pass_time(start, at)
        self._pass_time(end, at)
        self.desk.moved(was, became, at)
        self._give(start, Left(was), at)
        self._give(end, Came(became, tuple(facts)), at)
        for fact in facts:
            self.told[fact.id] = fact

    # -- facts ---------------------------------------------------------------------------------

    def _live(self, who: str) -> list[Fact]:
        """Return what stands of a person, in order of receipt."""
        return [
            fact
            for fact in self.told.values()
            if fact.who == who and fact.id not in self.retracted | self.replaced
        ]

    def _tell(self, row: Row, who: str, home: str) -> None:
        clock = row.received if row.observed is None else min(row.received, row.observed)
        if row.id in self.kept:
            clock = min(clock, self.kept[row.id][0])
        if row.supersedes in self.told:
            clock = min(clock, self.told[row.supersedes].clock)
        fact = Fact(
            row.id, row.type, who, row.time, row.received, clock, row.data,
            corrects=row.supersedes, rank=self.call(row.id, None),
        )  # fmt: skip
        self.told[row.id] = fact
        self._pass_time(home, row.received)
        early = row.id in self.retracted  # it was taken back before it came
        if not early and row.id not in self.replaced:
            self._passes(row, who)
        elsewhere = [household for household in self.ties.get(who, []) if household != home]
        copies = [(household, self._copy(fact, household)) for household in elsewhere]
        for household, told in ((home, fact), *copies):
            if early:
                self._give(household, TakenBack(told.id), row.received)
            self._give(household, Told(told), row.received)

    def _copy(self, fact: Fact, household: str) -> Fact:
        """Return the copy for a household that the person is only tied to.

        What is told of the past, because a tie came, is received with the tie and starts no clock
        before it.
        """
        corrects = None if fact.corrects is None else _copy_id(fact.corrects, household)
        copied, rank = _copy_id(fact.id, household), self.call(fact.id, household)
        return replace(fact, id=copied, tied=True, corrects=corrects, rank=rank)

    def _take_back(self, row: Row) -> None:
        fact = self.told.get(row.retracts or "")
        if fact is None:
            return
        who = self.name(fact.who)
        if fact.type in STATED:
            self._settle(who, row.received)
        home = self.homes.get(who, who)
        self._give(home, TakenBack(fact.id), row.received)
        for household in self.ties.get(who, []):
            self._give(household, TakenBack(_copy_id(fact.id, household)), row.received)

    def _passes(self, row: Row, who: str) -> None:
        found: dict[str, tuple[str, tuple[str, ...], str | None]] = {
            "case.acknowledged": ("acknowledged", (), None),
            "case.handled": ("handled", ("R01", "R02", "R03", "R10", "R12", "R18"), None),
            "case.closed": ("closed", (), None),
            "home.handled": ("handled", ("H01", "H02", "R17"), None),
        }
        if row.type == "visit.recorded" and row.data.get("seen") is True:
            self.desk.passed(who, "handled", (), None, row.received)
        elif row.type == "work.done" and row.data.get("good") is True:
            self.desk.passed(who, "closed", ("R06", "R16"), row.data["task"], row.received)
        elif row.type in found:
            self.desk.passed(who, *found[row.type], row.received)

    # -- households ----------------------------------------------------------------------------

    def _give(self, household: str, record: Record, at: int) -> None:
        house = self.houses.setdefault(household, House(household))
        house.take(record, at)
        self._drain(house)

    def _pass_time(self, household: str, before: int) -> None:
        house = self.houses.setdefault(household, House(household))
        house.pass_time(before)
        self._drain(house)

    def _drain(self, house: House) -> None:
        """Hand what was concluded to the desk; what was handed over stays as the course."""
        for said in house.said[house.handed :]:
            self.desk.assessed(said)
        house.handed = len(house.said)

    def outcome(self, until: int) -> Outcome:
        """Let time run to the end and return what it has come to."""
        for name in sorted(self.houses):
            self._pass_time(name, until + 1)
        self.desk.end(until)
        return Outcome(
            sorted(self.desk.lines),
            _courses(self.houses),
            len(self.rows),
            self.duplicate,
            self.rejected,
            self.desk.counts(until),
            sorted(self.desk.pages),
        )


def run(
    rows: Sequence[Row], until: int, call: Callable[[str, str | None], str] | None = None
) -> Outcome:
    """Return what these rows must come to, in whatever order they stand."""
    model = Model() if call is None else Model(call)
    for row in sorted(rows, key=lambda row: row.received):
        model.take(row)
    return model.outcome(until)


def _stated(row: Row) -> str | None:
    """Return the household that a row states for its person, None when it states none."""
    if row.type not in STATED:
        return None
    name = "to_household" if row.type == "member.moved" else "household"
    found = row.data.get(name) or row.household
    return None if found is None else str(found)


def _copy_id(fact: str, household: str) -> str:
    return f"{fact} for {household}"


def _courses(houses: Mapping[str, House]) -> dict[str, list[Level]]:
    """Return the course of each subject's level, for each household that it lived in.

    Of one instant the last that was said counts.
    """
    last: dict[tuple[str, int], Level] = {}
    for house in houses.values():
        for said in house.said:
            reasons = frozenset((r.rule, r.key, r.level, r.held) for r in said.reasons)
            last[f"{said.who} in {house.name}", said.at] = (
                said.at,
                said.level,
                reasons,
                said.unknown,
            )
    return courses(last)


def courses(last: Mapping[tuple[str, int], Level]) -> dict[str, list[Level]]:
    """Return for each subject what changed, in order, beginning from nothing."""
    found: dict[str, list[Level]] = {}
    for (who, _), level in sorted(last.items(), key=lambda item: item[0]):
        course = found.setdefault(who, [])
        before = course[-1][1:] if course else (0, frozenset(), frozenset())
        if level[1:] != before:
            course.append(level)
    return found
