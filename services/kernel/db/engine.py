"""The database of one service: durable settings proved on every connection, two kinds of work.

Writing is one transaction at a time per SQLite file (a lock in the process, then BEGIN IMMEDIATE);
reading is a snapshot that writes nothing. Whatever the infrastructure does wrong is `Retryable`.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, MetaData, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.kernel.db import connecting
from services.kernel.db.faults import not_let_in, refusal, retryable
from services.kernel.errors import Fault, Retryable, WrongUse

BUSY_MS: Final = 5_000
_locks: Final[dict[tuple[str, str], threading.Lock]] = {}
_locks_guard: Final = threading.Lock()


class Database:
    """One service's own database; safe to use from many threads.

    Args:
        url: `sqlite:///path` or `postgresql://user:password@host:port/name`.
        metadata: The service's tables.
        schema: PostgreSQL schema that holds them (the whole search path).
        service: Name used in messages and crash points; default: schema or file name.
        busy_ms: How long to wait for a lock or a connection before it is `Retryable`.
        standstill_ms: PostgreSQL: how long a process may stand still before it loses its locks.

    Raises:
        WrongUse: neither of the two kinds of URL, or an SQLite database that is no file.
    """

    def __init__(
        self,
        url: str,
        metadata: MetaData,
        *,
        schema: str | None = None,
        service: str = "",
        busy_ms: int = BUSY_MS,
        standstill_ms: int = connecting.STANDSTILL_MS,
    ) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError as exc:
            raise WrongUse(_url_fault("text that is no URL")) from exc
        self.name: str = parsed.get_backend_name()
        self.metadata = metadata
        self.schema = schema
        self.after_commit: list[Callable[[Connection], None]] = []
        """Called after each committed write transaction, on its thread, with its connection."""
        self.refused: str | None = None
        """Why the last write did not come through; None once one did. See `try_again`."""
        self.standstill_ms = standstill_ms
        self._own = threading.local()
        self._busy_s = busy_ms / 1000
        if self.name == "sqlite":
            path = parsed.database or ""
            if path in ("", ":memory:") or path.startswith("file:"):
                raise WrongUse(_url_fault("an SQLite database that is no file"))
            self.service = service or Path(path).stem
            self._place = str(Path(path).resolve())
            self.engine = connecting.sqlite_engine(parsed, read_only=False, busy_ms=busy_ms)
            self._reader = connecting.sqlite_engine(parsed, read_only=True, busy_ms=busy_ms)
        elif parsed.drivername in ("postgresql", "postgresql+psycopg"):
            parsed = parsed.set(drivername="postgresql+psycopg")
            self.service = service or schema or "database"
            self._place = f"{parsed.host}:{parsed.port}/{parsed.database}/{schema}"
            self.engine = connecting.postgres_engine(parsed, schema, busy_ms, standstill_ms)
            self._reader = self.engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        else:
            raise WrongUse(_url_fault(f"one for {parsed.drivername!r}"))

    def prove_entry(self) -> None:
        """Connect once, as a process does before it starts.

        Raises:
            WrongUse: the server refuses role, password or database. Retryable: out of reach.
        """
        try:
            with self.mapped(), self.engine.connect():
                return
        except Retryable as exc:
            cause = exc.__cause__
            if isinstance(cause, DBAPIError) and (reason := refusal(cause)) is not None:
                raise WrongUse(not_let_in(reason)) from exc
            raise

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open a write transaction: commit on exit, roll back on any error.

        Raises:
            Retryable: the database is locked, full or out of reach; nothing was changed, unless the
                error came from the commit itself, whose fate is then unknown.
        """
        if getattr(self._own, "writing", False):
            raise RuntimeError(
                f"database of {self.service}: begin() inside begin() on one thread; pass `conn` on"
            )
        with self._turn(), self._noted(), self.mapped():
            self._own.writing = True
            try:
                with self.engine.connect() as conn:
                    conn.execution_options(**{connecting.WRITE: True})
                    with conn.begin():
                        yield conn
                    self.refused = None
                    for call in self.after_commit:
                        call(conn)
            finally:
                self._own.writing = False

    def ready(self) -> str | None:
        """Return why nothing can be written, None as far as is known."""
        return self.refused

    def try_again(self) -> None:
        """Find out whether a write comes through again, after one that did not.

        Without it a door that refused a fact would stay "not ready" until somebody sent another.
        """
        if self.refused is None:
            return
        with suppress(Retryable), self.begin() as conn:
            conn.execute(text(connecting.SMALLEST_WRITE[self.name]))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read-only snapshot: what it reads is of one moment; writing fails.

        Raises:
            Retryable: the database is out of reach.
        """
        with self.mapped(reading=True), self._reader.connect() as conn, conn.begin():
            yield conn

    def lock(self, conn: Connection, name: str, *, shared: bool) -> None:
        """Hold `name` until the transaction ends; shared holders keep only exclusive ones out."""
        if self.name == "sqlite":
            return  # BEGIN IMMEDIATE already lets one writer in at a time
        function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        conn.execute(text(f"SELECT {function}(:key)"), {"key": self.lock_key(name)})

    def lock_key(self, name: str) -> int:
        """Return the 64-bit advisory lock number of `name` in this schema."""
        digest = hashlib.blake2b(f"{self.schema}\x1f{name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)

    def process_lock(self, name: str) -> threading.Lock:
        """Return the lock that all users of this database in this process share under `name`."""
        with _locks_guard:
            return _locks.setdefault((self._place, name), threading.Lock())

    def migrate(self, scripts: str) -> None:
        """Bring the tables to the newest revision found in the package `scripts`.

        Raises:
            WrongUse: the database is of a newer version than the code.
        """
        from services.kernel.db.migrate import upgrade  # noqa: PLC0415 - Alembic only at start

        upgrade(self, scripts)

    def durability(self) -> dict[str, str]:
        """Return the settings that make a commit survive, as the database itself states them."""
        with self.mapped(), self.engine.connect() as conn:
            raw: Any = conn.connection.dbapi_connection
            if self.name == "sqlite":
                return connecting.sqlite_settings(raw)
            return connecting.postgres_settings(raw)

    def close(self) -> None:
        """Close every connection; idempotent."""
        self._reader.dispose()
        self.engine.dispose()

    @contextmanager
    def mapped(self, *, reading: bool = False) -> Iterator[None]:
        """Turn what the infrastructure does wrong inside into `Retryable`."""
        try:
            yield
        except (DBAPIError, PoolTimeout) as exc:
            told = retryable(self.service, exc, reading=reading)
            if told is None:
                raise
            raise told from exc

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Keep why a write did not come through, if it was the database's fault."""
        try:
            yield
        except Retryable as exc:
            if isinstance(exc.__cause__, DBAPIError | PoolTimeout):
                self.refused = str(exc)
            raise

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for this process's turn to write, where only one can."""
        if self.name != "sqlite":
            yield
            return
        # Waiting here wakes at once; SQLite's own busy handler sleeps in growing steps instead.
        lock = self.process_lock("write")
        if not lock.acquire(timeout=self._busy_s):
            raise Retryable(f"database of {self.service}: another writer holds it; try again")
        try:
            yield
        finally:
            lock.release()


def _url_fault(found: str) -> Fault:
    return Fault(
        where="database URL",
        found=found,
        expected="sqlite:///path/to/file.db or postgresql://user@host:port/name",
        remedy="correct HEARTHWATCH_DB_URL",
    )
