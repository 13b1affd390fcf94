"""Intake's tables.

`ledger` and `kept` number their rows without gaps and each row names the one before it, so that a
row that was deleted can be named; every row carries a seal over its columns, so that one that was
altered is seen (audit.py).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, String, Table

from services.kernel.db.keys import Keys
from services.kernel.db.outbox import Outbox
from services.kernel.db.types import Blob, Instant, Json

TABLES: Final = MetaData()

LEDGER: Final = Table(
    "ledger",
    TABLES,
    Column(
        "seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    ),
    Column("id", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("type", String, nullable=False),
    Column("source", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("household", String, nullable=False),
    Column("occurred", Instant, nullable=False),
    Column("received", Instant, nullable=False),
    Column("clock", Instant, nullable=False),
    Column("envelope", Blob, nullable=False),
    Column("claim", String),
    Column("target", String),
    Column("retracts", Boolean, nullable=False),
    Column("cause", String),
    Column("content", Blob),
    Column("person", String),
    Column("related", String),
    Column("origin", String),
    Column("prev", String, nullable=False),
    Column("seal", Blob, nullable=False),
)
Index("ledger_subject", LEDGER.c.subject, LEDGER.c.seq)
Index(
    "ledger_target",
    LEDGER.c.target,
    sqlite_where=LEDGER.c.target.is_not(None),
    postgresql_where=LEDGER.c.target.is_not(None),
)
Index(
    "ledger_copies",
    LEDGER.c.cause,
    sqlite_where=LEDGER.c.kind == "copy",
    postgresql_where=LEDGER.c.kind == "copy",
)
Index(
    "ledger_tied",
    LEDGER.c.household,
    sqlite_where=LEDGER.c.kind == "copy",
    postgresql_where=LEDGER.c.kind == "copy",
)

NAMES: Final = Table(
    "name",
    TABLES,
    Column("name", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("household", String, nullable=False, index=True),
    Column("became", String),
    Column("ties", Json, nullable=False),
    Column("seal", Blob, nullable=False),
)
Index(
    "name_became",
    NAMES.c.became,
    sqlite_where=NAMES.c.became.is_not(None),
    postgresql_where=NAMES.c.became.is_not(None),
)

KEPT: Final = Table(
    "kept",
    TABLES,
    Column(
        "seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    ),
    Column("id", String, nullable=False, unique=True),
    Column("received", Instant, nullable=False),
    Column("source", String, nullable=False),
    Column("type", String),
    Column("change", String),
    Column("code", String, nullable=False),
    Column("fault", Json, nullable=False),
    Column("faults", Json, nullable=False),
    Column("original", Blob, nullable=False),
    Column("origin", String),
    Column("reported", Boolean, nullable=False),
    Column("subject", String),
    Column("household", String),
    Column("draft", Blob),
    Column("fixed", Blob),
    Column("repaired_by", String),
    Column("prev", String, nullable=False),
    Column("seal", Blob, nullable=False),
)
Index("kept_change", KEPT.c.change)

TALLY: Final = Table(
    "tally",
    TABLES,
    Column("source", String, primary_key=True),
    Column("read", BigInteger, nullable=False),
    Column("accepted", BigInteger, nullable=False),
    Column("duplicate", BigInteger, nullable=False),
    Column("conflict", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("seal", Blob, nullable=False),
)

HEAD: Final = Table(
    "head",
    TABLES,
    Column("name", String, primary_key=True),
    Column("ledger_seq", BigInteger, nullable=False),
    Column("ledger_id", String, nullable=False),
    Column("kept_seq", BigInteger, nullable=False),
    Column("kept_id", String, nullable=False),
    Column("received", Instant, nullable=False),
    Column("marked", Instant, nullable=False),
    Column("rebuilt", Integer, nullable=False),
    Column("seal", Blob, nullable=False),
)

OUTBOX: Final = Outbox(TABLES)
KEYS: Final = Keys(TABLES)
