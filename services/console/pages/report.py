"""The report desk: somebody phones, and half a minute later it is on its way, with its clock."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import quote

from fastapi import APIRouter, Depends
from starlette.responses import Response

from services.console import desk
from services.console.access import below
from services.console.gateway import Json
from services.console.pages.queue import area_names
from services.console.web.visit import Console, Visit, absent, guard
from services.kernel.clock import rfc3339
from services.kernel.errors import Fault, Refused
from services.kernel.ids import uuid7

MOST_FOUND: Final = 5
_PAGE: Final = 1000
_MOST_PAGES: Final = 10
_CONFLICT: Final = 409
_NOT_FOUND: Final = 404
_REFUSED: Final = (400, 422)


class Spot(NamedTuple):
    """A place to choose: its code, what to show, its area and, if it is one, its grid.

    `query` is what registry is asked for its households, `codes` what these may lie in.
    """

    code: str
    shown: str
    area: str
    grid: str
    query: Json
    codes: frozenset[str]


class NoSuchPlace(Exception):
    """What was typed is no place of theirs, or several, which are named."""

    def __init__(self, several: list[str]) -> None:
        super().__init__("no such place")
        self.several = several


def report_routes(console: Console) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    see, send = guard(console, "report", "see"), guard(console, "report", "send")

    @routes.get("/report")
    async def page(visit: Annotated[Visit, Depends(see)]) -> Response:
        return await _form(visit)

    @routes.get("/report/now")
    async def now(visit: Annotated[Visit, Depends(see)]) -> Response:
        return Response(rfc3339(visit.console.clock.now()), media_type="text/plain")

    @routes.post("/report")
    async def take(visit: Annotated[Visit, Depends(send)]) -> Response:
        return await _take(visit)

    @routes.post("/report/who")
    async def who(visit: Annotated[Visit, Depends(send)]) -> Response:
        try:
            found = await _found(visit)
        except NoSuchPlace:
            found = []
        return visit.page("report_who.html", found=found[:MOST_FOUND], more=len(found) > MOST_FOUND)

    @routes.get("/report/{identity}")
    async def sent(identity: str, visit: Annotated[Visit, Depends(see)]) -> Response:
        return await _sent(visit, identity, "report_sent.html")

    @routes.get("/report/{identity}/state")
    async def state(identity: str, visit: Annotated[Visit, Depends(see)]) -> Response:
        return await _sent(visit, identity, "report_state.html")

    return routes


# -- the form --------------------------------------------------------------------------------------


async def _form(visit: Visit, status: int = 200, told: str = "", **values: Any) -> Response:  # noqa: ANN401
    types = (await visit.attempt(visit.gateway.types(), {"types": []}))["types"]
    typed = {
        name: visit.text(name)
        for name in ("matter", "where", "spot", "note", "anonymous", "ongoing", "started", "q")
    }
    return visit.page(
        "report.html",
        status,
        matters=desk.matters(types),
        spots=await spots(visit),
        typed=typed,
        told=told,
        values=values,
        key=uuid7(visit.console.clock.now()) if told in ("", "sent") else visit.text("key", 100),
    )


async def spots(visit: Visit) -> list[Spot]:
    """Return the places of the person's areas, each below the one it belongs to."""
    trees = await visit.attempt(visit.gateway.areas(), [])
    mine = await visit.areas()
    found: list[Spot] = []

    def walk(nodes: Sequence[Json], above: str, area: str) -> None:
        for node in nodes:
            name = node["name"] or node["code"]
            grid = node["kind"] == "grid"
            here = area if grid else node["code"]
            shown = f"{above} {name}".strip() if grid else name
            if mine is None or node["code"] in mine:
                found.append(
                    Spot(node["code"], shown, here, node["code"] if grid else "", _query(node),
                         below([node], [node["code"]]))
                )  # fmt: skip
            walk(node["areas"], name, here)

    walk(trees, "", "")
    return sorted(found, key=lambda spot: (not spot.grid, spot.area))


def _query(node: Json) -> Json:
    """Return how registry is asked for the households of an area; all, where it is a larger one."""
    asked = {"grid": "grid", "village": "area"}.get(node["kind"] or "")
    return {asked: node["code"]} if asked else {}


async def _chosen(visit: Visit) -> Spot | None:
    """Return the place that was typed: its code, its name, or a part that only one name has.

    Raises:
        NoSuchPlace: none of theirs is called so, or several.
    """
    typed = visit.text("where", 100)
    if not typed:
        return None
    known = await spots(visit)
    for fits in (
        [spot for spot in known if typed in (spot.code, spot.shown)],
        [spot for spot in known if typed in spot.shown.split()],
        [spot for spot in known if all(part in spot.shown for part in typed.split())],
    ):
        if len(fits) == 1:
            return fits[0]
        if fits:
            raise NoSuchPlace([spot.shown for spot in fits][:MOST_FOUND])
    raise NoSuchPlace([])


# -- who -------------------------------------------------------------------------------------------


