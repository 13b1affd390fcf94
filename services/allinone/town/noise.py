"""Honest noise: facts that come late, twice, half empty, or wrong and corrected."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from services.allinone.town.facts import Fact
from services.allinone.town.plan import chance
from services.kernel.clock import DAY, HOUR, MINUTE

LATE: Final = 0.02
TWICE: Final = 0.006
HALF: Final = 0.03
WRONG: Final = 0.004
_MAY_MISS: Final[dict[str, str]] = {
    "health.vitals": "diastolic",
    "visit.recorded": "self_rated_health",
    "child.parent_contact": "parent",
    "health.medical_bill": "amount_total",
    "matter.reported": "photo",
    "smi.danger_assessed": "insight",
}
"""The optional field that people leave out, by type."""
_COMES_AT_ONCE: Final = frozenset({"device.alarm", "visit.recorded", "elder.care_risk_event"})


def noisy(pick: random.Random, fact: Fact) -> Iterator[tuple[Fact, int]]:
    """Yield the fact as it arrives, and how long after that it arrives once more (0: only once)."""
    missed = _MAY_MISS.get(fact.type)
    if missed in fact.data and chance(pick, HALF):
        fact = fact._replace(data={k: v for k, v in fact.data.items() if k != missed})
    if fact.late == 0:
        fact = fact._replace(late=_delay(pick, fact.type))
    again = pick.randint(2, 600) * MINUTE if chance(pick, TWICE) else 0
    yield fact, again
    if fact.type == "health.vitals" and not fact.name and chance(pick, WRONG):
        yield from _corrected(fact)


def _delay(pick: random.Random, kind: str) -> int:
    """Return how long a fact is on its way: seconds, or with an upload missed up to three days."""
    if kind in _COMES_AT_ONCE or not chance(pick, LATE):
        return pick.randint(5, 90) * 1_000_000
    return min(3 * DAY, round(HOUR * pick.lognormvariate(1.2, 1.0)))


def _corrected(fact: Fact) -> Iterator[tuple[Fact, int]]:
    """Yield a correction: the digits of the pulse were typed into nothing, so it is added."""
    data = {**fact.data, "pulse": 72}
    said = fact._replace(data=data, late=fact.late + 3 * HOUR, instead=fact.name)
    yield said, 0
