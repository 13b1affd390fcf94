"""Seals over the columns of a row, and the heads of numbered tables."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, RowMapping, Table, select

from services.kernel.db.write import upsert
from services.registry.storage.tables import HEAD

_encode: Final = msgspec.json.Encoder(order="deterministic").encode


def seal_of(table: Table, row: Mapping[str, Any] | RowMapping) -> bytes:
    """Return the seal over a row's columns, in the table's order, without its own."""
    values = [row[column.name] for column in table.columns if column.name != "seal"]
    key = b"hearthwatch.registry." + table.name.encode()
    return blake2b(_encode(values), digest_size=16, key=key).digest()


def sealed(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with its seal."""
    row["seal"] = seal_of(table, row)
    return row


def head(conn: Connection, name: str) -> tuple[int, str]:
    """Return number and id of the last row of a numbered table; (0, '') before the first."""
    row = conn.execute(select(HEAD.c.seq, HEAD.c.last).where(HEAD.c.name == name)).one_or_none()
    return (0, "") if row is None else (row[0], row[1])


def set_head(conn: Connection, name: str, seq: int, last: str) -> None:
    """Store the last row of a numbered table."""
    row = {"name": str(name), "seq": seq, "last": last}  # a table's name is a subclass of str
    upsert(conn, HEAD, [sealed(HEAD, row)], ("name",))
