"""The ops page: what the services count of themselves, by question, with a judgement on each."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from services.console.figures import Station
from services.console.gateway import Away
from services.console.glass import Counts
from services.console.panels import Row, panels
from services.console.storage.glasses import counts
from services.console.web.visit import Console, Visit, guard
from services.kernel.clock import rfc3339
from services.kernel.errors import Refused

ASKED: Final = ("intake", "registry", "risk", "alerts")
_KILO: Final = 1024.0
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_TEN: Final = 10


def ops_routes(console: Console) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    see = guard(console, "ops", "see")

    @routes.get("/ops")
    async def ops(visit: Annotated[Visit, Depends(see)]) -> Response:
        return await _page(visit, "ops.html")

    @routes.get("/ops/panels")
    async def parts(visit: Annotated[Visit, Depends(see)]) -> Response:
        return await _page(visit, "ops_panels.html")

    return routes


async def _page(visit: Visit, template: str) -> Response:
    glasses = await run_in_threadpool(_glasses, visit)
    found = panels(await figures_of(visit), await _turns(visit), glasses)
    return visit.page(template, panels=found, shown=shown, size=size, amount=amount)


def _glasses(visit: Visit) -> Counts:
    with visit.console.db.read() as conn:
        return counts(conn, visit.console.clock.now())


async def _turns(visit: Visit) -> int | None:
    """Return how many turns of duty hold now, None when registry does not answer."""
    now = {"at": rfc3339(visit.console.clock.now())}
    found = await visit.attempt(visit.gateway.get("registry", "/v1/duty", now), None)
    return None if found is None else len(found["items"])


async def figures_of(visit: Visit) -> Station:
    """Return the figures of all services; one that does not answer is told on the page."""
    texts = await asyncio.gather(*(_text(visit, name) for name in ASKED))
    return Station({name: text for name, text in zip(ASKED, texts, strict=True) if text})


async def _text(visit: Visit, service: str) -> str:
    try:
        return str(await visit.attempt(visit.gateway.text(service, "/metrics"), ""))
    except (Away, Refused):
        return ""


def shown(row: Row) -> str:
    """Return a figure as people read it; '' for one that there is not."""
    if row.value is None:
        return ""
    if row.unit == "seconds":
        return lasting(row.value)
    if row.unit == "share":
        return f"{row.value:.0%}"
    return amount(row.value)


def lasting(seconds: float) -> str:
    """Return a duration: 0.25 s, 8 s, 12 min, 3.5 h, 2.1 d."""
    if seconds < _TEN:
        return f"{seconds:.2f} s".replace(".00 ", " ")
    for limit, unit, word in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            figure = seconds / unit
            return f"{figure:.1f} {word}" if word == "h" else f"{figure:.0f} {word}"
    return f"{seconds / 86_400:.1f} d"


def amount(count: float) -> str:
    """Return a count with its thousands apart."""
    return f"{count:,.0f}"


def size(count: float) -> str:
    """Return bytes in the largest fitting unit."""
    for unit in _UNITS[:-1]:
        if count < _KILO:
            return f"{count:.0f} {unit}"
        count /= _KILO
    return f"{count:.1f} {_UNITS[-1]}"
