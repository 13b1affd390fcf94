"""The bus port: partitioned, ordered, durable logs read by groups.

The contract, proved by `tests/contract/test_bus.py` on every adapter:

* Records with one key keep their order; the partition of a key is murmur2(key) % partitions,
  as Kafka's default partitioner has it. A record may name its partition instead of a key.
* `publish` returns only when every record is durable (fsync / acks=all). It raises `Retryable`
  when the bus is out of reach; then any prefix may have been written (at least once).
* A group's partitions are divided among its live consumers. `poll` returns records in offset
  order per partition, starting at the position set by `seek`, else the committed offset, else the
  beginning. A record stays due until its offset is committed; a consumer that dies is replaced.
* Offsets grow by at least one per record and are never reused, also when retention removed some.
* The bus never looks inside a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from services.kernel.contracts.records import Outgoing, Record, TopicPartition

__all__ = ["Bus", "Consumer", "OnAssigned", "Outgoing", "Record", "TopicPartition"]


class Consumer(Protocol):
    """One member of a group. Used from one thread; `close` may be called from another."""

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        """Return up to `max_records` records, waiting at most `timeout_s` for the first.

        Raises:
            Retryable: bus out of reach; poll again later.
        """
        ...

    def seek(self, where: TopicPartition, offset: int) -> None:
        """Read `where` from `offset` next; the partition must be assigned."""
        ...

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Store the next offset to read per partition for the group (a hint; see positions)."""
        ...

    def assignment(self) -> frozenset[TopicPartition]:
        """Return the partitions now assigned to this member."""
        ...

    def close(self) -> None:
        """Leave the group at once; idempotent."""
        ...


OnAssigned = Callable[[frozenset[TopicPartition]], Mapping[TopicPartition, int]]
"""Called with newly assigned partitions before any of their records; returns where to seek."""


class Bus(Protocol):
    """A connection to the bus, shared by the threads of one process."""

    def create_topic(self, topic: str, partitions: int, *, compacted: bool = False) -> None:
        """Create the topic, or check that it has this many partitions.

        Raises:
            WrongUse: it exists with another partition count.
            Retryable: bus out of reach.
        """
        ...

    def partitions(self, topic: str) -> int:
        """Return the topic's partition count; raises WrongUse when it does not exist."""
        ...

    def publish(self, records: Sequence[Outgoing]) -> None:
        """Write records durably, in order per partition. See the module's contract."""
        ...

    def consumer(
        self, group: str, topics: Sequence[str], on_assigned: OnAssigned | None = None
    ) -> Consumer:
        """Join the group as a new member reading `topics`."""
        ...

    def starts(self, topic: str) -> Mapping[TopicPartition, int]:
        """Return the offset of the first record still there, or the end, per partition."""
        ...

    def ends(self, topic: str) -> Mapping[TopicPartition, int]:
        """Return the offset after the last record, per partition."""
        ...

    def committed(self, group: str, topic: str) -> Mapping[TopicPartition, int]:
        """Return the group's stored offsets; partitions without one are missing."""
        ...

    def oldest_unread_at(self, group: str, topic: str) -> int | None:
        """Return when the group's oldest unread record was published (microseconds), or None."""
        ...

    def close(self) -> None:
        """Flush and release everything; idempotent."""
        ...
