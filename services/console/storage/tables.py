"""The console's tables. Secrets are kept as digests only; no fact about a household stands here."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, Integer, MetaData, String, Table

from services.kernel.db.types import Instant, Json

TABLES: Final = MetaData()

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
