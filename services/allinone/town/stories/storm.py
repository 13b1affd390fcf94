"""A storm morning: 120 reports with a photo before half past eight, all settled by noon."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from services.allinone.town.book import grid_code
from services.allinone.town.days import progressed
from services.allinone.town.facts import Fact
from services.allinone.town.people import GRIDS
from services.allinone.town.plan import Plan, chance, midnight, weighted
from services.kernel.clock import MINUTE

REPORTS: Final = 120
"""S2: more than 120 damage reports by 08:30."""
BEGINS_MIN: Final = 5 * 60 + 40
CALM_MIN: Final = 8 * 60 + 28
NOON_MIN: Final = 11 * 60 + 55
PLACES: Final = 4
_EARLIER_DAYS: Final = 137
_DEPARTMENT: Final = {
    "fallen_tree": "园林", "loose_billboard": "城管", "damaged_shed": "物业", "flooding": "水务",
    "power_line": "供电", "roof_or_wall": "住建",
}  # fmt: skip
_KINDS: Final = [
    ("fallen_tree", 34), ("loose_billboard", 18), ("damaged_shed", 18), ("flooding", 12),
    ("power_line", 8), ("roof_or_wall", 10),
]  # fmt: skip
_DANGEROUS: Final = frozenset({"power_line", "roof_or_wall"})


def storms(plan: Plan) -> Iterator[tuple[date, list[Fact]]]:
    """Yield the days with a storm, the present one first, and what was reported on them."""
    for back in (0, _EARLIER_DAYS):
        day = plan.last - timedelta(days=back)
        if day >= plan.first:
            yield day, list(storm(plan, day))


def storm(plan: Plan, day: date) -> Iterator[Fact]:
    """Yield the reports of a storm morning and what became of each: accepted, then done."""
    pick = plan.draw("storm", day)
    village = pick.randrange(3)
    places = [grid_code(village, grid) for grid in pick.sample(range(GRIDS), PLACES)]
    shares = [(place, 8 - 2 * n) for n, place in enumerate(places)]
    at = midnight(day)
    for number in range(1, REPORTS + 1):
        place, kind = weighted(pick, shares), weighted(pick, _KINDS)
        told = BEGINS_MIN + round((CALM_MIN - BEGINS_MIN) * pick.betavariate(2.4, 2.0))
        name = f"storm/{day}/{number:03d}"
        said = {
            "matter": name,
            "tier": 1,
            "kind": kind,
            "urgent": kind in _DANGEROUS,
            "department": _DEPARTMENT[kind],
            "photo": f"合成照片-{number:03d}",
        }
        yield Fact(at + told * MINUTE, "matter.reported", said, place=place)
        seen = told + (pick.randint(4, 40) if kind in _DANGEROUS else pick.randint(8, 70))
        yield progressed(at + seen * MINUTE, place, name, "dispatched")
        soon = min(NOON_MIN, seen + 20) if kind in _DANGEROUS and chance(pick, 0.8) else NOON_MIN
        done = pick.randint(min(seen + 5, soon), soon)
        yield progressed(at + done * MINUTE, place, name, "done")
