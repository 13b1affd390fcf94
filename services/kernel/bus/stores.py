"""What the worker needs of the others: a database's transactions, stored positions, inbox, outbox.

`services.kernel.db` has them; neither package imports the other, so these are their shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import Connection

from services.kernel.contracts.envelope import Envelope
from services.kernel.contracts.records import Outgoing, Record

TOMBSTONE: Final = "system.tombstone"
"""Type of the message that stands for a record without value on a compacted topic."""


class Message(NamedTuple):
    """A record and the envelope that it carries.

    A tombstone of a compacted topic carries none: its envelope has the type TOMBSTONE, the
    record's key as subject and partition key, and the published time.
    """

    record: Record
    envelope: Envelope


class Batch(NamedTuple):
    """Messages of one partition in order; none below the stored position, none seen before."""

    topic: str
    partition: int
    messages: list[Message]


class Handler(Protocol):
    """What a service does with its messages."""

    def handle(self, conn: Connection, batch: Batch) -> None:
        """Write the effect of the batch through `conn` alone; called again after a rollback.

        Raises:
            InvalidMessage: a message can never be handled. The batch is rolled back and taken
                apart until that one message stands alone; it becomes a dead letter.
            Retryable: the ground is gone; the whole batch comes again.
        """
        ...

    def forget(self, partition: int) -> None:
        """Drop cached state of the partition: it was rolled back, or somebody else moved it."""
        ...


class Transactions(Protocol):
    """The two ways into a service's database."""

    def begin(self) -> AbstractContextManager[Connection]:
        """Open a write transaction: commits on leaving, rolls back on an error."""
        ...

    def read(self) -> AbstractContextManager[Connection]:
        """Open a read-only snapshot."""
        ...


class StoredPosition(Protocol):
    """Where a partition stands."""

    @property
    def next_offset(self) -> int:
        """Return the offset of the first record whose effect is not stored."""
        ...


class StoredPositions(Protocol):
    """The truth about what was handled, kept beside the effect."""

    def load(self, conn: Connection, topic: str) -> Mapping[int, StoredPosition]:
        """Return the position per partition; those never moved are missing."""
        ...

    def move(
        self, conn: Connection, topic: str, partition: int, expected: int, next_offset: int
    ) -> None:
        """Move from `expected` (0 when there is none); raises Stale when it stands elsewhere."""
        ...


class SeenIds(Protocol):
    """The inbox: ids of the messages whose effect is stored."""

    def unseen(self, conn: Connection, ids: Sequence[str]) -> set[str]:
        """Return those of the ids that are new."""
        ...

    def add(self, conn: Connection, rows: Sequence[Any]) -> None:
        """Remember ids with the place of their record."""
        ...


class Outgoings(Protocol):
    """The outbox: what leaves once the transaction is committed."""

    def add(self, conn: Connection, records: Sequence[Outgoing]) -> None:
        """Store records to be published."""
        ...
