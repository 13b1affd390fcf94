"""Routes by which people act. Each needs an `Idempotency-Key`; edits need `If-Match`."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection
from starlette.responses import Response

from services.alerts.api.base import Api, IfMatch
from services.alerts.domain.acts import Act
from services.alerts.domain.alert import Action
from services.alerts.handlers.command import MOST_AT_ONCE, carry_out, carry_out_many
from services.alerts.storage.tables import KEYS
from services.alerts.views.queue import brief
from services.kernel.errors import Fault, InvalidMessage, Refused
from services.kernel.http import RequestKey, answer, idempotent, request_key
from services.kernel.http.problems import told

_NOTE_LENGTH: Final = 4000
_MANY: Final = "acknowledge_many"


Short = Annotated[str, Field(max_length=100)]


class Body(BaseModel):
    """The base of all bodies: a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Person(Body):
    """A member of staff: the id, and the name shown to colleagues."""

    id: str = Field(min_length=1, max_length=200)
    name: str = Field("", max_length=200)


class Deed(Body):
    """Who acts, with a note for the timeline."""

    by: Person
    note: str = Field("", max_length=_NOTE_LENGTH)


class Handover(Deed):
    """To whom the alert is handed."""

    to: Person


class Outcome(Deed):
    """What was found or done; `no_answer` and `refused_visit` leave the clock running."""

    outcome: str = Field(min_length=1, max_length=100)


class Note(Body):
    """A note that must say something."""

    by: Person
    note: str = Field(min_length=1, max_length=_NOTE_LENGTH)


class Close(Deed):
    """Closing, with the outcome where none is recorded yet.

    `result` is what an agency said of the case, by field; it is kept on the timeline.
    """

    outcome: str = Field("", max_length=100)
    result: Annotated[dict[Short, Short], Field(max_length=10)] | None = None


class Many(Deed):
    """Alerts to acknowledge at once."""

    ids: Annotated[list[str], Field(min_length=1, max_length=MOST_AT_ONCE)]


def acting_routes(api: Api) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/v1")
    _simple_routes(routes, api)
    _telling_routes(routes, api)

    @routes.post("/alerts/acknowledge")
    def acknowledge_many(body: Many, key: request_key) -> Response:
        """Acknowledge many alerts; each that cannot be is told with its reason."""
        _need_key(key)
        deed = msgspec.structs.replace(_deed(api, "acknowledge", body, key), scope=_MANY)

        def call(conn: Connection) -> tuple[int, object]:
            done, refused = carry_out_many(conn, api.store, body.ids, deed)
            problems = [{"id": r.alert, "status": r.status, **told(r.fault)} for r in refused]
            return 200, {"acknowledged": done, "refused": problems}

        return answer(idempotent(api.db, KEYS, _MANY, key, call, now=deed.at))

    return routes


def _simple_routes(routes: APIRouter, api: Api) -> None:
    @routes.post("/alerts/{alert_id}/acknowledge")
    def acknowledge(
        alert_id: str, body: Deed, key: request_key, if_match: IfMatch = None
    ) -> Response:
        """Say that somebody has seen it; a second person is told the name of the first (409)."""
        deed = _deed(api, "acknowledge", body, key)
        return _do(api, alert_id, deed, key, if_match, needed=False)

    @routes.post("/alerts/{alert_id}/take")
    def take(alert_id: str, body: Deed, key: request_key, if_match: IfMatch = None) -> Response:
        """Take the alert on."""
        return _do(api, alert_id, _deed(api, "take", body, key), key, if_match)

    @routes.post("/alerts/{alert_id}/on_site")
    def on_site(alert_id: str, body: Deed, key: request_key, if_match: IfMatch = None) -> Response:
        """Stand at the door: this keeps the one-hour promise."""
        return _do(api, alert_id, _deed(api, "on_site", body, key), key, if_match)

    @routes.post("/alerts/{alert_id}/escalate")
    def escalate(alert_id: str, body: Deed, key: request_key, if_match: IfMatch = None) -> Response:
        """Tell the next step of the ladder now; the acknowledgement is taken back."""
        return _do(api, alert_id, _deed(api, "escalate", body, key), key, if_match)


