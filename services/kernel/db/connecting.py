"""Engines whose every connection has proved that a commit on it survives a power cut."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from services.kernel.db.types import dumps
from services.kernel.errors import Fault, WrongUse

WRITER_KIB: Final = 16_384
"""Pages that the one writing connection keeps from one transaction to the next."""
READER_KIB: Final = 4_096
"""Pages that each reading connection keeps: it drops all of them whenever somebody has written."""
WRITE: Final = "hearthwatch_write"
"""Execution option of a connection whose SQLite transactions begin as writers."""
SMALLEST_WRITE: Final = {
    "sqlite": "PRAGMA user_version = 1",
    "postgresql": "SELECT pg_current_xact_id()",
}
"""What changes nothing that anybody reads, and still has to reach the disk to be committed."""
STANDSTILL_MS: Final = 20_000
"""How long a process may do nothing inside a transaction; it then loses its locks. Between two
statements our own work takes a second or two; a group hands partitions on after 10 s."""
_SQLITE: Final = {"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"}
_POSTGRES: Final = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
_SYNCED: Final = frozenset({"on", "local", "remote_write", "remote_apply"})
"""Values of synchronous_commit under which this server's own disk has the commit."""


def sqlite_engine(url: URL, *, read_only: bool, busy_ms: int) -> Engine:
    """Return an engine over one file: WAL, synchronous=FULL, foreign keys, explicit BEGIN."""
    engine = create_engine(
        url,
        pool_size=8,
        max_overflow=56,
        pool_timeout=busy_ms / 1000,
        pool_use_lifo=True,  # the warmest page cache and statement cache first
        connect_args={"check_same_thread": False, "cached_statements": 512},
        json_serializer=dumps,
        json_deserializer=msgspec.json.decode,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def prepare(raw: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        raw.isolation_level = None  # the driver begins nothing by itself; `begin` below does
        raw.execute(f"PRAGMA busy_timeout={busy_ms}")
        raw.execute("PRAGMA journal_mode=WAL")
        raw.execute("PRAGMA synchronous=FULL")
        raw.execute("PRAGMA foreign_keys=ON")
        raw.execute(f"PRAGMA cache_size=-{READER_KIB if read_only else WRITER_KIB}")
        raw.execute("PRAGMA temp_store=MEMORY")
        raw.execute("PRAGMA journal_size_limit=67108864")  # bytes kept of a log that had grown
        refuse_unsafe(sqlite_settings(raw))
        if read_only:
            raw.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def begin(conn: Connection) -> None:
        write = conn.get_execution_options().get(WRITE, False)
        conn.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def postgres_engine(url: URL, schema: str | None, busy_ms: int, standstill_ms: int) -> Engine:
    """Return an engine whose tables are looked for in `schema`; waits for locks `busy_ms`.

    A process that stands still (stopped, or its machine is) is let go of after `standstill_ms`:
    it would keep what it has locked from whoever takes over its work.
    """
    # A plan made once while a table was empty reads the whole table for ever after: plan each time.
    planned = "-cplan_cache_mode=force_custom_plan"
    options = [str(url.query.get("options", "")), f"-clock_timeout={busy_ms}", planned]
    if schema:
        options.append(f"-csearch_path={schema}")
    engine = create_engine(
        url,
        pool_size=8,
        max_overflow=24,
        pool_timeout=busy_ms / 1000,
        pool_use_lifo=True,
        connect_args={
            "connect_timeout": 3,
            "options": " ".join(options),
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 15_000,
        },
        json_serializer=dumps,
        json_deserializer=msgspec.json.decode,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def prove(raw: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        refuse_unsafe(postgres_settings(raw))

    @event.listens_for(engine, "begin")
    def begin(conn: Connection) -> None:
        if conn.get_execution_options().get(WRITE, False):  # who only reads keeps nobody waiting
            conn.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout={standstill_ms}")

    return engine


def sqlite_settings(raw: sqlite3.Connection) -> dict[str, str]:
    """Return the settings that make a commit survive, as this connection has them."""
    return {name: str(raw.execute(f"PRAGMA {name}").fetchone()[0]).lower() for name in _SQLITE}


def postgres_settings(raw: DBAPIConnection) -> dict[str, str]:
    """Return the settings that make a commit survive, as this session has them."""
    wanted = ", ".join(f"current_setting('{name}')" for name in _POSTGRES)
    cursor = raw.cursor()
    cursor.execute(f"SELECT {wanted}")
    found = cursor.fetchone()
    cursor.close()
    raw.rollback()
    return dict(zip(_POSTGRES, map(str, found or ()), strict=True))


def refuse_unsafe(found: dict[str, str]) -> None:
    """Accept settings under which a commit survives.

    Raises:
        WrongUse: one of them is another.
    """
    for name, value in found.items():
        expected = {**_SQLITE, **_POSTGRES}[name]
        if value == expected or (name == "synchronous_commit" and value in _SYNCED):
            continue
        raise WrongUse(
            Fault(
                where=f"database setting {name}",
                found=value,
                expected=expected,
                remedy="a commit would not survive a power cut: put the files on a local disk that "
                "can hold a write-ahead log, or turn the server's setting on",
                code="not_durable",
            )
        )
