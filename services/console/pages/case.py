"""The case: why it is on the desk, who they are, what was done, what comes next and when."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from starlette.responses import Response

from services.console.access import may
from services.console.closing import awaited, proposed
from services.console.gateway import Json
from services.console.pages import facts, steps
from services.console.pages.acts import ATTEMPTS, OUTCOMES, OVERRIDE, REASONS
from services.console.pages.keys import add_key_routes, may_look, unreadable
from services.console.pages.queue import area_names
from services.console.web.render import of, span
from services.console.web.visit import Console, Visit, guard
from services.console.words import say, says
from services.kernel.clock import SECOND
from services.kernel.errors import Refused
from services.kernel.ids import uuid7

MOST_CONTRIBUTIONS: Final = 8
TWO_PERSON_LEVEL: Final = 3
_NAME: Final = re.compile(r"\{(\w+)\}")
_NOT_FOUND: Final = 404
_AT_THE_DOOR: Final = ("new", "acknowledged", "assigned")
_RUNNING: Final = (*_AT_THE_DOOR, "on_site", "handling", "outcome_recorded", "review")


def case_routes(console: Console) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.get("/cases/{identity}")
    async def case(
        identity: str, visit: Annotated[Visit, Depends(guard(console, "case", "see"))]
    ) -> Response:
        return await _page(visit, await visit.need_alert(identity, look=True))

    add_key_routes(routes, console, _page)
    return routes


async def _page(
    visit: Visit, alert: Json, *, status: int = 200, key: Json | None = None
) -> Response:
    """Return the page of a case; `key` is what is told of who keeps the key, once asked for."""
    now = visit.console.clock.now()
    home = await visit.attempt(household(visit, alert["household"]), None)
    rules = await visit.attempt(visit.gateway.rules(), {})
    said = await visit.attempt(visit.gateway.assessment(alert["subject"]), None)
    areas = await visit.attempt(visit.gateway.areas(), [])
    staff = await visit.attempt(visit.gateway.staff(), [])
    types = await visit.attempt(visit.gateway.types(), {"types": []})
    titles = {each["type"]: of(each["title"], visit.language) for each in types["types"]}
    asked = awaited(rules.get(alert["rule"]), types["types"])
    return visit.page(
        "case.html",
        status,
        alert=alert,
        key=key,
        home=home,
        people=await people(visit, home, visit.why(alert["household"])),
        reasons=reasons(alert, said, rules, visit.language),
        **await _told(visit, alert, said, staff),
        said=said,
        rules=rules,
        model=model(said, await visit.attempt(visit.gateway.features(), {}), visit.language),
        names=area_names(areas),
        staff=staff,
        staff_names={each["staff"]: each["name"] or each["staff"] for each in staff},
        asked=asked,
        result=proposed(alert, asked),
        can=possible(visit, alert)
        | {"override": raisable(visit, alert, types), "key": may_look(visit, alert)},
        override_reasons=REASONS,
        read_as=lambda name: read_as(name, titles, visit.language),
        read_value=lambda name, value: read_value(name, value, visit.language),
        lacking=lambda names: say(visit.language, "list.and").join(
            read_as(name, titles, visit.language) for name in names
        ),
        outcomes=OUTCOMES,
        attempts=ATTEMPTS,
        red=alert["level"] >= TWO_PERSON_LEVEL,
        new_key=lambda: uuid7(now),
        unreadable=lambda why: unreadable(why, visit.language),
    )


async def _told(visit: Visit, alert: Json, said: Json | None, staff: list[Json]) -> dict[str, Any]:
    """Return the course in words: ladder, timeline, who handled it, what the desk was told."""
    language, clock = visit.language, visit.console.pages.at
    seen = await facts.read(visit, steps.facts_told(alert))
    known = {each["staff"]: each["name"] or each["staff"] for each in staff}
    names = steps.namer(alert, known, seen, language)
    emergency = next((each for each in alert["ladder"] if each["kind"] == "emergency"), None)
    reached = (emergency or {}).get("reached_at")
    return {
        "who": names,
        "ladder": steps.ladder(alert, names, clock, language),
        "timeline": steps.timeline(alert["timeline"], names, language),
        "coming": steps.step_word(alert["next"], language) if alert["next"] else "",
        "promise": steps.kept(reached, emergency["due_at"], clock, language)
        if emergency and reached
        else "",
        "reports": await facts.reports(visit, alert, said),
    }


async def household(visit: Visit, name: str) -> Json | None:
    """Return the household with its people, the look logged; None when nobody entered it."""
    try:
        return await visit.gateway.household(name, visit.user.staff, visit.why(name))
    except Refused as exc:
        if exc.status == _NOT_FOUND:
            return None
        raise


async def people(visit: Visit, home: Json | None, why: str) -> list[Json]:
    """Return the members with what the book says of them; each look is logged."""
    found = []
    for member in (home or {}).get("members", ()):
        ask = visit.gateway.person(member["person"], visit.user.staff, why)
        person = await visit.attempt(ask, {})
        relation = next(
            (m["relation"] for m in reversed(person.get("memberships") or ()) if m["relation"]), ""
        )
        closed = person.get("unreadable") or {}
        profile = person.get("profile") or {}
        found.append({**member, "relation": relation, "profile": profile, "unreadable": closed})
    return found


def reasons(
    alert: Json, said: Json | None, rules: Mapping[str, Json], language: str
) -> list[dict[str, Any]]:
    """Return why: the alert's own rule as it saw things then, and every other that holds now."""
    now = {(r["rule"], r.get("instance", "")): r for r in (said or {}).get("reasons", ())}
    own = now.pop((alert["rule"], alert["instance"]), None)
    first = {
        "rule": alert["rule"],
        "instance": alert["instance"],
        "level": alert["level"],
        "since": (own or {}).get("since") or alert["opened_at"],
        "values": (own or {}).get("values") or (alert["evidence"] or {}).get("values") or {},
        "then": (alert["evidence"] or {}).get("values") or {},
        "holds": alert["standing"] == "true",
        "own": True,
    }
    found = [first]
    found += [
        {**each, "values": each.get("values") or {}, "then": {}, "holds": True, "own": False}
        for each in now.values()
    ]
    for each in found:
        texts = rules.get(each["rule"], {})
        each["title"] = of(texts.get("title"), language) or (
            of(alert["title"], language) if each["own"] else ""
        )
        each["why"] = filled(of(texts.get("why"), language), each["values"])
        each["source"], each["evidence"] = texts.get("source", ""), texts.get("evidence", "")
        each["hard"] = bool(texts.get("hard"))
    return found


