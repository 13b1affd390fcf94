"""The book of the town: areas, grids, staff, rosters, households, people, ties."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, Final, NamedTuple

from services.allinone.town.facts import Fact
from services.allinone.town.people import CATEGORIES, GRIDS, MARK, Household, Person, villages_of
from services.allinone.town.plan import Plan, chance, midnight
from services.kernel.clock import HOUR, SECOND, rfc3339

TOWNSHIP: Final = "990000001"
"""No province has the number 99."""
PHONE: Final = "000-0000-{:05d}"
KEY_HOLDER: Final = "测试-钥匙在隔壁邻居处（合成）"
"""No Chinese number begins so."""
_NO_BIRTH: Final = 0.012
_NO_GRID: Final = 0.015
"""Shares of files with a hole in them; OWN."""


class Worker(NamedTuple):
    """A made-up member of staff: the place whose staff it is, its roles, and its turns of duty.

    turns: role and the hours of the day it is held, (0, 24) for always.
    """

    id: str
    name: str
    area: str
    roles: tuple[str, ...]
    turns: tuple[tuple[str, int, int], ...] = ()


def village_code(village: int) -> str:
    """Return the area code of a village, twelve digits as the statistics bureau writes them."""
    return f"{TOWNSHIP}{201 + village:03d}"


def grid_code(village: int, grid: int) -> str:
    """Return the code of a grid."""
    return f"{village_code(village)}-{grid + 1:02d}"


def staff(plan: Plan) -> Iterator[Worker]:
    """Yield everybody who works for the town."""
    for number, (name, role, start, end) in enumerate(
        [
            ("值班甲", "duty", 8, 20), ("值班乙", "duty", 20, 8),
            ("备班甲", "second_duty", 8, 20), ("备班乙", "second_duty", 20, 8),
            ("站长", "station_head", 0, 24), ("镇值班室", "township_duty", 0, 24),
            ("县热线", "county_hotline", 0, 24),
        ],
        1,
    ):  # fmt: skip
        yield Worker(f"syn-staff-{number}", MARK + name, TOWNSHIP, (role,), ((role, start, end),))
    yield Worker("syn-staff-8", f"{MARK}精防医生", TOWNSHIP, ("mental_health_doctor",))
    yield Worker("syn-staff-9", f"{MARK}运维", TOWNSHIP, ("ops",))
    for village in range(villages_of(plan)):
        yield Worker(
            f"syn-staff-v{village + 1}",
            f"{MARK}{village + 1}村儿童主任",
            village_code(village),
            ("child_director", "social_worker"),
        )
        for grid in range(GRIDS):
            yield Worker(
                f"syn-staff-g{village + 1}-{grid + 1}",
                f"{MARK}{village + 1}村{grid + 1}格网格员",
                grid_code(village, grid),
                ("grid_worker",),
            )


def place_names(plan: Plan) -> dict[str, str]:
    """Return what every area is called, by its code."""
    return {str(fact.place): fact.data["name"] for fact in _areas(plan)}


def _areas(plan: Plan) -> Iterator[Fact]:
    at = midnight(plan.first)
    yield _place(at, TOWNSHIP, "registry.area", {"name": "合成镇", "kind": "township"})
    for village in range(villages_of(plan)):
        code = village_code(village)
        entry = {"name": f"合成{village + 1}村", "kind": "village", "parent": TOWNSHIP}
        yield _place(at, code, "registry.area", entry)
        for grid in range(GRIDS):
            entry = {"name": f"合成{village + 1}村第{grid + 1}格", "kind": "grid", "parent": code}
            yield _place(at, grid_code(village, grid), "registry.area", entry)


def places(plan: Plan) -> Iterator[Fact]:
    """Yield the entries of areas, staff and rosters, as of the first day."""
    at = midnight(plan.first)
    yield from _areas(plan)
    for number, worker in enumerate(staff(plan)):
        said: dict[str, Any] = {
            "staff": worker.id,
            "name": worker.name,
            "roles": list(worker.roles),
            "contact": PHONE.format(number),
            "from": plan.first.isoformat(),
        }
        yield _place(at, worker.area, "registry.staff", said)
        for role, start, end in worker.turns:
            yield from _turns(plan, worker, role, start, end)


def _turns(plan: Plan, worker: Worker, role: str, start: int, end: int) -> Iterator[Fact]:
    """Yield an open turn, or those of the last days and one long one before them."""
    at = midnight(plan.first)
    said: dict[str, Any] = {"role": role, "staff": worker.id}
    if (start, end) == (0, 24):
        yield _place(at, worker.area, "registry.duty", {**said, "from": rfc3339(at)})
        return
    hours = end - start if end > start else end + 24 - start
    rostered = plan.calendar()[-ROSTER_DAYS:]
    if start < end:
        before = {**said, "from": rfc3339(at), "to": rfc3339(midnight(rostered[0]) + start * HOUR)}
        yield _place(at, worker.area, "registry.duty", before)
    for day in rostered:
        since = midnight(day) + start * HOUR
        turn = {**said, "from": rfc3339(since), "to": rfc3339(since + hours * HOUR)}
        yield _place(at, worker.area, "registry.duty", turn)


ROSTER_DAYS: Final = 35
"""Days up to the present one whose turns are entered one by one; a card holds them all."""


def entries(plan: Plan, number: int, household: Household) -> Iterator[Fact]:
    """Yield the file of one household, its people and their ties, some with a hole in it."""
    pick = plan.draw("file", household.id)
    at = midnight(plan.first) + HOUR + number * SECOND // 2
    village, grid = village_code(household.village), grid_code(household.village, household.grid)
    found = sorted({one for person in household.members for one in person.categories})
    said: dict[str, Any] = {
        "name": f"{household.members[0].name}家",
        "address": f"合成{household.village + 1}村第{household.grid + 1}格{number}号（合成）",
        "area": village,
        "phone": PHONE.format(number % 100_000),
        "categories": found,
    }
    if any(person.alone for person in household.members):
        said["key_holder"] = KEY_HOLDER
    if not chance(pick, _NO_GRID):
        said["grid"] = grid
    yield Fact(at, "registry.household", said, household=household.id)
    for person in household.members:
        data = _person(person, hole=chance(pick, _NO_BIRTH))
        yield Fact(at, "registry.person", data, person=person.id, household=household.id)
        for home, role in person.ties:
            tie = {"household": home, "role": role, "from": plan.first.isoformat()}
            yield Fact(at, "registry.tie", tie, person=person.id, household=household.id)


def _person(person: Person, *, hole: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": person.name,
        "sex": person.sex,
        "kind": person.kind,
        "relation": person.relation,
        "lives_alone": person.alone,
        "categories": list(person.categories),
    }
    if not hole:
        found["birth_date"] = person.birth.isoformat()
    if person.grade:
        found["disability_grade"] = person.grade
    if person.pupil:
        found["school"] = "合成小学"
    return found


def _place(at: int, place: str, kind: str, data: dict[str, Any]) -> Fact:
    return Fact(at, kind, data, place=place)


def counted(households: Iterable[Household]) -> dict[str, int]:
    """Return how many people of each of the sixteen categories there are."""
    found = dict.fromkeys(CATEGORIES, 0)
    for household in households:
        for person in household.members:
            for category in person.categories:
                found[category] += 1
    return found


def age(person: Person, day: date) -> int:
    """Return the whole years of a person on a day."""
    born = person.birth
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))
