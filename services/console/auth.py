"""Log-in, lock-out and sessions; wall-clock time, for a demo's fast clock logs nobody out.

Whoever knows a name could lock it by refusals. So a browser in which somebody has logged in before
holds a mark of that; it is counted by itself, and a lock that others brought about leaves it alone.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from typing import Final, NamedTuple

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from services.console.storage import sessions, users
from services.console.storage.sessions import Session
from services.console.storage.users import Refusals, User
from services.kernel.clock import HOUR, MINUTE, Clock
from services.kernel.db.engine import Database

IDLE: Final = HOUR
"""A page that is open asks by itself, so this is for pages that were closed."""
ABSOLUTE: Final = 14 * HOUR
"""Longer than any shift; then log in again, keeping what was typed."""
MOST_REFUSED: Final = 5
LOCKED: Final = 15 * MINUTE
SHORTEST: Final = 10
_TOUCH: Final = MINUTE
_AT_ONCE: Final = 2
_MARKS: Final = 8
"""A desk's browser is shared by those who take turns at it."""
_BETWEEN: Final = "~"


class Refusal(NamedTuple):
    """Why a log-in was refused: wrong, with how many tries are left, or locked until an instant."""

    left: int
    locked_until: int = 0


class LoggedIn(NamedTuple):
    """A new session; `cookie` is told once and kept only as its digest. `marks`: of the browser."""

    cookie: str
    session: Session
    user: User
    marks: str


class Auth:
    """Checks passwords and sessions; blocking, to be called in a thread.

    Args:
        db: The console's.
        wall: Wall-clock time.
        hasher: Argon2; at most two at once, because each takes 64 MB and a good part of a second.
    """

    def __init__(self, db: Database, wall: Clock, hasher: PasswordHash | None = None) -> None:
        self._db = db
        self._wall = wall
        self._hasher = hasher or PasswordHash((Argon2Hasher(),))
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        self._nobodys = ""

    def hashed(self, password: str) -> str:
        """Return what is kept of a password."""
        with self._turns:
            return self._hasher.hash(password)

    def log_in(self, name: str, password: str, marks: str = "") -> LoggedIn | Refusal:
        """Return a new session, or the refusal; a name nobody has is refused just the same.

        Args:
            name: As typed.
            password: As typed.
            marks: That earlier log-ins left with the browser, or any other text.
        """
        now = self._wall.now()
        with self._db.read() as conn:
            user, before = users.find(conn, name), users.refusals(conn, name)
            own = _own(user, marks)
            ours = users.refusals(conn, own) if own else before
        if min(before.locked_until, ours.locked_until) > now:
            return Refusal(0, min(before.locked_until, ours.locked_until))
        self._nobodys = self._nobodys or self.hashed(secrets.token_urlsafe())
        known = user is not None and user.active
        with self._turns:
            right = self._hasher.verify(password, user.password if user else self._nobodys)
        if not (known and right) or user is None:
            return self._refused([name, own] if own else [name], now)
        cookie = secrets.token_urlsafe(32)
        made = Session(sessions.digest_of(cookie), user.name, secrets.token_urlsafe(24), now, now)
        with self._db.begin() as conn:
            users.forget_refusals(conn, name, before=now - 2 * LOCKED)
            users.forget_refusals(conn, own)
            sessions.forget(conn, now - IDLE, now - ABSOLUTE)
            sessions.begin(conn, made)
        if not own:
            kept = marks.split(_BETWEEN)[: _MARKS - 1] if marks else []
            marks = _BETWEEN.join([_marked(user, secrets.token_hex(8)), *kept])
        return LoggedIn(cookie, made, user, marks)

    def _refused(self, names: list[str], now: int) -> Refusal:
        """Count a refusal under each name; return the mildest of what follows."""
        counted: list[Refusals] = []
        with self._db.begin() as conn:
            self._db.lock(conn, "console.refusal", shared=False)
            for name in names:
                before = users.refusals(conn, name)
                if now - before.last_at > LOCKED or before.locked_until:
                    before = Refusals() if before.locked_until <= now else before
                count = before.refused + 1
                until = now + LOCKED if count >= MOST_REFUSED else 0
                counted.append(Refusals(count, now, until))
                users.set_refusals(conn, name, counted[-1])
        mildest = min(counted, key=lambda found: (found.locked_until, found.refused))
        return Refusal(max(0, MOST_REFUSED - mildest.refused), mildest.locked_until)

    def session(self, cookie: str) -> tuple[Session, User] | None:
        """Return the session of a cookie if it still holds; a use of it is remembered."""
        now, digest = self._wall.now(), sessions.digest_of(cookie)
        with self._db.read() as conn:
            found = sessions.find(conn, digest)
        if found is None:
            return None
        session, _ = found
        if now - session.seen_at > IDLE or now - session.created_at > ABSOLUTE:
            return None
        if now - session.seen_at > _TOUCH:
            with self._db.begin() as conn:
                sessions.touch(conn, digest, now)
        return found

    def log_out(self, digest: str) -> None:
        """End a session."""
        with self._db.begin() as conn:
            sessions.end(conn, digest)

    def change_password(self, user: User, old: str, new: str, keep: str) -> bool:
        """Set a new password if the old one is right; every other session of theirs ends."""
        with self._turns:
            right = self._hasher.verify(old, user.password)
        if not right:
            return False
        password = self.hashed(new)
        with self._db.begin() as conn:
            users.change(conn, user.name, password=password)
            users.log_out_all(conn, user.name, keep=keep)
        return True

    def prefer(self, user: User, **values: object) -> None:
        """Keep preferences: `language`, `sound`."""
        with self._db.begin() as conn:
            users.change(conn, user.name, **values)


def _marked(user: User, nonce: str) -> str:
    """Return what a browser keeps of a log-in: nobody else can make it, a new password ends it."""
    digest = hmac.new(user.password.encode(), f"{user.name} {nonce}".encode(), hashlib.sha256)
    return f"{nonce}.{digest.hexdigest()}"


def _own(user: User | None, marks: str) -> str:
    """Return the name under which a browser's own refusals are counted; '' without a true mark."""
    if user is None:
        return ""
    for mark in marks.split(_BETWEEN)[:_MARKS]:
        nonce = mark.partition(".")[0]
        if hmac.compare_digest(_marked(user, nonce).encode(), mark.encode()):
            return f"{user.name} {nonce}"
    return ""
