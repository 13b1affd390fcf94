"""A bus behind a prefix: runs that share a cluster and cannot see each other's topics or groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.kernel.bus.port import Bus, Consumer, OnAssigned
from services.kernel.contracts.records import Outgoing, Record, TopicPartition


class PrefixedBus:
    """Puts `prefix` before the name of every topic and group, and takes it off what is read."""

    def __init__(self, inner: Bus, prefix: str) -> None:
        self._inner = inner
        self._prefix = prefix

    def create_topic(self, topic: str, partitions: int, *, compacted: bool = False) -> None:
        """See the port."""
        self._inner.create_topic(self._prefix + topic, partitions, compacted=compacted)

    def partitions(self, topic: str) -> int:
        """See the port."""
        return self._inner.partitions(self._prefix + topic)

    def publish(self, records: Sequence[Outgoing]) -> None:
        """See the port."""
        self._inner.publish([r._replace(topic=self._prefix + r.topic) for r in records])

    def consumer(
        self, group: str, topics: Sequence[str], on_assigned: OnAssigned | None = None
    ) -> Consumer:
        """See the port."""
        named = [self._prefix + topic for topic in topics]

        def assigned(gained: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
            assert on_assigned is not None  # noqa: S101 - only given when there is one
            starts = on_assigned(frozenset(map(self._bare, gained)))
            return {self._whole(where): offset for where, offset in starts.items()}

        inner = self._inner.consumer(
            self._prefix + group, named, None if on_assigned is None else assigned
        )
        return _Member(self, inner)

    def starts(self, topic: str) -> Mapping[TopicPartition, int]:
        """See the port."""
        return self._all_bare(self._inner.starts(self._prefix + topic))

    def ends(self, topic: str) -> Mapping[TopicPartition, int]:
        """See the port."""
        return self._all_bare(self._inner.ends(self._prefix + topic))

    def committed(self, group: str, topic: str) -> Mapping[TopicPartition, int]:
        """See the port."""
        return self._all_bare(self._inner.committed(self._prefix + group, self._prefix + topic))

    def oldest_unread_at(self, group: str, topic: str) -> int | None:
        """See the port."""
        return self._inner.oldest_unread_at(self._prefix + group, self._prefix + topic)

    def close(self) -> None:
        """See the port."""
        self._inner.close()

    def _bare(self, where: TopicPartition) -> TopicPartition:
        return where._replace(topic=where.topic.removeprefix(self._prefix))

    def _whole(self, where: TopicPartition) -> TopicPartition:
        return where._replace(topic=self._prefix + where.topic)

    def _all_bare(self, found: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        return {self._bare(where): offset for where, offset in found.items()}


class _Member:
    """A member of a group behind the prefix."""

    def __init__(self, bus: PrefixedBus, inner: Consumer) -> None:
        self._bus = bus
        self._inner = inner

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        """See the port."""
        prefix = self._bus._prefix  # noqa: SLF001 - two halves of one adapter
        return [
            record._replace(topic=record.topic.removeprefix(prefix))
            for record in self._inner.poll(max_records, timeout_s)
        ]

    def seek(self, where: TopicPartition, offset: int) -> None:
        """See the port."""
        self._inner.seek(self._bus._whole(where), offset)  # noqa: SLF001 - as above

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See the port."""
        whole = self._bus._whole  # noqa: SLF001 - as above
        self._inner.commit({whole(where): offset for where, offset in offsets.items()})

    def assignment(self) -> frozenset[TopicPartition]:
        """See the port."""
        return frozenset(map(self._bus._bare, self._inner.assignment()))  # noqa: SLF001 - as above

    def close(self) -> None:
        """See the port."""
        self._inner.close()
