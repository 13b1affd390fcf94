"""Alerts in the database: read for change with a lock on the alert's row, written in bulk.

The alert's row is the unit of locking: whoever changes steps, tasks or lines of an alert holds its
row. SQLite lets one writer in at a time and needs no locks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, String, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from services.alerts.domain.alert import Alert
from services.alerts.storage import rows
from services.alerts.storage.messages import alert_message, task_message
from services.alerts.storage.tables import (
    ALERT,
    DELIVERY,
    LADDER,
    OUTBOX,
    PENDING,
    STEP,
    TASK,
    TIMELINE,
    UNREAD,
)
from services.kernel.contracts.records import Outgoing
from services.kernel.db.write import insert, insert_new, upsert

CHUNK: Final = 2000
_REASON: Final = ("subject", "rule", "instance", "since")


class Store:
    """The `AlertStore` port over one database; stateless but for ladders known to be stored."""

    def __init__(self, dialect: str) -> None:
        self._sqlite = dialect == "sqlite"
        whole = select(ALERT, LADDER.c.body).join(LADDER, LADDER.c.id == ALERT.c.ladder)
        self._remembered = whole.where(self._among(ALERT.c.memory)).order_by(ALERT.c.id)
        self._by_ids = whole.where(self._among(ALERT.c.id)).order_by(ALERT.c.id)
        self._steps = select(STEP).where(self._among(STEP.c.alert_id))
        self._tasks = select(TASK).where(self._among(TASK.c.alert_id))
        self._due = (
            select(STEP.c.alert_id, func.min(STEP.c.due_at))
            .where(PENDING, STEP.c.due_at <= bindparam("now"))
            .group_by(STEP.c.alert_id)
            .order_by(func.min(STEP.c.due_at), STEP.c.alert_id)
        )
        self._due_some = (
            select(STEP.c.alert_id)
            .where(PENDING, STEP.c.due_at <= bindparam("now"))
            .order_by(STEP.c.due_at, STEP.c.alert_id)
            .limit(bindparam("most"))
        )
        self._reported = (
            select(ALERT.c.id)
            .where(*(ALERT.c[name] == bindparam(name) for name in _REASON))
            .limit(1)
        )
        self._unreadable = select(ALERT.c.id).where(UNREAD, self._among(ALERT.c.cause))

    def remembered(self, conn: Connection, names: Sequence[str]) -> list[Alert]:
        """See `AlertStore`."""
        return self._read(conn, self._remembered, names, closed_steps=False)

    def reported(
        self, conn: Connection, subject: str, rule: str, instance: str, since: int
    ) -> bool:
        """See `AlertStore`."""
        reason = dict(zip(_REASON, (subject, rule, instance, since), strict=True))
        return conn.execute(self._reported, reason).first() is not None

    def by_ids(
        self, conn: Connection, ids: Sequence[str], *, skip_locked: bool = False
    ) -> list[Alert]:
        """See `AlertStore`."""
        return self._read(conn, self._by_ids, ids, skip_locked=skip_locked)

    def heads(self, conn: Connection, ids: Sequence[str]) -> list[Alert]:
        """Return alerts, locked, without steps and tasks: for adding lines only."""
        return self._read(conn, self._by_ids, ids, parts=False)

    def peek(self, conn: Connection, alert_id: str) -> Alert:
        """Return one alert for reading only; it must exist."""
        found = conn.execute(self._by_ids, {"values": self._values([alert_id])}).one()
        alert = rows.alert_of(found[:-1], found[-1])
        self._add_parts(conn, [alert])
        return alert

    def due(
        self, conn: Connection, now: int, limit: int | None = None, but: Collection[str] = ()
    ) -> list[str]:
        """See `AlertStore`."""
        if limit is None:
            return [row[0] for row in conn.execute(self._due, {"now": now}) if row[0] not in but]
        query = self._due_some.where(STEP.c.alert_id.not_in(sorted(but))) if but else self._due_some
        # Several steps of one alert may be due: the limit is on steps, read off the index.
        found = conn.execute(query, {"now": now, "most": limit})
        return list(dict.fromkeys(row[0] for row in found))

    def unreadable(self, conn: Connection, causes: Sequence[str]) -> list[Alert]:
        """See `AlertStore`."""
        if not causes:
            return []
        ids = conn.scalars(self._unreadable, {"values": self._values(causes)}).all()
        return self.by_ids(conn, ids) if ids else []

    def save(self, conn: Connection, alerts: Iterable[Alert], now: int) -> None:
        """See `AlertStore`."""
        changed = [alert for alert in alerts if alert.changed]
        if not changed:
            return
        # A memory given up must be written before somebody else takes it.
        changed.sort(key=lambda alert: alert.memory is not None)
        lines: list[dict[str, Any]] = []
        steps: list[dict[str, Any]] = []
        tasks: list[dict[str, Any]] = []
        deliveries: list[dict[str, Any]] = []
        leaving: list[Outgoing] = []
        ladders: dict[str, str] = {}
        for alert in changed:
            lines.extend(rows.timeline_rows(alert))
            steps.extend(rows.step_row(alert.id, s) for s in alert.steps if s.changed)
            deliveries.extend(rows.delivery_row(alert, page, now) for page in alert.pages)
            if alert.published == 0:
                id_, body = rows.ladder_body(alert.ladder)
                ladders[id_] = body
            if alert.version != alert.published:
                leaving.append(alert_message(alert, now))
            for task in alert.tasks:
                if task.changed:
                    tasks.append(rows.task_row(alert.id, task))
                    leaving.append(task_message(alert, task, now))
        insert_new(conn, LADDER, [{"id": i, "body": b} for i, b in ladders.items()], ("id",))
        upsert(conn, ALERT, [rows.alert_row(alert) for alert in changed], ("id",))
        upsert(conn, STEP, steps, ("alert_id", "position"))
        upsert(conn, TASK, tasks, ("alert_id", "stage"))
        insert(conn, TIMELINE, lines)
        insert(conn, DELIVERY, deliveries)
        OUTBOX.add(conn, leaving)
        for alert in changed:
            _settled(alert)

    # --- reading ---------------------------------------------------------------------------------

    def _read(
        self,
        conn: Connection,
        query: Select[Any],
        values: Sequence[str],
        *,
        skip_locked: bool = False,
        closed_steps: bool = True,
        parts: bool = True,
    ) -> list[Alert]:
        if not self._sqlite:
            query = query.with_for_update(of=ALERT, skip_locked=skip_locked)
        found = [
            rows.alert_of(row[:-1], row[-1])
            for start in range(0, len(values), CHUNK)
            for row in conn.execute(
                query, {"values": self._values(values[start : start + CHUNK])}
            ).all()
        ]
        if parts:
            self._add_parts(conn, [a for a in found if closed_steps or a.closed_at is None])
        return found

    def _add_parts(self, conn: Connection, alerts: Sequence[Alert]) -> None:
        by_id = {alert.id: alert for alert in alerts}
        for alert in alerts:
            alert.stored_due = alert.stored_urgent = None
        ids = list(by_id)
        for start in range(0, len(ids), CHUNK):
            some = {"values": self._values(ids[start : start + CHUNK])}
            for row in conn.execute(self._steps, some).all():
                by_id[row[0]].steps.append(rows.step_of(row))
            for row in conn.execute(self._tasks, some).all():
                by_id[row[0]].tasks.append(rows.task_of(row))

    def _among(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return `column in values` with the values in one parameter, so that plans are reused."""
        if self._sqlite:
            values = func.json_each(bindparam("values")).table_valued("value")
            return column.in_(select(values.c.value))
        return column == func.any(bindparam("values", type_=ARRAY(String)))

    def _values(self, values: Sequence[str]) -> str | list[str]:
        return msgspec.json.encode(values).decode() if self._sqlite else list(values)


def _settled(alert: Alert) -> None:
    alert.fresh, alert.pages, alert.changed = [], [], False
    alert.published = alert.version
    for step in alert.steps:
        step.changed = False
    for task in alert.tasks:
        task.changed = False
