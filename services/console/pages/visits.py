"""My visits: a worker's day on a phone; what was typed outlives a dead spot and a dead server."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from fastapi import APIRouter, Depends
from starlette.responses import Response

from services.console import fieldwork
from services.console.gateway import Json
from services.console.pages import facts, steps
from services.console.pages.acts import ATTEMPTS, OUTCOMES
from services.console.pages.keys import unreadable
from services.console.pages.queue import area_names
from services.console.pages.sending import DONE_BEFORE, SaidOtherwise, send_once
from services.console.web.visit import UNPLACED, Console, Visit, guard, wants_page
from services.console.words import say
from services.kernel.clock import from_us
from services.kernel.contracts.protected import PHONE
from services.kernel.errors import Fault, Refused
from services.kernel.http.problems import problem
from services.kernel.ids import uuid7

MINE_AT_ONCE: Final = 100
OFFERED: Final = 10
_ANSWERS: Final = (
    "mode", "person_seen", "reason", "all_tried", "worker_level", "self_rated_health",
    "food_7_days",
)  # fmt: skip
_NEXT: Final = "next_visit_on"
_DATE: Final = ("next_year", "next_month", "next_day")
_YEARS_AHEAD: Final = 3
_ATTEMPT_OF: Final = {"refused": "refused_visit"}
_REFUSED: Final = (400, 422)
_OPEN: Final = ("new", "acknowledged", "assigned", "on_site", "handling", "outcome_recorded")


def visit_routes(console: Console) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    see, send = guard(console, "visits", "see"), guard(console, "visits", "send")

    @routes.get("/visits")
    async def mine(visit: Annotated[Visit, Depends(see)]) -> Response:
        return await _list(visit)

    @routes.get("/visits/{identity}")
    async def form(identity: str, visit: Annotated[Visit, Depends(see)]) -> Response:
        return await _form(visit, await visit.need_alert(identity, look=True))

    @routes.post("/visits/{identity}")
    async def take(identity: str, visit: Annotated[Visit, Depends(send)]) -> Response:
        return await _take(visit, await visit.need_alert(identity))

    @routes.get("/visits/{identity}/saved")
    async def saved(identity: str, visit: Annotated[Visit, Depends(see)]) -> Response:
        alert = await visit.need_alert(identity)
        mine = [
            e
            for e in alert["timeline"]
            if (e["step"], e["actor"]) == ("act:outcome", visit.user.staff)
        ]
        if not mine:  # somebody opened the address by hand: nothing of theirs is saved
            return visit.back(f"/visits/{identity}")
        coming = steps.step_word(alert["next"], visit.language) if alert["next"] else ""
        return visit.page("visit_saved.html", alert=alert, coming=coming)

    @routes.post("/visits/{identity}/call")
    async def call(identity: str, visit: Annotated[Visit, Depends(send)]) -> Response:
        return await _numbers(visit, await visit.need_alert(identity))

    return routes


# -- the list -----------------------------------------------------------------------------------


async def _list(visit: Visit) -> Response:
    empty: Json = {"items": []}
    mine = await visit.try_last(
        visit.gateway.alerts(state="open", owner=visit.user.staff, limit=MINE_AT_ONCE), empty
    )
    mine = {**mine, "items": await _still(visit, mine["items"])}
    areas = await visit.areas()
    wanted = None if areas is None else sorted({*areas, UNPLACED} if _desk(visit) else areas)
    free = await visit.try_last(
        visit.gateway.alerts(state="open", owner="", area=wanted, limit=OFFERED), empty
    )
    offered = [alert for alert in free["items"] if not alert["owner"]]
    both = [*mine["items"], *offered]
    places = await visit.attempt(visit.gateway.households([a["household"] for a in both]), {})
    now = visit.console.clock.now()
    mine["items"].sort(key=lambda alert: (alert["handled_at"] is not None, -alert["level"]))
    return visit.page(
        "visits.html",
        mine=mine["items"],
        offered=offered,
        told={alert["id"]: await _told(visit, alert) for alert in mine["items"]},
        names=area_names(await visit.attempt(visit.gateway.areas(), [])),
        places=places,
        new_key=lambda: uuid7(now),
    )


async def _still(visit: Visit, alerts: Sequence[Json]) -> list[Json]:
    """Return the alerts that are still theirs: not what they took through a glass now shut."""
    found = []
    for each in alerts:
        if not await visit.covers(each["area"], each["grid"], each["household"]):
            whole = await visit.attempt(visit.gateway.alert(each["id"]), None)
            if whole is None or not await visit.holds(whole):
                continue
        found.append(each)
    return found


class Told(NamedTuple):
    """What a card of one's own says besides: exact spots, when it was visited and if in time."""

    spots: list[str]
    done: str


