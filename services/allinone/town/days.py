"""An ordinary day of the town: what meters, schools, clinics, families and workers report.

Every rate is a share a day of one person or home; docs/town.md says where each comes from.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any, Final

from services.allinone.town.book import age, grid_code
from services.allinone.town.facts import Fact
from services.allinone.town.people import GRIDS, Household, Person, villages_of
from services.allinone.town.plan import Plan, chance, midnight, weighted
from services.allinone.town.school import lessons
from services.kernel.clock import DAY, HOUR, MINUTE

RATES: Final[dict[str, float]] = {
    "excused absence": 0.02,
    "unexplained absence": 0.0012,
    "parent calls": 0.34,
    "vitals": 1 / 14,
    "glucose with vitals": 0.4,
    "high pressure": 0.012,
    "critical glucose": 0.0012,
    "fall of an elder": 0.3 / 365,
    "injury in a fall": 0.1,
    "bill": 1.5 / 365,
    "large bill": 0.03,
    "hospital stay": 0.12 / 365,
    "medicine check": 1 / 30,
    "medicine missed": 0.02,
    "hazard at home": 0.25 / 365,
    "poverty clue": 0.02 / 365,
    "benefit": 0.08 / 365,
    "matter": 1.4,
    "wish": 0.25,
    "button pressed": 0.06 / 30,
    "visitor comes": 1 / 45,
    "nobody at home": 0.08,
}
_FOLLOW_UP_EVERY: Final = {"stable": 85, "basic": 28, "unstable": 13}
_CLASS: Final = {"stable": "stable", "basic": "basically_stable", "unstable": "unstable"}
_OLD: Final = 60

Sayings = Callable[[random.Random, date, Household, Person], Iterator[Fact]]


def ordinary(plan: Plan, day: date, households: Iterable[Household]) -> Iterator[Fact]:
    """Yield the facts of one day, in no order of time."""
    pick = plan.draw("day", day)
    school = lessons(day)
    for household in households:
        if household.quiet and household.quiet[0] <= day <= household.quiet[1]:
            continue
        yield from _home(pick, day, household)
        for person in household.members:
            if person.pupil and school:
                yield from _at_school(pick, day, household, person)
            for say in _SAYINGS.get(person.kind, ()):
                yield from say(pick, day, household, person)
    yield from _places(plan, pick, day)


def first_words(plan: Plan, household: Household) -> Iterator[Fact]:
    """Yield what is known of a household from the first day on: it arms the rules of absence."""
    at = midnight(plan.first) + 6 * HOUR
    pick = plan.draw("first", household.id)
    home = household.id
    for person in household.members:
        if person.pupil:
            grade = min(9, max(1, age(person, plan.last) - 5))
            enrolled = {"status": "in", "school": "合成小学", "grade": grade}
            yield Fact(at, "education.enrolment_changed", enrolled, person.id, home)
        if person.apart:
            away = {"parent": "both", "both_away": True, "written_notice": chance(pick, 0.8)}
            yield Fact(at, "child.parent_left", away, person.id, home)
            yield _call(pick, at + HOUR, household, person)
        if person.smi:
            yield _assessed(pick, plan.first, household, person)
        if person.grade:
            held = {"kind": "physical", "grade": person.grade, "allowance": True}
            yield Fact(at, "disability.certified", held, person.id, home)
        if person.kind == "elder" and age(person, plan.last) >= _OLD:
            yield from _pensioner(plan, pick, household, person)
    if household.meter:
        yield from _devices(plan.first, household)


def _pensioner(
    plan: Plan, pick: random.Random, household: Household, person: Person
) -> Iterator[Fact]:
    """Yield the newest certification: some time in the 300 days before the history began."""
    day = plan.first - timedelta(days=pick.randint(1, 300))
    while day + timedelta(days=330) < plan.last:  # certified again in time, every year
        yield _certified(midnight(day) + 10 * HOUR, household, person)
        day += timedelta(days=pick.randint(300, 325))
    yield _certified(midnight(day) + 10 * HOUR, household, person)


def _certified(at: int, household: Household, person: Person) -> Fact:
    said = {"status": "certified", "method": "face"}
    return Fact(at, "pension.certification", said, person.id, household.id)


# -- homes ---------------------------------------------------------------------------------------


def _home(pick: random.Random, day: date, household: Household) -> Iterator[Fact]:
    at, head = midnight(day), household.members[0]
    if household.meter:
        yield from _devices(day, household)
        yield from readings(pick, day, household)
        if chance(pick, RATES["button pressed"]):
            pressed = at + pick.randrange(7 * 60, 22 * 60) * MINUTE
            yield from pressed_by_mistake(pressed, household)
    if chance(pick, RATES["hazard at home"]):
        yield from _hazard(pick, at, household, head)
    if chance(pick, RATES["poverty clue"]):
        clue = {"category": pick.choice(["unstable", "marginal", "sudden"]), "channel": "worker"}
        opened = at + pick.randrange(9, 17) * HOUR
        settled = opened + pick.randint(3, 9) * DAY
        yield Fact(opened, "economy.clue", {"status": "opened", **clue}, household=household.id)
        yield Fact(settled, "economy.clue", {"status": "decided", **clue}, household=household.id)
    if chance(pick, RATES["visitor comes"]):
        yield from _visit(pick, at, household, head)


def _devices(day: date, household: Household) -> Iterator[Fact]:
    at = midnight(day) + 15 * MINUTE
    for kind in ("water_meter", "power_meter", "sos"):
        said = {"device": f"{household.id}-{kind}", "kind": kind, "alive": True}
        yield Fact(at, "device.status", said, household=household.id)


def readings(
    pick: random.Random, day: date, household: Household, hours: Sequence[int] = (6, 12, 18, 24)
) -> Iterator[Fact]:
    """Yield a day's meter readings, each of the six hours before it; water comes by night, too."""
    at = midnight(day)
    for hour in hours:
        used = pick.uniform(0.004, 0.02) if hour == hours[0] else pick.uniform(0.018, 0.06)
        yield reading(at + hour * HOUR, household, used, 6)
    power = {"kind": "electricity", "hours": 24, "quantity_kwh": round(pick.uniform(1.2, 4), 2)}
    yield Fact(
        at + 24 * HOUR, "utility.reading", {**power, "meter_ok": True}, household=household.id
    )


