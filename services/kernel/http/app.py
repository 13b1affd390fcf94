"""The factory of the services' APIs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from services.kernel.clock import Monotonic, SystemMonotonic
from services.kernel.http.edge import Edge
from services.kernel.http.problems import MEDIA_TYPE, Problem, tell_errors
from services.kernel.metrics import Metrics

BODY_LIMIT: Final = 5_000_000
Reason = Callable[[], str | None]
_BEARER: Final = HTTPBearer(auto_error=False, description="The token of this installation.")


def make_app(
    *,
    service: str,
    title: str,
    ready: Sequence[Reason],
    metrics: Metrics,
    token: str,
    body_limit: int = BODY_LIMIT,
    monotonic: Monotonic | None = None,
) -> FastAPI:
    """Return the API of a service, without its own routes.

    Args:
        service: Name, as in metrics and logs.
        title: What the OpenAPI document is headed with.
        ready: Each gives a reason why the service is not ready, or None; asked at each `/readyz`,
            in a thread. The runtime adds those of its loops to `state.ready` and `state.stuck`.
        metrics: Counted into, and shown at `/metrics`.
        token: Bearer token that every route but the three open ones asks for.
        body_limit: Most bytes of a request's body; above it 413.
        monotonic: Times the requests.
    """
    app = FastAPI(
        title=title,
        version="1",
        docs_url=None,  # both pages load their scripts from elsewhere
        redoc_url=None,
        dependencies=[Security(_BEARER)],
        responses={status: _described(status) for status in (400, 401, 413, 422, 500, 503)},
    )
    added: list[Reason] = []
    stuck: list[Reason] = []
    app.state.ready, app.state.stuck = added, stuck
    tell_errors(app)
    add_health(app.router, lambda: [*ready, *added], lambda: stuck, metrics)
    app.add_middleware(
        Edge,
        service=service,
        metrics=metrics,
        token=token,
        limit=body_limit,
        monotonic=monotonic or SystemMonotonic(),
    )
    return app


def add_health(
    router: Router,
    ready: Callable[[], Sequence[Reason]],
    stuck: Callable[[], Sequence[Reason]],
    metrics: Metrics,
) -> None:
    """Add `/healthz`, `/readyz` and `/metrics` to a router.

    `/healthz` answers 503 when a loop has stopped turning: restart the process. `/readyz` answers
    503 while something it needs is away: send no traffic, wait.
    """

    async def healthz(_: Request) -> Response:
        return _state("healthy", reasons_of(stuck()))

    async def readyz(_: Request) -> Response:
        return _state("ready", await run_in_threadpool(lambda: reasons_of(ready())))

    async def show(_: Request) -> Response:
        content, media_type = await run_in_threadpool(metrics.render)
        return Response(content, media_type=media_type)

    for path, endpoint in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", show)):
        router.routes.append(Route(path, endpoint, include_in_schema=False))


def reasons_of(calls: Sequence[Reason]) -> list[str]:
    """Return the reasons that the calls give, each text once."""
    return list(dict.fromkeys(reason for call in calls if (reason := call()) is not None))


def _state(word: str, reasons: list[str]) -> Response:
    return JSONResponse({word: not reasons, "reasons": reasons}, 503 if reasons else 200)


def _described(status: int) -> dict[str, Any]:
    texts = {
        400: "The body cannot be read",
        401: "No token, or another one",
        413: "The body is too large",
        422: "Something is malformed",
        500: "A bug",
        503: "Database or bus out of reach",
    }
    schema = Problem.model_json_schema()
    return {"description": texts[status], "content": {MEDIA_TYPE: {"schema": schema}}}