async def _found(visit: Visit) -> list[Json]:
    """Return households of the place whose name or address holds what was typed, with members."""
    wanted, spot = visit.text("q", 100).casefold(), await _chosen(visit)
    if not wanted:
        return []
    found: list[Json] = []
    cursor: str | None = None
    for _ in range(_MOST_PAGES):
        query = {"cursor": cursor, "limit": _PAGE, "show": "phone", **(spot.query if spot else {})}
        heard = await visit.attempt(
            visit.gateway.get("registry", "/v1/households", query), {"items": [], "next": None}
        )
        found += [
            row
            for row in heard["items"]
            if wanted in _said(row)
            and (spot is None or {row["area"], row["grid"]} & spot.codes)
            and await visit.covers(row["area"], row["grid"], row["household"])
        ]
        cursor = heard["next"]
        if cursor is None or len(found) > MOST_FOUND:
            break
    return [await _with_members(visit, row) for row in found[: MOST_FOUND + 1]]


def _said(row: Json) -> str:
    profile = row.get("profile") or {}
    words = (row["household"], row.get("name"), profile.get("address"), profile.get("phone"))
    return " ".join(str(word) for word in words if word).casefold()


async def _with_members(visit: Visit, row: Json) -> Json:
    name = row["household"]
    ask = visit.gateway.household(name, visit.user.staff, visit.why(name))
    whole = await visit.attempt(ask, row)
    return {**row, "members": whole.get("members") or []}


# -- sending ---------------------------------------------------------------------------------------


async def _take(visit: Visit) -> Response:
    types = (await visit.gateway.types())["types"]
    chosen = next((m for m in desk.matters(types) if m.name == visit.text("matter", 100)), None)
    try:
        spot = await _chosen(visit)
    except NoSuchPlace as exc:
        told = "places" if exc.several else "no_such_place"
        return await _form(visit, 422, told, several=exc.several)
    place = desk.Place(
        spot.area if spot else "", spot.grid if spot else "", visit.text("spot", 200)
    )
    household, _, person = visit.text("who", 500).partition("|")
    if chosen is None:
        return await _form(visit, 422, "no_matter")
    if not household and not place.area and not place.spot:
        return await _form(visit, 422, "no_place")
    if household:
        await _need_home(visit, household)
    call = desk.Call(
        key=visit.text("key", 100) or uuid7(visit.console.clock.now()),
        matter=chosen,
        place=place,
        started=desk.started(visit.text("started", 40), visit.console.clock.now()),
        household=household,
        person=person,
        note=visit.text("note", 2000),
        anonymous=visit.text("anonymous", 10) == "yes",
        ongoing=visit.text("ongoing", 10) == "yes",
    )
    report, *entries = desk.changes(call, desk.subject_of(types, chosen))
    try:
        done = await visit.gateway.send_change(report, call.key)
        for entry in entries:
            await visit.attempt(visit.gateway.send_change(entry, entry["sourceid"]), None)
    except Refused as exc:
        return await _told(visit, exc)
    return visit.back(f"/report/{done['id']}")


async def _need_home(visit: Visit, household: str) -> None:
    """Raise Refused unless the household is one of their areas."""
    found = (await visit.gateway.households([household])).get(household)
    if found is None or not await visit.covers(found["area"], found["grid"], household):
        raise Refused(
            Fault("who", "a household of the list", "another", "search again", "field"), 422
        )


async def _told(visit: Visit, exc: Refused) -> Response:
    """Tell why a report was not taken, with everything that was typed."""
    if exc.status == _CONFLICT or exc.fault.code == "key_reused":
        # sent before under this page's key, with other words
        return await _form(visit, _CONFLICT, "sent")
    if exc.status in _REFUSED:
        return await _form(visit, 422, "refused", fault=exc.fault)
    raise exc


# -- what became of it -----------------------------------------------------------------------------


async def _sent(visit: Visit, identity: str, template: str) -> Response:
    try:
        change = await visit.gateway.get("intake", f"/v1/changes/{quote(identity, safe='')}")
    except Refused as exc:
        raise (absent() if exc.status == _NOT_FOUND else exc) from exc
    envelope = change["envelope"]
    if envelope["source"] != desk.SOURCE:
        raise absent()
    home = envelope["partitionkey"]
    asked = visit.gateway.households([home])
    known = not home.startswith((desk.STANDS_IN, "place:"))
    if known and not visit.user.everywhere:
        places = await asked  # without registry nobody can say whose area it is: then no page
    else:
        places = await visit.attempt(asked, {})
    row = places.get(home) or {"area": "", "grid": home.removeprefix("place:"), "name": None}
    if home.startswith("place:") or home in places:
        await _need_cover(visit, row, home)
    alerts = await visit.attempt(
        visit.gateway.get("alerts", "/v1/alerts", {"subject": envelope["subject"], "limit": 5}),
        {"items": []},
    )
    types = (await visit.attempt(visit.gateway.types(), {"types": []}))["types"]
    return visit.page(
        template,
        change=change,
        envelope=envelope,
        title=next((t["title"] for t in types if t["type"] == envelope["type"]), {}),
        row=row,
        names=area_names(await visit.attempt(visit.gateway.areas(), [])),
        known=known,
        alerts=alerts["items"],
        identity=identity,
    )


async def _need_cover(visit: Visit, row: Json, home: str) -> None:
    if not await visit.covers(row["area"], row["grid"], home):
        raise absent()
