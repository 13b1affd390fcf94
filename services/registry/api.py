"""The book over HTTP: it is read here and written at intake's door."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote

import msgspec
from fastapi import APIRouter, FastAPI, Header, Query
from sqlalchemy import Connection
from starlette.responses import Response

from services.kernel.clock import Clock, parse_rfc3339, rfc3339
from services.kernel.contracts import registry_types as types
from services.kernel.contracts.protected import ID_NUMBER, KEY_HOLDER, PHONE
from services.kernel.db.engine import Database
from services.kernel.errors import Fault, InvalidMessage, Refused
from services.kernel.http import page, read_cursor
from services.kernel.http.paging import page_cursor
from services.kernel.protect import Keyring
from services.registry import views
from services.registry.revealing import contacted, one_field, profiled
from services.registry.storage.audit import findings
from services.registry.storage.looked import Look, log, looks

Limit = Annotated[int, Query(ge=1, le=1_000, description="items on a page")]
Many = Annotated[int, Query(ge=1, le=10_000, description="items on a page")]
Cursor = Annotated[str | None, Query(description="`next` of the page before")]
Names = Annotated[
    list[str] | None, Query(max_length=1_000, description="households; may come several times")
]
Viewer = Annotated[
    str, Header(alias="X-Hearthwatch-Person", max_length=200, description="who looks; is logged")
]
Why = Annotated[
    Literal["", "glass"],
    Header(alias="X-Hearthwatch-Why", description="`glass`: outside their areas; logged, too"),
]
Called = Annotated[
    str,
    Header(
        alias="X-Hearthwatch-Called",
        max_length=3_000,
        description="exact id or name of a household, or name of who lives there, in "
        "percent-encoded UTF-8; a header, because addresses are logged",
    ),
]
UNNAMED: Final = "not given"
_WRITES: Final = ["POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, kw_only=True)
class Api:
    """What the routes stand on."""

    db: Database
    clock: Clock
    zone: tzinfo
    intake_url: str
    keyring: Keyring

    def looking(
        self,
        viewer: str,
        what: str,
        ask: Callable[[Connection], tuple[Any, list[str]]],
        why: str = "",
    ) -> Any:  # noqa: ANN401 - whatever was asked for
        """Return what `ask` finds, having logged whose records it shows, in one transaction.

        A look with a reason is logged where it shows nobody, too.
        """
        with self.db.begin() as conn:
            self.db.lock(conn, "registry.looked", shared=False)
            found, subjects = ask(conn)
            if subjects or (why and found is not None):
                said = f"{why}: {what}" if why else what
                log(conn, Look(viewer, said, subjects), self.clock.now())
        return found

    def shown(self, found: dict[str, Any] | None, kind: str) -> dict[str, Any] | None:
        """Return a household or person with the phone opened and nothing else."""
        return None if found is None else profiled(found, kind, (PHONE,), self.keyring)


def add_routes(api: FastAPI, on: Api) -> FastAPI:
    """Add the book's routes to an API."""
    api.include_router(_households(on))
    api.include_router(_people(on))
    api.include_router(_closest(on))
    api.include_router(_places(on))
    api.include_router(_checks(on))
    api.include_router(_edits(on))
    return api


def _households(on: Api) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["people"])

    @routes.get("/households")
    def households(
        area: str | None = None,
        grid: str | None = None,
        name: Names = None,
        show: Literal["phone"] | None = None,
        cursor: Cursor = None,
        limit: Limit = 100,
        called: Called = "",
    ) -> Response:
        """List households in order of name, without their members; only those named, if any are.

        Their phones are shown with `show=phone` only, for a search by number.
        """
        which = views.Which(area, grid, tuple(name or ()), unquote(called).replace("\x00", ""))
        with on.db.read() as conn:
            found = views.households(conn, which, _after(cursor), limit + 1)
        fields = () if show is None else (PHONE,)
        shown = [profiled(row, types.HOUSEHOLD, fields, on.keyring) for row in found]
        return _paged(shown, limit, "household")

    @routes.get("/households/{name}")
    def household(name: str, viewer: Viewer = UNNAMED, why: Why = "") -> Response:
        """Show a household with its people; who looked is logged."""

        def ask(conn: Connection) -> tuple[Any, list[str]]:
            found = views.household(conn, views.became(conn, name) or name)
            return found, [] if found is None else [m["person"] for m in found["members"]]

        found = on.looking(viewer, f"household {name}", ask, why)
        return _one(on.shown(found, types.HOUSEHOLD), "a household")

    return routes


def _people(on: Api) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["people"])

    @routes.get("/people")
    def people(
        household: str | None = None,
        cursor: Cursor = None,
        limit: Limit = 100,
        viewer: Viewer = UNNAMED,
    ) -> Response:
        """List people in order of name; who looked is logged for each of them."""

        def ask(conn: Connection) -> tuple[Any, list[str]]:
            found = views.people(conn, household, _after(cursor), limit + 1)
            return found, [row["person"] for row in found[:limit]]

        found = on.looking(viewer, "list of people", ask)
        shown = [profiled(row, types.PERSON, (PHONE,), on.keyring) for row in found]
        return _paged(shown, limit, "person")

    @routes.get("/people/{name}")
    def person(name: str, viewer: Viewer = UNNAMED, why: Why = "") -> Response:
        """Show a person, under whichever of their names; who looked is logged."""

        def ask(conn: Connection) -> tuple[Any, list[str]]:
            found = views.person(conn, views.became(conn, name) or name)
            return found, [] if found is None else [found["person"]]

        return _one(on.shown(on.looking(viewer, "person", ask, why), types.PERSON), "a person")

    return routes


