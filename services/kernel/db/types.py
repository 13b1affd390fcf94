"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

import msgspec
from sqlalchemy import JSON, BigInteger, Integer, LargeBinary
from sqlalchemy.dialects.postgresql import JSONB


class Instant(BigInteger):
    """Whole microseconds since 1970, UTC; an int in Python as everywhere inside the system."""


class Blob(LargeBinary):
    """Bytes as they came."""


Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""Any JSON value; None is SQL NULL. PostgreSQL keeps neither key order nor NUL characters."""

Serial = BigInteger().with_variant(Integer, "sqlite")
"""An automatic 64-bit primary key (SQLite knows only INTEGER as the row's own number)."""


def dumps(value: object) -> str:
    """Return JSON text as the `Json` columns store it."""
    return msgspec.json.encode(value).decode()
