"""The file of the SQLite bus: one process at a time, one transaction at a time, trouble named."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from services.kernel.errors import Fault, Retryable, WrongUse


def claim(path: Path) -> IO[str]:
    """Lock the file's neighbour for this process; raises WrongUse when another has it."""
    lock = Path(f"{path}.lock").open("a+", encoding="utf-8")  # noqa: SIM115 - kept open
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise WrongUse(
            Fault(
                where="bus file",
                expected="a file that no running process has open",
                found=f"{path.name} held by process {holder}",
                remedy="stop that process, or send the command to it over HTTP",
                code="held",
            )
        ) from exc
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


@contextmanager
def trouble(doing: str) -> Iterator[None]:
    """Turn a failing disk or database into `Retryable`; a broken rule of the schema stays a bug."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError):
        raise
    except sqlite3.Error as exc:
        raise Retryable(f"bus file: cannot {doing}: {exc}") from exc


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        connection.rollback()
        raise
