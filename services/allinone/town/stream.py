"""The whole town as one stream of items in order of receipt; memory does not grow with the days."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from services.allinone.town.book import counted, entries, places
from services.allinone.town.days import first_words, ordinary
from services.allinone.town.facts import Fact, item_of
from services.allinone.town.noise import noisy
from services.allinone.town.people import Household, families
from services.allinone.town.plan import Plan, midnight
from services.allinone.town.stories import ALL, Scene, Story
from services.allinone.town.stories.storm import storms
from services.kernel.clock import HOUR

Received = tuple[int, dict[str, Any]]
"""When it is received (microseconds), and the item."""
CASTS: Final = 0.25
"""The casts of the stories are at most this share of the town."""
_BOOK_HOURS: Final = 7
"""From its first midnight on, the book and what arms the rules come in before ordinary life."""


@dataclass(frozen=True)
class Town:
    """The people of a plan and the scenes planted among them."""

    plan: Plan
    households: list[Household]
    scenes: list[tuple[Story, Scene]]
    categories: dict[str, int] = field(default_factory=dict)

    @property
    def people(self) -> int:
        """Return how many people live in the town."""
        return sum(len(household.members) for household in self.households)


def build(plan: Plan) -> Town:
    """Return the town: the casts of its stories, then ordinary families up to the wanted number."""
    scenes = [(story, scene) for story in ALL for scene in story.scenes(plan)]
    scenes.sort(key=lambda each: each[1].day, reverse=True)  # a small town has room for the newest
    while sum(len(scene.home.members) for _, scene in scenes) > plan.people * CASTS:
        scenes.pop()
    casts = [scene.home for _, scene in scenes]
    left = plan.people - sum(len(cast.members) for cast in casts)
    households = [*casts, *families(plan, left)]
    return Town(plan, households, scenes, counted(households))


def items(town: Town) -> Iterator[Received]:
    """Yield receipt and item of everything that arrives from the first day to the present one."""
    plan = town.plan
    waiting: list[tuple[int, int, dict[str, Any]]] = []
    number = 0
    for source in (_before(town), _planted(town)):
        for at, item in source:
            number += 1
            heapq.heappush(waiting, (at, number, item))
    for day in plan.calendar():
        for at, item in _named(plan, f"{day}", ordinary(plan, day, town.households)):
            number += 1
            heapq.heappush(waiting, (at, number, item))
        end = midnight(day + timedelta(days=1))
        while waiting and waiting[0][0] < end:
            at, _, item = heapq.heappop(waiting)
            yield at, item


def _before(town: Town) -> Iterator[Received]:
    """Yield the book, and what is known from the first day on, received by its seventh hour."""
    plan = town.plan
    opens = midnight(plan.first)
    for n, fact in enumerate(places(plan)):
        yield _item(fact, f"{plan.seed}/place/{n}", opens)
    step = _BOOK_HOURS * HOUR // (len(town.households) + 1)
    for number, household in enumerate(town.households, 1):
        at = opens + number * step
        for n, fact in enumerate(
            (*entries(plan, number, household), *first_words(plan, household))
        ):
            yield _item(fact, f"{plan.seed}/{household.id}/{n}", at)


def _planted(town: Town) -> Iterator[Received]:
    plan = town.plan
    for story, scene in town.scenes:
        name = f"{story.name}/{scene.day}"
        for n, fact in enumerate(story.tell(scene)):
            yield _item(fact, f"{plan.seed}/{name}/{n}", fact.at)
    for day, facts in storms(plan):
        for n, fact in enumerate(facts):
            yield _item(fact, f"{plan.seed}/storm/{day}/{n}", fact.at)


def _named(plan: Plan, part: str, facts: Iterable[Fact]) -> Iterator[Received]:
    """Yield ordinary facts with their noise."""
    pick = plan.draw("noise", part)
    for n, fact in enumerate(facts):
        sourceid = fact.name or f"{plan.seed}/{part}/{n}"
        whole = fact._replace(name=sourceid)
        for which, (arrived, again) in enumerate(noisy(pick, whole)):
            found = item_of(arrived, sourceid if which == 0 else f"{sourceid}/{which}")
            received = arrived.at + arrived.late
            yield received, found
            if again:
                yield received + again, found | {"receivedat": _later(arrived, again)}


def _later(fact: Fact, again: int) -> str:
    return str(item_of(fact._replace(late=fact.late + again), "")["receivedat"])


def _item(fact: Fact, sourceid: str, received: int) -> Received:
    received = max(received, fact.at)
    return received, item_of(fact._replace(late=received - fact.at), fact.name or sourceid)


def tally(found: Iterable[Received]) -> Counter[str]:
    """Return how many items there are of each type."""
    return Counter(str(item["type"]) for _, item in found)