def reading(at: int, household: Household, used_m3: float, hours: int) -> Fact:
    """Return a reading of the water meter for the hours that end at `at`."""
    said = {"kind": "water", "hours": hours, "quantity_m3": round(used_m3, 4), "meter_ok": True}
    return Fact(at, "utility.reading", said, household=household.id)


def pressed_by_mistake(at: int, household: Household) -> Iterator[Fact]:
    """Yield a call for help that is taken back within two minutes: a false alarm."""
    said = {"device": f"{household.id}-sos", "kind": "sos"}
    yield Fact(at, "device.alarm", {**said, "state": "raised"}, household=household.id)
    yield Fact(
        at + 2 * MINUTE, "device.alarm", {**said, "state": "cancelled"}, household=household.id
    )


def _hazard(pick: random.Random, at: int, household: Household, head: Person) -> Iterator[Fact]:
    """Yield a hazard seen at a visit, and its removal within days."""
    seen = at + pick.randrange(9, 17) * HOUR
    name = f"{household.id}/hazard/{seen // MINUTE}"
    said = {
        "hazard": name,
        "kind": pick.choice(["gas", "electrical", "fire_escape", "hygiene"]),
        "severity": weighted(pick, [(1, 75), (2, 25)]),
    }
    yield Fact(seen, "home.hazard", {**said, "removed": False}, household=household.id, name=name)
    gone = pick.randint(1, 6) * DAY
    yield Fact(
        seen, "home.hazard", {**said, "removed": True}, household=household.id, late=gone,
        instead=name,
    )  # fmt: skip
    yield seen_at_home(pick, seen + 5 * MINUTE, household, head)


def _visit(pick: random.Random, at: int, household: Household, head: Person) -> Iterator[Fact]:
    when = at + pick.randrange(9 * 60, 17 * 60) * MINUTE
    if chance(pick, RATES["nobody at home"]):
        reason = {"reason": "no_answer", "all_tried": False}
        yield Fact(when, "visit.failed", reason, head.id, household.id)
        when += 2 * DAY
    yield seen_at_home(pick, when, household, head)


def seen_at_home(pick: random.Random, at: int, household: Household, person: Person) -> Fact:
    """Return a visit at home that found the person."""
    said: dict[str, Any] = {"mode": "home", "person_seen": "self"}
    if chance(pick, 0.7):
        said |= {"self_rated_health": pick.randint(2, 5), "food_7_days": True}
    return Fact(at, "visit.recorded", said, person.id, household.id)


# -- people --------------------------------------------------------------------------------------


