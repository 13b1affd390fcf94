"""What people, homes, places, steps and roles are called: the same words as on the console."""

from __future__ import annotations

from typing import Final

from services.allinone.town.book import grid_code, place_names
from services.allinone.town.people import Household
from services.allinone.town.stream import Town
from services.allinone.words import language, say
from services.console.words import say as console_say
from services.console.words import says
from services.intake.domain.names import NOBODY, PROVISIONAL


def word(kind: str, code: str) -> str:
    """Return the console's word for a code of a kind, such as `step` or `target`; else the code."""
    return says(language(), f"{kind}.{code}") or code


class Names:
    """What the people and homes of a synthetic town are called.

    Args:
        town: Whose. It is kept: nothing is copied of its people.
    """

    def __init__(self, town: Town) -> None:
        self._places: Final = place_names(town.plan)
        self._homes: dict[str, Household] = {}
        for home in town.households:
            self._homes[home.id] = home
            self._homes.update((member.id, home) for member in home.members)

    def of(self, subject: str, household: str = "") -> str:
        """Return the name of a person, home or place; somebody without one is said to have none."""
        home = self._homes.get(subject)
        if home is not None:
            own = (member.name for member in home.members if member.id == subject)
            return next(own, None) or f"{home.members[0].name}家"  # as the book has it
        if not subject.startswith((NOBODY, PROVISIONAL)):
            return self._places.get(subject, subject)
        nameless = console_say(language(), "visits.no_name")
        return f"{self.of(household)} · {nameless}" if household in self._homes else nameless

    def at_home(self, subject: str, household: str) -> str:
        """Return the name with the grid of the household, for many have the same name."""
        name, home = self.of(subject, household), self._homes.get(household)
        if home is None:
            return name
        place = self._places[grid_code(home.village, home.grid)]
        return say("demo.who", name=name, place=place)
