"""What a town is made of: the same plan gives the same bytes on every machine."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import Final, TypeVar

from services.kernel.clock import to_us

SOURCE: Final = "synthetic"
ZONE: Final = timezone(timedelta(hours=8))
LAST: Final = date(2026, 11, 23)
"""The town's present day unless told otherwise: a Monday in term."""
PEOPLE: Final = 2155
MOST_PEOPLE: Final = 100_000
FEWEST_PEOPLE: Final = 100
DAYS: Final = 365

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A town to make. `last` is its present day; history is the `days` before it."""

    people: int = PEOPLE
    seed: int = 7
    days: int = DAYS
    last: date = LAST

    @property
    def first(self) -> date:
        """Return the first day of the history."""
        return self.last - timedelta(days=self.days)

    def calendar(self) -> list[date]:
        """Return every day from the first of the history to the present one, in order."""
        return [self.first + timedelta(days=n) for n in range(self.days + 1)]

    def draw(self, *what: object) -> random.Random:
        """Return the dice of one thing: its draws depend on the seed and its name alone."""
        name = "/".join(map(str, (self.seed, *what)))
        return random.Random(name)  # noqa: S311 - a made-up town, not a secret


def midnight(day: date) -> int:
    """Return the instant (microseconds) at which a day begins in the town."""
    return to_us(datetime.combine(day, time(0), ZONE))


def chance(pick: random.Random, share: float) -> bool:
    """Return true in that share of draws."""
    return pick.random() < share


def weighted(pick: random.Random, shares: Sequence[tuple[T, float]]) -> T:
    """Return one of the things by its share; shares need not add up to one."""
    left = pick.random() * sum(share for _, share in shares)
    for thing, share in shares:
        left -= share
        if left < 0:
            return thing
    return shares[-1][0]