def _telling_routes(routes: APIRouter, api: Api) -> None:
    @routes.post("/alerts/{alert_id}/handover")
    def handover(
        alert_id: str, body: Handover, key: request_key, if_match: IfMatch = None
    ) -> Response:
        """Hand the alert to somebody else."""
        deed = msgspec.structs.replace(
            _deed(api, "handover", body, key), to=body.to.id, to_name=body.to.name
        )
        return _do(api, alert_id, deed, key, if_match)

    @routes.post("/alerts/{alert_id}/outcome")
    def outcome(
        alert_id: str, body: Outcome, key: request_key, if_match: IfMatch = None
    ) -> Response:
        """Record what was found or done."""
        deed = msgspec.structs.replace(_deed(api, "outcome", body, key), outcome=body.outcome)
        return _do(api, alert_id, deed, key, if_match)

    @routes.post("/alerts/{alert_id}/note")
    def note(alert_id: str, body: Note, key: request_key, if_match: IfMatch = None) -> Response:
        """Add a note to the timeline; nothing is ever changed there, so no version is asked for."""
        return _do(api, alert_id, _deed(api, "note", body, key), key, if_match, needed=False)

    @routes.post("/alerts/{alert_id}/close")
    def close(alert_id: str, body: Close, key: request_key, if_match: IfMatch = None) -> Response:
        """Close; at level 3 the first person proposes, a second one confirms."""
        deed = msgspec.structs.replace(
            _deed(api, "close", body, key), outcome=body.outcome, result=body.result
        )
        return _do(api, alert_id, deed, key, if_match)


def _do(
    api: Api,
    alert_id: str,
    deed: Act,
    key: RequestKey,
    if_match: str | None,
    *,
    needed: bool = True,
) -> Response:
    _need_key(key)
    expected = _version(if_match, needed=needed)
    scope = f"{deed.action}/{alert_id}"
    deed = msgspec.structs.replace(deed, scope=scope)

    def call(conn: Connection) -> tuple[int, object]:
        carry_out(conn, api.store, alert_id, deed, expected)
        return 200, brief(conn, api.policy, alert_id)

    try:
        status, body = idempotent(api.db, KEYS, scope, key, call, now=deed.at)
    except Refused:
        api.metrics.count(
            "hearthwatch_alerts_commands_total", command=deed.action, outcome="refused"
        )
        raise
    api.metrics.count("hearthwatch_alerts_commands_total", command=deed.action, outcome="done")
    response = answer((status, body))
    response.headers["ETag"] = f'"{msgspec.json.decode(body)["version"]}"'
    return response


def _deed(api: Api, action: Action, body: Deed | Note, key: RequestKey) -> Act:
    return Act(
        action=action,
        by=body.by.id,
        name=body.by.name,
        at=api.clock.now(),
        note=body.note,
        key=key.key or "",
    )


def _need_key(key: RequestKey) -> None:
    if key.key is None:
        raise InvalidMessage(
            Fault(
                where="header Idempotency-Key",
                expected="1 to 200 visible ASCII characters",
                found="nothing",
                remedy="send a new UUID with each new act, the same one with a repetition",
                code="missing",
            )
        )


def _version(if_match: str | None, *, needed: bool) -> int | None:
    if if_match is None:
        if not needed:
            return None
        raise Refused(_match_fault("nothing", "missing"), 428)
    text = if_match.strip().removeprefix("W/").strip('"')
    if not text.isdecimal():
        raise InvalidMessage(_match_fault(f"text of length {len(if_match)}", "invalid"))
    return int(text)


def _match_fault(found: str, code: str) -> Fault:
    return Fault(
        where="header If-Match",
        expected="the ETag that GET /v1/alerts/{id} answered",
        found=found,
        remedy="read the alert and send its ETag",
        code=code,
    )
