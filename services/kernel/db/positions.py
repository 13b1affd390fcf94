"""What a consumer keeps beside its effect: how far it has read, and which ids it has seen.

A missing row of `position` means offset 0, so a partition begins with `expected=0`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    func,
    select,
    text,
    update,
)

from services.kernel.db.keys import Keys, Stored
from services.kernel.db.types import Instant
from services.kernel.db.write import insert_new
from services.kernel.errors import Stale

__all__ = ["Inbox", "Keys", "Position", "Positions", "Stale", "Stored"]


class Position(NamedTuple):
    """The next offset to handle, and the last mark seen (microseconds since 1970)."""

    next_offset: int
    mark: int | None


class Positions:
    """Table `position`(topic, partition, next_offset, mark_us)."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "position",
            metadata,
            Column("topic", String, primary_key=True),
            Column("partition", Integer, primary_key=True, autoincrement=False),
            Column("next_offset", BigInteger, nullable=False),
            Column("mark_us", Instant),
        )
        columns = self.table.c
        here = (columns.topic == bindparam("t")) & (columns.partition == bindparam("p"))
        self._move = (
            update(self.table)
            .where(here & (columns.next_offset == bindparam("expected")))
            .values(
                next_offset=bindparam("next"),
                mark_us=func.coalesce(bindparam("mark", type_=Instant()), columns.mark_us),
            )
        )
        self._mark = (
            update(self.table)
            .where(here & (func.coalesce(columns.mark_us, -(1 << 62)) < bindparam("mark")))
            .values(mark_us=bindparam("mark"))
        )

    def load(self, conn: Connection, topic: str) -> dict[int, Position]:
        """Return the stored position of each partition of `topic` that has one."""
        columns = self.table.c
        rows = conn.execute(
            select(columns.partition, columns.next_offset, columns.mark_us).where(
                columns.topic == topic
            )
        )
        return {partition: Position(offset, mark) for partition, offset, mark in rows}

    def move(
        self,
        conn: Connection,
        topic: str,
        partition: int,
        expected: int,
        next_offset: int,
        mark: int | None = None,
    ) -> None:
        """Set the next offset if it still is `expected`; `mark` None keeps the stored mark.

        Raises:
            Stale: it is another one.
        """
        values = {
            "t": topic, "p": partition, "expected": expected, "next": next_offset, "mark": mark,
        }  # fmt: skip
        if conn.execute(self._move, values).rowcount == 1:
            return
        if expected == 0:
            self._create(conn, topic, partition)
            if conn.execute(self._move, values).rowcount == 1:
                return
        raise Stale(
            f"position of {topic}[{partition}]: expected {expected} to be stored; it is another, "
            "so roll back and read on from what is stored"
        )

    def mark(self, conn: Connection, topic: str, partition: int, at_us: int) -> None:
        """Store a mark; one that is not above the stored mark changes nothing."""
        values = {"t": topic, "p": partition, "mark": at_us}
        if conn.execute(self._mark, values).rowcount == 0:
            self._create(conn, topic, partition)
            conn.execute(self._mark, values)

    def marks(self, conn: Connection, topic: str) -> dict[int, int]:
        """Return the last mark of each partition of `topic` that has had one."""
        return {
            partition: position.mark
            for partition, position in self.load(conn, topic).items()
            if position.mark is not None
        }

    def _create(self, conn: Connection, topic: str, partition: int) -> None:
        row = {"topic": topic, "partition": partition, "next_offset": 0}
        insert_new(conn, self.table, [row], ("topic", "partition"))


class Inbox:
    """Table `inbox`(id, topic, partition, offset): message ids whose effect is in."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "inbox",
            metadata,
            Column("id", String, primary_key=True),
            Column("topic", String, nullable=False),
            Column("partition", Integer, nullable=False),
            Column("offset", BigInteger, nullable=False),
            sqlite_with_rowid=False,
        )

    def unseen(self, conn: Connection, ids: Sequence[str]) -> set[str]:
        """Return those of `ids` that are not in yet."""
        if not ids:
            return set()
        wanted, value = (
            ("IN (SELECT value FROM json_each(:ids))", _json_list(ids))
            if conn.dialect.name == "sqlite"
            else ("= ANY(:ids)", list(ids))
        )
        statement = text(f"SELECT id FROM inbox WHERE id {wanted}")  # noqa: S608 - constants only
        seen = conn.scalars(statement, {"ids": value})
        return set(ids).difference(seen)

    def add(self, conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Remember ids: rows of id, topic, partition, offset; one that is there stays as it is."""
        insert_new(conn, self.table, rows, ("id",))

    def forget(self, conn: Connection, topic: str, partition: int, below: int) -> int:
        """Drop the ids of records that the topic itself no longer keeps; return how many."""
        columns = self.table.c
        gone = (columns.topic == topic) & (columns.partition == partition)
        return conn.execute(self.table.delete().where(gone & (columns.offset < below))).rowcount


def _json_list(ids: Sequence[str]) -> str:
    return msgspec.json.encode(ids).decode()