def _at_school(
    pick: random.Random, day: date, household: Household, child: Person
) -> Iterator[Fact]:
    at = midnight(day) + 8 * HOUR + pick.randrange(25) * MINUTE
    if chance(pick, RATES["unexplained absence"]):
        yield attended(at, household, child, 6, excused=False)
        reached = at + pick.randint(70, 200) * MINUTE
        said = {"reached": True, "reason": "病假未请"}
        yield Fact(reached, "education.home_contacted", said, child.id, household.id)
    elif chance(pick, RATES["excused absence"]):
        yield attended(at, household, child, 6, excused=True)
    else:
        yield attended(at, household, child, 0)


def attended(
    at: int, household: Household, child: Person, absent: int, *, excused: bool | None = None
) -> Fact:
    """Return the school's entry of a day: how many lessons the child was away."""
    said: dict[str, Any] = {"sessions_absent": absent}
    if excused is not None:
        said["excused"] = excused
    return Fact(at, "education.attendance", said, child.id, household.id)


def _child(pick: random.Random, day: date, household: Household, child: Person) -> Iterator[Fact]:
    at = midnight(day)
    if child.apart and chance(pick, RATES["parent calls"]):
        yield _call(pick, at + pick.randrange(18 * 60, 21 * 60) * MINUTE, household, child)


def _call(pick: random.Random, at: int, household: Household, child: Person) -> Fact:
    mode = weighted(pick, [("call", 45), ("video", 53), ("visit", 2)])
    said = {"mode": mode, "parent": pick.choice(["father", "mother"])}
    return Fact(at, "child.parent_contact", said, child.id, household.id)


def _elder(pick: random.Random, day: date, household: Household, elder: Person) -> Iterator[Fact]:
    at = midnight(day)
    if elder.chronic and chance(pick, RATES["vitals"]):
        yield from _measured(pick, at, household, elder)
    if chance(pick, RATES["fall of an elder"] * (0.4 + 1.6 * elder.frailty)):
        yield from _fell(pick, at, household, elder)
    yield from _patient(pick, at, household, elder, 1 + elder.frailty)


def _measured(pick: random.Random, at: int, household: Household, elder: Person) -> Iterator[Fact]:
    """Yield a measurement; a high one is repeated and mostly was excitement."""
    when = at + pick.randrange(8 * 60, 11 * 60) * MINUTE
    high = chance(pick, RATES["high pressure"])
    systolic = pick.randint(180, 196) if high else round(min(172, pick.gauss(138, 12)))
    said: dict[str, Any] = {"systolic": systolic, "diastolic": round(systolic * 0.57) - 2}
    said["measured"] = "pressure"
    if high:
        said |= {"repeat_no": 1, "danger_sign": "none"}
    if chance(pick, RATES["glucose with vitals"]):
        critical = chance(pick, RATES["critical glucose"])
        said["measured"] = "pressure_and_glucose"
        said["glucose"] = 3.6 if critical else round(min(14, max(4.3, pick.gauss(6.8, 1.2))), 1)
        if critical:
            yield seen_at_home(pick, when + pick.randint(25, 55) * MINUTE, household, elder)
    yield Fact(when, "health.vitals", said, elder.id, household.id)
    if high:
        again = {"systolic": systolic - 22, "diastolic": 88, "repeat_no": 2, "danger_sign": "none"}
        again["measured"] = "pressure"
        yield Fact(when + 6 * MINUTE, "health.vitals", again, elder.id, household.id)


def _fell(pick: random.Random, at: int, household: Household, elder: Person) -> Iterator[Fact]:
    when = at + pick.randrange(6 * 60, 22 * 60) * MINUTE
    hurt = chance(pick, RATES["injury in a fall"])
    said = {"kind": "fall", "injury": 2 if hurt else 0, "on_floor_min": pick.randint(1, 20)}
    yield Fact(when, "elder.care_risk_event", said, elder.id, household.id)
    if hurt:
        came = weighted(pick, [((18, 55), 90), ((62, 110), 10)])
        yield seen_at_home(pick, when + pick.randint(*came) * MINUTE, household, elder)


