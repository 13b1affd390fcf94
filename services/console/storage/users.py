"""Users and refused log-ins as rows."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, select, update

from services.console.access import EVERYWHERE
from services.console.storage.tables import REFUSAL, SESSION, USER
from services.kernel.db.write import insert_new, upsert


class User(NamedTuple):
    """Somebody who may log in; `areas` are codes of registry, or EVERYWHERE."""

    name: str
    role: str
    areas: tuple[str, ...]
    staff: str
    display: str
    password: str
    active: bool
    language: str
    sound: bool
    created_at: int

    @property
    def everywhere(self) -> bool:
        """Whether no area is closed to them."""
        return EVERYWHERE in self.areas


class Refusals(NamedTuple):
    """Log-ins refused in a row under one name."""

    refused: int = 0
    last_at: int = 0
    locked_until: int = 0


def user_of(row: Row[Any]) -> User:
    """Return the user of a row of `user_account`."""
    found = {name: row._mapping[name] for name in User._fields}  # noqa: SLF001 - public in 2.x
    return User(**found | {"areas": tuple(found["areas"])})


def find(conn: Connection, name: str) -> User | None:
    """Return a user by name, whatever the case it is typed in."""
    row = conn.execute(select(USER).where(USER.c.name == name.strip().lower())).one_or_none()
    return None if row is None else user_of(row)


def everybody(conn: Connection) -> list[User]:
    """Return all users by name."""
    return [user_of(row) for row in conn.execute(select(USER).order_by(USER.c.name))]


def add(conn: Connection, user: User) -> bool:
    """Add a user; return False when the name is taken."""
    if find(conn, user.name) is not None:
        return False
    insert_new(conn, USER, [user._asdict() | {"areas": list(user.areas)}], ("name",))
    return True


def change(conn: Connection, name: str, **values: object) -> bool:
    """Set columns of a user; return whether there is one."""
    return bool(conn.execute(update(USER).where(USER.c.name == name).values(values)).rowcount)


def log_out_all(conn: Connection, name: str, *, keep: str = "") -> None:
    """End every session of a user but the one of this digest."""
    conn.execute(delete(SESSION).where((SESSION.c.user_name == name) & (SESSION.c.digest != keep)))


def refusals(conn: Connection, name: str) -> Refusals:
    """Return how often a name, known or not, was refused lately."""
    row = conn.execute(
        select(REFUSAL.c.refused, REFUSAL.c.last_at, REFUSAL.c.locked_until).where(
            REFUSAL.c.digest == digest(name)
        )
    ).one_or_none()
    return Refusals() if row is None else Refusals(*row)


def set_refusals(conn: Connection, name: str, found: Refusals) -> None:
    """Store how often a name was refused."""
    upsert(conn, REFUSAL, [{"digest": digest(name), **found._asdict()}], ("digest",))


def forget_refusals(conn: Connection, name: str = "", *, before: int = 0) -> None:
    """Forget those of a name, and all whose last was before an instant."""
    conn.execute(
        delete(REFUSAL).where((REFUSAL.c.digest == digest(name)) | (REFUSAL.c.last_at < before))
    )


def digest(text: str) -> str:
    """Return the digest under which a name typed at log-in, or a secret, is kept."""
    return hashlib.sha256(text.strip().lower().encode()).hexdigest()
