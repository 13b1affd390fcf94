"""What keeping the book needs of its store; everything happens in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from sqlalchemy import Connection

from services.kernel.contracts.records import Outgoing
from services.registry.domain.entries import Entries, Row
from services.registry.domain.facts import Fact


class Store(Protocol):
    """The book's tables."""

    def exclude(self, conn: Connection) -> None:
        """Keep other writers of the book out until the transaction ends."""
        ...

    def became(self, conn: Connection, names: Iterable[str]) -> dict[str, str]:
        """Return what those of the names became that became another, resolved to the end."""
        ...

    def names_of(self, conn: Connection, names: Sequence[str]) -> dict[str, list[str]]:
        """Return the names that became each of these."""
        ...

    def add_alias(self, conn: Connection, was: str, became: str) -> None:
        """Note that a name became another; names that had become `was` follow."""
        ...

    def unknown(self, conn: Connection, subjects: Iterable[str]) -> set[str]:
        """Return those of the subjects about which there is no fact yet."""
        ...

    def add(self, conn: Connection, facts: Sequence[Fact]) -> None:
        """Append facts, numbered anew; one that is there already changes nothing."""
        ...

    def subject_of(self, conn: Connection, fact: str) -> str | None:
        """Return whom a fact is about, or None when it is not one of ours."""
        ...

    def facts(self, conn: Connection, names: Sequence[str]) -> tuple[list[Fact], set[str]]:
        """Return the facts about these names, and the ids of those that something targets."""
        ...

    def touched_by(self, conn: Connection, household: str) -> set[str]:
        """Return the people whose entries name this household."""
        ...

    def homes(self, conn: Connection, people: Sequence[str]) -> dict[str, set[str]]:
        """Return the households that people's entries name as present or past homes."""
        ...

    def enter(self, conn: Connection, made: Mapping[str, Entries]) -> set[tuple[str, str]]:
        """Replace subjects' entries; return the (role, area) pairs of their turns, old and new."""
        ...

    def members(self, conn: Connection, households: Sequence[str]) -> dict[str, list[Row]]:
        """Return who lives in households: person, name, kind, and the open membership's row."""
        ...

    def lived_in(self, conn: Connection, households: Sequence[str]) -> set[str]:
        """Return those of the households in which somebody lives or lived."""
        ...

    def enter_households(self, conn: Connection, made: Mapping[str, Row | None]) -> list[str]:
        """Replace households' rows, or remove them; return those whose card is news."""
        ...

    def turns(self, conn: Connection, role: str, area: str) -> list[Row]:
        """Return the turns of a role in an area, in order of start."""
        ...

    def staff(self, conn: Connection, area: str) -> dict[str, Row]:
        """Return the entries of an area's staff, by id."""
        ...

    def publish(self, conn: Connection, records: Sequence[Outgoing]) -> None:
        """Put records into the outbox."""
        ...
