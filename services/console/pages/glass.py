"""Breaking the glass: one household of elsewhere, with a reason, for three hours."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from services.console.gateway import Json
from services.console.glass import (
    KINDS,
    LASTS,
    LONGEST,
    MOST_OPEN,
    SHORTEST,
    Glass,
    lacking,
    plain,
    same,
)
from services.console.pages.case import household, people
from services.console.pages.queue import area_names
from services.console.storage import glasses
from services.console.web.visit import Console, Visit, absent, guard
from services.kernel.clock import HOUR
from services.kernel.ids import uuid7

ALERTS: Final = 50
"""Of the household: the open ones and, below, those of before."""
_CONFLICT: Final = 409
_TOO_MANY: Final = 429
_TYPED: Final = ("who", "where", "kind", "reason", "confirm")


class NotOpened(Exception):
    """It was not opened; `told` is the word that says why."""

    def __init__(self, told: str, status: int = 422) -> None:
        super().__init__(told)
        self.told = told
        self.status = status


def glass_routes(console: Console) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    see, end = guard(console, "glass", "see"), guard(console, "glass", "end")

    @routes.get("/glass")
    async def page(visit: Annotated[Visit, Depends(see)]) -> Response:
        return await _form(visit)

    @routes.post("/glass")
    async def open_(
        visit: Annotated[Visit, Depends(guard(console, "glass", "open"))],
    ) -> Response:
        return await _open(visit)

    @routes.get("/glass/{identity}")
    async def home(identity: str, visit: Annotated[Visit, Depends(see)]) -> Response:
        return await _home(visit, identity)

    @routes.post("/glass/{identity}/end")
    async def close(identity: str, visit: Annotated[Visit, Depends(end)]) -> Response:
        return await _end(visit, identity)

    return routes


# -- asking ----------------------------------------------------------------------------------------


async def _form(
    visit: Visit, status: int = 200, told: str = "", what: Sequence[str] = ()
) -> Response:
    fresh = told in ("", "sent")
    return visit.page(
        "glass.html",
        status,
        kinds=KINDS,
        shortest=SHORTEST,
        longest=LONGEST,
        most=MOST_OPEN,
        hours=LASTS // HOUR,
        typed={name: visit.text(name) for name in _TYPED},
        told=told,
        what=what,
        key="" if fresh else visit.text("key", 200),
        new_key=lambda: uuid7(visit.console.clock.now()),
    )


async def _open(visit: Visit) -> Response:
    """Open it, once for each form; what is open already is shown, and lasts no longer for that."""
    kind, reason, who = visit.text("kind", 40), plain(visit.text("reason")), visit.text("who", 200)
    wrong = lacking(kind, reason, confirmed=visit.text("confirm", 10) == "yes")
    wrong = wrong if who else ["who", *wrong]
    if wrong:
        return await _form(visit, 422, "lacking", wrong)
    try:
        row = await _asked_for(visit, who, visit.text("where", 100))
        found = await run_in_threadpool(_stored, visit, _made(visit, row, kind, reason))
    except NotOpened as exc:
        return await _form(visit, exc.status, exc.told)
    return visit.back(f"/glass/{found.id}")


async def _asked_for(visit: Visit, who: str, where: str) -> Json:
    """Return the one household that was named, by exact id or name.

    Raises:
        NotOpened: there is none, there are several, or it is one of their own areas.
    """
    rows, more = await visit.gateway.called(who)
    if more:
        raise NotOpened("several")
    if where:
        names = area_names(await visit.gateway.areas())
        rows = [row for row in rows if _lies(row, where, names)]
    if len(rows) != 1:
        raise NotOpened("several" if rows else "none")
    if await visit.covers(rows[0]["area"], rows[0]["grid"]):
        raise NotOpened("own")
    return rows[0]


def _lies(row: Json, where: str, names: dict[str, str]) -> bool:
    codes = [code for code in (row["area"], row["grid"]) if code]
    return any(where == code or where in names.get(code, "") for code in codes)


def _made(visit: Visit, row: Json, kind: str, reason: str) -> Glass:
    now = visit.console.clock.now()
    identity = uuid7(now)
    return Glass(
        id=identity,
        user_name=visit.user.name,
        staff=visit.user.staff,
        key=visit.text("key", 200) or identity,
        household=row["household"],
        area=row["area"] or "",
        grid=row["grid"] or "",
        kind=kind,
        reason=reason,
        since=now,
        until=now + LASTS,
    )


def _stored(visit: Visit, made: Glass) -> Glass:
    """Store it and return it, or the one that the same form, or an earlier one, opened.

    Raises:
        NotOpened: the form opened another household, or one now shut; or too many are open.
    """
    db = visit.console.db
    with db.begin() as conn:
        db.lock(conn, "console.glass", shared=False)
        before = glasses.of_key(conn, made.user_name, made.key)
        if before is not None:
            if same(before, made) and before.open(made.since):
                return before
            raise NotOpened("sent", _CONFLICT)
        mine = glasses.of_user(conn, made.user_name, made.since)
        for each in mine:
            if each.household == made.household:
                return each
        if glasses.open_of_staff(conn, made.staff, made.since) >= MOST_OPEN:
            raise NotOpened("most", _TOO_MANY)
        glasses.add(conn, made)
    return made


# -- what is open ----------------------------------------------------------------------------------


async def _home(visit: Visit, identity: str) -> Response:
    """Show the household, its people and its alerts, each look logged as one through a glass."""
    glass = next((each for each in visit.glasses if each.id == identity), None)
    if glass is None:
        raise absent()
    visit.through.add(glass.household)
    home = await visit.attempt(household(visit, glass.household), None)
    if home is not None and home["household"] != glass.household:  # its reason was for another home
        return await _form(visit, 409, "merged")
    asked = visit.gateway.alerts(household=glass.household, state="all", limit=ALERTS)
    alerts = (await visit.try_last(asked, {"items": []}))["items"]
    return visit.page(
        "glass_home.html",
        glass=glass,
        home=home,
        people=await people(visit, home, visit.why(glass.household)),
        running=[each for each in alerts if each["state"] != "closed"],
        closed=[each for each in alerts if each["state"] == "closed"],
        names=area_names(await visit.attempt(visit.gateway.areas(), [])),
    )


async def _end(visit: Visit, identity: str) -> Response:
    """End one of theirs; one that ended before stays as it was."""

    def store() -> Any:  # noqa: ANN401 - a row or None
        now = visit.console.clock.now()
        with visit.console.db.begin() as conn:
            found = glasses.find(conn, identity)
            if found is not None and found.glass.user_name == visit.user.name:
                glasses.end(conn, identity, visit.user.staff, now)
                return found
            return None

    if await run_in_threadpool(store) is None:
        raise absent()
    return visit.back("/glass")
