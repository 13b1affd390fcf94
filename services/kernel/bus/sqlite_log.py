"""The records of the SQLite bus: one file, locked for one process, synced at every publish.

A record's row id packs (topic, partition, offset), so that a log is a range of one B-tree and an
append goes to its right edge. Offsets come from the `log` table, which retention never touches:
an offset is never given out twice.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from services.kernel.bus.murmur2 import partition_of
from services.kernel.bus.port import Outgoing, Record, TopicPartition
from services.kernel.bus.sqlite_file import claim, transaction, trouble
from services.kernel.clock import Clock
from services.kernel.errors import Fault, WrongUse

MAX_PARTITIONS: Final = 1024
_OFFSET_BITS: Final = 38  # 274 thousand million records a partition
_PARTITION_BITS: Final = 10
_BATCH_BYTES: Final = 16 << 20  # one poll holds no more than this, however large the records

_SCHEMA: Final = """
create table if not exists topic(
    id integer primary key, name text not null unique,
    partitions integer not null, compacted integer not null) strict;
create table if not exists log(id integer primary key, end integer not null) strict;
create table if not exists record(
    id integer primary key, published integer not null,
    key text, value blob, headers blob) strict;
create table if not exists committed(
    member text not null, log integer not null, next integer not null,
    primary key (member, log)) strict, without rowid;