async def _told(visit: Visit, alert: Json) -> Told:
    whole = await visit.attempt(visit.gateway.alert(alert["id"]), None)
    if whole is None:
        return Told([], "")
    done = steps.task_kept(whole, "visit", visit.console.pages.at, visit.language)
    return Told(_spots(await facts.reports(visit, whole)), done)


def _spots(reports: Sequence[facts.Report]) -> list[str]:
    return list(dict.fromkeys(each.spot for each in reports if each.spot))


def _desk(visit: Visit) -> bool:
    return visit.may("queue", "see")


# -- the form -----------------------------------------------------------------------------------


async def _form(visit: Visit, alert: Json, status: int = 200, **values: Any) -> Response:  # noqa: ANN401
    types = (await visit.attempt(visit.gateway.types(), {"types": []}))["types"]
    home = await visit.attempt(_home(visit, alert["household"]), None)
    return visit.page(
        "visit.html",
        status,
        alert=alert,
        home=home,
        names=area_names(await visit.attempt(visit.gateway.areas(), [])),
        form=fieldwork.form_of(types),
        outcomes=OUTCOMES,
        spots=_spots(await facts.reports(visit, alert)),
        done=steps.task_kept(alert, "visit", visit.console.pages.at, visit.language),
        typed={name: visit.text(name) for name in (*_ANSWERS, *_DATE, "person", "outcome", "note")},
        years=_years(visit),
        found=visit.form.getlist("finding"),
        key=_key(visit, fresh=values.get("told") == "saved_before"),
        **({"told": "", "what": ()} | values),
    )


def _key(visit: Visit, *, fresh: bool = False) -> str:
    """Return the key of the form, a new one where it has none or may not use it again."""
    return ("" if fresh else visit.text("key", 100)) or uuid7(visit.console.clock.now())


def _today(visit: Visit, at: int) -> date:
    """Return the day of an instant where the place is."""
    found: date = from_us(at).astimezone(visit.console.pages.zone).date()
    return found


def _years(visit: Visit) -> range:
    """Return the years of which a day may be chosen."""
    first = _today(visit, visit.console.clock.now()).year
    return range(first, first + _YEARS_AHEAD)


async def _home(visit: Visit, name: str) -> Json | None:
    try:
        return await visit.gateway.household(name, visit.user.staff, visit.why(name))
    except Refused:
        return None


# -- taking it ----------------------------------------------------------------------------------


async def _take(visit: Visit, alert: Json) -> Response:
    """Send the visit in at the door and its outcome to the alert; a repetition doubles neither."""
    form = fieldwork.form_of((await visit.gateway.types())["types"])
    answers = {name: visit.text(name, 100) for name in _ANSWERS}
    now = visit.console.clock.now()
    at = fieldwork.happened(visit.text("at", 20), visit.text("sent", 20), now)
    failed = answers["person_seen"] == fieldwork.NOBODY
    outcome = _outcome(answers) if failed else visit.text("outcome", 100)
    lacking = fieldwork.missing(form, answers)
    if not failed and outcome not in OUTCOMES:
        lacking.append("outcome")
    year, month, day = (visit.text(name, 10) for name in _DATE)
    try:
        answers[_NEXT] = fieldwork.day_of(year, month, day, _today(visit, at))
    except ValueError:
        lacking.append(_NEXT)
    if lacking:
        return await _wrong(visit, alert, lacking)
    key = _key(visit)
    made = fieldwork.changes(
        form,
        fieldwork.Visited(
            key=key,
            at=at,
            household=alert["household"],
            person=await _person(visit, alert),
            visitor=visit.user.display,
            answers=answers,
            findings=[str(kind) for kind in visit.form.getlist("finding")],
        ),
    )
    try:
        for each in made:
            await send_once(visit, each)
    except SaidOtherwise:
        return await _saved_before(visit, alert)
    except Refused as exc:
        if exc.status in _REFUSED:
            return await _wrong(visit, alert, [exc.fault.where])
        raise
    if alert["state"] in _OPEN:
        await _settle(visit, alert, outcome, key)
    return _saved(visit, alert)


