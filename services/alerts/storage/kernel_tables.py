"""The kernel's tables with a seal of ours on each row that stays: inbox and stored answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Connection, MetaData, String

from services.alerts.storage.seal import sealed
from services.kernel.db.keys import Keys
from services.kernel.db.positions import Inbox
from services.kernel.db.write import insert, insert_new


class SealedInbox(Inbox):
    """The inbox; each id sealed together with the place of its record."""

    def __init__(self, metadata: MetaData) -> None:
        super().__init__(metadata)
        self.table.append_column(Column("seal", String, nullable=False, server_default=""))

    def add(self, conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Remember ids: rows of id, topic, partition, offset; one that is there stays as it is."""
        whole = [
            {name: row[name] for name in ("id", "topic", "partition", "offset")} for row in rows
        ]
        insert_new(conn, self.table, [sealed(self.table, row) for row in whole], ("id",))


class SealedKeys(Keys):
    """Stored answers; each sealed."""

    def __init__(self, metadata: MetaData) -> None:
        super().__init__(metadata)
        self.table.append_column(Column("seal", String, nullable=False, server_default=""))

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
        row: dict[str, Any] = {"scope": scope, "key": key, "digest": digest, "status": status}
        insert(conn, self.table, [sealed(self.table, row | {"body": body, "at": now})])
