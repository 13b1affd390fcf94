"""Routes that write: changes, marks, mending, publishing again."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, FastAPI, Header, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from services.intake import views
from services.intake.api.reading import json, reading_routes
from services.intake.domain.diagnosis import broken_json
from services.intake.domain.item import Broken
from services.intake.handlers import mending
from services.intake.handlers.accept import ACCEPTED, DUPLICATE, REJECTED, Door, Sent
from services.intake.handlers.marks import Marker
from services.intake.handlers.refusals import CONFLICT, Answer
from services.intake.storage import SqlStore
from services.kernel.clock import parse_rfc3339
from services.kernel.errors import Fault, InvalidMessage, Refused
from services.kernel.http.problems import MEDIA_TYPE, problem

BATCH_LIMIT: Final = 5_000
_STATUS: Final = {ACCEPTED: 202, DUPLICATE: 200, CONFLICT: 409, REJECTED: 422}
_batch: Final = msgspec.json.Decoder(list[msgspec.Raw])
_broken: Final = msgspec.json.Decoder(dict[str, Broken])
_object: Final = msgspec.json.Decoder(dict[str, Any])
_MARK: Final = b'{"broken":'
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", max_length=200, description="new for each new request"),
]
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}
_BODIES: Final = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "array", "items": {"type": "object"}}}},
    }
}


class Batch(msgspec.Struct, frozen=True):
    """The answer to a batch: one answer per item, in order, and how many there are of each kind."""

    items: list[Answer]
    accepted: int
    duplicate: int
    conflict: int
    rejected: int


def make_api(api: FastAPI, door: Door, marker: Marker, store: SqlStore) -> FastAPI:
    """Add the door's routes to an API."""
    api.include_router(_taking(door))
    api.include_router(_mending(door, store))
    api.include_router(_running(door, marker, store))
    api.include_router(reading_routes(store.db, door.catalogue, door.cover))
    return api


def _taking(door: Door) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["changes"])

    @routes.post("/changes", status_code=202, openapi_extra=_BODY)
    async def take(request: Request, key: Key = None) -> Response:
        """Take one change: 202 accepted, 200 duplicate, 409 conflict, 422 rejected and kept."""
        body = await request.body()
        answers = await run_in_threadpool(door.accept, [body], idempotency_key=_scoped("one", key))
        return _single(answers[0])

    @routes.post("/changes:batch", status_code=202, openapi_extra=_BODIES)
    async def take_batch(request: Request, key: Key = None) -> Response:
        """Take up to 5,000 changes; each gets its own answer, in order.

        202 when at least one was accepted, 200 when none was. What is rejected is kept.
        """
        body = await request.body()
        try:
            sent = _batch.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            fault = _no_list(body, exc)
            kept = await run_in_threadpool(
                door.accept, [Broken(body.decode("utf-8", "replace"), fault)]
            )
            return _told(400, kept[0])
        if len(sent) > BATCH_LIMIT:
            raise Refused(_too_many(len(sent)), status=413)
        scope = _scoped("batch", key)
        answers = await run_in_threadpool(
            door.accept, [_unwrapped(raw) for raw in sent], idempotency_key=scope
        )
        counts = dict.fromkeys(_STATUS, 0)
        for answer in answers:
            counts[answer.status] += 1
        return json(Batch(answers, **counts), 202 if counts[ACCEPTED] else 200)

    return routes


def _mending(door: Door, store: SqlStore) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["kept"])

    @routes.post("/kept/{identity}/fix", openapi_extra=_BODY)
    async def fix(identity: str, request: Request) -> Response:
        """Store the corrected form of a kept item: the whole item, or {"set": {"path": value}}."""
        body = _json_object(await request.body())
        item = await run_in_threadpool(mending.fix, store, door, identity, body)
        return json({"kept": identity, "item": item})

    @routes.post("/kept/{identity}/replay", status_code=202)
    def replay(identity: str) -> Response:
        """Send a kept item in again, as it was fixed; answers like a change."""
        return _single(mending.replay(store, door, identity))

    return routes


def _running(door: Door, marker: Marker, store: SqlStore) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["running"])

    @routes.post("/marks", openapi_extra=_BODY)
    async def mark(request: Request) -> Response:
        """Mark an instant in every partition: {"at": "..."}. Replay only."""
        if not door.replay:
            raise Refused(
                Fault("POST /v1/marks", "a process in replay mode", "one that lives on the clock",
                      "leave marks to the clock, or start with HEARTHWATCH_REPLAY=true",
                      "not_replay")
            )  # fmt: skip
        at = _instant(_json_object(await request.body()).get("at"))
        return json({"marked": await run_in_threadpool(marker.mark, at)})

    @routes.post("/republish", openapi_extra=_BODY)
    async def republish(request: Request) -> Response:
        """Publish messages again by id: {"ids": [...]}; who had them before sees no change."""
        wanted = _json_object(await request.body()).get("ids")
        if not isinstance(wanted, list) or not all(isinstance(one, str) for one in wanted):
            raise InvalidMessage(Fault("ids", "a list of ids", "another value", "correct the body"))
        return json({"published": await run_in_threadpool(_republish, store, wanted)})

    return routes


def _republish(store: SqlStore, identities: list[str]) -> int:
    with store.db.read() as conn:
        records = views.records(conn, identities)
    with store.unit() as unit:
        unit.publish(records)
    return len(records)


def _single(answer: Answer) -> Response:
    if answer.fault is None:
        return json(answer, _STATUS[answer.status])
    return _told(400 if answer.fault.code == "not_json" else _STATUS[answer.status], answer)


def _told(status: int, answer: Answer) -> Response:
    """Return the problem of a refused item, with where it is kept."""
    assert answer.fault is not None  # noqa: S101 - only refused items are told
    told = msgspec.json.decode(problem(status, answer.fault).body)
    body = told | {"item_status": answer.status, "id": answer.id, "kept": answer.kept}
    return Response(msgspec.json.encode(body), status, media_type=MEDIA_TYPE)


def _unwrapped(raw: msgspec.Raw) -> Sent:
    """Return an item, or what a file reader wrapped as {"broken": {...}}."""
    if not bytes(raw).startswith(_MARK):
        return raw
    try:
        return _broken.decode(raw)["broken"]
    except (msgspec.MsgspecError, KeyError):
        return raw


def _no_list(body: bytes, exc: Exception) -> Fault:
    try:
        msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return broken_json(body, exc)
    return Fault("JSON", "a list of items", "another value", "send [{...}, {...}]", "not_list")


def _too_many(count: int) -> Fault:
    return Fault(
        "body",
        f"at most {BATCH_LIMIT} items",
        f"{count} items",
        "send several batches",
        "too_large",
    )


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        return _object.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidMessage(broken_json(body, exc)) from exc


def _instant(value: object) -> int:
    try:
        return parse_rfc3339(str(value))
    except ValueError as exc:
        fault = Fault("at", "RFC 3339 with offset", "another value", 'send {"at": "2026-..."}')
        raise InvalidMessage(fault) from exc


def _scoped(scope: str, key: str | None) -> str | None:
    return None if key is None else f"{scope}:{key}"
