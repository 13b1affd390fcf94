"""What people do to an alert: one route for each act, told back in plain words.

A form carries a key, so a double click is one act. A stale page, or a second person, is told who
was first and when, and nothing is done twice.
"""

from typing import Annotated, Any, Final, NamedTuple

import msgspec
from fastapi import APIRouter, Depends
from starlette.responses import Response

from services.console import fieldwork
from services.console.access import Action
from services.console.gateway import Json
from services.console.pages.closing import asked_of, result_of, send_outcome
from services.console.pages.sending import send_once
from services.console.web.entering import local
from services.console.web.visit import Console, Visit, guard, wants_page
from services.console.words import say, says
from services.kernel.clock import DAY, rfc3339
from services.kernel.errors import Fault, Refused
from services.kernel.http.problems import problem
from services.kernel.ids import uuid7

MANY: Final = 500
OVERRIDE: Final = "override.set"
"""The event type by which a pack takes a worker's own judgement."""
REASONS: Final = ("new_information", "data_wrong", "rule_not_apt", "other")
OVERRIDE_DAYS: Final = {3: 7, 2: 30, 1: 60}
"""How long a level set by hand holds: an override expires and is looked at again."""
_CONFLICT: Final = (409, 412)
_DECIDED: Final = ("state", "outcome", "proposed_by", "owner", "level")
"""What another person could have changed meanwhile."""


class Deed(NamedTuple):
    """An act: what the policy calls it, what alerts calls it, and the fields it takes along."""

    action: Action
    call: str
    fields: tuple[str, ...] = ()
    matched: bool = True


DEEDS: Final[dict[str, Deed]] = {
    "acknowledge": Deed("acknowledge", "acknowledge", matched=False),
    "take": Deed("take", "take"),
    "hand": Deed("hand", "handover", ("to",)),
    "on_site": Deed("on_site", "on_site"),
    "note": Deed("note", "note", matched=False),
    "outcome": Deed("outcome", "outcome", ("outcome",)),
    "close": Deed("close", "close", ("outcome",)),
    "escalate": Deed("escalate", "escalate"),
}
OUTCOMES: Final = (
    "confirmed_need", "no_need", "hazard_removed", "relief_granted", "police_case", "hospital",
    "referred", "moved", "died", "duplicate", "false_alarm_benign_absence", "false_alarm_device",
    "false_alarm_data_error", "false_alarm_already_known",
)  # fmt: skip
ATTEMPTS: Final = ("no_answer", "refused_visit")
"""Nobody was reached: it is noted, and the clock runs on."""


def act_routes(console: Console) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    for name, deed in DEEDS.items():
        _add(routes, console, name, deed)

    @routes.post("/cases/{identity}/override")
    async def override(
        identity: str, visit: Annotated[Visit, Depends(guard(console, "case", "override"))]
    ) -> Response:
        return await raise_level(visit, identity)

    @routes.post("/queue/acknowledge")
    async def many(
        visit: Annotated[Visit, Depends(guard(console, "case", "acknowledge"))],
    ) -> Response:
        ids = [str(one) for one in visit.form.getlist("id")][:MANY]
        for identity in ids:
            await visit.need_alert(identity)
        if ids:
            body = {"by": visit.by._asdict(), "note": "", "ids": ids}
            await visit.gateway.post(
                "alerts", "/v1/alerts/acknowledge", body, key=visit.text("key", 200)
            )
        return visit.back(local(visit.text("next")))

    return routes


def _add(routes: APIRouter, console: Console, name: str, deed: Deed) -> None:
    see = guard(console, "case", deed.action)

    async def act(identity: str, visit: Annotated[Visit, Depends(see)]) -> Response:
        return await carry_out(visit, identity, deed)

    routes.add_api_route(f"/cases/{{identity}}/{name}", act, methods=["POST"], name=name)


async def carry_out(visit: Visit, identity: str, deed: Deed) -> Response:
    """Do it, and tell what came of it: where to go on, or who was first and when."""
    before = await visit.need_alert(identity)
    if deed.action == "close" and before["proposed_by"]:
        visit.need("case", "confirm")
    body = await _body(visit, deed)
    version = visit.text("version", 20)
    match = int(version) if deed.matched and version.isdecimal() else _fresh(before, deed)
    sent = False
    if deed.call == "close" and (asked := await asked_of(visit, before)) is not None:
        body["result"] = result_of(visit, before, asked, body["outcome"])
        sent = await send_outcome(visit, before, asked, body["result"], match)
    try:
        done = await _done_by_alerts(visit, before, deed, body, match, sent=sent)
    except Refused as exc:
        if exc.status not in _CONFLICT:
            raise
        return await _conflict(visit, identity, exc)
    if deed.call == "outcome" and body["outcome"] in ATTEMPTS:
        await _nobody_reached(visit, before, body["outcome"])
    return _done(visit, done)


async def _done_by_alerts(
    visit: Visit, before: Json, deed: Deed, body: Json, match: int | None, *, sent: bool
) -> Json:
    """Have alerts do it, at the version that the person saw.

    `sent`: the outcome just sent in may have ended the alert's reason before alerts was asked; that
    is no reason to refuse the very closing that sent it.
    """
    key = visit.text("key", 200)
    try:
        return await visit.gateway.act(before["id"], deed.call, body, key=key, match=match)
    except Refused as exc:
        if not sent or exc.fault.code != "stale":
            raise
        now = await visit.gateway.alert(before["id"])
        if any(now[name] != before[name] for name in _DECIDED):
            raise
        version = int(now["version"])
        return await visit.gateway.act(before["id"], deed.call, body, key=key, match=version)


