"""Who looked at whose record: the head's page over registry's append-only log."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from services.console.web.visit import Console, Visit, absent, guard

AT_ONCE = 200
LONGEST = 200


def look_routes(console: Console) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.get("/looks")
    async def looks(visit: Annotated[Visit, Depends(guard(console, "looks", "see"))]) -> Response:
        return await _page(visit, "")

    @routes.post("/looks")  # whose record it is stays out of addresses and their logs
    async def find(visit: Annotated[Visit, Depends(guard(console, "looks", "see"))]) -> Response:
        return await _page(visit, visit.text("subject", LONGEST))

    return routes


async def _page(visit: Visit, subject: str) -> Response:
    if not visit.user.everywhere:  # the log names people of every area
        raise absent()
    cursor = visit.text("cursor", LONGEST) or None
    query = {"subject": subject or None, "cursor": cursor, "limit": AT_ONCE}
    found = await visit.attempt(
        visit.gateway.get("registry", "/v1/looked", query), {"items": [], "next": None}
    )
    staff = await visit.attempt(visit.gateway.staff(), [])
    return visit.page(
        "looks.html",
        subject=subject,
        looks=found["items"],
        following=found["next"],
        staff_names={each["staff"]: each["name"] or each["staff"] for each in staff},
    )
