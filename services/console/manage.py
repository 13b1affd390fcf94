"""Users and API tokens as whoever runs the system makes them, beside a running console or without.

A token's text is told once. A feed's token may send changes of its own source and listed types; a
reader's may GET listed paths of one service. Nothing else opens to them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any, Final

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from services.console.access import ROLES
from services.console.auth import SHORTEST
from services.console.storage import tokens, users
from services.console.storage.sessions import digest_of
from services.console.storage.tables import TABLES
from services.console.storage.tokens import Token
from services.console.storage.users import User
from services.console.words import LANGUAGES
from services.kernel.clock import DAY, Clock
from services.kernel.db.engine import Database
from services.kernel.db.roles import schema_of
from services.kernel.errors import Fault, WrongUse
from services.kernel.settings import Settings

READ: Final = ("intake", "registry", "risk", "alerts")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,99}")
_PATH: Final = re.compile(r"/v1/[\w\-/.{}]*")
_FEED, _READER = "feed", "service"


def open_database(settings: Settings) -> Database:
    """Return the console's database, brought to its newest tables; the caller closes it."""
    url = settings.database_url("console")
    if url.startswith("sqlite"):
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    schema = None if url.startswith("sqlite") else schema_of("console", settings.run)
    db = Database(url, TABLES, schema=schema, service="console")
    db.migrate("services.console.migrations")
    return db


class Registrar:
    """Makes, changes and revokes.

    Args:
        db: The console's.
        wall: Wall-clock time.
        hasher: Of passwords; argon2 by default.
    """

    def __init__(self, db: Database, wall: Clock, hasher: PasswordHash | None = None) -> None:
        self._db = db
        self._wall = wall
        self._hasher = hasher or PasswordHash((Argon2Hasher(),))

    def add_user(
        self,
        name: str,
        role: str,
        areas: Sequence[str],
        password: str,
        *,
        staff: str = "",
        display: str = "",
        language: str = LANGUAGES[0],
    ) -> User:
        """Add somebody who may log in.

        Raises:
            WrongUse: the name is taken or no name, the role unknown, no area, a short password.
        """
        name = name.strip().lower()
        _need(_NAME.fullmatch(name), "NAME", "small letters, digits and . _ @ -", "another text")
        _need(role in ROLES, "--role", " | ".join(ROLES), "another word")
        _need(areas, "--area", "codes of areas, or '*' for everywhere", "nothing")
        _need(language in LANGUAGES, "--language", " | ".join(LANGUAGES), "another word")
        self._need_long(password)
        made = User(
            name=name,
            role=role,
            areas=tuple(areas),
            staff=staff or name,
            display=display or name,
            password=self._hasher.hash(password),
            active=True,
            language=language,
            sound=False,
            created_at=self._wall.now(),
        )
        with self._db.begin() as conn:
            _need(users.add(conn, made), "NAME", "a name nobody has yet", "one that is taken")
        return made

    def users(self) -> list[User]:
        """Return everybody by name."""
        with self._db.read() as conn:
            return users.everybody(conn)

    def set_password(self, name: str, password: str) -> None:
        """Set a password, unlock the name and end every session of theirs."""
        self._need_long(password)
        self._change(name, password=self._hasher.hash(password))

    def set_active(self, name: str, *, active: bool) -> None:
        """Let somebody in again, or keep them out and end every session of theirs."""
        self._change(name, active=active)

    def unlock(self, name: str) -> None:
        """Forget the refused log-ins of a name."""
        with self._db.begin() as conn:
            users.forget_refusals(conn, name)

    def add_feed(self, name: str, source: str, types: Sequence[str], days: int | None) -> str:
        """Return the token of a new feed: it may send changes of its source and these types.

        Raises:
            WrongUse: the name is taken, or no source or no type is given.
        """
        _need(source and types, "--source, --type", "a source and its event types", "nothing")
        return self._add_token(name, _FEED, {"source": source, "types": sorted(set(types))}, days)

    def add_reader(self, name: str, service: str, paths: Sequence[str], days: int | None) -> str:
        """Return the token of a new reader: it may GET these paths, and what lies below, of one.

        Raises:
            WrongUse: the name is taken, or the service or a path is none.
        """
        _need(service in READ, "--service", " | ".join(READ), "another word")
        right = paths and all(_PATH.fullmatch(path) and ".." not in path for path in paths)
        _need(right, "--path", "paths such as /v1/alerts", "another text")
        return self._add_token(name, _READER, {"service": service, "paths": sorted(paths)}, days)

    def tokens(self) -> list[Token]:
        """Return all tokens by name, without their texts, which nobody knows any more."""
        with self._db.read() as conn:
            return tokens.everything(conn)

    def revoke(self, name: str) -> None:
        """Revoke a token; raises WrongUse when there is none of that name."""
        with self._db.begin() as conn:
            done = tokens.revoke(conn, name, self._wall.now())
        _need(done, "NAME", "the name of a token that holds", "another")

    def _add_token(self, name: str, kind: str, scope: dict[str, Any], days: int | None) -> str:
        _need(_NAME.fullmatch(name), "NAME", "small letters, digits and . _ @ -", "another text")
        text, now = f"hw_{secrets.token_urlsafe(32)}", self._wall.now()
        ends = None if days is None else now + days * DAY
        made = Token(digest_of(text), name, kind, scope, now, ends, None)
        with self._db.begin() as conn:
            _need(tokens.add(conn, made), "NAME", "a name no token has yet", "one that is taken")
        return text

    def _change(self, name: str, **values: object) -> None:
        with self._db.begin() as conn:
            found = users.change(conn, name.strip().lower(), **values)
            users.forget_refusals(conn, name)
            users.log_out_all(conn, name.strip().lower())
        _need(found, "NAME", "the name of a user", "one that nobody has")

    def _need_long(self, password: str) -> None:
        found = f"{len(password)}"
        _need(len(password) >= SHORTEST, "password", f"{SHORTEST} characters or more", found)


def _need(so: object, where: str, expected: str, found: str) -> None:
    if not so:
        raise WrongUse(Fault(where, expected, found, "give another one", "option"))
