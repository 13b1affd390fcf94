"""Writes that may be sent twice: the same `Idempotency-Key` with the same request has one effect.

The answer is stored in the transaction of the effect. A refusal stores nothing, so the same request
may be sent again when its reason has gone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from fastapi import Depends, Header, Request
from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.responses import Response

from services.kernel.db.engine import Database
from services.kernel.db.keys import Keys
from services.kernel.errors import Fault, InvalidMessage, Refused

_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")


class RequestKey(NamedTuple):
    """The key a client gave its request, if any, and the digest of method, path and body."""

    key: str | None
    digest: str


async def _read_key(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(description="Any text of 1 to 200 visible characters, new for each new request."),
    ] = None,
) -> RequestKey:
    if idempotency_key is not None and not _KEY.fullmatch(idempotency_key):
        raise InvalidMessage(
            Fault(
                where="header Idempotency-Key",
                expected="1 to 200 visible ASCII characters",
                found=f"text of length {len(idempotency_key)}",
                remedy="send a UUID, or leave the header out",
            )
        )
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode())
    digest.update(await request.body())
    return RequestKey(idempotency_key, digest.hexdigest())


request_key = Annotated[RequestKey, Depends(_read_key)]
"""Annotation of an endpoint's parameter: `def take(key: request_key): ...`."""


def idempotent(
    db: Database,
    keys: Keys,
    scope: str,
    request_key: RequestKey,
    call: Callable[[Connection], tuple[int, Any]],
    *,
    now: int,
) -> tuple[int, bytes]:
    """Carry out `call` in one write transaction, or return what it answered before.

    Args:
        db: Where the effect and the answers are stored.
        keys: The table of stored answers.
        scope: Whose keys these are, such as the operation's name and the caller.
        request_key: From the endpoint's parameter.
        call: The effect; returns status and body (any JSON-able value, or bytes).
        now: Stored with the answer, microseconds since 1970.

    Raises:
        Refused: the key came before with another request (422), or whatever `call` refuses.
        Retryable: the database is out of reach; nothing was done.
    """
    key = request_key.key
    with db.begin() as conn:
        if key is None:
            status, body = call(conn)
            return status, encoded(body)
        db.lock(conn, f"idempotency\x1f{scope}\x1f{key}", shared=False)
        stored = keys.find(conn, scope, key)
        if stored is None:
            status, body = call(conn)
            content = encoded(body)
            keys.save(conn, scope, key, status, content, now, digest=request_key.digest)
            return status, content
    if stored.digest != request_key.digest:
        raise Refused(
            Fault(
                where="header Idempotency-Key",
                expected="a new key for a new request",
                found="the key of another request",
                remedy="send a new key, or the first request unchanged",
                code="key_reused",
            ),
            status=422,
        )
    return stored.status, stored.body


def answer(given: tuple[int, bytes]) -> Response:
    """Return the HTTP answer for what `idempotent` gave."""
    status, body = given
    return Response(body, status, media_type="application/json")


def encoded(body: object) -> bytes:
    """Return a body as JSON; bytes are taken as JSON already."""
    return body if isinstance(body, bytes) else msgspec.json.encode(body, enc_hook=_plain)


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"a body holds a {type(value).__name__}: expected JSON-able values")
