"""Sessions as rows, by the digest of the cookie."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from sqlalchemy import Connection, delete, select, update

from services.console.storage import users
from services.console.storage.tables import SESSION
from services.console.storage.users import User
from services.kernel.db.write import insert_new


class Session(NamedTuple):
    """A log-in that holds: `csrf` stands in every form of it."""

    digest: str
    user_name: str
    csrf: str
    created_at: int
    seen_at: int


def digest_of(cookie: str) -> str:
    """Return what is kept of a cookie or token."""
    return hashlib.sha256(cookie.encode()).hexdigest()


def begin(conn: Connection, session: Session) -> None:
    """Store a new session."""
    insert_new(conn, SESSION, [session._asdict()], ("digest",))


def find(conn: Connection, digest: str) -> tuple[Session, User] | None:
    """Return a session with its user, if both are there and the user is active."""
    row = conn.execute(select(SESSION).where(SESSION.c.digest == digest)).one_or_none()
    if row is None:
        return None
    found = Session(**row._asdict())
    user = users.find(conn, found.user_name)
    return None if user is None or not user.active else (found, user)


def touch(conn: Connection, digest: str, now: int) -> None:
    """Say that a session was used."""
    conn.execute(update(SESSION).where(SESSION.c.digest == digest).values(seen_at=now))


def end(conn: Connection, digest: str) -> None:
    """End a session."""
    conn.execute(delete(SESSION).where(SESSION.c.digest == digest))


def forget(conn: Connection, seen_before: int, made_before: int) -> int:
    """Drop sessions not seen, or made, since these instants; return how many."""
    columns = SESSION.c
    gone = (columns.seen_at < seen_before) | (columns.created_at < made_before)
    return conn.execute(delete(SESSION).where(gone)).rowcount
