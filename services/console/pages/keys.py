"""Who keeps the key of a home: for an open red alert of it, on pressing a button, each look logged.

It stands in the answer to that button alone: on no other page, in no address, in no cache.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from starlette.responses import Response

from services.console.gateway import Json
from services.console.web.visit import Console, Visit, guard
from services.console.words import says
from services.kernel.contracts.protected import KEY_HOLDER

RED: Final = 3
CLOSED: Final = 409
_ENDED: Final = "closed"
Render = Callable[..., Awaitable[Response]]


def add_key_routes(routes: APIRouter, console: Console, case: Render) -> None:
    """Add the routes; `case` renders the page of a case with what is told of the key."""

    @routes.post("/cases/{identity}/key-holder")
    async def look(
        identity: str, visit: Annotated[Visit, Depends(guard(console, "case", "key"))]
    ) -> Response:
        alert = await visit.need_alert(identity, look=True)
        if not may_look(visit, alert):
            return await case(visit, alert, status=CLOSED, key={"told": "closed"})
        asked = visit.gateway.key_holder(alert["household"], visit.user.staff)
        return await case(visit, alert, key=told_of_key(await asked, visit.language))

    @routes.get("/cases/{identity}/key-holder")
    async def again(
        identity: str, visit: Annotated[Visit, Depends(guard(console, "case", "see"))]
    ) -> Response:
        return visit.back(f"/cases/{identity}")


def may_look(visit: Visit, alert: Json) -> bool:
    """Return whether they may see who keeps the key of an alert's home.

    The alert is red and open, as alerts has it now; whoever is not on the desk has taken it.
    """
    open_red = alert["level"] >= RED and alert["state"] != _ENDED
    theirs = visit.may("queue", "see") or alert["owner"] == visit.user.staff
    through = visit.why(alert["household"])  # a glass does not open what is kept closest
    return open_red and theirs and not through and visit.may("case", "key")


def told_of_key(found: Json, language: str) -> dict[str, Any]:
    """Return what the page says of the key."""
    why = found["unreadable"].get(KEY_HOLDER)
    return {"value": found[KEY_HOLDER], "why": why and unreadable(why, language), "told": ""}


def unreadable(why: Json, language: str) -> str:
    """Return in words why a protected field cannot be read."""
    text = says(language, f"unreadable.{why['code']}") or why["told"]
    return text.format_map({"key": why["key"]})
