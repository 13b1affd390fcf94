"""The embedded bus: partitions, groups, offsets and redelivery in one durable SQLite file."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from services.kernel.bus import sqlite_upkeep
from services.kernel.bus.port import OnAssigned, Outgoing, TopicPartition
from services.kernel.bus.sqlite_group import Group, SqliteConsumer
from services.kernel.bus.sqlite_log import MAX_PARTITIONS, SqliteLog
from services.kernel.clock import DAY, Clock, Monotonic, SystemMonotonic
from services.kernel.errors import Fault, Retryable, WrongUse

KEPT: Final = 90 * DAY
"""How long a topic that is not compacted is kept, as on Kafka."""
TOMBSTONES_KEPT: Final = DAY
"""How long readers of a compacted topic have to learn that a key is gone."""
UPKEEP_S: Final = 3600.0


class SqliteBus:
    """A bus for the threads of one process; a second process on the file gets WrongUse.

    `publish` is one synced transaction: all of its records or none. Group offsets are not synced
    on their own, so a power cut can bring records again, never lose one.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        monotonic: Monotonic | None = None,
        *,
        session_s: float = 60.0,
    ) -> None:
        """Open or make the file.

        Args:
            path: the file; `<path>.lock` beside it keeps other processes out.
            clock: gives the records their published time.
            monotonic: for waiting and for the silence of members; the machine's by default.
            session_s: a member that has not polled for so long loses its partitions to the others.

        Raises:
            WrongUse: the file is open elsewhere, or is no bus file.
        """
        self._log = SqliteLog(path, clock)
        self._monotonic = monotonic or SystemMonotonic()
        self._session_s = session_s
        self._lock = threading.Lock()
        self._groups: dict[str, Group] = {}
        self._consumers: set[SqliteConsumer] = set()
        self._closed = False

    def create_topic(self, topic: str, partitions: int, *, compacted: bool = False) -> None:
        """Create the topic, or check that it has this many partitions and this kind."""
        self._open()
        if not 1 <= partitions <= MAX_PARTITIONS:
            raise WrongUse(
                Fault(
                    where=f"topic {topic}",
                    expected=f"1..{MAX_PARTITIONS} partitions",
                    found=str(partitions),
                    remedy="correct the partition count",
                )
            )
        self._log.create(topic, partitions, compacted=compacted)
        there = self._log.topic(topic)
        if (there.partitions, there.compacted) != (partitions, compacted):
            raise WrongUse(
                Fault(
                    where=f"topic {topic}",
                    expected=f"{partitions} partitions, {_kind(compacted)}",
                    found=f"{there.partitions} partitions, {_kind(there.compacted)}",
                    remedy="set the count it was made with: keys would change their partition",
                    code="partitions",
                )
            )

    def partitions(self, topic: str) -> int:
        """Return the topic's partition count; raises WrongUse when it does not exist."""
        self._open()
        return self._log.topic(topic).partitions

    def publish(self, records: Sequence[Outgoing]) -> None:
        """Write all records in one synced transaction, then wake their readers."""
        self._open()
        if not records:
            return
        self._log.append(records)
        topics = {record.topic for record in records}
        with self._lock:
            waiting = [member for member in self._consumers if not topics.isdisjoint(member.topics)]
        for member in waiting:
            member.wake()

    def consumer(
        self, group: str, topics: Sequence[str], on_assigned: OnAssigned | None = None
    ) -> SqliteConsumer:
        """Return a new member of the group; it joins at its first poll."""
        self._open()
        with self._lock:
            joined = self._groups.get(group)
            if joined is None:
                joined = self._groups[group] = Group(
                    group, self._log, self._monotonic, self._session_s
                )
            member = SqliteConsumer(
                joined, self._log, topics, on_assigned, self._monotonic, self._forget
            )
            self._consumers.add(member)
        return member

    def _forget(self, member: SqliteConsumer) -> None:
        with self._lock:
            self._consumers.discard(member)
            if not any(other.group is member.group for other in self._consumers):
                self._groups.pop(member.group.name, None)

    def ends(self, topic: str) -> Mapping[TopicPartition, int]:
        """Return the offset after the last record, per partition."""
        self._open()
        return {where: self._log.end(where) for where in self._log.partitions_of(topic)}

    def committed(self, group: str, topic: str) -> Mapping[TopicPartition, int]:
        """Return the group's stored offsets; partitions without one are missing."""
        self._open()
        return self._log.committed(group, topic)

    def oldest_unread_at(self, group: str, topic: str) -> int | None:
        """Return when the group's oldest unread record was published (microseconds), or None."""
        self._open()
        return self._log.oldest_unread_at(group, topic)

    def starts(self, topic: str) -> Mapping[TopicPartition, int]:
        """Return the offset of the first record still there, per partition."""
        self._open()
        return sqlite_upkeep.starts(self._log, topic)

    def retain(
        self,
        topic: str,
        *,
        below: Mapping[TopicPartition, int] | None = None,
        published_before: int | None = None,
        keep_unread: bool = True,
    ) -> Mapping[TopicPartition, int]:
        """Remove old records from the start of each partition; offsets are never used again.

        Args:
            topic: the topic.
            below: remove offsets below these.
            published_before: remove what was published before the instant (microseconds).
            keep_unread: keep what a group that ever committed here has not read yet.

        Returns:
            What `starts` gives now: inbox ids below it are no longer needed.
        """
        self._open()
        sqlite_upkeep.retain(
            self._log,
            topic,
            below=below or {},
            published_before=published_before,
            keep_unread=keep_unread,
        )
        return self.starts(topic)

    def compact(self, topic: str, *, tombstones_before: int = 0) -> int:
        """Keep the last record of each key of a compacted topic; return how many records went.

        Args:
            topic: a compacted topic; ValueError for any other.
            tombstones_before: tombstones published before this instant go too (microseconds).
        """
        self._open()
        found = self._log.topic(topic)
        if not found.compacted:
            raise ValueError(f"topic {topic!r} is kept whole: only compacted topics are compacted")
        return sqlite_upkeep.compact(self._log, found, tombstones_before)

    def upkeep(self, now: int) -> None:
        """Remove what time has made superfluous, topic by topic; cut into short transactions.

        Args:
            now: the instant (microseconds) from which `KEPT` and `TOMBSTONES_KEPT` count back. What
                a group has not read yet stays, however old it is.
        """
        self._open()
        for topic in list(self._log.topics.values()):
            if topic.compacted:
                sqlite_upkeep.compact(self._log, topic, now - TOMBSTONES_KEPT)
            else:
                self.retain(topic.name, published_before=now - KEPT)

    def durability(self) -> dict[str, str]:
        """Return the settings that make `publish` durable, for readiness and tests."""
        self._open()
        return self._log.durability()

    def close(self) -> None:
        """Close every member and the file; idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            members = list(self._consumers)
        for member in members:
            member.close()
        self._log.close()

    def _open(self) -> None:
        if self._closed:
            raise Retryable("bus is closed")


def _kind(compacted: bool) -> str:  # noqa: FBT001 - a word for a flag
    return "compacted" if compacted else "kept whole"
