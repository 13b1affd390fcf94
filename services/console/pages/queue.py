"""The duty queue: in the order in which alerts lists it; live, and grouped in a storm."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Header
from starlette.responses import Response, StreamingResponse

from services.console.gateway import Json
from services.console.web.visit import UNPLACED, Console, Visit, guard
from services.kernel.errors import Fault, Refused
from services.kernel.ids import uuid7

AT_ONCE: Final = 200
"""Rows on a page; further ones come by its link."""
GROUP_FROM: Final = 3
"""So many alerts of one rule at one place, not red, are shown as one group."""
RED: Final = 3
_STATES: Final = ("open", "new", "acknowledged", "assigned", "on_site", "handling",
                  "outcome_recorded", "review", "closed", "all")  # fmt: skip
_MINE: Final = "me"


class Filters(NamedTuple):
    """What of the queue to show, as the address of the page says."""

    state: str = "open"
    level: str = ""
    area: str = ""
    rule: str = ""
    owner: str = ""
    cursor: str = ""

    def query(self) -> str:
        """Return the filters as a query string; '' when all are as at first."""
        given = {k: v for k, v in self._asdict().items() if v != self._field_defaults[k]}
        return f"?{urlencode(given)}" if given else ""


class Group(NamedTuple):
    """Alerts of one rule at one place; `key` is stable, so that it stays open or shut."""

    key: str
    alerts: list[Json]

    @property
    def waiting(self) -> list[str]:
        """Return the ids nobody has acknowledged."""
        return [alert["id"] for alert in self.alerts if alert["state"] == "new"]


def queue_routes(console: Console) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    see = guard(console, "queue", "see")

    @routes.get("/queue")
    async def queue(visit: Annotated[Visit, Depends(see)]) -> Response:
        return await _page(visit, "queue.html")

    @routes.get("/queue/rows")
    async def rows(visit: Annotated[Visit, Depends(see)]) -> Response:
        return await _page(visit, "queue_rows.html")

    @routes.get("/stream")
    async def stream(
        visit: Annotated[Visit, Depends(see)],
        last: str | None = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        del visit
        return StreamingResponse(
            console.hub.listen(last_event_id or last),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    return routes


async def _page(visit: Visit, template: str) -> Response:
    filters = filters_of(visit)
    found = await visit.try_last(
        visit.gateway.alerts(**await wanted(visit, filters)), {"items": [], "next": None}
    )
    alerts = found["items"]
    places = await visit.attempt(visit.gateway.households([a["household"] for a in alerts]), {})
    areas = await visit.attempt(visit.gateway.areas(), [])
    now = visit.console.clock.now()
    return visit.page(
        template,
        filters=filters,
        states=_STATES,
        groups=grouped(alerts),
        red_waiting=sum(1 for a in alerts if a["level"] == RED and a["state"] == "new"),
        total=len(alerts),
        following=filters._replace(cursor=found["next"]).query() if found["next"] else "",
        places=places,
        names=area_names(areas),
        known=await known_areas(visit, areas),
        new_key=lambda: uuid7(now),
    )


def filters_of(visit: Visit) -> Filters:
    """Return the filters of an address; wrong ones are refused with what there is."""
    asked = visit.request.query_params
    found = Filters(**{name: asked[name] for name in Filters._fields if name in asked})
    if found.state not in _STATES or found.level not in ("", "0", "1", "2", "3"):
        fault = Fault("filter", "one of the list", "another word", "choose one", "field")
        raise Refused(fault, 422)
    return found


async def wanted(visit: Visit, filters: Filters) -> dict[str, Any]:
    """Return the question to alerts: the filters within the person's areas."""
    mine = await visit.areas()
    asked: Sequence[str] | None = None if mine is None else sorted({*mine, UNPLACED})
    if filters.area:
        within = mine is None or filters.area in mine
        asked = [filters.area] if within else ["-"]  # of another area: as if it were not there
    return {
        "state": filters.state,
        "level": int(filters.level) if filters.level else None,
        "area": asked,
        "rule": filters.rule or None,
        "owner": (visit.user.staff if filters.owner == _MINE else filters.owner) or None,
        "cursor": filters.cursor or None,
        "limit": AT_ONCE,
    }


def grouped(alerts: Sequence[Json]) -> list[Group]:
    """Return the alerts in order, three or more of one rule and place put together.

    Red ones stand alone, and so ahead of every group.
    """
    found: dict[str, Group] = {}
    for alert in alerts:
        place = alert["grid"] or alert["area"]
        key = f"{alert['level']}|{alert['rule']}|{place}" if alert["level"] < RED else alert["id"]
        found.setdefault(key, Group(key, [])).alerts.append(alert)
    groups: list[Group] = []
    for group in found.values():
        if len(group.alerts) >= GROUP_FROM:
            groups.append(group)
        else:
            groups.extend(Group(alert["id"], [alert]) for alert in group.alerts)
    order = {alert["id"]: n for n, alert in enumerate(alerts)}
    return sorted(groups, key=lambda group: order[group.alerts[0]["id"]])


def area_names(trees: Sequence[Json]) -> dict[str, str]:
    """Return the names of all areas by code."""
    found: dict[str, str] = {}
    for tree in trees:
        found[tree["code"]] = tree["name"] or tree["code"]
        found |= area_names(tree["areas"])
    return found


async def known_areas(visit: Visit, trees: Sequence[Json]) -> list[tuple[str, str]]:
    """Return code and name of the areas that a person may choose from."""
    mine = await visit.areas()
    return [(c, name) for c, name in area_names(trees).items() if mine is None or c in mine]
