"""API tokens as rows, by digest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, update

from services.console.storage.tables import TOKEN
from services.kernel.db.write import insert_new


class Token(NamedTuple):
    """What a program may do: `scope` of a feed is {source, types}, of a reader {service, paths}."""

    digest: str
    name: str
    kind: str
    scope: Mapping[str, Any]
    created_at: int
    expires_at: int | None
    revoked_at: int | None

    def holds(self, now: int) -> bool:
        """Return whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def add(conn: Connection, token: Token) -> bool:
    """Add a token; return False when the name is taken."""
    if any(each.name == token.name for each in everything(conn)):
        return False
    insert_new(conn, TOKEN, [token._asdict()], ("digest",))
    return True


def find(conn: Connection, digest: str) -> Token | None:
    """Return a token by its digest."""
    row = conn.execute(select(TOKEN).where(TOKEN.c.digest == digest)).one_or_none()
    return None if row is None else Token(**row._asdict())


def everything(conn: Connection) -> list[Token]:
    """Return all tokens by name."""
    return [Token(**r._asdict()) for r in conn.execute(select(TOKEN).order_by(TOKEN.c.name))]


def revoke(conn: Connection, name: str, now: int) -> bool:
    """Revoke a token; return whether there was one that was not revoked."""
    found = conn.execute(
        update(TOKEN)
        .where((TOKEN.c.name == name) & TOKEN.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    return bool(found.rowcount)
