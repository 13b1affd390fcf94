"""Routes that only read: queue, one alert, tasks, deliveries, timeline, report, ids, audit."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from services.alerts.api.base import Api, Cursor, Instant, Limit, instant, json, paged
from services.alerts.domain.alert import STATES, DeliveryState, TaskState
from services.alerts.domain.ladder import Stage
from services.alerts.handlers.command import looked_at
from services.alerts.storage.audit import findings
from services.alerts.views import queue as queues
from services.alerts.views import reports
from services.kernel.errors import Fault, InvalidMessage, Refused
from services.kernel.http import read_cursor
from services.kernel.http.paging import page_cursor

Person = Annotated[
    str | None, Header(alias="X-Hearthwatch-Person", description="who looks; noted on the timeline")
]


class Filters(BaseModel):
    """What to list; `state` is open, all, or one of the states; `at` as it was at an instant.

    `area` may come several times: codes of areas or grids, '' for households that nobody placed.
    """

    state: str = "open"
    level: Annotated[int | None, Field(ge=0, le=3)] = None
    subject: str | None = None
    household: str | None = None
    area: Annotated[list[str], Field(max_length=2_000)] = []
    rule: str | None = None
    owner: str | None = None
    at: str | None = None

    def wanted(self) -> queues.Wanted:
        """Return the filters, checked."""
        if self.state not in ("open", "all", *STATES):
            raise InvalidMessage(_unknown_state(self.state))
        given = self.model_dump() | {"at": instant(self.at, "at"), "area": tuple(self.area)}
        return queues.Wanted(**given)


def reading_routes(api: Api) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/v1")
    _queue_routes(routes, api)
    _report_routes(routes, api)
    _check_routes(routes, api)
    return routes


def _queue_routes(routes: APIRouter, api: Api) -> None:
    @routes.get("/alerts")
    def queue(
        filters: Annotated[Filters, Query()], cursor: Cursor = None, limit: Limit = 100
    ) -> Response:
        """List alerts: highest level, then promises broken and not handled, then next due."""
        wanted = filters.wanted()
        after = read_cursor(cursor, int, int, str)
        with api.db.read() as conn:
            found = queues.queue(conn, api.policy, wanted, after, limit + 1)
        return paged(found, limit)

    @routes.get("/alerts/{alert_id}")
    def whole(alert_id: str, person: Person = None) -> Response:
        """Return one alert with reasons, ladder and what comes next, tasks, timeline."""
        if person:
            with api.db.begin() as conn:
                looked_at(conn, api.store, alert_id, person, api.clock.now())
        with api.db.read() as conn:
            found = queues.whole(conn, api.store, api.policy, alert_id)
        if found is None:
            raise Refused(_no_alert(), 404)
        return json(found, {"ETag": f'"{found["version"]}"'})

    @routes.get("/tasks")
    def tasks(
        stage: Stage | None = None,
        state: TaskState | None = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> Response:
        """List tasks by due instant; without `state` those still to do."""
        after = read_cursor(cursor, int, str, str)
        with api.db.read() as conn:
            return paged(queues.tasks(conn, stage, state, after, limit + 1), limit)

    @routes.get("/deliveries")
    def deliveries(
        state: DeliveryState | None = None,
        alert: str | None = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> Response:
        """List deliveries: one for each fired step and target."""
        after = read_cursor(cursor, int, str)
        with api.db.read() as conn:
            return paged(queues.deliveries(conn, state, alert, after, limit + 1), limit)


def _report_routes(routes: APIRouter, api: Api) -> None:
    @routes.get("/timeline")
    def timeline(
        until: Instant = None,
        whole: bool = False,  # noqa: FBT001, FBT002 - a query parameter
        cursor: Cursor = None,
        limit: Limit = 1000,
    ) -> Response:
        """Export the timelines of all alerts; only the digest's lines unless `whole`."""
        after, end = read_cursor(cursor, str, int), instant(until, "until")
        with api.db.read() as conn:
            found = reports.timeline(conn, end, after, limit + 1, whole=whole)
        return paged(found, limit)

    @routes.get("/digest")
    def digest(until: Instant = None) -> Response:
        """Return the SHA-256 over the sorted lines of all timelines."""
        with api.db.read() as conn:
            return json(reports.digest(conn, instant(until, "until")))

    @routes.get("/report")
    def report(at: Instant = None) -> Response:
        """Count promises kept and broken as of an instant."""
        moment = instant(at, "at")
        moment = api.now() if moment is None else moment
        with api.db.read() as conn:
            return json(reports.report(conn, moment))


def _check_routes(routes: APIRouter, api: Api) -> None:
    @routes.get("/ids")
    def ids(
        kind: Literal["consumed", "alerts"], cursor: Cursor = None, limit: Limit = 10_000
    ) -> Response:
        """List ids in order: of the messages taken in, or of all alerts."""
        after = read_cursor(cursor, str)
        with api.db.read() as conn:
            found = reports.ids(conn, kind, after[0] if after else None, limit + 1)
        following = page_cursor(found[limit - 1]) if len(found) > limit else None
        return json({"items": found[:limit], "next": following})

    @routes.get("/audit")
    def audit() -> Response:
        """Check every row against its seal, its chain and what it follows from."""
        with api.db.read() as conn:
            found = findings(conn)
        return json({"ok": not found, "findings": [f._asdict() for f in found]})


def _unknown_state(state: str) -> Fault:
    return Fault(
        where="query.state",
        expected=f"open, all, {', '.join(STATES)}",
        found=f"text of length {len(state)}",
        remedy="choose one of them",
    )


def _no_alert() -> Fault:
    return Fault("path", "the id of an alert", "another text", "take an id from GET /v1/alerts",
                 "not_found")  # fmt: skip
