"""The console's edge: no bearer token, security headers on every answer, pages for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kernel.clock import Monotonic
from services.kernel.http.edge import Edge
from services.kernel.metrics import Metrics

_CSP: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "worker-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
)
CSP: Final = "; ".join(_CSP)
SECURITY: Final = {
    "content-security-policy": CSP,
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), geolocation=(self), microphone=()",
}
TooLarge = Callable[[Scope], Response]


class ConsoleEdge(Edge):
    """Counts, times and bounds like any service's edge; log-in is the pages' own business.

    Args:
        app: The pages.
        metrics: Counted into.
        monotonic: Times the requests.
        limit: Most bytes of a request's body.
        too_large: Makes the answer to a body that says it is larger.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        monotonic: Monotonic,
        limit: int,
        too_large: TooLarge,
    ) -> None:
        super().__init__(
            app, service="console", metrics=metrics, token="", limit=limit, monotonic=monotonic
        )
        self._most = limit
        self._too_large = too_large

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY.items():
                    headers[name] = value
            await send(message)

        await super().__call__(scope, receive, secured if scope["type"] == "http" else send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._most:
            return self._too_large(scope)
        return None
