"""The rules of the generated pack a second time, in plain Python, from docs/semantics.md alone.

Nothing here is clever: every truth is decided from all facts at every instant that could matter.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import product
from typing import Final, NamedTuple

from tests.generated.naive.facts import (
    DAY,
    HOUR,
    Fact,
    Look,
    Truth,
    at_least,
    both,
    end_of,
    known,
    local,
    midnight,
    moment,
    no,
    profile,
    reaches,
    same,
    within,
)


class Answer(NamedTuple):
    """A truth, and when what armed it had been received and was due (0 where nothing arms)."""

    truth: Truth
    armed: int = 0


Decide = Callable[[Look, str], Answer]


class Rule(NamedTuple):
    """One rule. own, home: types it reads of its subject, of the household; around: of others."""

    id: str
    level: int
    decide: Decide
    own: tuple[str, ...] = ()
    home: tuple[str, ...] = ()
    around: tuple[str, ...] = ()
    household: bool = False
    keys: Callable[[Fact], str | None] | None = None
    armed_by: str = ""
    at_once: bool = False
    lifted_by: str = ""


def plain(truth: Callable[[Look], Truth]) -> Decide:
    return lambda look, _: Answer(truth(look))


# -- counting --------------------------------------------------------------------------------------


def r01(look: Look) -> Truth:
    facts = known(look.own, "health.vitals", look.now, DAY)
    return at_least((reaches(f.says("systolic"), 180) for f in facts), 1)


def r02(look: Look) -> Truth:
    falls = known(look.own, "care.fall", look.now, 3 * DAY)
    false_alarms = known(look.own, "device.false_alarm", look.now, 3 * DAY)
    hurt = at_least((reaches(f.says("injury"), 2) for f in falls), 1)
    return both(hurt, not false_alarms)


def r03(look: Look) -> Truth:
    low = high = 0
    sure = True
    for fact in reversed(known(look.own, "school.attendance", look.now)):
        absent = both(no(fact.says("present")), no(same(fact.says("excused"), True)))
        if absent is False:
            break
        sure = sure and absent is True
        low, high = low + sure, high + 1
    return within(low, high, lambda n: n >= 3)


def r09(look: Look) -> Truth:
    facts = known(look.own, "income.told", look.now, 30 * DAY)
    if not facts:
        return None
    first, last = facts[0].says("amount"), facts[-1].says("amount")
    return None if first is None or last is None else last - first <= -100_000


def _glucose(look: Look, window: int) -> list[tuple[float, float]]:
    """Return between which bounds each measured value lies; the field allows 0.5 to 60."""
    values = [f.says("glucose") for f in known(look.own, "health.vitals", look.now, window)]
    return [(0.5, 60.0) if value is None else (value, value) for value in values]


def r10(look: Look) -> Truth:
    found = _glucose(look, 2 * DAY)
    if not found:
        return None
    return within(max(a for a, _ in found), max(b for _, b in found), lambda v: v >= 16.7)


def r18(look: Look) -> Truth:
    found = _glucose(look, DAY)
    if not found:
        return None
    return within(min(a for a, _ in found), min(b for _, b in found), lambda v: v <= 3.9)


def r11(look: Look) -> Truth:
    values = [f.says("quantity") for f in known(look.home, "meter.reading", look.now, DAY)]
    low = sum(0 if value is None else value for value in values)
    high = sum(10_000 if value is None else value for value in values)
    return both(bool(values), within(low, high, lambda total: total <= 5))


def r13(look: Look) -> Truth:
    elder = same(profile(look.own, "kind", look.now), "elder")
    if elder is False:
        return False
    visits = known(look.own, "visit.recorded", look.now)
    long_ago = None if not visits else look.now - visits[-1].occurred > 5 * DAY
    return both(elder, long_ago)


def r14(look: Look) -> Truth:
    ends = [f.says("until") for f in known(look.own, "leave.taken", look.now)]
    away = at_least((None if end is None else look.now < end_of(end) for end in ends), 1)
    born = profile(look.own, "birth_date", look.now)
    return both(away, None if born is None else _age(born, look.now) >= 70)


def _age(born: str, now: int) -> int:
    birth, today = dt.date.fromisoformat(born), local(now).date()
    had = (today.month, today.day) >= (birth.month, birth.day)
    return today.year - birth.year - (not had)


def r15(look: Look) -> Truth:
    if not VALID_15[0] <= look.now < VALID_15[1]:
        return False
    hazards = known(look.home, "home.hazard", look.now, 10 * DAY)
    return at_least((f.says("severity") >= 2 for f in hazards), 1)


def r17(look: Look) -> Truth:
    hazards = known(look.home, "home.hazard", look.now)
    return reaches(hazards[-1].says("severity"), 3) if hazards else None


def r19(look: Look) -> Truth:
    modes = [f.says("mode") for f in known(look.own, "parent.contact", look.now, 10 * DAY)]
    calls = at_least((None if m is None else m in ("call", "video") for m in modes), 2)
    return both(calls, no(at_least((same(m, "visit") for m in modes), 1)))


def h01(look: Look) -> Truth:
    def high(facts: list[Fact]) -> Truth:
        found = known(facts, "health.vitals", look.now, 7 * DAY)
        return at_least((reaches(f.says("systolic"), 160) for f in found), 3)

    return at_least(map(high, look.members), 1)


def h02(look: Look) -> Truth:
    fell = [bool(known(facts, "care.fall", look.now, 3 * DAY)) for facts in look.members]
    return sum(fell) >= 2


def h03(look: Look) -> Truth:
    falls = [f for facts in look.tied for f in known(facts, "care.fall", look.now, 3 * DAY)]
    return at_least((reaches(f.says("injury"), 2) for f in falls), 1)


# -- absence ---------------------------------------------------------------------------------------


def _absent(
    look: Look, arms: list[tuple[Fact, bool]], contacts: list[Fact], due: Callable[[int], int]
) -> Answer:
    """Return the truth where every arming fact is known to arm or not."""
    run: list[Fact] = []
    for fact, armed in reversed(arms):
        if not armed:
            break
        run.append(fact)
    if not run:
        return Answer(False)
    start = max([run[-1].occurred, *[fact.occurred for fact in contacts]])
    return Answer(look.now >= due(start), max(due(start), min(fact.received for fact in run)))


def r04(look: Look, _: str) -> Answer:
    arms = known(look.own, "contact.expected", look.now)
    contacts = known(look.own, "parent.contact", look.now)
    unclear = [fact for fact in arms if fact.says("weekly") is None]
    answers = []
    for guess in product([True, False], repeat=len(unclear)):  # every way it could have been
        meant = dict(zip([fact.id for fact in unclear], guess, strict=True))
        told = [(fact, meant.get(fact.id, fact.says("weekly"))) for fact in arms]
        answers.append(_absent(look, told, contacts, lambda s: s + 7 * DAY))
    truths = {answer.truth for answer in answers}
    return answers[0] if len(truths) == 1 else Answer(None)


def r05(look: Look, _: str) -> Answer:
    told = [(f, f.says("attends")) for f in known(look.own, "school.enrolled", look.now)]
    seen = known(look.own, "school.attendance", look.now)
    return _absent(look, told, seen, two_school_days_after)


def school_open(day: dt.date) -> bool:
    """Return whether the school is open on a local day."""
    if day == dt.date(2026, 10, 31):
        return True
    holidays = (dt.date(2026, 10, 26), dt.date(2026, 10, 27))
    term = dt.date(2026, 10, 5) <= day <= dt.date(2026, 11, 27)
    return term and day.isoweekday() <= 5 and day not in holidays


@cache
def two_school_days_after(start: int) -> int:
    """Return the first instant at which the school had been open for two days since, or never."""
    left = 2 * DAY
    for day, first, last in _days(start, start + 90 * DAY):
        if school_open(day):
            begin = max(first, start)
            if begin + left <= last:
                return begin + left
            left -= last - begin
    return NEVER


def _days(start: int, end: int) -> Iterator[tuple[dt.date, int, int]]:
    day = local(start).date()
    while midnight(day) < end:
        following = day + dt.timedelta(days=1)
        yield day, midnight(day), midnight(following)
        day = following


# -- expectations ----------------------------------------------------------------------------------


def expected(
    armed_by: str,
    due: Callable[[Fact], int | None],
    by: str,
    *,
    key: Callable[[Fact], str | None] | None = None,
    where: Callable[[Fact], Truth] = lambda _: True,
    back: int | None = None,
    valid_from: int = 0,
) -> Decide:
    """Return the decision of an expectation: the newest arming fact of the key counts."""

    def decide(look: Look, wanted: str) -> Answer:
        def mine(facts: Sequence[Fact]) -> list[Fact]:
            return [f for f in facts if key is None or key(f) == wanted]

        arms = mine(known(look.own, armed_by, look.now))
        if not arms or look.now < valid_from:
            return Answer(False)
        armed = arms[-1]
        earliest = None if back is None else armed.occurred - back
        came = [
            where(f)
            for f in mine(known(look.own, by, look.now))
            if earliest is None or f.occurred >= earliest
        ]
        met, deadline = at_least(came, 1), due(armed)
        late = None if deadline is None else look.now >= deadline
        return Answer(both(late, no(met)), max(armed.received, deadline or 0))

    return decide


def _time(fact: Fact, name: str) -> int | None:
    value = fact.says(name)
    return None if value is None else moment(value)


def _date(fact: Fact, name: str) -> int | None:
    value = fact.says(name)
    return None if value is None else end_of(value)


def _task(fact: Fact) -> str:
    return str(fact.says("task"))


def _day(fact: Fact) -> str:
    return local(fact.occurred).date().isoformat()


def _evening(fact: Fact) -> int:
    return midnight(local(fact.occurred).date(), 20)


NEVER: Final = 1 << 60
VALID_15: Final = (midnight(dt.date(2026, 10, 15)), midnight(dt.date(2026, 11, 10)))
VALID_16: Final = midnight(dt.date(2026, 10, 10))

RULES: Final[tuple[Rule, ...]] = (
    Rule("R01", 3, plain(r01), ("health.vitals",)),
    Rule("R02", 3, plain(r02), ("care.fall", "device.false_alarm"), lifted_by="device.false_alarm"),
    Rule("R03", 2, plain(r03), ("school.attendance",)),
    Rule("R04", 1, r04, ("contact.expected", "parent.contact")),
    Rule("R05", 2, r05, ("school.enrolled", "school.attendance")),
    Rule(
        "R06", 1,
        expected(
            "work.assigned", lambda f: _time(f, "deadline"), "work.done", key=_task,
            where=lambda f: same(f.says("good"), True),
        ),
        ("work.assigned", "work.done"), keys=_task, armed_by="work.assigned", at_once=True,
    ),
    Rule(
        "R07", 2,
        expected("medication.planned", _evening, "medication.taken", key=_day, back=3 * HOUR),
        ("medication.planned", "medication.taken"), keys=_day, armed_by="medication.planned",
    ),
    Rule(
        "R08", 2,
        expected(
            "visit.promised", lambda f: f.occurred + 3 * DAY, "visit.recorded",
            where=lambda f: same(f.says("seen"), True), back=DAY,
        ),
        ("visit.promised", "visit.recorded"), armed_by="visit.promised",
    ),
    Rule("R09", 1, plain(r09), ("income.told",)),
    Rule("R10", 2, plain(r10), ("health.vitals",)),
    Rule("R11", 2, plain(r11), ("meter.reading",), household=True),
    Rule(
        "R12", 3,
        expected("rollcall.called", lambda f: _time(f, "answer_by"), "rollcall.answered", back=0),
        ("rollcall.called", "rollcall.answered"), armed_by="rollcall.called",
    ),
    Rule("R13", 1, plain(r13), ("visit.recorded", "registry.person")),
    Rule("R14", 1, plain(r14), ("leave.taken", "registry.person")),
    Rule("R15", 2, plain(r15), home=("home.hazard",)),
    Rule(
        "R16", 1,
        expected(
            "work.assigned", lambda f: _date(f, "due_on"), "work.done", key=_task,
            valid_from=VALID_16,
        ),
        ("work.assigned", "work.done"), keys=_task, armed_by="work.assigned",
    ),
    Rule("R17", 2, plain(r17), ("home.hazard",), household=True, at_once=True),
    Rule("R18", 3, plain(r18), ("health.vitals",)),
    Rule("R19", 1, plain(r19), ("parent.contact",)),
    Rule("H01", 1, plain(h01), around=("health.vitals",), household=True),
    Rule("H02", 2, plain(h02), around=("care.fall",), household=True),
    Rule("H03", 2, plain(h03), around=("care.fall",), household=True),
)  # fmt: skip


def instants(facts: Sequence[Fact]) -> set[int]:
    """Return every instant at which time alone could change an answer about these facts."""
    found = {*VALID_15, VALID_16}
    for fact in facts:
        found.add(fact.occurred)
        for length in (DAY, 2 * DAY, 3 * DAY, 5 * DAY, 7 * DAY, 10 * DAY, 30 * DAY):
            found |= {fact.occurred + length, fact.occurred + length + 1}
        if fact.type == "medication.planned":
            found.add(_evening(fact))
        for name in ("deadline", "answer_by"):
            found.add(_time(fact, name) or 0)
        for name in ("due_on", "until"):
            found.add(_date(fact, name) or 0)
        if fact.says("birth_date"):
            found |= _birthdays(fact.says("birth_date"))
        if fact.type.startswith("school."):
            found.add(two_school_days_after(fact.occurred))
    return found


@cache
def _birthdays(born: str) -> set[int]:
    birth, found = dt.date.fromisoformat(born), set()
    for year in (2026, 2027):
        leap = (birth.month, birth.day) == (2, 29)
        day = dt.date(year, 3, 1) if leap else birth.replace(year=year)
        found.add(midnight(day))
    return found
