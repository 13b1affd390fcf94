"""The queue of alerts, one alert whole, tasks and deliveries."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select, tuple_

from services.alerts.domain.alert import STATES
from services.alerts.domain.policy import Policy
from services.alerts.storage import rows
from services.alerts.storage.store import Store
from services.alerts.storage.tables import ALERT, DELIVERY, PLACE, TASK, TIMELINE, UNDONE
from services.alerts.views import shapes
from services.kernel.clock import rfc3339

LEVELS = (3, 2, 1, 0)
_BASE = select(ALERT, PLACE.c.area, PLACE.c.grid).outerjoin(
    PLACE, PLACE.c.household == ALERT.c.household
)


class Wanted(NamedTuple):
    """Filters of the queue; None leaves one out. `state` is `open`, `all` or one of the states.

    `area` holds codes of areas or grids, '' standing for households that nobody has placed.
    """

    state: str = "open"
    level: int | None = None
    subject: str | None = None
    household: str | None = None
    area: tuple[str, ...] = ()
    rule: str | None = None
    owner: str | None = None
    at: int | None = None


def queue(
    conn: Connection,
    policy: Policy,
    wanted: Wanted,
    after: tuple[int, int, str] | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Return up to `limit` alerts by level (highest first), urgency, id; after the sort key.

    Within a level those with a broken promise that nobody has handled come first, the oldest ahead,
    then the others by what is due next (`services.alerts.domain.ladder.urgent`).

    One query for each level, so that each reads one range of the index of open alerts.
    """
    found: list[dict[str, Any]] = []
    query = _filtered(wanted)
    for level in LEVELS:
        if wanted.level not in (None, level) or (after and level > after[0]):
            continue
        here = query.where(ALERT.c.level == level)
        if after and level == after[0]:
            here = here.where(tuple_(ALERT.c.urgent_at, ALERT.c.id) > tuple_(*after[1:]))
        here = here.order_by(ALERT.c.urgent_at, ALERT.c.id).limit(limit - len(found))
        found.extend(
            shapes.summary(row, policy) | {"_key": (level, row.urgent_at, row.id)}
            for row in conn.execute(here).all()
        )
        if len(found) >= limit:
            break
    return found


def _filtered(wanted: Wanted) -> Select[Any]:
    columns = ALERT.c
    tests: list[ColumnElement[bool]] = []
    if wanted.at is not None:
        tests += [
            columns.opened_at <= wanted.at,
            or_(columns.closed_at.is_(None), columns.closed_at > wanted.at),
        ]
    elif wanted.state == "open":
        tests.append(columns.closed_at.is_(None))
    if wanted.state in STATES:
        tests.append(columns.state == wanted.state)
    for name in ("subject", "household", "rule", "owner"):
        if (value := getattr(wanted, name)) is not None:
            tests.append(columns[name] == value)
    if wanted.area:
        tests.append(_within(wanted.area))
    return _BASE.where(and_(True, *tests))


def _within(codes: tuple[str, ...]) -> ColumnElement[bool]:
    """Return whether the household's area or grid is one of these; '': it has neither."""
    named = [code for code in codes if code]
    placed = or_(PLACE.c.area.in_(named), PLACE.c.grid.in_(named))
    if "" not in codes:
        return placed
    unplaced = func.coalesce(PLACE.c.area, "") == ""
    return or_(placed, and_(unplaced, func.coalesce(PLACE.c.grid, "") == ""))


def brief(conn: Connection, policy: Policy, alert_id: str) -> dict[str, Any]:
    """Return an alert as lists show it."""
    return shapes.summary(conn.execute(_BASE.where(ALERT.c.id == alert_id)).one(), policy)


