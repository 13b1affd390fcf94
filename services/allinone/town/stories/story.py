"""What a story is: a cast, what happens to it, and what its author means to come of that."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Final, Literal, NamedTuple

from services.allinone.town.facts import Fact
from services.allinone.town.people import GRIDS, Home, Household, Maker, Person, villages_of
from services.allinone.town.plan import Plan, midnight
from services.allinone.town.school import lessons
from services.kernel.clock import DAY, HOUR, MINUTE

Ending = Literal["in_time", "late", "waiting", "quiet"]
"""in_time, late: somebody stood at the door before, or after, the deadline. waiting: the clock
still runs at midnight. quiet: nothing may come of it."""
EVERY_DAYS: Final = 56
"""A story comes back with another cast, as often as this; the newest is on the present day."""


class Means(NamedTuple):
    """What the author means: which rules may say so, how high, how it ends.

    rules: at least one of them is among the reasons of the home or its people on the day. level:
    the highest of the home and its people on the day, exactly.
    """

    rules: tuple[str, ...]
    level: int
    ending: Ending


class Scene(NamedTuple):
    """One occurrence of a story: its household, and the midnight with which its day begins."""

    pick: random.Random
    day: date
    home: Household

    def at(self, hour: int, minute: int = 0, *, days: int = 0) -> int:
        """Return an instant of the story's day, or of one that many days after it."""
        return midnight(self.day) + days * DAY + hour * HOUR + minute * MINUTE

    def of(self, who: int, at: int, type_: str, /, **data: object) -> Fact:
        """Return a fact about a person of the cast."""
        return Fact(at, type_, data, self.home.members[who].id, self.home.id)

    def here(self, at: int, type_: str, /, **data: object) -> Fact:
        """Return a fact about the household."""
        return Fact(at, type_, data, household=self.home.id)

    def visited(self, who: int, at: int, /, **data: object) -> Fact:
        """Return a visit that found the person at home."""
        said = {"mode": "home", "person_seen": "self", **data}
        return Fact(at, "visit.recorded", said, self.home.members[who].id, self.home.id)


class Story(NamedTuple):
    """A story. `before` and `after`: whole days around its own of which it alone tells.

    cast: makes the people. tell: everything that happens to them in those days.
    """

    name: str
    zh: str
    en: str
    means: Means
    cast: Callable[[Maker], list[Person]]
    tell: Callable[[Scene], Iterator[Fact]]
    home: Home = "lone_elder"
    before: int = 3
    after: int = 1
    meter: bool = False
    in_term: bool = False

    def scenes(self, plan: Plan) -> Iterator[Scene]:
        """Yield the occurrences that the plan has room for, the present day's first."""
        back, number = 0, 0
        while back + self.before < plan.days:
            day = plan.last - timedelta(days=back)
            while self.in_term and not lessons(day):
                day -= timedelta(days=1)
            if day - timedelta(days=self.before + 1) < plan.first:
                return
            number += 1
            yield self._scene(plan, number, day)
            back += EVERY_DAYS

    def _scene(self, plan: Plan, number: int, day: date) -> Scene:
        pick = plan.draw("story", self.name, number)
        home_id = f"syn-h-{self.name}{number}"
        make = Maker(plan, f"{self.name}{number}", pick, home_id)
        quiet = (day - timedelta(days=self.before), day + timedelta(days=self.after))
        home = Household(
            id=home_id,
            home=self.home,
            village=pick.randrange(villages_of(plan)),
            grid=pick.randrange(GRIDS),
            members=tuple(self.cast(make)),
            meter=self.meter,
            quiet=quiet,
        )
        return Scene(pick, day, home)
