"""Groups of the SQLite bus: who reads which partition, and the members that do.

All members live in one process. A partition goes to the member at `partition % members`, in order
of joining. Every change of owner gets a new serial, so that a member that lost a partition and has
it again starts over from what is stored, and one that lost it cannot commit for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from services.kernel.bus.port import OnAssigned, Record, TopicPartition
from services.kernel.bus.sqlite_log import SqliteLog
from services.kernel.clock import Monotonic
from services.kernel.crash import crashpoint


class Group:
    """The members of one group in order of joining. Thread-safe."""

    def __init__(self, name: str, log: SqliteLog, monotonic: Monotonic, session_s: float) -> None:
        self.name = name
        self._log = log
        self._monotonic = monotonic
        self._session_s = session_s
        self.beat_s = session_s / 3  # a member that waits longer still shows that it lives
        self._lock = threading.Lock()
        self._members: dict[SqliteConsumer, float] = {}
        self._owners: dict[TopicPartition, tuple[SqliteConsumer, int]] = {}
        self._serial = 0
        self.generation = 0

    def attend(self, member: SqliteConsumer) -> int:
        """Note a sign of life, joining when need be; drop members silent for a session.

        Returns:
            The generation: it changes whenever partitions change hands.
        """
        with self._lock:
            if member.closed:  # from another thread, just now: it must not come back
                return self.generation
            now = self._monotonic.seconds()
            silent = [
                other
                for other, seen in self._members.items()
                if other is not member and now - seen > self._session_s
            ]
            joins = member not in self._members
            self._members[member] = now
            for other in silent:
                del self._members[other]
            if joins or silent:
                self._divide()
            return self.generation

    def leave(self, member: SqliteConsumer) -> None:
        """Give the member's partitions to the others at once; idempotent."""
        with self._lock:
            if self._members.pop(member, None) is not None:
                self._divide()

    def held_by(self, member: SqliteConsumer) -> dict[TopicPartition, int]:
        """Return the member's partitions with the serial of each ownership."""
        with self._lock:
            return {
                where: serial for where, (owner, serial) in self._owners.items() if owner is member
            }

    def _divide(self) -> None:
        owners: dict[TopicPartition, tuple[SqliteConsumer, int]] = {}
        for topic in sorted({topic for member in self._members for topic in member.topics}):
            readers = [member for member in self._members if topic in member.topics]
            for partition in range(self._log.topic(topic).partitions):
                where = TopicPartition(topic, partition)
                owner = readers[partition % len(readers)]
                before = self._owners.get(where)
                if before and before[0] is owner:
                    owners[where] = before
                else:
                    self._serial += 1
                    owners[where] = (owner, self._serial)
        self._owners = owners
        self.generation += 1
        for member in self._members:
            member.wake()


class SqliteConsumer:
    """One member of a group; joins at its first poll. See the port for the contract."""

    def __init__(
        self,
        group: Group,
        log: SqliteLog,
        topics: Sequence[str],
        on_assigned: OnAssigned | None,
        monotonic: Monotonic,
        on_close: Callable[[SqliteConsumer], None],
    ) -> None:
        self.topics: Final = frozenset(log.topic(topic).name for topic in topics)
        self.group: Final = group
        self._log = log
        self._on_assigned = on_assigned
        self._monotonic = monotonic
        self._on_close = on_close
        self._reader = log.reader()
        self._io = threading.Lock()  # `close` must not shut the connection under a running read
        self._woken = threading.Event()
        self.closed = False
        self._generation = -1
        self._held: dict[TopicPartition, int] = {}
        self._next: dict[TopicPartition, int] = {}
        self._turn: list[TopicPartition] = []

    def wake(self) -> None:
        """Make a waiting poll look again."""
        self._woken.set()

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        """Return up to `max_records` records; an empty list when there are none or it is closed."""
        deadline = self._monotonic.seconds() + timeout_s
        while not self.closed:
            self._woken.clear()
            self._follow()
            records = self._take(max_records)
            left_s = deadline - self._monotonic.seconds()
            if records or left_s <= 0:
                return records
            self._monotonic.wait(self._woken, min(left_s, self.group.beat_s))
        return []

    def _follow(self) -> None:
        """Take over newly assigned partitions. Tried again at the next poll if anything raises."""
        generation = self.group.attend(self)
        if generation == self._generation:
            return
        held = self.group.held_by(self)
        gained = frozenset(where for where in held if self._held.get(where) != held[where])
        starts: dict[TopicPartition, int] = {}
        crashpoint("bus.rebalance")
        if gained:
            for topic in {where.topic for where in gained}:
                starts.update(self._log.committed(self.group.name, topic))
            if self._on_assigned:
                starts.update(self._on_assigned(gained))
        self._next = {
            where: starts.get(where, 0) if where in gained else self._next[where] for where in held
        }
        self._held = held
        self._turn = sorted(held)
        self._generation = generation

    def _take(self, max_records: int) -> list[Record]:
        taken: list[Record] = []
        with self._io:
            if self.closed:
                return taken
            for turn, where in enumerate(self._turn):
                start, end = self._next[where], self._log.end(where)
                if start >= end:
                    continue
                found = self._log.read(self._reader, where, start, end, max_records - len(taken))
                self._next[where] = found[-1].offset + 1 if found else end
                taken += found
                if len(taken) >= max_records:
                    self._turn = self._turn[turn + 1 :] + self._turn[: turn + 1]
                    break
        return taken

    def seek(self, where: TopicPartition, offset: int) -> None:
        """Read `where` from `offset` next; raises ValueError when it is not assigned."""
        if where not in self._next:
            raise ValueError(f"seek in {where.topic}/{where.partition}: not assigned here")
        self._next[where] = offset

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Store offsets; those of partitions that have another owner by now are left out."""
        held = self.group.held_by(self)
        own = {
            where: offset
            for where, offset in offsets.items()
            if where in held and held[where] == self._held.get(where)
        }
        if own:
            self._log.commit(self.group.name, own)

    def assignment(self) -> frozenset[TopicPartition]:
        """Return the partitions that this member reads since its last poll."""
        return frozenset(self._held)

    def close(self) -> None:
        """Leave the group at once; idempotent."""
        self.closed = True
        self.group.leave(self)
        self._woken.set()
        with self._io:
            self._reader.close()
        self._on_close(self)
