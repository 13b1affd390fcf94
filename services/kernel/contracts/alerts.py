"""Messages on `alerts.alert.v1` and `alerts.task.v1`: what became of a level; no personal data.

Each message is the whole state after a change, so that the newest `version` of an id is enough.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

ALERT_CHANGED: Final = "alerts.alert_changed"
TASK_CHANGED: Final = "alerts.task_changed"


class AlertChanged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An alert as it stands. `state` and `standing` are the closed sets of the alerts service.

    `standing` says whether the reason still holds (true, ended, withdrawn). `deadline_at` is the
    emergency deadline, `next_due_at` the next pending deadline of any kind.
    """

    alert: str
    version: int
    subject: str
    household: str
    rule: str
    level: int
    state: str
    standing: str
    opened_at: datetime
    clock_start: datetime
    instance: str = ""
    deadline_at: datetime | None = None
    next_due_at: datetime | None = None
    acknowledged_at: datetime | None = None
    handled_at: datetime | None = None
    escalated_at: datetime | None = None
    closed_at: datetime | None = None
    closed_because: str = ""
    owner: str = ""
    outcome: str = ""


class TaskChanged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task of an alert: warning, visit or handling; open, overdue, done or cancelled."""

    alert: str
    version: int
    stage: str
    subject: str
    household: str
    level: int
    state: str
    due_at: datetime
    done_at: datetime | None = None
    owner: str = ""
