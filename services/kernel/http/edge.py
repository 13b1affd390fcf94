"""The edge of every API: who may pass, how much, under which id; each answer counted and timed."""

from __future__ import annotations

import hmac
import re
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kernel.clock import Monotonic, SystemClock
from services.kernel.errors import Fault
from services.kernel.http.problems import bug, problem
from services.kernel.ids import uuid7
from services.kernel.logging import bound, get_logger
from services.kernel.metrics import Metrics

OPEN: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NO_TOKEN: Final = Fault(
    "Authorization header", "Bearer and the token of this installation", "none that fits",
    "send the token that HEARTHWATCH_TOKEN or the file `token` of the data folder holds",
    "unauthorized",
)  # fmt: skip
_log = get_logger(__name__)


class Edge:
    """ASGI middleware around one service's API. Bugs end here: logged once, answered with 500."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        service: str,
        metrics: Metrics,
        token: str,
        limit: int,
        monotonic: Monotonic,
    ) -> None:
        self._app = app
        self._service = service
        self._metrics = metrics
        self._expected = f"Bearer {token}".encode()
        self._limit = limit
        self._monotonic = monotonic
        self._clock = SystemClock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s = self._monotonic.seconds()
        headers = Headers(scope=scope)
        given = headers.get("x-correlation-id", "")
        exchange = Exchange(receive, send, given if _ID.fullmatch(given) else self._new_id())
        with bound(correlation_id=exchange.correlation_id):
            refusal = self._refusal(scope, headers)
            try:
                if refusal is not None:
                    await refusal(scope, receive, exchange.send)
                else:
                    exchange.limit = self._limit
                    await self._app(scope, exchange.receive, exchange.send)
            except Exception:  # noqa: BLE001 - the last that can answer; the server must go on
                _log.exception("request failed", service=self._service, route=_route(scope))
                if exchange.status is None:
                    await bug()(scope, receive, exchange.send)
        self._measure(scope, exchange.status or 499, started_s)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path in OPEN:
            return None
        sent = headers.get("authorization", "").encode()
        if not hmac.compare_digest(sent, self._expected):
            return problem(401, _NO_TOKEN, headers={"WWW-Authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._limit:
            return too_large(self._limit)
        return None

    def _measure(self, scope: Scope, status: int, started_s: float) -> None:
        route = _route(scope)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.count(
            "hearthwatch_http_requests_total",
            service=self._service, method=method, route=route, status=str(status),
        )  # fmt: skip
        self._metrics.observe(
            "hearthwatch_http_request_duration_seconds",
            self._monotonic.seconds() - started_s,
            service=self._service, route=route,
        )  # fmt: skip

    def _new_id(self) -> str:
        return uuid7(self._clock.now())


class Exchange:
    """One request and its answer on their way through: counts the body, marks the answer."""

    def __init__(self, receive: Receive, send: Send, correlation_id: str) -> None:
        self.correlation_id = correlation_id
        self.status: int | None = None
        self.limit: int | None = None
        self._receive = receive
        self._send = send
        self._received = 0
        self._overflown = False
        self._done = False

    async def receive(self) -> Message:
        """Pass the body on; past the limit, pretend that the client left."""
        message = await self._receive()
        if message["type"] == "http.request" and self.limit is not None:
            self._received += len(message.get("body", b""))
            if self._received > self.limit:
                self._overflown = True
                return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        """Pass the answer on with our headers; an answer to half a body becomes 413."""
        if self._done:
            return
        if message["type"] == "http.response.start":
            if self._overflown and self.limit is not None:
                limit, self._overflown = self.limit, False
                await too_large(limit)({"type": "http"}, self._receive, self.send)
                self._done = True
                return
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-correlation-id"] = self.correlation_id
            headers["x-content-type-options"] = "nosniff"
            headers.setdefault("cache-control", "no-store")
        await self._send(message)


def too_large(limit: int) -> Response:
    """Return the answer to a body above the limit (bytes)."""
    fault = Fault(
        "body", f"at most {limit} bytes", "more", "send it in smaller pieces", "too_large"
    )
    return problem(413, fault, headers={"Connection": "close"})


def _route(scope: Scope) -> str:
    """Return the template of the route that matched; the path itself may hold ids."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if path in OPEN:
        return str(path)
    return str(getattr(scope.get("route"), "path", None) or "unmatched")
