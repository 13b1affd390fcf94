"""Who is who: where a person's facts go, which households they are tied to, what a name became."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from services.intake.domain.types import STATEMENTS
from services.kernel.ids import derived

PROVISIONAL: Final = "prov:"
"""Prefix of a household that stands in until somebody says where the person lives."""
NOBODY: Final = "who:"
"""Prefix of a person that stands in when a fact names only the household."""
PLACE: Final = "place:"
Killed = Literal["superseded", "retracted"]


class Tie(msgspec.Struct, frozen=True):
    """A tie as stated: instants in microseconds since 1970, None is open. `fact` is its change."""

    household: str
    role: str
    since: int | None
    until: int | None
    occurred: int
    fact: str

    def holds(self, at: int) -> bool:
        """Tell whether the tie holds at an instant."""
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)


class Name(msgspec.Struct):
    """What is known of a person or household by name.

    household: where a person's facts go (a household's own row has its own name there). became: the
    name that this one was merged into, already resolved to the end of the chain.
    """

    name: str
    kind: Literal["person", "household"]
    household: str
    became: str | None = None
    ties: list[Tie] = []

    def tied(self, at: int) -> dict[str, str]:
        """Return role by household for the ties that hold, without the person's own household."""
        found: dict[str, str] = {}
        for tie in self.ties:
            if tie.holds(at) and tie.household != self.household:
                found.setdefault(tie.household, tie.role)
        return found


class Claim(msgspec.Struct, frozen=True):
    """A household that a fact names for its person.

    order: grows with receipt; a correction has its original's. killed: the fact was corrected or
    taken back. replaced: by a correction that names a household for the same person itself.
    """

    household: str
    type: str
    occurred: int
    order: int
    killed: Killed | None = None
    replaced: bool = False


def provisional_household(person: str) -> str:
    """Return the household that stands in for an unknown one of this person."""
    return PROVISIONAL + derived("household", person)


def provisional_person(change: str) -> str:
    """Return the person that stands in for an unnamed one of this change."""
    return NOBODY + derived("person", change)


def place_key(place: str) -> str:
    """Return the subject and partition key of a matter of a place."""
    return place if place.startswith(PLACE) else PLACE + place


def is_provisional(household: str) -> bool:
    """Tell whether a household only stands in for one not known yet."""
    return household.startswith(PROVISIONAL)


def home_of(person: str, claims: Iterable[Claim]) -> str:
    """Return where the person lives by everything that was claimed.

    The latest statement (by when it says so, then by receipt) that was neither corrected nor
    retracted decides. Without one, the first mention in any fact holds, even when that fact was
    taken back since, unless its correction mentions another: a wrong reading is no wrong address.
    Without any, a provisional household.
    """
    known = list(claims)
    stated = [c for c in known if c.type in STATEMENTS and c.killed is None]
    if stated:
        return max(stated, key=lambda c: (c.occurred, c.order)).household
    mentioned = [c for c in known if not c.replaced]
    if mentioned:
        return min(mentioned, key=lambda c: c.order).household
    return provisional_household(person)


def fold_ties(ties: Iterable[Tie]) -> list[Tie]:
    """Return the ties that count: per household and role the latest said, in a fixed order."""
    latest: dict[tuple[str, str], Tie] = {}
    for tie in ties:
        key = (tie.household, tie.role)
        if key not in latest or tie.occurred >= latest[key].occurred:
            latest[key] = tie
    return [latest[key] for key in sorted(latest)]