def _patient(
    pick: random.Random, at: int, household: Household, person: Person, need: float
) -> Iterator[Fact]:
    """Yield bills and stays in hospital; who lives alone is seen after the discharge."""
    if chance(pick, RATES["bill"] * need):
        large = chance(pick, RATES["large bill"])
        own = pick.randint(400_000, 900_000) if large else pick.randint(2_000, 90_000)
        said = {"amount_self": own, "amount_total": own * 3, "after_triple_insurance": True}
        yield Fact(at + 15 * HOUR, "health.medical_bill", said, person.id, household.id)
    if chance(pick, RATES["hospital stay"] * need):
        came = at + pick.randrange(8, 20) * HOUR
        left = came + pick.randint(3, 12) * DAY
        stay = {"status": "admitted", "carer_left_at_home": True}
        yield Fact(came, "health.hospital_stay", stay, person.id, household.id)
        yield Fact(left, "health.hospital_stay", {"status": "discharged"}, person.id, household.id)
        yield seen_at_home(pick, left + 30 * HOUR, household, person)


def _adult(pick: random.Random, day: date, household: Household, adult: Person) -> Iterator[Fact]:
    at = midnight(day)
    if adult.smi:
        every = _FOLLOW_UP_EVERY[adult.smi]
        if (day.toordinal() + _turn(adult)) % every == 0:
            yield _assessed(pick, day, household, adult)
        if chance(pick, RATES["medicine check"]):
            missed = chance(pick, RATES["medicine missed"])
            said = {"taken": not missed, "stopped_days": 2 if missed else 0}
            yield Fact(at + 16 * HOUR, "smi.medication", said, adult.id, household.id)
    yield from _patient(pick, at, household, adult, 0.5)
    if "minimum_living" in adult.categories and chance(pick, RATES["benefit"]):
        aid = {"scheme": "minimum_living", "status": "adjusted", "reason": "review"}
        yield Fact(at + 9 * HOUR, "economy.benefit_changed", aid, adult.id, household.id)


def _turn(person: Person) -> int:
    """Return a number of the person's own that spreads what is regular over the days."""
    return person.birth.toordinal()


def _assessed(pick: random.Random, day: date, household: Household, patient: Person) -> Fact:
    level = {"stable": 0, "basic": 1, "unstable": 2}[patient.smi or "stable"]
    said: dict[str, Any] = {
        "level": level,
        "class": _CLASS[patient.smi or "stable"],
        "insight": "full" if level == 0 else "partial",
        "symptoms": "gone" if level == 0 else "some",
        "function": "fair",
        "locked_up": False,
    }
    at = midnight(day) + pick.randrange(9 * 60, 17 * 60) * MINUTE
    return Fact(at, "smi.danger_assessed", said, patient.id, household.id)


_SAYINGS: Final[dict[str, tuple[Sayings, ...]]] = {
    "child": (_child,),
    "adult": (_adult,),
    "elder": (_elder,),
}


# -- places --------------------------------------------------------------------------------------


def _places(plan: Plan, pick: random.Random, day: date) -> Iterator[Fact]:
    """Yield what residents report of the places they live in, and what becomes of it."""
    at = midnight(day)
    for village in range(villages_of(plan)):
        for _ in range(_often(pick, RATES["matter"])):
            yield from _matter(pick, at, grid_code(village, pick.randrange(GRIDS)))
        for _ in range(_often(pick, RATES["wish"])):
            place = grid_code(village, pick.randrange(GRIDS))
            asked = at + pick.randrange(8 * 60, 18 * 60) * MINUTE
            item = pick.choice(["meals", "cleaning", "repair", "transport", "companion"])
            said = {"need": f"need/{place}/{asked // MINUTE}", "item": item, "paid": "free"}
            yield Fact(asked, "need.requested", said, place=place)


def _often(pick: random.Random, rate: float) -> int:
    """Return how often something of that mean rate happens today."""
    return int(rate) + chance(pick, rate % 1)


def _matter(pick: random.Random, at: int, place: str) -> Iterator[Fact]:
    told = at + pick.randrange(7 * 60, 19 * 60) * MINUTE
    kind = pick.choice(["noise", "parking", "neighbour_dispute", "rubbish", "road_damage"])
    name = f"matter/{place}/{told // MINUTE}/{pick.randrange(1000)}"
    said = {"matter": name, "tier": 2, "kind": kind, "urgent": False, "photo": "合成照片"}
    yield Fact(told, "matter.reported", said, place=place)
    answered = told + pick.randint(20, 200) * MINUTE
    yield progressed(answered, place, name, "accepted")
    yield progressed(answered + pick.randint(2, 30) * HOUR, place, name, "done")


def progressed(at: int, place: str, matter: str, step: str) -> Fact:
    """Return that a matter moved on."""
    return Fact(at, "matter.progressed", {"matter": matter, "step": step}, place=place)
