"""Between rows and alerts, both ways; a row has its table's columns in order, sealed last."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

import msgspec

from services.alerts.domain.alert import Alert, Entry, Page, Task
from services.alerts.domain.delivery import Delivery
from services.alerts.domain.ladder import Ladder, Step
from services.alerts.domain.timeline import chained
from services.alerts.storage.seal import columns, sealed
from services.alerts.storage.tables import ALERT, DELIVERY, STEP, TASK
from services.kernel.ids import derived

_ALERT_COLUMNS: Final = columns(ALERT)
_STEP_COLUMNS: Final = columns(STEP)
_TASK_COLUMNS: Final = columns(TASK)
_DELIVERY_COLUMNS: Final = columns(DELIVERY)
_alert_values = attrgetter(*_ALERT_COLUMNS)
_step_values = attrgetter(*_STEP_COLUMNS[1:])
_delivery_values = attrgetter(*_DELIVERY_COLUMNS)
_task_values = attrgetter(*_TASK_COLUMNS[1:])
_ladder_decoder = msgspec.json.Decoder(Ladder)
_entry_text = msgspec.json.Encoder(order="deterministic").encode


@lru_cache(maxsize=1024)
def ladder_body(ladder: Ladder) -> tuple[str, str]:
    """Return id and body of a frozen ladder; the id is the hash of the body."""
    body = msgspec.json.encode(ladder)
    return ladder_id(body), body.decode()


def ladder_id(body: bytes) -> str:
    """Return the id that a ladder with this body has."""
    return hashlib.sha256(body).hexdigest()[:32]


@lru_cache(maxsize=1024)
def ladder_of(body: str) -> Ladder:
    """Return the ladder that a body encodes."""
    return _ladder_decoder.decode(body)


def alert_row(alert: Alert) -> dict[str, Any]:
    """Return the row of an alert."""
    row = dict(zip(_ALERT_COLUMNS, _alert_values(alert), strict=True))
    if not alert.ladder_id:  # a stored ladder keeps its bytes, whatever this version would write
        alert.ladder_id = ladder_body(alert.ladder)[0]
    row["ladder"] = alert.ladder_id
    return sealed(ALERT, row) | {"urgent_at": alert.urgent_at}


def alert_of(row: Sequence[Any], body: str) -> Alert:
    """Return the alert of a row (columns in the table's order) without steps and tasks."""
    fields = dict(zip(_ALERT_COLUMNS, row, strict=False))  # then come the seal and urgent_at
    fields["stored_due"], fields["stored_urgent"] = fields.pop("next_due_at"), row[-1]
    fields["ladder_id"], fields["ladder"] = fields["ladder"], ladder_of(body)
    return Alert(**fields, published=fields["version"])


def step_row(alert_id: str, step: Step) -> dict[str, Any]:
    """Return the row of a deadline."""
    return sealed(STEP, dict(zip(_STEP_COLUMNS, (alert_id, *_step_values(step)), strict=True)))


def step_of(row: Sequence[Any]) -> Step:
    """Return the deadline of a row."""
    step = Step(*row[1:-1])
    step.changed = False
    return step


def task_row(alert_id: str, task: Task) -> dict[str, Any]:
    """Return the row of a task."""
    return sealed(TASK, dict(zip(_TASK_COLUMNS, (alert_id, *_task_values(task)), strict=True)))


def task_of(row: Sequence[Any]) -> Task:
    """Return the task of a row."""
    task = Task(*row[1:-1])
    task.changed = False
    return task


def timeline_rows(alert: Alert) -> list[dict[str, Any]]:
    """Return the rows of the new lines, chained onto the alert's head, which moves along."""
    rows = []
    for entry in alert.fresh:
        alert.head = chained(alert.head, alert.id, entry)
        rows.append(
            {
                "alert_id": alert.id,
                "n": entry.n,
                "subject": entry.subject,
                "at": entry.at,
                "what": entry.what,
                "reason": entry.reason,
                "counted": int(entry.counted),
                "actor": entry.actor,
                "detail": _entry_text(entry.detail).decode() if entry.detail else "{}",
                "hash": alert.head,
            }
        )
    return rows


def entry_of(row: Sequence[Any]) -> Entry:
    """Return the line of a row."""
    _, n, subject, at, what, reason, counted, actor, detail, _ = row
    return Entry(
        n, subject, at, what, reason, bool(counted), actor,
        {} if detail == "{}" else msgspec.json.decode(detail),
    )  # fmt: skip


def delivery_id(alert_id: str, step: str, target: str) -> str:
    """Return the id of the one delivery of a step to a target."""
    return derived("delivery", alert_id, step, target)


def delivery_row(alert: Alert, page: Page, now: int) -> dict[str, Any]:
    """Return the row of a new delivery, to be sent from `now` on."""
    new = Delivery(
        id=delivery_id(alert.id, page.step, page.target),
        alert_id=alert.id,
        step=page.step,
        target=page.target,
        level=alert.level,
        due_at=page.at,
        state="queued",
        attempts=0,
        repeats=0,
        next_at=now,
        contact="",
        tried=[],
        sender="",
        claimed_by="",
        sent_at=None,
        problem="",
    )
    return stored_delivery(new)


def stored_delivery(delivery: Delivery) -> dict[str, Any]:
    """Return the row of a delivery."""
    row = dict(zip(_DELIVERY_COLUMNS, _delivery_values(delivery), strict=True))
    row["tried"] = msgspec.json.encode(delivery.tried).decode() if delivery.tried else "[]"
    return sealed(DELIVERY, row)


def delivery_of(row: Sequence[Any]) -> Delivery:
    """Return the delivery of a row."""
    fields = dict(zip(_DELIVERY_COLUMNS, row, strict=False))
    fields["tried"] = msgspec.json.decode(fields["tried"])
    return Delivery(**fields)
