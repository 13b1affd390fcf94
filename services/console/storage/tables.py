"""The console's tables. Secrets are kept as digests only.

No fact about a household stands here; a glass says whom somebody looked at, and why.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

from services.kernel.db.types import Instant, Json

TABLES: Final = MetaData()
_UNREVIEWED: Final = text("reviewed_at IS NULL")

USER: Final = Table(
    "user_account",
    TABLES,
    Column("name", String, primary_key=True),  # what is typed at log-in, in small letters
    Column("role", String, nullable=False),
    Column("areas", Json, nullable=False),
    Column("staff", String, nullable=False, index=True),  # who it is in registry
    Column("display", String, nullable=False),
    Column("password", String, nullable=False),  # argon2
    Column("active", Boolean, nullable=False),
    Column("language", String, nullable=False),
    Column("sound", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
)

SESSION: Final = Table(
    "session",
    TABLES,
    Column("digest", String, primary_key=True),  # SHA-256 of the cookie
    Column("user_name", String, nullable=False, index=True),
    Column("csrf", String, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False, index=True),
)

REFUSAL: Final = Table(  # by digest of the name typed, known or not
    "refusal",
    TABLES,
    Column("digest", String, primary_key=True),
    Column("refused", Integer, nullable=False),
    Column("last_at", Instant, nullable=False, index=True),
    Column("locked_until", Instant, nullable=False),
)

TOKEN: Final = Table(
    "api_token",
    TABLES,
    Column("digest", String, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),  # feed or service
    Column("scope", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
)

GLASS: Final = Table(  # a row for each time that somebody opened a household of elsewhere
    "glass",
    TABLES,
    Column("id", String, primary_key=True),
    Column("user_name", String, nullable=False),
    Column("staff", String, nullable=False),
    Column("key", String, nullable=False),  # of the form
    Column("household", String, nullable=False),
    Column("area", String, nullable=False),
    Column("grid", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False, index=True),
    Column("ended_at", Instant),
    Column("ended_by", String, nullable=False),
    Column("reviewed_at", Instant),
    Column("reviewed_by", String, nullable=False),
    Column("justified", Boolean),
    Column("note", String, nullable=False),
    UniqueConstraint("user_name", "key"),
    Index("ix_glass_unreviewed", "since", sqlite_where=_UNREVIEWED, postgresql_where=_UNREVIEWED),
)
