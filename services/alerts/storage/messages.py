"""What leaves on `alerts.alert.v1` and `alerts.task.v1` for a change."""

from __future__ import annotations

from datetime import datetime

from services.alerts.domain.alert import Alert, Task
from services.kernel.clock import NEVER, from_us
from services.kernel.contracts.alerts import (
    ALERT_CHANGED,
    TASK_CHANGED,
    AlertChanged,
    TaskChanged,
)
from services.kernel.contracts.envelope import HEADERS, Envelope, encode, raw
from services.kernel.contracts.records import Outgoing
from services.kernel.contracts.topics import ALERTS, TASKS
from services.kernel.ids import derived


def alert_message(alert: Alert, now: int) -> Outgoing:
    """Return the record that says how an alert stands."""
    payload = AlertChanged(
        alert=alert.id,
        version=alert.version,
        subject=alert.subject,
        household=alert.household,
        rule=alert.rule,
        instance=alert.instance,
        level=alert.level,
        state=alert.state,
        standing=alert.standing,
        opened_at=from_us(alert.opened_at),
        clock_start=from_us(alert.clock_start),
        deadline_at=_maybe(alert.deadline_at),
        next_due_at=_maybe(alert.next_due_at),
        acknowledged_at=_maybe(alert.acknowledged_at),
        handled_at=_maybe(alert.handled_at),
        escalated_at=_maybe(alert.escalated_at),
        closed_at=_maybe(alert.closed_at),
        closed_because=alert.closed_because,
        owner=alert.owner,
        outcome=alert.outcome,
    )
    id_ = derived(ALERT_CHANGED, alert.id, alert.version)
    return _record(ALERTS.name, ALERT_CHANGED, id_, alert, payload, now)


def task_message(alert: Alert, task: Task, now: int) -> Outgoing:
    """Return the record that says how a task stands."""
    payload = TaskChanged(
        alert=alert.id,
        version=alert.version,
        stage=task.stage,
        subject=alert.subject,
        household=alert.household,
        level=alert.level,
        state=task.state,
        due_at=from_us(task.due_at),
        done_at=_maybe(task.done_at),
        owner=alert.owner,
    )
    id_ = derived(TASK_CHANGED, alert.id, task.stage, alert.version)
    return _record(TASKS.name, TASK_CHANGED, id_, alert, payload, now)


def _record(topic: str, kind: str, id_: str, alert: Alert, payload: object, now: int) -> Outgoing:
    at = from_us(now)
    envelope = Envelope(
        id=id_,
        type=kind,
        source="alerts",
        time=at,
        subject=alert.subject,
        partitionkey=alert.household,
        receivedat=at,
        data=raw(payload),
    )
    return Outgoing(topic, alert.household, encode(envelope), HEADERS)


def _maybe(instant: int | None) -> datetime | None:
    return None if instant is None or instant == NEVER else from_us(instant)