def filled(text: str, values: Mapping[str, Any]) -> str:
    """Return a rule's text with what it saw put in; what is not known is shown as a question."""

    def one(match: re.Match[str]) -> str:
        name = match[1]
        for key, value in values.items():
            if key == name or key.split(" ", 1)[0] == name:
                return "?" if value is None else str(value)
        return "?"

    return _NAME.sub(one, text)


def read_as(name: str, titles: Mapping[str, str], language: str) -> str:
    """Return the name of an operand in words: `latest health.vitals.glucose` and the like."""
    how, _, what = name.partition(" ")
    if name == "age":
        return say(language, "operand.age")
    if not what:
        _, _, field = name.partition("profile.")
        shown = says(language, f"field.{field}") or field
        return say(language, "operand.profile", what=shown) if field else name
    if says(language, f"operand.{how}") is None:
        return name
    type_ = what if what in titles else what.rpartition(".")[0]
    if type_ not in titles:
        return name
    shown = titles[type_]
    if field := what.removeprefix(type_).lstrip("."):
        word = says(language, f"field.{field}") or field
        shown = say(language, "operand.field", type=shown, field=word)
    return say(language, f"operand.{how}", what=shown)


def read_value(name: str, value: Any, language: str) -> Any:  # noqa: ANN401 - JSON
    """Return the value of an operand for people: a time since as a duration."""
    if name.startswith("since ") and isinstance(value, int) and not isinstance(value, bool):
        return span(value // SECOND, language)
    return value


def model(said: Json | None, titles: Json, language: str) -> dict[str, Any] | None:
    """Return the model's part with contributions as lengths of a bar, largest first.

    A feature that the pack does not name is shown as it is called there.
    """
    found = (said or {}).get("model")
    if not found:
        return None
    parts = sorted(found.get("contributions") or (), key=lambda part: -abs(part[1]))
    parts = parts[:MOST_CONTRIBUTIONS]
    most = max((abs(weight) for _, weight in parts), default=0) or 1

    def called(name: str) -> str:
        return of(titles.get(name) or {}, language) or name

    return {
        **found,
        "bars": [(called(name), weight, round(100 * abs(weight) / most)) for name, weight in parts],
        "missing": [called(name) for name in found.get("missing") or ()],
        "percent": round(100 * found["probability"]),
    }


def raisable(visit: Visit, alert: Json, types: Json) -> bool:
    """Return whether a level may be set by hand: a person's, where the pack takes it."""
    taken = any(each["type"] == OVERRIDE for each in types["types"])
    running = alert["state"] in _RUNNING and alert["kind"] == "person"
    return taken and running and visit.may("case", "override")


def possible(visit: Visit, alert: Json) -> dict[str, bool]:
    """Return which acts the state allows and the person may do; alerts itself decides again."""
    state, free = alert["state"], not alert["owner"] or alert["owner"] == visit.user.staff
    states = {
        "acknowledge": state == "new",
        "take": state in _AT_THE_DOOR and free and alert["owner"] != visit.user.staff,
        "hand": state in (*_AT_THE_DOOR, "on_site", "handling", "outcome_recorded")
        and not visit.why(alert["household"]),
        "on_site": state in _AT_THE_DOOR,
        "outcome": state in _RUNNING,
        "note": True,
        "escalate": state in (*_AT_THE_DOOR, "on_site", "handling"),
        "close": state in _RUNNING and not alert["proposed_by"],
        "confirm": state == "review" and bool(alert["proposed_by"]),
    }
    return {name: held and may(visit.user.role, "case", name) for name, held in states.items()}