def whole(conn: Connection, store: Store, policy: Policy, alert_id: str) -> dict[str, Any] | None:
    """Return an alert with reasons, ladder and what comes next, tasks, deliveries, timeline."""
    row = conn.execute(_BASE.where(ALERT.c.id == alert_id)).one_or_none()
    if row is None:
        return None
    alert = store.peek(conn, alert_id)
    steps = shapes.ladder(alert)
    coming = [s for s in steps if s["state"] == "pending"]
    return shapes.summary(row, policy) | {
        "evidence": shapes.evidence(alert),
        **shapes.words(policy, alert.rule),
        "ladder": steps,
        "next": coming[0] if coming else None,
        "deadline_at": next((s["due_at"] for s in steps if s["kind"] == "emergency"), None),
        "tasks": [
            {
                "stage": t.stage,
                "due_at": rfc3339(t.due_at),
                "state": t.state,
                "done_at": shapes.instant(t.done_at),
                "done_by": t.done_by,
            }
            for t in sorted(alert.tasks, key=lambda t: t.due_at)
        ],
        "deliveries": [
            delivery(d)
            for d in conn.execute(
                select(DELIVERY)
                .where(DELIVERY.c.alert_id == alert_id)
                .order_by(DELIVERY.c.due_at, DELIVERY.c.id)
            )
        ],
        "timeline": [
            entry(r)
            for r in conn.execute(
                select(TIMELINE).where(TIMELINE.c.alert_id == alert_id).order_by(TIMELINE.c.n)
            )
        ],
    }


def entry(row: Row[Any]) -> dict[str, Any]:
    """Return one line of a timeline."""
    line = rows.entry_of(row)
    return {
        "n": line.n,
        "at": rfc3339(line.at),
        "step": line.what,
        "reason": line.reason,
        "actor": line.actor,
        "detail": line.detail,
        "counted": line.counted,
    }


def delivery(row: Row[Any]) -> dict[str, Any]:
    """Return one delivery: what was to be told to whom, and what came of it."""
    return {
        "id": row.id,
        "alert": row.alert_id,
        "step": row.step,
        "target": row.target,
        "level": row.level,
        "due_at": rfc3339(row.due_at),
        "state": row.state,
        "attempts": row.attempts,
        "repeats": row.repeats,
        "next_at": rfc3339(row.next_at) if row.state == "queued" else None,
        "contact": row.contact,
        "sender": row.sender,
        "sent_at": shapes.instant(row.sent_at),
        "problem": row.problem,
    }


def deliveries(
    conn: Connection,
    state: str | None,
    alert: str | None,
    after: tuple[int, str] | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Return deliveries by due instant and id."""
    query = select(DELIVERY).order_by(DELIVERY.c.due_at, DELIVERY.c.id).limit(limit)
    if state is not None:
        query = query.where(DELIVERY.c.state == state)
    if alert is not None:
        query = query.where(DELIVERY.c.alert_id == alert)
    if after is not None:
        query = query.where(tuple_(DELIVERY.c.due_at, DELIVERY.c.id) > tuple_(*after))
    return [delivery(r) | {"_key": (r.due_at, r.id)} for r in conn.execute(query)]


def tasks(
    conn: Connection,
    stage: str | None,
    state: str | None,
    after: tuple[int, str, str] | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Return tasks by due instant; without `state` those still to do."""
    query = (
        select(TASK, ALERT.c.subject, ALERT.c.household, ALERT.c.rule, ALERT.c.level, ALERT.c.owner)
        .join(ALERT, ALERT.c.id == TASK.c.alert_id)
        .order_by(TASK.c.due_at, TASK.c.alert_id, TASK.c.stage)
        .limit(limit)
    )
    query = query.where(UNDONE if state is None else TASK.c.state == state)
    if stage is not None:
        query = query.where(TASK.c.stage == stage)
    if after is not None:
        query = query.where(tuple_(TASK.c.due_at, TASK.c.alert_id, TASK.c.stage) > tuple_(*after))
    return [
        {
            "alert": r.alert_id,
            "stage": r.stage,
            "subject": r.subject,
            "household": r.household,
            "rule": r.rule,
            "level": r.level,
            "owner": r.owner,
            "due_at": rfc3339(r.due_at),
            "state": r.state,
            "done_at": shapes.instant(r.done_at),
            "done_by": r.done_by,
            "_key": (r.due_at, r.alert_id, r.stage),
        }
        for r in conn.execute(query)
    ]
