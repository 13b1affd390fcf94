"""Stored answers of HTTP writes: the same key with the same request gets the same answer again."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, delete, select

from services.kernel.db.types import Blob, Instant
from services.kernel.db.write import insert


class Stored(NamedTuple):
    """An answer as it was given. `digest` is of the request it answered."""

    status: int
    body: bytes
    digest: str
    at: int


class Keys:
    """Table `idempotency`(scope, key, digest, status, body, at)."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "idempotency",
            metadata,
            Column("scope", String, primary_key=True),
            Column("key", String, primary_key=True),
            Column("digest", String, nullable=False),
            Column("status", Integer, nullable=False),
            Column("body", Blob, nullable=False),
            Column("at", Instant, nullable=False, index=True),
        )

    def find(self, conn: Connection, scope: str, key: str) -> Stored | None:
        """Return the answer stored for `key`, or None."""
        columns = self.table.c
        row = conn.execute(
            select(columns.status, columns.body, columns.digest, columns.at).where(
                (columns.scope == scope) & (columns.key == key)
            )
        ).one_or_none()
        return None if row is None else Stored(*row)

    def save(
        self,
        conn: Connection,
        scope: str,
        key: str,
        status: int,
        body: bytes,
        now: int,
        *,
        digest: str = "",
    ) -> None:
        """Store the answer in the transaction of its effect."""
        row = {"scope": scope, "key": key, "digest": digest}
        insert(conn, self.table, [row | {"status": status, "body": body, "at": now}])

    def forget(self, conn: Connection, before: int) -> int:
        """Drop answers given before the instant `before`; return how many."""
        return conn.execute(delete(self.table).where(self.table.c.at < before)).rowcount
