"""Programs with a token of their own: a feed sends its facts, a reader reads its paths.

They never get the installation's token: what is outside a token's scope is answered as refused, and
every refusal says which scope would be needed.
"""

import re
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Header, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from services.console.storage import tokens
from services.console.storage.sessions import digest_of
from services.console.storage.tokens import Token
from services.console.web.visit import Console
from services.kernel.errors import Fault, Refused

MOST: Final = 5_000
_PLAIN: Final = re.compile(r"[^%?#\\\s]*")
_CLOSEST: Final = ("/key-holder", "/id-number")
"""What no program reads, whatever paths its token names: a person asks, for a reason."""
"""Paths that mean the same to whoever reads them next."""
_KEPT: Final = "/v1/kept/"
"""What was refused, as it came: a protected field may stand anywhere in it."""
_SHOW: Final = "show"
"""Asks registry's lists for phones, which no look is logged for."""
Bearer = Annotated[str | None, Header(alias="Authorization")]
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=200)]


def feed_routes(console: Console) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/v1")

    @routes.post("/changes")
    async def one(request: Request, authorization: Bearer = None, key: Key = None) -> Response:
        token = await _token(console, authorization, "feed")
        item = _decoded(await request.body(), dict)
        _need_scope(token, item, "body")
        told = await console.gateway.post("intake", "/v1/changes", item, key=_own(token, key))
        return _json(told, 202)

    @routes.post("/changes:batch")
    async def many(request: Request, authorization: Bearer = None, key: Key = None) -> Response:
        token = await _token(console, authorization, "feed")
        items = _decoded(await request.body(), list)
        if len(items) > MOST:
            fault = Fault("body", f"at most {MOST} items", f"{len(items)}", "send several batches",
                          "too_large")  # fmt: skip
            raise Refused(fault, 413)
        for n, item in enumerate(items):
            _need_scope(token, item, f"body[{n}]")
        told = await console.gateway.post(
            "intake", "/v1/changes:batch", items, key=_own(token, key)
        )
        return _json(told, 202)

    @routes.get("/read/{service}/{path:path}")
    async def read(
        service: str, path: str, request: Request, authorization: Bearer = None
    ) -> Response:
        token = await _token(console, authorization, "service")
        wanted = f"/{path}"
        allowed = service == token.scope["service"] and any(
            wanted == each or wanted.startswith(each.rstrip("/") + "/")
            for each in token.scope["paths"]
        )
        closest = wanted.rstrip("/").endswith(_CLOSEST) or wanted.startswith(_KEPT)
        closest = closest or _SHOW in request.query_params
        if not allowed or closest or ".." in wanted or not _PLAIN.fullmatch(wanted):
            raise _outside(f"path of {service}", ", ".join(token.scope["paths"]))
        query: dict[str, Any] = {}
        for name, value in request.query_params.multi_items():
            query.setdefault(name, []).append(value)
        found = await console.gateway.get(service, wanted, query, by=f"token:{token.name}")
        return _json(found, 200)

    return routes


async def _token(console: Console, sent: str | None, kind: str) -> Token:
    """Return the token of a request.

    Raises:
        Refused: 401 none that holds; 403 one of another kind.
    """
    text = (sent or "").removeprefix("Bearer ")

    def find() -> Token | None:
        with console.db.read() as conn:
            return tokens.find(conn, digest_of(text))

    found = await run_in_threadpool(find)
    if found is None or not found.holds(console.wall.now()):
        fault = Fault("Authorization header", "Bearer and a token that holds", "none",
                      "ask for a token: hearthwatch console token add", "unauthorized")  # fmt: skip
        raise Refused(fault, 401)
    if found.kind != kind:
        raise _outside("token", f"one of kind {kind}")
    return found


def _need_scope(token: Token, item: object, where: str) -> None:
    """Raise Refused (403) unless an item, and what it corrects, is of the token's source.

    A meter must not be able to take back somebody's call for help.
    """
    said = item if isinstance(item, dict) else {}
    own = token.scope["source"]
    if said.get("source") != own:
        raise _outside(f"{where}.source", own)
    if said.get("type") not in token.scope["types"]:
        raise _outside(f"{where}.type", ", ".join(token.scope["types"]))
    for name in ("supersedes", "retracts"):
        of = said.get(name)
        if of is not None and not (isinstance(of, dict) and of.get("source") == own):
            raise _outside(f"{where}.{name}", f'{{"source": "{own}", "sourceid": ...}}')
    if said.get("repairs") is not None:
        raise _outside(f"{where}.repairs", "nothing: kept items are mended by people")


def _outside(where: str, expected: str) -> Refused:
    fault = Fault(where, expected, "another, which this token may not use",
                  "ask for a token with that scope", "scope")  # fmt: skip
    return Refused(fault, 403)


def _decoded(body: bytes, type_: type[Any]) -> Any:  # noqa: ANN401 - JSON
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        fault = Fault("body", "JSON", "text that is not", "correct the body", "not_json")
        raise Refused(fault, 400) from exc
    if not isinstance(found, type_):
        fault = Fault("body", f"a {type_.__name__}", "another value", "correct the body", "shape")
        raise Refused(fault, 422)
    return found


def _own(token: Token, key: str | None) -> str:
    """Return an idempotency key no other token can use up; a new one for each request without."""
    return f"{token.name}:{key}" if key else ""


def _json(body: object, status: int) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