def _closest(on: Api) -> APIRouter:
    """Return the routes of what is kept closest: one field at a time, each look logged as such."""
    routes = APIRouter(prefix="/v1", tags=["people"])

    @routes.get("/households/{name}/key-holder")
    def key_holder(name: str, viewer: Viewer = UNNAMED) -> Response:
        """Show who keeps the key of a home; for an open emergency, which the console sees to."""

        def ask(conn: Connection) -> tuple[Any, list[str]]:
            found = views.household(conn, views.became(conn, name) or name)
            whom = [] if found is None else [m["person"] for m in found["members"]]
            return found, whom if found is None else [found["household"], *whom]

        found = on.looking(viewer, "key holder", ask)
        return _alone(on, found, types.HOUSEHOLD, KEY_HOLDER)

    @routes.get("/people/{name}/id-number")
    def id_number(name: str, viewer: Viewer = UNNAMED) -> Response:
        """Show a person's ID number."""

        def ask(conn: Connection) -> tuple[Any, list[str]]:
            found = views.person(conn, views.became(conn, name) or name)
            return found, [] if found is None else [found["person"]]

        return _alone(on, on.looking(viewer, "ID number", ask), types.PERSON, ID_NUMBER)

    return routes


def _places(on: Api) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["areas and duty"])

    @routes.get("/areas")
    def areas() -> Response:
        """Show areas and grids as trees."""
        with on.db.read() as conn:
            return _json({"items": views.areas(conn), "next": None})

    @routes.get("/staff")
    def staff(area: str | None = None, cursor: Cursor = None, limit: Limit = 100) -> Response:
        """List staff by area."""
        after = read_cursor(cursor, str, str) or ("", "")
        with on.db.read() as conn:
            found = views.staff(conn, area, (after[0], after[1]), limit + 1)
        items, following = page(found, limit, lambda row: (row["area"], row["staff"]))
        shown = [contacted(row, types.STAFF, on.keyring) for row in items]
        return _json({"items": shown, "next": following})

    @routes.get("/duty")
    def duty(role: str | None = None, area: str | None = None, at: str | None = None) -> Response:
        """List turns of duty; with `at`, only those that hold then."""
        with on.db.read() as conn:
            found = views.duty(conn, role, area, _instant(at))
        shown = [contacted(row, types.DUTY, on.keyring) for row in found]
        return _json({"items": shown, "next": None})

    return routes


def _checks(on: Api) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["checks"])

    @routes.get("/looked")
    def looked(subject: str | None = None, cursor: Cursor = None, limit: Limit = 100) -> Response:
        """List who looked at whom, oldest first."""
        after = read_cursor(cursor, int)
        with on.db.read() as conn:
            found = looks(conn, after[0] if after else 0, limit + 1, subject)
        items, following = page(found, limit, lambda each: (each[0],))
        shown = [{**row, "at": rfc3339(row["at"])} for _, row in items]
        return _json({"items": shown, "next": following})

    @routes.get("/ids")
    def ids(kind: str = "consumed", cursor: Cursor = None, limit: Many = 10_000) -> Response:
        """List ids of the messages taken in, in order."""
        if kind != "consumed":
            raise InvalidMessage(
                Fault("query.kind", "consumed", "another word", "leave the parameter out")
            )
        with on.db.read() as conn:
            found = views.ids(conn, _after(cursor), limit + 1)
        following = page_cursor(found[limit - 1]) if len(found) > limit else None
        return _json({"items": found[:limit], "next": following})

    @routes.get("/audit")
    def audit() -> Response:
        """Check every row against its seal, its chain and what it follows from."""
        with on.db.read() as conn:
            found = findings(conn, on.zone)
        return _json({"ok": not found, "findings": [each._asdict() for each in found]})

    return routes


def _edits(on: Api) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["edits"])
    where = f"{on.intake_url}/v1/changes" if on.intake_url else "POST /v1/changes of intake"

    @routes.api_route("/{rest:path}", methods=_WRITES, include_in_schema=False)
    def edit(rest: str) -> Response:
        """Say where the book is written."""
        del rest
        raise Refused(
            Fault(
                where="method",
                expected="GET: every edit goes in at intake as a change",
                found="a write",
                remedy=f"send a registry.* or member.* change to {where}",
                code="edit_at_intake",
            ),
            status=405,
        )

    return routes


def _json(body: object) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


def _paged(found: list[dict[str, Any]], limit: int, key: str) -> Response:
    items, following = page(found, limit, lambda row: (row[key],))
    return _json({"items": items, "next": following})


def _one(found: dict[str, Any] | None, what: str) -> Response:
    if found is None:
        fault = Fault("path", f"the name of {what}", "one that nobody entered",
                      "look it up in the list", "not_found")  # fmt: skip
        raise Refused(fault, status=404)
    return _json(found)


def _alone(on: Api, found: dict[str, Any] | None, kind: str, name: str) -> Response:
    whose = None if found is None else one_field(found, kind, name, on.keyring)
    return _one(whose, "a household" if kind == types.HOUSEHOLD else "a person")


def _after(cursor: str | None) -> str:
    found = read_cursor(cursor, str)
    return found[0] if found else ""


def _instant(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_rfc3339(text.replace(" ", "+"))
    except ValueError as exc:
        fault = Fault("query.at", "RFC 3339 with offset", "another text", "correct the instant")
        raise InvalidMessage(fault) from exc
