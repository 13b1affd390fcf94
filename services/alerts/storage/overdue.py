"""Counts missed steps by another way than the engine finds due ones: over the open alerts."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from services.alerts.storage.tables import ALERT, PENDING, STEP


def overdue_steps(conn: Connection, before: int) -> int:
    """Return how many pending steps of open alerts were due before an instant."""
    query = (
        select(func.count())
        .select_from(ALERT)
        .join(STEP, STEP.c.alert_id == ALERT.c.id)
        .where(ALERT.c.closed_at.is_(None), ALERT.c.next_due_at < before)
        .where(PENDING, STEP.c.due_at < before)
    )
    return conn.scalar(query) or 0
