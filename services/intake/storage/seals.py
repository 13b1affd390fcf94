"""Which columns a row's seal covers, per table: all of them but the seal itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from sqlalchemy import RowMapping, Table

from services.intake.domain.rows import seal


def seal_of(table: Table, row: Mapping[str, Any] | RowMapping) -> bytes:
    """Return the seal over a row's columns, in the table's order; JSON columns as given."""
    return seal(table.name, [row[name] for name in _columns(table)])


def sealed(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with its seal."""
    row["seal"] = seal_of(table, row)
    return row


def answer_digest(request: str, body: bytes) -> str:
    """Return what is stored beside an answer: of the request it answered, and of itself."""
    return f"{request}:{blake2b(body, digest_size=16).hexdigest()}"


def request_of(digest: str) -> str:
    """Return the request's part of a stored digest."""
    return digest.partition(":")[0]


def answer_fits(digest: str, body: bytes) -> bool:
    """Tell whether a stored answer is as it was given."""
    return digest == answer_digest(request_of(digest), body)


@lru_cache(maxsize=32)
def _columns(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns if column.name != "seal")
