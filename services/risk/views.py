"""Read-only questions to risk: why is somebody at a level, and which ids were handled."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Connection, Table, func, select

from services.kernel.contracts.assessments import Assessment
from services.kernel.http import page_cursor
from services.risk import storage

IdKind = Literal["committed", "facts", "assessments", "red"]
_RED: Final = 3
_assessments = msgspec.json.Decoder(Assessment)
_SOURCES: Final[dict[str, tuple[Table, str]]] = {
    "committed": (storage.INBOX.table, "id"),
    "facts": (storage.FACT, "id"),
    "assessments": (storage.ASSESSMENT, "id"),
    "red": (storage.ASSESSMENT, "subject"),
}


def in_force(conn: Connection, subject: str, at: int) -> dict[str, Any] | None:
    """Return the assessment of a subject in force at an instant (microseconds), or None."""
    body = storage.assessment_at(conn, subject, at)
    return None if body is None else msgspec.json.decode(body)


def ids(conn: Connection, kind: IdKind, after: str, limit: int) -> dict[str, Any]:
    """Return a page of ids in order: of changes, facts kept, assessments, subjects red now."""
    table, column = _SOURCES[kind]
    if kind == "red":
        found = _red_now(conn, after, limit)
    else:
        found = storage.page_of_ids(conn, table, column, after, limit)
    following = page_cursor(found[-1]) if len(found) == limit else None
    return {"items": found, "next": following}


def _red_now(conn: Connection, after: str, limit: int) -> list[str]:
    """Return subjects whose newest assessment is at level 3, as `subject|rule#instance` of each."""
    table = storage.ASSESSMENT
    place = func.row_number().over(
        partition_by=table.c.subject, order_by=(table.c.at.desc(), table.c.n.desc())
    )
    newest = select(table.c.subject, table.c.level, table.c.body, place.label("place")).subquery()
    query = (
        select(newest.c.subject, newest.c.body)
        .where(newest.c.place == 1, newest.c.level == _RED)
        .order_by(newest.c.subject)
    )
    found = set()
    for _, body in conn.execute(query):
        assessment = _assessments.decode(body)
        for reason in assessment.reasons:
            if reason.level == _RED and not reason.held:
                tail = f"#{reason.instance}" if reason.instance else ""
                found.add(f"{assessment.subject}|{reason.rule}{tail}")
    return [key for key in sorted(found) if key > after][:limit]


def report(conn: Connection) -> dict[str, int]:
    """Return how much was taken in and published."""
    return {
        "committed": storage.count(conn, storage.INBOX.table),
        "facts": storage.count(conn, storage.FACT),
        "households": storage.count(conn, storage.HOUSEHOLD),
        "assessments": storage.count(conn, storage.ASSESSMENT),
    }
