"""What travels on a bus: values that bus and database share, so that neither needs the other."""

from __future__ import annotations

from typing import NamedTuple


class TopicPartition(NamedTuple):
    """One ordered log."""

    topic: str
    partition: int


class Outgoing(NamedTuple):
    """A record to publish. Exactly one of key and partition decides the partition.

    `value` None is a tombstone (compacted topics). `headers` are UTF-8 names with byte values.
    """

    topic: str
    key: str | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None


class Record(NamedTuple):
    """A record as read. `published` is the bus's own time, microseconds since 1970."""

    topic: str
    partition: int
    offset: int
    key: str | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    published: int
