"""A second, sealed account of how far each partition was read: what the audit compares."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from services.alerts.storage.seal import sealed
from services.alerts.storage.tables import PROGRESS
from services.kernel.db.positions import Positions
from services.kernel.db.write import upsert


def progress(conn: Connection, topic: str, partition: int) -> dict[str, Any]:
    """Return the row of a partition, a new one when it was never read."""
    mine = (PROGRESS.c.topic == topic) & (PROGRESS.c.partition == partition)
    row = conn.execute(select(PROGRESS).where(mine)).mappings().one_or_none()
    if row is not None:
        return dict(row)
    return {
        "topic": topic,
        "partition": partition,
        "handled": 0,
        "mark": None,
        "holder": "",
        "rows": 0,
        "seal": "",
    }


def advance(
    conn: Connection, row: dict[str, Any], handled: int, mark: int | None, rows: int = 0
) -> None:
    """Move the account of a partition on; marks only grow."""
    row["handled"] = max(row["handled"], handled)
    if mark is not None:
        row["mark"] = mark if row["mark"] is None else max(row["mark"], mark)
    row["rows"] += rows
    del row["seal"]
    upsert(conn, PROGRESS, [sealed(PROGRESS, row)], ("topic", "partition"))


class Marks:
    """The `MarkStore` port: kernel's positions, and the second account beside them."""

    def __init__(self, positions: Positions) -> None:
        self._positions = positions

    def marks(self, conn: Connection, topic: str) -> dict[int, int]:
        """See `MarkStore`."""
        return self._positions.marks(conn, topic)

    def handled(
        self, conn: Connection, topic: str, partition: int, offset: int, mark: int | None
    ) -> None:
        """See `MarkStore`."""
        if mark is not None:
            self._positions.mark(conn, topic, partition, mark)
        advance(conn, progress(conn, topic, partition), offset, mark)