async def _nobody_reached(visit: Visit, alert: Json, outcome: str) -> None:
    """Send in that a person was not reached: rules count how often. Pressed again, it is there."""
    key = visit.text("key", 200)
    if alert["kind"] != "person" or not key:
        return
    tried = fieldwork.Visited(
        key=f"attempt/{alert['id']}/{key}",
        at=visit.console.clock.now(),
        household=alert["household"],
        person=alert["subject"],
        visitor=visit.user.display,
        answers={"reason": fieldwork.REASON_OF[outcome]},
    )
    form = fieldwork.form_of((await visit.gateway.types())["types"])
    if (change := fieldwork.attempt(form, tried)) is not None:
        await send_once(visit, change)


async def raise_level(visit: Visit, identity: str) -> Response:
    """Send in that somebody sees a higher level than the rules, why, and until when.

    It goes in at the door like any fact, so that risk decides with it and the log explains it; the
    words stay with the alert, where only people who may see the case read them.
    """
    alert = await visit.need_alert(identity)
    level, reason, note = visit.text("level", 1), visit.text("reason", 100), visit.text("note")
    if level not in tuple("123") or reason not in REASONS or not note:
        fault = Fault("override", "a level, a reason of the list, and words", "less", "fill it in",
                      "field")  # fmt: skip
        raise Refused(fault, 422)
    key, now = visit.text("key", 200) or uuid7(visit.console.clock.now()), visit.console.clock.now()
    item = {
        "type": OVERRIDE,
        "source": "console",
        "sourceid": f"override/{identity}/{key}",
        "time": rfc3339(now),
        "person": alert["subject"],
        "household": alert["household"],
        "data": {
            "level": int(level),
            "reason": reason,
            "until": rfc3339(now + OVERRIDE_DAYS[int(level)] * DAY),
        },
    }
    await visit.gateway.send_change(item, f"override/{identity}/{key}")
    said = f"{says(visit.language, f'override.{reason}')}: {note}"
    body = {"by": visit.by._asdict(), "note": said}
    await visit.gateway.act(identity, "note", body, key=f"override-{key}")
    return _done(visit, await visit.gateway.alert(identity))


def _done(visit: Visit, alert: Json) -> Response:
    """Return where to go on: another page for people, how the alert stands for a script."""
    if wants_page(visit.request):
        following = visit.text("next")
        return visit.back(local(following) if following else f"/cases/{alert['id']}")
    told = {"id": alert["id"], "state": alert["state"], "version": alert["version"]}
    return Response(msgspec.json.encode(told), media_type="application/json")


def _fresh(before: Json, deed: Deed) -> int | None:
    """Return the version to match where the form brought none: the one just read."""
    return int(before["version"]) if deed.matched else None


async def _body(visit: Visit, deed: Deed) -> Json:
    body: dict[str, Any] = {"by": visit.by._asdict(), "note": visit.text("note")}
    if deed.call == "note" and not body["note"]:
        fault = Fault("note", "a note that says something", "nothing", "write it", "field")
        raise Refused(fault, 422)
    if "outcome" in deed.fields:
        outcome = visit.text("outcome", 100)
        known = OUTCOMES if deed.call == "close" else (*OUTCOMES, *ATTEMPTS)
        if outcome not in known and (outcome or deed.call == "outcome"):
            fault = Fault("outcome", "one of the list", "another or none", "choose one", "field")
            raise Refused(fault, 422)
        body["outcome"] = outcome
    if "to" in deed.fields:
        body["to"] = await _colleague(visit, visit.text("to", 200))
    return body


async def _colleague(visit: Visit, wanted: str) -> Json:
    """Return id and name of a member of staff."""
    for each in await visit.gateway.staff():
        if each["staff"] == wanted:
            return {"id": wanted, "name": each["name"] or wanted}
    fault = Fault("to", "a member of staff", "nobody of that id", "choose from the list", "field")
    raise Refused(fault, 422)


async def _conflict(visit: Visit, identity: str, exc: Refused) -> Response:
    """Tell who was first and when, with the case as it stands now."""
    now = await visit.gateway.alert(identity)
    told = told_of(visit, now, exc)
    if wants_page(visit.request):
        return visit.page("conflict.html", exc.status, alert=now, told=told, fault=exc.fault)
    return problem(exc.status, msgspec.structs.replace(exc.fault, found=told))


def told_of(visit: Visit, alert: Json, exc: Refused) -> str:
    """Return the sentence that says why an act was not done."""
    shown = visit.console.pages.at
    name = alert["acknowledged_name"] or alert["acknowledged_by"]
    if alert["state"] == "closed":
        who = alert["closed_by"]
        return say(visit.language, "conflict.closed", at=shown(alert["closed_at"]), who=who)
    if exc.fault.code == "stale":
        last = alert["timeline"][-1]
        what = says(visit.language, f"step.{last['step']}") or last["step"]
        who = (last["detail"] or {}).get("name") or last["actor"] or "—"
        return say(visit.language, "conflict.stale", what=what, at=shown(last["at"]), who=who)
    if "taken" in exc.fault.found:
        owner = alert["owner_name"] or alert["owner"]
        return say(visit.language, "conflict.taken", who=owner)
    if "same person" in exc.fault.found:
        return say(visit.language, "conflict.same_person")
    if "acknowledged" in exc.fault.found and name:
        at = shown(alert["acknowledged_at"])
        return say(visit.language, "conflict.acknowledged", who=name, at=at)
    return say(
        visit.language, "conflict.state", state=says(visit.language, f"state.{alert['state']}")
    )