async def _saved_before(visit: Visit, alert: Json) -> Response:
    """Tell that what was changed since is not saved; the form gets a new key."""
    told = say(visit.language, "visit.saved_before")
    if not wants_page(visit.request):
        return problem(409, Fault("form", "one not saved yet", told, "save once more", "conflict"))
    return await _form(visit, alert, 409, told="saved_before")


def _outcome(answers: Json) -> str:
    return _ATTEMPT_OF.get(answers["reason"], ATTEMPTS[0])


async def _person(visit: Visit, alert: Json) -> str:
    """Return whom the visit was to: the alert's subject, else the member who was chosen."""
    if alert["subject"] != alert["household"]:
        return str(alert["subject"])
    chosen = visit.text("person", 200)
    home = await _home(visit, alert["household"]) or {}
    return chosen if any(m["person"] == chosen for m in home.get("members", ())) else ""


async def _settle(visit: Visit, alert: Json, outcome: str, key: str) -> None:
    """Record the outcome; one that somebody changed meanwhile is read again and told once more."""
    body = {"by": visit.by._asdict(), "note": visit.text("note"), "outcome": outcome}
    match = int(alert["version"])
    for attempt in range(2):
        try:
            await visit.gateway.act(alert["id"], "outcome", body, key=key, match=match)
        except Refused as exc:
            if exc.status not in DONE_BEFORE or attempt:
                raise
            match = int((await visit.gateway.alert(alert["id"]))["version"])
        else:
            return


def _saved(visit: Visit, alert: Json) -> Response:
    where = f"/visits/{alert['id']}/saved"
    if wants_page(visit.request):
        return visit.back(where)
    root = visit.request.scope.get("root_path", "")
    return Response(msgspec.json.encode({"next": root + where}), media_type="application/json")


async def _wrong(visit: Visit, alert: Json, lacking: list[str]) -> Response:
    if wants_page(visit.request):
        return await _form(visit, alert, 422, told="lacking", what=lacking)
    names = say(visit.language, "list.and").join(
        say(visit.language, f"visit.{name}")
        for name in lacking
        if name in (*_ANSWERS, _NEXT, "outcome")
    )
    told = say(visit.language, "visit.lacking", what=names or lacking[0])
    return problem(422, Fault("form", "every marked field", told, "fill it in", "field"))


def _number(who: str | None, row: Json, language: str) -> Json:
    """Return whose number it is and the number, or why it cannot be read."""
    shown: Json = {"who": who or "", "phone": (row.get("profile") or {}).get(PHONE)}
    why = row.get("unreadable", {}).get(PHONE)
    return shown if why is None else {**shown, "told": unreadable(why, language)}


# -- the telephone ------------------------------------------------------------------------------


async def _numbers(visit: Visit, alert: Json) -> Response:
    """Return whom to call, for the page that asked; the look is logged, no number is in a URL."""
    why = visit.why(alert["household"])
    home = await visit.gateway.household(alert["household"], visit.user.staff, why)
    found = [_number(home["name"], home, visit.language)]
    for member in home["members"]:
        ask = visit.gateway.person(member["person"], visit.user.staff, why)
        found.append(_number(member["name"], await visit.attempt(ask, {}), visit.language))
    numbers = [each for each in found if each["phone"] or each.get("told")]
    headers = {"cache-control": "no-store"}
    return Response(msgspec.json.encode(numbers), headers=headers, media_type="application/json")
