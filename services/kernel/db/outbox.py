"""The outbox: what a service has to say, written with the effect; the relay takes it to the bus.

Order: one relay at a time takes all rows still there by `seq`, never only `seq > last`, because a
transaction that drew a smaller number may commit later. Records of one key keep their order when
their writers exclude each other before they call `add` (SQLite always; PostgreSQL `Database.lock`).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Protocol

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    Row,
    Select,
    String,
    Table,
    bindparam,
    delete,
    func,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError

from services.kernel.contracts.records import Outgoing
from services.kernel.crash import crashpoint
from services.kernel.db.engine import Database
from services.kernel.db.types import Blob, Serial
from services.kernel.db.write import insert

Headers = tuple[tuple[str, bytes], ...]
StoredRow = Row[int, str, str | None, int | None, bytes | None, bytes | None]
_PUBLISHING_MS: Final = 20_000
"""More than a bus takes to give up: the session that holds the relay's lock rests meanwhile."""
_STANDSTILL: Final = text(
    "SELECT set_config('idle_in_transaction_session_timeout', :inside, false), "
    "set_config('idle_session_timeout', :between, false)"
)
_decoder: Final = msgspec.json.Decoder(tuple[tuple[str, bytes], ...])


class Publisher(Protocol):
    """The one verb of a bus that a relay needs."""

    def publish(self, records: Sequence[Outgoing]) -> None:
        """Return when every record is durable; raise `Retryable` when the bus is out of reach."""
        ...


class Outbox:
    """Table `outbox` in a service's metadata: records not yet published."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "outbox",
            metadata,
            Column("seq", Serial, primary_key=True, autoincrement=True),
            Column("topic", String, nullable=False),
            Column("key", String),
            Column("partition", Integer),
            Column("value", Blob),
            Column("headers", Blob),
            sqlite_autoincrement=True,  # a number is never used twice, so no row is deleted unsent
        )
        self._filled: set[int] = set()

    def add(self, conn: Connection, records: Sequence[Outgoing]) -> None:
        """Store records to be published once the transaction of `conn` has committed."""
        if not records:
            return
        insert(
            conn,
            self.table,
            [
                {
                    "topic": record.topic,
                    "key": record.key,
                    "partition": record.partition,
                    "value": record.value,
                    "headers": _packed(record.headers),
                }
                for record in records
            ],
        )
        self._filled.add(id(conn))

    def unsent(self, conn: Connection) -> int:
        """Return how many records wait to be published."""
        return conn.scalar(select(func.count()).select_from(self.table)) or 0

    def take_filled(self, conn: Connection) -> bool:
        """Tell whether the transaction just committed on `conn` added records; forget it then."""
        filled = id(conn) in self._filled
        self._filled.discard(id(conn))
        return filled


class Relay:
    """Takes one service's outbox to the bus; at least once, in order, one relay at a time.

    SQLite: a lock in the process (one process per file is the runtime's promise). PostgreSQL: an
    advisory lock held by a session of its own; another process's relay stands by until it ends, or
    until the server ends it because its process stands still.
    `run_once` is called by one thread at a time; `wake` by any.
    """

    def __init__(self, db: Database, outbox: Outbox, bus: Publisher, *, batch: int = 1000) -> None:
        self.name = f"{db.service}.relay"
        self.event = threading.Event()
        self._db = db
        self._outbox = outbox
        self._bus = bus
        self._batch = batch
        self._lock = db.process_lock("relay")
        self._session: Connection | None = None
        still_ms = db.standstill_ms
        self._limits = {"inside": str(still_ms), "between": str(still_ms + _PUBLISHING_MS)}
        self._due: Select[int, str, str | None, int | None, bytes | None, bytes | None] = (
            select(*outbox.table.columns).order_by(outbox.table.c.seq).limit(batch)
        )
        seq = outbox.table.c.seq
        self._sent = (
            delete(outbox.table).where(seq.between(bindparam("first"), bindparam("last")))
            if db.name == "sqlite"
            else delete(outbox.table).where(seq == func.any(bindparam("seqs")))
        )
        db.after_commit.append(self._committed)

    def run_once(self) -> int:
        """Publish one batch and delete it from the outbox; return how many records it had.

        Raises:
            Retryable: database or bus out of reach; the rows stay and are published again.
        """
        self.event.clear()
        with self._lock:
            if self._db.name == "sqlite":
                return self._run_sqlite()
            try:
                return self._run_postgres()
            except BaseException:
                self._leave()  # the session may be dead, and with it the lock
                raise

    def unsent(self) -> int:
        """Return how many records wait; reads the database."""
        with self._db.read() as conn:
            return self._outbox.unsent(conn)

    def wake(self) -> None:
        """Tell the relay's thread that there is something to publish."""
        self.event.set()

    def close(self) -> None:
        """Give the lock back; idempotent."""
        with self._lock:
            self._leave()

    def _run_sqlite(self) -> int:
        with self._db.read() as conn:
            rows = conn.execute(self._due).all()
        if not rows:
            return 0
        self._publish(rows)
        with self._db.begin() as conn:
            # Writers take turns, so every row up to the last one read was among those read.
            conn.execute(self._sent, {"first": rows[0].seq, "last": rows[-1].seq})
        return len(rows)

    def _run_postgres(self) -> int:
        with self._db.mapped():
            session = self._enter()
            if session is None:
                return 0
            # Read where the lock lives: a session that has died cannot hand out rows.
            with session.begin():
                rows = session.execute(self._due).all()
            if not rows:
                return 0
            self._publish(rows)
            with session.begin():
                session.execute(self._sent, {"seqs": [row.seq for row in rows]})
        return len(rows)

    def _publish(self, rows: Sequence[StoredRow]) -> None:
        crashpoint(f"{self._db.service}.relay.before_publish")
        self._bus.publish(
            [
                Outgoing(topic, key, value, _unpacked(headers), partition)
                for _, topic, key, partition, value, headers in rows
            ]
        )
        crashpoint(f"{self._db.service}.relay.after_publish_before_mark")

    def _enter(self) -> Connection | None:
        if self._session is not None:
            return self._session
        session = self._db.engine.connect()
        try:
            with session.begin():
                held = session.scalar(
                    text("SELECT pg_try_advisory_lock(:key)"), {"key": self._db.lock_key("relay")}
                )
                if held:
                    session.execute(_STANDSTILL, self._limits)
        except BaseException:
            session.invalidate()
            session.close()
            raise
        if not held:
            session.close()
            return None
        self._session = session
        return session

    def _leave(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        try:
            session.invalidate()  # ends the server's session too, and so its lock
            session.close()
        except SQLAlchemyError:  # it is gone already, which is what was wanted
            return

    def _committed(self, conn: Connection) -> None:
        if self._outbox.take_filled(conn):
            self.event.set()


@lru_cache(maxsize=256)
def _packed(headers: Headers) -> bytes | None:
    return msgspec.json.encode(headers) if headers else None


@lru_cache(maxsize=256)
def _unpacked(stored: bytes | None) -> Headers:
    return _decoder.decode(stored) if stored else ()
