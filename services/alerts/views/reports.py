"""What the run amounts to: exported timeline and digest, promises kept and broken, lists of ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, func, select, tuple_

from services.alerts.domain.timeline import digest as digest_of
from services.alerts.domain.timeline import line
from services.alerts.storage.tables import ALERT, INBOX, OPEN, STEP, TIMELINE
from services.kernel.clock import rfc3339
from services.kernel.contracts.topics import ASSESSMENTS

_COUNTED: Final = TIMELINE.c.counted == 1
_LINES: Final = select(
    TIMELINE.c.alert_id,
    TIMELINE.c.n,
    TIMELINE.c.subject,
    TIMELINE.c.at,
    TIMELINE.c.what,
    TIMELINE.c.reason,
    TIMELINE.c.counted,
    TIMELINE.c.actor,
    ALERT.c.rule,
    ALERT.c.instance,
).join(ALERT, ALERT.c.id == TIMELINE.c.alert_id)
_CHUNK: Final = 5000


class Standing(NamedTuple):
    """Open alerts of one level; how many nobody has acknowledged, and the start of their oldest."""

    open: int = 0
    new: int = 0
    since: int | None = None


def timeline(
    conn: Connection, until: int | None, after: tuple[str, int] | None, limit: int, *, whole: bool
) -> list[dict[str, Any]]:
    """Return exported lines by alert and number; only those of the digest unless `whole`."""
    query = _LINES.order_by(TIMELINE.c.alert_id, TIMELINE.c.n).limit(limit)
    if not whole:
        query = query.where(_COUNTED)
    if until is not None:
        query = query.where(TIMELINE.c.at <= until)
    if after is not None:
        query = query.where(tuple_(TIMELINE.c.alert_id, TIMELINE.c.n) > tuple_(*after))
    return [
        {
            "alert": r.alert_id,
            "n": r.n,
            "subject": r.subject,
            "rule": _label(r.rule, r.instance),
            "step": r.what,
            "time": rfc3339(r.at),
            "reason": r.reason,
            "counted": bool(r.counted),
            "line": line(r.subject, _label(r.rule, r.instance), r.what, r.at, r.reason)
            if r.counted
            else None,
            "_key": (r.alert_id, r.n),
        }
        for r in conn.execute(query).all()
    ]


def lines(conn: Connection, until: int | None = None) -> Iterator[str]:
    """Yield every line of the digest, in no particular order."""
    query = _LINES.where(_COUNTED)
    if until is not None:
        query = query.where(TIMELINE.c.at <= until)
    found = conn.execution_options(yield_per=_CHUNK).execute(query)
    for r in found:
        yield line(r.subject, _label(r.rule, r.instance), r.what, r.at, r.reason)


def digest(conn: Connection, until: int | None = None) -> dict[str, Any]:
    """Return the digest over all timelines, with the number of lines it covers."""
    found = list(lines(conn, until))
    return {"digest": digest_of(found), "lines": len(found)}


def report(conn: Connection, at: int) -> dict[str, Any]:
    """Return what was promised and kept as of an instant.

    A merged alert is left out of the promises: the one it was merged into, whose clock started no
    later, carries them. `pending` have their deadline still ahead; so opened is in_time + escalated
    + pending for ladders that all make the promise.
    """
    alert, open_now = ALERT.c, _open_at(at)
    opened, still_open, merged = conn.execute(
        select(
            func.count(),
            func.coalesce(func.sum(case((open_now, 1), else_=0)), 0),
            func.coalesce(func.sum(case((_merged_by(at), 1), else_=0)), 0),
        ).where(alert.opened_at <= at)
    ).one()
    promises = {kind: _promises(conn, kind, at) for kind in ("emergency", "deadline")}
    emergency = promises["emergency"].get("emergency", (0, 0, 0, 0))
    in_time, late, never, pending = emergency
    return {
        "at": rfc3339(at),
        "alerts": {
            "opened": opened,
            "in_time": in_time,
            "escalated": late + never,
            "late": late,
            "never": never,
            "pending": pending,
            "open": still_open,
            "merged": merged,
        },
        "deadlines": {
            name: {"met": met, "late": late_, "never": never_, "pending": pending_}
            for name, (met, late_, never_, pending_) in promises["deadline"].items()
        },
    }


def _promises(conn: Connection, kind: str, at: int) -> dict[str, tuple[int, int, int, int]]:
    """Return met, late, never and pending of each promise, by name."""
    step = STEP.c
    reached = and_(step.reached_at.is_not(None), step.reached_at <= at)
    met = and_(reached, step.reached_at <= step.due_at)
    late = and_(reached, step.reached_at > step.due_at)
    never = and_(~func.coalesce(reached, False), step.due_at <= at)
    tests: tuple[ColumnElement[bool], ...] = (met, late, never)
    found = conn.execute(
        select(
            step.name,
            func.count(),
            *(func.sum(case((test, 1), else_=0)) for test in tests),
        )
        .join(ALERT, ALERT.c.id == step.alert_id)
        .where((step.kind == kind) & (ALERT.c.opened_at <= at) & ~_merged_by(at))
        .group_by(step.name)
        .order_by(step.name)
    ).all()
    return {
        name: (met_, late_, never_, all_ - met_ - late_ - never_)
        for name, all_, met_, late_, never_ in found
    }


def _merged_by(at: int) -> ColumnElement[bool]:
    return and_(ALERT.c.closed_because == "merged", func.coalesce(ALERT.c.closed_at, at + 1) <= at)


def _open_at(at: int) -> ColumnElement[bool]:
    return func.coalesce(ALERT.c.closed_at, at + 1) > at


def ids(conn: Connection, kind: str, after: str | None, limit: int) -> list[str]:
    """Return ids in order: of the messages of risk that were taken in, or of alerts."""
    column = INBOX.table.c.id if kind == "consumed" else ALERT.c.id
    query = select(column).order_by(column).limit(limit)
    if kind == "consumed":
        query = query.where(INBOX.table.c.topic == ASSESSMENTS.name)
    if after is not None:
        query = query.where(column > after)
    return list(conn.scalars(query))


def standing(conn: Connection) -> dict[int, Standing]:
    """Return how it stands at each level."""
    new = ALERT.c.state == "new"
    found = conn.execute(
        select(
            ALERT.c.level,
            func.count(),
            func.coalesce(func.sum(case((new, 1), else_=0)), 0),
            func.min(case((new, ALERT.c.clock_start))),
        )
        .where(OPEN)
        .group_by(ALERT.c.level)
    )
    return dict.fromkeys(range(4), Standing()) | {row[0]: Standing(*row[1:]) for row in found}


def _label(rule: str, instance: str) -> str:
    return f"{rule}#{instance}" if instance else rule
