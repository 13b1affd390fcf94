"""The head's list of broken glasses: who looked at a household of theirs, why, and if rightly."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from services.console.glass import LONGEST, REVIEW_WITHIN, Review, plain
from services.console.pages.queue import area_names
from services.console.storage import glasses, users
from services.console.storage.glasses import Reviewed
from services.console.storage.users import User
from services.console.web.visit import Console, Visit, absent, guard

_CONFLICT: Final = 409
_SAID: Final = {"yes": True, "no": False}


def review_routes(console: Console) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.get("/reviews")
    async def page(visit: Annotated[Visit, Depends(guard(console, "reviews", "see"))]) -> Response:
        return await _page(visit)

    @routes.post("/reviews/{identity}")
    async def take(
        identity: str, visit: Annotated[Visit, Depends(guard(console, "reviews", "send"))]
    ) -> Response:
        return await _take(visit, identity)

    return routes


async def _page(
    visit: Visit, status: int = 200, told: str = "", first: Reviewed | None = None
) -> Response:
    """Show the list; `first` is one whose form was just sent, shown with what was typed."""
    rows = await _rows(visit)
    people = await run_in_threadpool(_people, visit)
    homes = [each.glass.household for each in rows]
    staff = {each.staff: each.display for each in people.values()}
    now = visit.console.clock.now()
    return visit.page(
        "reviews.html",
        status,
        waiting=[each for each in rows if each.at is None],
        done=[each for each in rows if each.at is not None],
        late=lambda each: each.glass.since <= now - REVIEW_WITHIN,
        people=people,
        staff_names=staff,
        places=await visit.attempt(visit.gateway.households(homes), {}),
        names=area_names(await visit.attempt(visit.gateway.areas(), [])),
        longest=LONGEST,
        told=told,
        about=first,
        typed={name: visit.text(name) for name in ("justified", "note")},
    )


async def _rows(visit: Visit) -> list[Reviewed]:
    areas = await visit.areas()

    def ask() -> list[Reviewed]:
        with visit.console.db.read() as conn:
            return glasses.to_review(conn, areas)

    return await run_in_threadpool(ask)


def _people(visit: Visit) -> dict[str, User]:
    with visit.console.db.read() as conn:
        return {each.name: each for each in users.everybody(conn)}


async def _take(visit: Visit, identity: str) -> Response:
    """Store what a head says; the first one stands, and a second is told who it was and when."""
    found = await _theirs(visit, identity)
    said = Review(
        visit.user.staff,
        _SAID.get(visit.text("justified", 10), False),
        plain(visit.text("note")),
    )
    if visit.user.staff == found.glass.staff or visit.user.name == found.glass.user_name:
        return await _page(visit, _CONFLICT, "own", found)
    if visit.text("justified", 10) not in _SAID:
        return await _page(visit, 422, "choose", found)
    if len(said.note) > LONGEST or not (said.justified or said.note):
        return await _page(visit, 422, "note", found)
    if found.review != said and not await run_in_threadpool(_store, visit, identity, said):
        return await _page(visit, _CONFLICT, "first", await _theirs(visit, identity))
    return visit.back("/reviews")


async def _theirs(visit: Visit, identity: str) -> Reviewed:
    """Return one whose household lay in their areas; any other is absent (404)."""

    def ask() -> Reviewed | None:
        with visit.console.db.read() as conn:
            return glasses.find(conn, identity)

    found = await run_in_threadpool(ask)
    if found is None or not await visit.covers(found.glass.area, found.glass.grid):
        raise absent()
    return found


def _store(visit: Visit, identity: str, said: Review) -> bool:
    """Store it; return False where another review was first."""
    with visit.console.db.begin() as conn:
        if glasses.review(conn, identity, said, visit.console.clock.now()):
            return True
        found = glasses.find(conn, identity)
        return found is not None and found.review == said
