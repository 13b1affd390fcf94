"""How alerts look in JSON: RFC 3339 instants, null where there is none."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from services.alerts.domain.alert import Alert
from services.alerts.domain.policy import Policy
from services.kernel.clock import NEVER, rfc3339


def instant(value: int | None) -> str | None:
    """Return RFC 3339 text, or None for no instant and for never."""
    return None if value is None or value >= NEVER else rfc3339(value)


def summary(row: Row[Any], policy: Policy) -> dict[str, Any]:
    """Return an alert as lists show it; `row` has the columns of `alert`, area and grid."""
    return {
        "id": row.id,
        "subject": row.subject,
        "household": row.household,
        "area": row.area or "",
        "grid": row.grid or "",
        "kind": row.kind,
        "rule": row.rule,
        "instance": row.instance,
        "title": policy.title_of(row.rule),
        "level": row.level,
        "state": row.state,
        "standing": row.standing,
        "opened_at": rfc3339(row.opened_at),
        "clock_start": rfc3339(row.clock_start),
        "next_due_at": instant(row.next_due_at),
        "escalated_at": instant(row.escalated_at),
        "acknowledged_at": instant(row.acknowledged_at),
        "acknowledged_by": row.acknowledged_by,
        "acknowledged_name": row.acknowledged_name,
        "handled_at": instant(row.handled_at),
        "handled_by": row.handled_by,
        "outcome": row.outcome,
        "owner": row.owner,
        "owner_name": row.owner_name,
        "proposed_by": row.proposed_by,
        "closed_at": instant(row.closed_at),
        "closed_by": row.closed_by,
        "closed_because": row.closed_because,
        "pack": row.pack,
        "version": row.version,
    }


def ladder(alert: Alert) -> list[dict[str, Any]]:
    """Return every deadline of an alert in order of due: what fired, what comes, what was met."""
    targets = {r.step: list(r.to) for r in alert.ladder.rungs}
    return [
        {
            "kind": step.kind,
            "name": step.name,
            "due_at": rfc3339(step.due_at),
            "until": step.until,
            "state": step.state,
            "fired_at": instant(step.fired_at),
            "reached_at": instant(step.reached_at),
            "to": targets.get(step.name, []) if step.kind == "ladder" else [],
        }
        for step in sorted(alert.steps, key=lambda s: (s.due_at, s.position))
    ]


def evidence(alert: Alert) -> dict[str, Any]:
    """Return what the rule saw when the alert opened."""
    found: dict[str, Any] = msgspec.json.decode(alert.evidence)
    return found


def words(policy: Policy, rule: str) -> dict[str, Any]:
    """Return what people are told to do about a rule."""
    card = policy.rules.get(rule)
    return {
        "action": dict(card.action) if card else {},
        "guidance": dict(card.guidance) if card else {},
    }
