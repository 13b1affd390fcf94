"""What the door needs of its store: one unit of work at a time, all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from services.intake.domain.names import Claim, Killed, Name
from services.intake.domain.rows import Entry, EntryKind, Kept, Tally
from services.kernel.contracts.records import Outgoing


class Known(NamedTuple):
    """A line of the ledger, as far as a later item may need it."""

    id: str
    kind: EntryKind
    type: str
    subject: str
    household: str
    clock: int
    claim: str | None
    content: bytes | None


class Killer(NamedTuple):
    """A line that corrects or takes back another one. `id` and `subject` are its own."""

    target: str
    id: str
    kind: EntryKind
    subject: str
    how: Killed


class Fact(NamedTuple):
    """A published line with its message. `household` is where it was published."""

    id: str
    type: str
    household: str
    envelope: bytes


class Clocks(NamedTuple):
    """The latest receipt and the latest mark ever given out (microseconds; 0 before the first)."""

    received: int
    marked: int


class Answered(NamedTuple):
    """A stored answer: the digest of the request it answered, and the answers as JSON."""

    digest: str
    body: bytes


class Unit(Protocol):
    """One write transaction. Alone in it from the first call on; reads see its own writes."""

    def clocks(self) -> Clocks:
        """Return the latest receipt and mark."""
        ...

    def set_clocks(self, clocks: Clocks) -> None:
        """Store the latest receipt and mark."""
        ...

    def known(self, ids: Sequence[str]) -> dict[str, Known]:
        """Return the ledger's lines with these ids. Cost: one statement."""
        ...

    def killers(self, ids: Sequence[str]) -> dict[str, list[Killer]]:
        """Return, by id, the lines that correct or take back these. Cost: one statement."""
        ...

    def names(self, names: Sequence[str]) -> dict[str, Name]:
        """Return the people and households known by these names. Cost: one statement."""
        ...

    def aliases(self, name: str) -> list[str]:
        """Return the names that became this one."""
        ...

    def residents(self, household: str) -> list[str]:
        """Return the people whose facts go to this household."""
        ...

    def tied_to(self, household: str) -> list[str]:
        """Return the people of whom the household ever got copies."""
        ...

    def live_facts(self, names: Sequence[str]) -> list[Fact]:
        """Return the facts about these names that nobody corrected or took back, by receipt.

        Take-backs are among them only while their original has not come.
        """
        ...

    def claims(self, names: Sequence[str]) -> list[tuple[str, Claim]]:
        """Return, with the ids of the facts, the households claimed for these people.

        A correction takes the order of the original it replaces.
        """
        ...

    def copies(self, ids: Sequence[str]) -> list[tuple[str, Known]]:
        """Return the copies of these facts that were not taken back, with the fact's id."""
        ...

    def kept(self, ids: Sequence[str]) -> dict[str, Kept]:
        """Return refused items by their own ids."""
        ...

    def open_kept(self, changes: Sequence[str]) -> dict[str, Kept]:
        """Return the first unrepaired refused item by the change id it would have had."""
        ...

    def write(self, entries: Sequence[Entry], names: Iterable[Name]) -> None:
        """Append lines to the ledger and store what is known of the names."""
        ...

    def keep(self, kept: Iterable[Kept]) -> None:
        """Store refused items; known ones are updated."""
        ...

    def tally(self, tallies: Mapping[str, Tally]) -> None:
        """Add to the counts per source."""
        ...

    def publish(self, records: Sequence[Outgoing]) -> None:
        """Put records into the outbox."""
        ...

    def answered(self, key: str) -> Answered | None:
        """Return the answer stored under an idempotency key."""
        ...

    def answer(self, key: str, answered: Answered, now: int) -> None:
        """Store an answer under an idempotency key."""
        ...


class Store(Protocol):
    """Where the door keeps what it took."""

    def unit(self) -> AbstractContextManager[Unit]:
        """Open a unit of work; commits durably when the block ends, rolls back on any error.

        Units exclude each other, so that the order of receipt is the order of publication and no
        mark overtakes a record. Blocks for the one before.

        Raises:
            Retryable: store out of reach; nothing was changed, or the commit's fate is unknown.
        """
        ...


class Meter(Protocol):
    """Counts and times batches."""

    def start(self) -> float:
        """Return the moment a batch began."""
        ...

    def batch(self, started: float, outcomes: Sequence[str]) -> None:
        """Count what became of a batch's items, and how long it took."""
        ...
