"""Which database errors are the infrastructure's, to be retried, and which are ours."""

from __future__ import annotations

import re
import sqlite3
from typing import Final

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.kernel.errors import Fault, Retryable

_SQLITE_INFRASTRUCTURE: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)
"""Primary result codes; SQLITE_ERROR is left out because it means wrong SQL, which is a bug."""


def retryable(
    service: str, exc: DBAPIError | PoolTimeout, *, reading: bool = False
) -> Retryable | None:
    """Return the error to raise instead when the database is at fault, None when the code is.

    The text names the service and the cause without statement or values: these may be personal.
    `reading` says that the transaction was read-only: then a refused write is a bug.
    """
    if isinstance(exc, PoolTimeout):
        return Retryable(f"database of {service}: no connection became free: lower the load")
    cause = exc.orig
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)
        if code is None or code & 0xFF not in _SQLITE_INFRASTRUCTURE:
            return None
        if reading and code & 0xFF == sqlite3.SQLITE_READONLY:
            return None
        return Retryable(f"database of {service}: {cause.sqlite_errorname}: {cause}")
    if isinstance(exc, OperationalError) or exc.connection_invalidated:
        state = getattr(cause, "sqlstate", None) or "unreachable"
        return Retryable(f"database of {service}: {type(cause).__name__} ({state})")
    return None


_REFUSALS: Final = (
    (re.compile(r"(password|\w+) authentication failed for user"), "it refuses name or password"),
    (re.compile(r"role \".*\" (does not exist|is not permitted to log in)"), "no such role"),
    (re.compile(r"no password supplied"), "it wants a password"),
    (re.compile(r"no pg_hba.conf entry"), "it lets nobody in from here"),
    (re.compile(r"database \".*\" does not exist"), "no such database"),
    (re.compile(r"permission denied for database"), "the role may not use the database"),
)
"""What PostgreSQL says, in its own English, when waiting will not help. The client gets no code."""


def refusal(exc: DBAPIError) -> str | None:
    """Return why the server does not let us in, None when it is out of reach or does."""
    said = str(exc.orig)
    return next((reason for pattern, reason in _REFUSALS if pattern.search(said)), None)


def not_let_in(reason: str) -> Fault:
    """Return the fault of an address that the server refuses; names nobody."""
    return Fault(
        where="HEARTHWATCH_DB_URL",
        expected="a role, a password and a database that the server knows",
        found=f"a server that answers: {reason}",
        remedy="correct the address; `python -m services.kernel.db.roles` makes those of services",
        code="credentials",
    )
