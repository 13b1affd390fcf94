"""The tables of alerts. No foreign keys: the audit finds what is missing, and says so.

Every row carries a `seal` over its columns (storage/seal.py) or a hash chained to the one before.
Columns after the seal are worked out from other rows, and the audit works them out again.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from services.alerts.storage.kernel_tables import SealedInbox, SealedKeys
from services.kernel.clock import NEVER
from services.kernel.db.outbox import Outbox
from services.kernel.db.positions import Positions
from services.kernel.db.types import Blob, Instant

TABLES: Final = MetaData()

OUTBOX: Final = Outbox(TABLES)
POSITIONS: Final = Positions(TABLES)
INBOX: Final = SealedInbox(TABLES)
KEYS: Final = SealedKeys(TABLES)

LADDER: Final = Table(
    "ladder",
    TABLES,
    Column("id", String, primary_key=True),  # hash of the body: a frozen ladder cannot change
    Column("body", Text, nullable=False),
)

ALERT: Final = Table(
    "alert",
    TABLES,
    Column("id", String, primary_key=True),
    Column("subject", String, nullable=False),
    Column("household", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("rule", String, nullable=False),
    Column("instance", String, nullable=False),
    Column("level", Integer, nullable=False),
    Column("ladder", String, nullable=False),
    Column("clock_start", Instant, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("since", Instant, nullable=False),
    Column("cause", String, nullable=False),
    Column("pack", String, nullable=False),
    Column("memory", String),
    Column("state", String, nullable=False),
    Column("standing", String, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("acknowledged_at", Instant),
    Column("acknowledged_by", String, nullable=False),
    Column("acknowledged_name", String, nullable=False),
    Column("handled_at", Instant),
    Column("handled_by", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("outcome_at", Instant),
    Column("owner", String, nullable=False),
    Column("owner_name", String, nullable=False),
    Column("closed_at", Instant),
    Column("closed_by", String, nullable=False),
    Column("closed_because", String, nullable=False),
    Column("proposed_by", String, nullable=False),
    Column("escalated_at", Instant),
    Column("next_due_at", Instant, nullable=False),
    Column("version", Integer, nullable=False),
    Column("lines", Integer, nullable=False),
    Column("head", String, nullable=False),
    Column("seal", String, nullable=False),
    Column("urgent_at", Instant, nullable=False, server_default=text(str(NEVER))),
)
OPEN: Final = ALERT.c.closed_at.is_(None)
_answers = ALERT.c.memory.is_not(None)
Index("ix_alert_memory", ALERT.c.memory, ALERT.c.rule, ALERT.c.instance, unique=True,
      sqlite_where=_answers, postgresql_where=_answers)  # fmt: skip
Index("ix_alert_queue", ALERT.c.level.desc(), ALERT.c.urgent_at, ALERT.c.id,
      sqlite_where=OPEN, postgresql_where=OPEN)  # fmt: skip
UNREAD: Final = text("alert.rule = 'unreadable' AND alert.closed_at IS NULL")
_unread = text("rule = 'unreadable' AND closed_at IS NULL")
Index("ix_alert_unreadable", ALERT.c.cause, sqlite_where=_unread, postgresql_where=_unread)
Index("ix_alert_subject", ALERT.c.subject)
Index("ix_alert_household", ALERT.c.household)
Index("ix_alert_opened", ALERT.c.opened_at, ALERT.c.id)

STEP: Final = Table(
    "step",
    TABLES,
    Column("alert_id", String, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("after", Instant, nullable=False),
    Column("until", String, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("state", String, nullable=False),
    Column("fired_at", Instant),
    Column("reached_at", Instant),
    Column("token", Integer, nullable=False),
    Column("seal", String, nullable=False),
    sqlite_with_rowid=False,
)
PENDING: Final = text("step.state = 'pending'")
"""Written out, because SQLite takes a partial index only for the very condition it is made for."""
_pending = text("state = 'pending'")
Index("ix_step_due", STEP.c.due_at, STEP.c.alert_id,
      sqlite_where=_pending, postgresql_where=_pending)  # fmt: skip

TASK: Final = Table(
    "task",
    TABLES,
    Column("alert_id", String, primary_key=True),
    Column("stage", String, primary_key=True),
    Column("due_at", Instant, nullable=False),
    Column("state", String, nullable=False),
    Column("done_at", Instant),
    Column("done_by", String, nullable=False),
    Column("seal", String, nullable=False),
    sqlite_with_rowid=False,
)
UNDONE: Final = text("task.done_at IS NULL")
_undone = text("done_at IS NULL")
Index("ix_task_open", TASK.c.due_at, TASK.c.alert_id,
      sqlite_where=_undone, postgresql_where=_undone)  # fmt: skip

TIMELINE: Final = Table(
    "timeline",
    TABLES,
    Column("alert_id", String, primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("subject", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("what", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("counted", Integer, nullable=False),
    Column("actor", String, nullable=False),
    Column("detail", Text, nullable=False),
    Column("hash", String, nullable=False),
    sqlite_with_rowid=False,
)

DELIVERY: Final = Table(
    "delivery",
    TABLES,
    Column("id", String, primary_key=True),
    Column("alert_id", String, nullable=False),
    Column("step", String, nullable=False),
    Column("target", String, nullable=False),
    Column("level", Integer, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("next_at", Instant, nullable=False),
    Column("contact", String, nullable=False),
    Column("tried", Text, nullable=False),
    Column("sender", String, nullable=False),
    Column("claimed_by", String, nullable=False),
    Column("sent_at", Instant),
    Column("problem", String, nullable=False),
    Column("with_contact", Integer, nullable=False),
    Column("seal", String, nullable=False),
    UniqueConstraint("alert_id", "step", "target"),
)
QUEUED: Final = text("delivery.state = 'queued'")
SENDING: Final = text("delivery.state = 'sending'")
for _state in ("queued", "sending"):
    _where = text(f"state = '{_state}'")
    Index(f"ix_delivery_{_state}", DELIVERY.c.next_at, DELIVERY.c.id,
          sqlite_where=_where, postgresql_where=_where)  # fmt: skip

MOVE: Final = Table(  # a move of which one half has come
    "move",
    TABLES,
    Column("move", String, primary_key=True),
    Column("half", String, nullable=False),
    Column("household", String, nullable=False),
    Column("body", Blob, nullable=False),
    Column("seal", String, nullable=False),
)

QUEUE: Final = Table(  # how many records of a household are kept back
    "queue",
    TABLES,
    Column("household", String, primary_key=True),
    Column("kept", Integer, nullable=False),
    Column("seal", String, nullable=False),
)

PARKED: Final = Table(  # the records kept back, in order
    "parked",
    TABLES,
    Column("household", String, primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("value", Blob, nullable=False),
    Column("seal", String, nullable=False),
)

PROGRESS: Final = Table(  # a second account of how far each partition was read, and to what mark
    "progress",
    TABLES,
    Column("topic", String, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("handled", BigInteger, nullable=False),  # offset after the last message handled
    Column("mark", Instant),
    Column("holder", String, nullable=False),  # the table folded from a compacted topic
    Column("rows", Integer, nullable=False),  # how many rows of it came from this partition
    Column("seal", String, nullable=False),
)

PLACE: Final = Table(  # area and grid of each household, from registry
    "place",
    TABLES,
    Column("household", String, primary_key=True),
    Column("area", String, nullable=False),
    Column("grid", String, nullable=False),
    Column("topic", String, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("n", Integer, nullable=False),
    Column("seal", String, nullable=False),
)
Index("ix_place_area", PLACE.c.area)

ROSTER: Final = Table(  # who is on duty, from registry: one row for each key of its topic
    "roster",
    TABLES,
    Column("key", String, primary_key=True),
    Column("role", String, nullable=False, index=True),
    Column("area", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("topic", String, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("n", Integer, nullable=False),
    Column("seal", String, nullable=False),
)