"""


class Topic(NamedTuple):
    """One topic; its logs have the consecutive ids `first_log`.. `first_log + partitions - 1`."""

    name: str
    first_log: int
    partitions: int
    compacted: bool


@lru_cache(maxsize=1024)
def _pack(headers: tuple[tuple[str, bytes], ...]) -> bytes | None:
    return msgspec.msgpack.encode(headers) if headers else None


_unpacker = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...])


@lru_cache(maxsize=1024)
def _unpack(packed: bytes | None) -> tuple[tuple[str, bytes], ...]:
    return _unpacker.decode(packed) if packed else ()


class SqliteLog:
    """The file. Safe to use from several threads; `Retryable` when the disk fails."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open or make the file.

        Raises:
            WrongUse: another process has it open, or it is not a bus file.
        """
        self._path = path
        self._clock = clock
        self._lock = threading.RLock()
        self._claim = claim(path)
        try:
            self._writer = self._connect("full")
            self._marker = self._connect("normal")  # group offsets are hints: no sync for each
            self._writer.executescript(_SCHEMA)
            self._reader = self.reader()
            self._load()
        except sqlite3.Error as exc:
            self._claim.close()
            raise WrongUse(
                Fault("bus file", "a Hearthwatch bus", str(exc), f"move {path} away or restore it")
            ) from exc

    def _connect(self, synchronous: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, timeout=30
        )
        connection.execute("pragma page_size=8192")
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma journal_size_limit=67108864")
        connection.execute(f"pragma synchronous={synchronous}")
        return connection

    def reader(self) -> sqlite3.Connection:
        """Return a new connection that cannot write; for one thread at a time."""
        connection = self._connect("full")
        connection.execute("pragma query_only=on")
        return connection

    def _load(self) -> None:
        self.topics = {
            name: Topic(name, number << _PARTITION_BITS, partitions, bool(compacted))
            for number, name, partitions, compacted in self._writer.execute("select * from topic")
        }
        self._ends: dict[int, int] = dict(self._writer.execute("select id, end from log"))
        self._sure = True

    def close(self) -> None:
        """Close the file and let another process have it; idempotent."""
        with self._lock:
            for connection in (self._reader, self._marker, self._writer):
                connection.close()
            self._claim.close()

    def durability(self) -> dict[str, str]:
        """Return the settings on which "accepted means durable" rests."""
        with self._lock, trouble("read its settings"):
            return {
                name: str(self._writer.execute(f"pragma {name}").fetchone()[0])
                for name in ("journal_mode", "synchronous")
            }

    def create(self, name: str, partitions: int, *, compacted: bool) -> None:
        """Add the topic when it is not there yet; the partition count is the caller's to check."""
        with self._lock, trouble(f"create topic {name}"):
            if name in self.topics:
                return
            with transaction(self._writer):
                number = self._writer.execute(
                    "insert into topic(name, partitions, compacted) values (?, ?, ?)",
                    (name, partitions, compacted),
                ).lastrowid
                first = (number or 0) << _PARTITION_BITS
                self._writer.executemany(
                    "insert into log(id, end) values (?, 0)",
                    [(first + partition,) for partition in range(partitions)],
                )
            self._load()

    def topic(self, name: str) -> Topic:
        """Return the topic; raises WrongUse when there is none of that name."""
        try:
            return self.topics[name]
        except KeyError:
            raise WrongUse(
                Fault("bus", "a topic that was created", repr(name), "create the topic first")
            ) from None

    def partitions_of(self, name: str) -> list[TopicPartition]:
        """Return every partition of the topic."""
        return [TopicPartition(name, number) for number in range(self.topic(name).partitions)]

    def number(self, where: TopicPartition) -> int:
        """Return the number of the partition's log."""
        return self.topic(where.topic).first_log + where.partition

    def span(self, where: TopicPartition) -> tuple[int, int]:
        """Return the row id of offset 0 of the partition, and the one after its last possible."""
        number = self.number(where)
        return number << _OFFSET_BITS, (number + 1) << _OFFSET_BITS

    def end(self, where: TopicPartition) -> int:
        """Return the offset after the last record. No I/O."""
        return self._ends[self.number(where)]

    @contextmanager
    def writing(self, doing: str) -> Iterator[sqlite3.Connection]:
        """Open a synced write transaction for upkeep."""
        with self._lock, trouble(doing), transaction(self._writer):
            yield self._writer

    def append(self, records: Sequence[Outgoing]) -> None:
        """Write the records in one synced transaction: all or none."""
        with self._lock, trouble("write records"):
            if not self._sure:
                self._load()
            ends: dict[int, int] = {}
            rows = []
            now = self._clock.now()
            for record in records:
                log = self._log_of(record)
                offset = ends.get(log)
                if offset is None:
                    offset = self._ends[log]
                ends[log] = offset + 1
                number = log << _OFFSET_BITS | offset
                rows.append((number, now, record.key, record.value, _pack(record.headers)))
            self._sure = False  # a commit that fails may still have happened
            with transaction(self._writer):
                self._writer.executemany("insert into record values (?, ?, ?, ?, ?)", rows)
                self._writer.executemany(
                    "update log set end = ? where id = ?", [(e, log) for log, e in ends.items()]
                )
            self._ends.update(ends)
            self._sure = True

    def _log_of(self, record: Outgoing) -> int:
        topic = self.topics.get(record.topic) or self.topic(record.topic)
        key = record.key
        if key is None and topic.compacted:
            raise ValueError(f"record for compacted topic {topic.name!r} without a key")
        partition = record.partition
        if partition is None:
            if key is None:
                raise ValueError(f"record for {topic.name!r} with neither key nor partition")
            return topic.first_log + partition_of(key, topic.partitions)
        if not 0 <= partition < topic.partitions:
            raise ValueError(
                f"record for {topic.name!r} names partition {partition}: "
                f"expected 0..{topic.partitions - 1}"
            )
        return topic.first_log + partition

    def read(
        self, reader: sqlite3.Connection, where: TopicPartition, start: int, end: int, limit: int
    ) -> list[Record]:
        """Return up to `limit` records with start <= offset < end in order, at most 16 MiB."""
        name, partition = where
        base, _ = self.span(where)
        records: list[Record] = []
        size = 0
        with trouble(f"read {name}/{partition}"):
            rows = reader.execute(
                "select id, key, value, headers, published from record"
                " where id >= ? and id < ? order by id limit ?",
                (base + start, base + end, limit),
            )
            for number, key, value, headers, published in rows:
                records.append(
                    Record(name, partition, number - base, key, value, _unpack(headers), published)
                )
                size += len(value) if value else 0
                if size > _BATCH_BYTES:
                    break
            rows.close()
        return records

    def commit(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Store the group's next offsets (not synced: after a power cut they may be older)."""
        rows = [(group, self.number(where), offset) for where, offset in offsets.items()]
        with self._lock, trouble("store group offsets"), transaction(self._marker):
            self._marker.executemany("insert or replace into committed values (?, ?, ?)", rows)

    def committed(self, group: str, name: str) -> dict[TopicPartition, int]:
        """Return the group's stored offsets in the topic."""
        topic = self.topic(name)
        with self._lock, trouble("read group offsets"):
            rows = self._reader.execute(
                "select log, next from committed where member = ? and log >= ? and log < ?",
                (group, topic.first_log, topic.first_log + topic.partitions),
            ).fetchall()
        return {TopicPartition(name, log - topic.first_log): offset for log, offset in rows}

    def oldest_unread_at(self, group: str, name: str) -> int | None:
        """Return when the group's oldest unread record was published, or None."""
        read = self.committed(group, name)
        oldest: int | None = None
        with self._lock, trouble("read the oldest unread record"):
            for where in self.partitions_of(name):
                start = read.get(where, 0)
                if start >= self.end(where):
                    continue
                first, last = self.span(where)
                row = self._reader.execute(
                    "select published from record where id >= ? and id < ? order by id limit 1",
                    (first + start, last),
                ).fetchone()
                if row and (oldest is None or row[0] < oldest):
                    oldest = row[0]
        return oldest
