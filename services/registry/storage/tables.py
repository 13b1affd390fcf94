"""Registry's tables.

`fact` is what the book is folded from: numbered without gaps, each row naming the one before, each
with a seal. `alias` and the entries follow from it and are checked by folding again. `looked` is
the log of who looked at whom: append-only, each row sealed over the one before.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
)

from services.kernel.db.outbox import Outbox
from services.kernel.db.positions import Inbox, Positions
from services.kernel.db.types import Blob, Instant, Json

TABLES: Final = MetaData()
_NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")

FACT: Final = Table(
    "fact",
    TABLES,
    Column("seq", _NUMBER, primary_key=True, autoincrement=False),
    Column("id", String, nullable=False, unique=True),
    Column("type", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("household", String, nullable=False),
    Column("occurred", Instant, nullable=False),
    Column("received", Instant, nullable=False),
    Column("data", Blob, nullable=False),
    Column("target", String),
    Column("prev", String, nullable=False),
    Column("seal", Blob, nullable=False),
)
Index("fact_subject", FACT.c.subject)
Index(
    "fact_target",
    FACT.c.target,
    sqlite_where=FACT.c.target.is_not(None),
    postgresql_where=FACT.c.target.is_not(None),
)

ALIAS: Final = Table(
    "alias",
    TABLES,
    Column("was", String, primary_key=True),
    Column("became", String, nullable=False, index=True),
)

HOUSEHOLD: Final = Table(
    "household",
    TABLES,
    Column("household", String, primary_key=True),
    Column("provisional", Boolean, nullable=False),
    Column("name", String),
    Column("area", String, index=True),
    Column("grid", String, index=True),
    Column("profile", Json, nullable=False),
    Column("card", String, nullable=False),
)
"""`card` is the fingerprint of what was last published about the household."""

PERSON: Final = Table(
    "person",
    TABLES,
    Column("person", String, primary_key=True),
    Column("household", String, nullable=False, index=True),
    Column("name", String),
    Column("kind", String),
    Column("profile", Json, nullable=False),
)

MEMBERSHIP: Final = Table(
    "membership",
    TABLES,
    Column("person", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("household", String, nullable=False, index=True),
    Column("since", Instant),
    Column("until", Instant),
    Column("relation", String),
    Column("reason", String),
    Column("assumed", Boolean, nullable=False),
    PrimaryKeyConstraint("person", "number"),
)

TIE: Final = Table(
    "tie",
    TABLES,
    Column("person", String, nullable=False),
    Column("household", String, nullable=False, index=True),
    Column("role", String, nullable=False),
    Column("since", Instant),
    Column("until", Instant),
    PrimaryKeyConstraint("person", "household", "role"),
)

AREA: Final = Table(
    "area",
    TABLES,
    Column("code", String, primary_key=True),
    Column("name", String),
    Column("kind", String),
    Column("parent", String, index=True),
    Column("closed_on", String),
)

STAFF: Final = Table(
    "staff",
    TABLES,
    Column("area", String, nullable=False),
    Column("staff", String, nullable=False),
    Column("name", String),
    Column("roles", Json, nullable=False),
    Column("contact", String),
    Column("since", Instant),
    Column("until", Instant),
    PrimaryKeyConstraint("area", "staff"),
)

DUTY: Final = Table(
    "duty",
    TABLES,
    Column("area", String, nullable=False),
    Column("role", String, nullable=False),
    Column("since", Instant, nullable=False),
    Column("staff", String, nullable=False),
    Column("contact", String),
    Column("until", Instant),
    PrimaryKeyConstraint("area", "role", "since", "staff"),
)

LOOKED: Final = Table(
    "looked",
    TABLES,
    Column("seq", _NUMBER, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("viewer", String, nullable=False),
    Column("what", String, nullable=False),
    Column("subjects", Json, nullable=False),
    Column("prev", String, nullable=False),
    Column("seal", String, nullable=False),
)

HEAD: Final = Table(
    "head",
    TABLES,
    Column("name", String, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("last", String, nullable=False),
    Column("seal", Blob, nullable=False),
)
"""The last row of `fact` and of `looked`, so that its deletion is seen too."""

POSITIONS: Final = Positions(TABLES)
INBOX: Final = Inbox(TABLES)
OUTBOX: Final = Outbox(TABLES)
