"""Risk over HTTP: read-only. Everything that changes a level comes in as a change at intake."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query

from services.kernel.clock import Clock, parse_rfc3339
from services.kernel.db.engine import Database
from services.kernel.errors import Fault, Refused
from services.kernel.http import read_cursor
from services.risk import storage, views
from services.risk.domain.outcome import awaited
from services.risk.domain.pack import Pack, Rule


def add_routes(app: FastAPI, db: Database, clock: Clock, pack: Pack) -> None:
    """Add risk's routes to its API."""
    router = APIRouter(prefix="/v1")

    @router.get("/subjects/{subject}/assessment")
    def assessment(
        subject: str, at: Annotated[str | None, Query(description="RFC 3339; default now")] = None
    ) -> dict[str, Any]:
        """Return the assessment in force for a subject then, with its reasons and unknowns."""
        with db.read() as conn:
            found = views.in_force(conn, subject, _instant(at, clock))
        if found is None:
            raise Refused(
                Fault(
                    "subject",
                    "one with an assessment by then",
                    "none",
                    "check id and time",
                    "absent",
                ),
                404,
            )
        return found

    @router.get("/rules")
    def rules() -> dict[str, Any]:
        """Return the pack that decides and its rules, for people.

        `outcome` is what ends a rule that waits for one, null for any other: the event type, the
        field that names the rule, and by field the values that end it. `features` has what the
        model's features are called.
        """
        return _book(pack)

    @router.get("/ids")
    def ids(
        kind: views.IdKind,
        cursor: str | None = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 5_000,
    ) -> dict[str, Any]:
        """Return a page of ids, for reconciliation."""
        after = (read_cursor(cursor, str) or ("",))[0]
        with db.read() as conn:
            return views.ids(conn, kind, after, limit)

    @router.get("/audit")
    def audit() -> dict[str, Any]:
        """Return every row that was altered, or that another row says must exist."""
        with db.read() as conn:
            return {"findings": list(storage.audit(conn))}

    @router.get("/report")
    def report() -> dict[str, int]:
        """Return how much was taken in and published."""
        with db.read() as conn:
            return views.report(conn)

    app.include_router(router)


def _book(pack: Pack) -> dict[str, Any]:
    slot = pack.model
    return {
        "pack": f"{pack.name}@{pack.version}",
        "digest": pack.digest,
        "items": [_rule(each) for each in pack.rules],
        "features": {each.name: each.title for each in slot.features} if slot else {},
    }


def _rule(rule: Rule) -> dict[str, Any]:
    said: dict[str, Any] = {
        "id": rule.id,
        "level": rule.level,
        "subject": rule.subject,
        "outcome": None,
    }
    if (found := awaited(rule)) is not None:
        said["outcome"] = {"type": found.type, "names": found.names, "ends": dict(found.ends)}
    return {**said, **rule.texts, **rule.about}


def _instant(text: str | None, clock: Clock) -> int:
    if text is None:
        return clock.now()
    try:
        return parse_rfc3339(text)
    except ValueError as exc:
        raise Refused(
            Fault(
                "query.at",
                "RFC 3339 with an offset",
                "another text",
                "write 2026-09-01T08:00:00+08:00",
            ),
            422,
        ) from exc
