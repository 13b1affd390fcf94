"""Databases for tests: a real SQLite file, or a schema of its own on a real PostgreSQL."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    func,
    insert,
    make_url,
    select,
    text,
)

from services.kernel.contracts.records import Outgoing
from services.kernel.db.engine import Database
from services.kernel.db.migrate import differences
from services.kernel.db.outbox import Outbox, Relay
from services.kernel.db.positions import Inbox, Keys, Positions
from services.kernel.db.types import Blob, Instant, Json, Serial

BUSY_MS: Final = 200
"""Short, so that a test of what is locked does not wait long."""


class Store:
    """A database with the kernel's tables and three of its own, made anew for one test."""

    def __init__(self, url: str, schema: str | None) -> None:
        self.url = url
        self.schema = schema
        self.metadata = MetaData()
        self.outbox = Outbox(self.metadata)
        self.positions = Positions(self.metadata)
        self.inbox = Inbox(self.metadata)
        self.keys = Keys(self.metadata)
        self.things = Table(
            "thing",
            self.metadata,
            Column("id", String, primary_key=True),
            Column("count", Integer),
            Column("at", Instant),
            Column("raw", Blob),
            Column("tree", Json),
            Column("ok", Boolean),
        )
        self.parts = Table(
            "part",
            self.metadata,
            Column("id", Serial, primary_key=True),
            Column("thing", ForeignKey("thing.id"), nullable=False),
        )
        self.pairs = Table(
            "pair",
            self.metadata,
            Column("left", String, primary_key=True),
            Column("right", String, primary_key=True),
        )
        self._opened: list[Database | Relay] = []
        self.db = self.open()
        with self.db.begin() as conn:
            self.metadata.create_all(conn)

    def open(self, service: str = "intake", **more: int) -> Database:
        """Open the same database once more, until `close`."""
        how = {"busy_ms": BUSY_MS, **more}
        db = Database(self.url, self.metadata, schema=self.schema, service=service, **how)
        self._opened.append(db)
        return db

    def relay(self, bus: FakeBus, *, db: Database | None = None, batch: int = 1000) -> Relay:
        """Make a relay of the outbox, until `close`."""
        relay = Relay(db or self.db, self.outbox, bus, batch=batch)
        self._opened.append(relay)
        return relay

    def close(self) -> None:
        """Close what was opened, the last first."""
        for each in reversed(self._opened):
            each.close()


class FakeBus:
    """A publisher that keeps what it gets; `before` is called first and may raise."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.before = before
        self.batches: list[list[Outgoing]] = []

    def publish(self, records: Sequence[Outgoing]) -> None:
        self.before()
        self.batches.append(list(records))

    @property
    def keys(self) -> list[str | None]:
        """The keys published so far, in order."""
        return [record.key for batch in self.batches for record in batch]


def count(conn: Connection, store: Store) -> int:
    """Return how many things there are."""
    return conn.scalar(select(func.count()).select_from(store.things)) or 0


def put(store: Store, id: str, number: int = 0) -> None:
    """Add a thing."""
    with store.db.begin() as conn:
        conn.execute(insert(store.things), {"id": id, "count": number})


def in_thread(call: Callable[[], object]) -> threading.Thread:
    """Run a call on another thread."""
    thread = threading.Thread(target=call)
    thread.start()
    return thread


@contextmanager
def postgres_schema(address: str) -> Iterator[str]:
    """Make a schema on the server at `address` and drop it with all that is in it afterwards."""
    schema = f"t_{uuid.uuid4().hex}"
    engine = create_engine(make_url(address).set(drivername="postgresql+psycopg"))
    with engine.begin() as conn:
        conn.execute(text(f'CREATE SCHEMA "{schema}"'))
    try:
        yield schema
    finally:
        with engine.begin() as conn:
            conn.execute(text(f'DROP SCHEMA "{schema}" CASCADE'))
        engine.dispose()


def assert_migrations_make(metadata: MetaData, scripts: str, folder: Path) -> None:
    """Assert that the revisions in the package `scripts` make exactly the tables of `metadata`."""
    db = Database(f"sqlite:///{folder}/migrated.db", metadata)
    try:
        db.migrate(scripts)
        assert differences(db) == [], (
            f"write a revision: python -m services.kernel.db.revision {scripts}"
        )
    finally:
        db.close()
