"""Routes that only read: changes, kept items, ids, counts, catalogue, audit."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from services.intake import views
from services.intake.domain.types import Catalogue
from services.intake.handlers.covering import Cover
from services.intake.storage.audit import findings
from services.kernel.db.engine import Database
from services.kernel.errors import Fault, Refused
from services.kernel.http import page_cursor, read_cursor

Limit = Annotated[int, Query(ge=1, le=10_000, description="items on a page")]
Cursor = Annotated[str | None, Query(description="`next` of the page before")]


def reading_routes(db: Database, catalogue: Catalogue, cover: Cover) -> APIRouter:
    """Return the routes that change nothing."""
    routes = APIRouter(prefix="/v1")
    routes.include_router(_of_items(db, cover))
    routes.include_router(_of_checks(db, catalogue))
    return routes


def _of_items(db: Database, cover: Cover) -> APIRouter:
    routes = APIRouter(tags=["reading"])

    @routes.get("/changes/{identity}")
    def change(identity: str) -> Response:
        """Show one change: its message, its corrections, its copies."""
        with db.read() as conn:
            found = views.change(conn, identity)
        if found is None:
            raise not_found("a change", "an id that nobody sent")
        return json(found)

    @routes.get("/kept")
    def kept(
        source: str | None = None,
        code: str | None = None,
        state: Literal["open", "repaired", "all"] = "open",
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> Response:
        """List refused items, oldest first."""
        which = views.KeptFilter(source, code, state)
        with db.read() as conn:
            found = views.kept_list(conn, which, _after(cursor), limit + 1)
        return paged(found, limit)

    @routes.get("/kept/{identity}")
    def kept_one(identity: str) -> Response:
        """Show one refused item with its original and every fault."""
        with db.read() as conn:
            found = views.kept_one(conn, identity, cover)
        if found is None:
            raise not_found("a kept item", "an id under which nothing is kept")
        return json(found)

    return routes


def _of_checks(db: Database, catalogue: Catalogue) -> APIRouter:
    routes = APIRouter(tags=["checks"])

    @routes.get("/ids")
    def ids(
        kind: views.IdKind = "published", cursor: Cursor = None, limit: Limit = 10_000
    ) -> Response:
        """List ids in order of receipt: of every message published, or of every change accepted."""
        with db.read() as conn:
            found = views.ids(conn, kind, _after(cursor), limit + 1)
        return paged(found, limit)

    @routes.get("/report")
    def report() -> Response:
        """Count what was read, accepted, duplicate, conflict and rejected, per source."""
        with db.read() as conn:
            return json(views.report(conn))

    @routes.get("/types")
    def types() -> Response:
        """Show the event catalogue that the door checks against."""
        return json(views.types(catalogue))

    @routes.get("/audit")
    def audit() -> Response:
        """Check every row against its seal, its number and what it follows from."""
        with db.read() as conn:
            found = findings(conn)
        return json({"ok": not found, "findings": [each._asdict() for each in found]})

    return routes


def json(body: object, status: int = 200) -> Response:
    """Return a JSON answer."""
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def paged(found: list[tuple[int, Any]], limit: int) -> Response:
    """Return a page of numbered items that were asked for with `limit + 1`."""
    following = page_cursor(found[limit - 1][0]) if len(found) > limit else None
    return json({"items": [item for _, item in found[:limit]], "next": following})


def not_found(expected: str, found: str) -> Refused:
    """Return the refusal of an id in the path that nothing has."""
    fault = Fault("path", f"the id of {expected}", found, "look it up in the list", "not_found")
    return Refused(fault, status=404)


def _after(cursor: str | None) -> int:
    found = read_cursor(cursor, int)
    return found[0] if found else 0
