"""The queue's order within a level, kept with each alert and indexed for open ones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.kernel.db import types

revision = "0002"
down_revision = "0001"

_NEVER = 1 << 62
_OPEN = sa.text("closed_at IS NULL")
_FILL = """
UPDATE alert SET urgent_at = COALESCE(
    CASE WHEN handled_at IS NULL THEN (
        SELECT MIN(step.due_at) FROM step
        WHERE step.alert_id = alert.id AND step.state = 'fired' AND step.reached_at IS NULL
          AND step.kind IN ('emergency', 'deadline')) END,
    next_due_at)
"""


def upgrade() -> None:
    op.add_column(
        "alert",
        sa.Column(
            "urgent_at", types.Instant(), server_default=sa.text(str(_NEVER)), nullable=False
        ),
    )
    op.execute(_FILL)
    op.drop_index("ix_alert_queue", "alert")
    op.create_index(
        "ix_alert_queue",
        "alert",
        [sa.literal_column("level DESC"), "urgent_at", "id"],
        unique=False,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
