"""A bus and a database that fail when told to, for what must survive it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from services.kernel.bus.port import Bus, Consumer, OnAssigned, Outgoing, Record, TopicPartition
from services.kernel.db.engine import Database
from services.kernel.errors import Retryable


class FaultyBus:
    """A bus in front of another one. `down` makes every call fail; `hide` loses records on the way.

    `hide` answers whether a polled record is to be lost, as a client does that skips what raised.
    """

    def __init__(self, inner: Bus) -> None:
        self.inner = inner
        self.down = False
        self.down_for_commits = False
        self.hide: Callable[[Record], bool] = lambda record: False

    def check(self) -> None:
        if self.down:
            raise Retryable("bus out of reach")

    def create_topic(self, topic: str, partitions: int, *, compacted: bool = False) -> None:
        self.check()
        self.inner.create_topic(topic, partitions, compacted=compacted)

    def partitions(self, topic: str) -> int:
        self.check()
        return self.inner.partitions(topic)

    def publish(self, records: Sequence[Outgoing]) -> None:
        self.check()
        self.inner.publish(records)

    def consumer(
        self, group: str, topics: Sequence[str], on_assigned: OnAssigned | None = None
    ) -> Consumer:
        self.check()
        return FaultyConsumer(self, self.inner.consumer(group, topics, on_assigned))

    def starts(self, topic: str) -> Mapping[TopicPartition, int]:
        self.check()
        return self.inner.starts(topic)

    def ends(self, topic: str) -> Mapping[TopicPartition, int]:
        self.check()
        return self.inner.ends(topic)

    def committed(self, group: str, topic: str) -> Mapping[TopicPartition, int]:
        self.check()
        return self.inner.committed(group, topic)

    def oldest_unread_at(self, group: str, topic: str) -> int | None:
        self.check()
        return self.inner.oldest_unread_at(group, topic)

    def close(self) -> None:
        self.inner.close()


class FaultyConsumer:
    """A member of `FaultyBus`."""

    def __init__(self, bus: FaultyBus, inner: Consumer) -> None:
        self._bus = bus
        self._inner = inner
        self._closed = False

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        self._bus.check()
        records = self._inner.poll(max_records, timeout_s)
        return [record for record in records if not self._bus.hide(record)]

    def seek(self, where: TopicPartition, offset: int) -> None:
        self._inner.seek(where, offset)

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._bus.check()
        if self._bus.down_for_commits:
            raise Retryable("bus out of reach")
        self._inner.commit(offsets)

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset() if self._closed else self._inner.assignment()

    def close(self) -> None:
        self._closed = True
        self._inner.close()


class FaultyDatabase:
    """The transactions of a database, which fail at their begin or at their end when told to."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.down = False
        self.down_for_reads = False
        self.failing_commits = 0
        self.losing_answers = 0

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open a write transaction.

        With `failing_commits` left the commit fails and nothing is stored; with `losing_answers`
        left it is stored, and the caller hears that it failed.
        """
        if self.down:
            raise Retryable("database out of reach")
        with self._inner.begin() as conn:
            yield conn
            if self.failing_commits:
                self.failing_commits -= 1
                raise Retryable("database: disk full")
        if self.losing_answers:
            self.losing_answers -= 1
            raise Retryable("database: connection lost during commit")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        if self.down or self.down_for_reads:
            raise Retryable("database out of reach")
        with self._inner.read() as conn:
            yield conn
