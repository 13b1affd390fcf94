"""Puts edge, errors and pages together into the console's application."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from services.console.web.edge import ConsoleEdge
from services.console.web.errors import answer, tell_errors
from services.console.web.visit import Console
from services.kernel.clock import Monotonic
from services.kernel.errors import Fault
from services.kernel.http.app import Reason, add_health
from services.kernel.metrics import Metrics

BODY_LIMIT: Final = 5_000_000


def make_pages(
    console: Console,
    routes: Sequence[APIRouter],
    *,
    metrics: Metrics,
    monotonic: Monotonic,
    body_limit: int = BODY_LIMIT,
) -> FastAPI:
    """Return the application of these routes."""
    app = FastAPI(title="Hearthwatch console", docs_url=None, redoc_url=None, openapi_url=None)
    ready: list[Reason] = []
    stuck: list[Reason] = []
    app.state.ready, app.state.stuck, app.state.console = ready, stuck, console
    tell_errors(app, console)
    add_health(app.router, lambda: ready, lambda: stuck, metrics)
    for each in routes:
        app.include_router(each)

    def too_large(scope: Scope) -> Response:
        fault = Fault(
            "body", f"at most {body_limit} bytes", "more", "send less at once", "too_large"
        )
        found = answer(Request(scope), console, fault, 413)
        found.headers["connection"] = "close"
        return found

    app.add_middleware(
        ConsoleEdge,
        metrics=metrics,
        monotonic=monotonic,
        limit=body_limit,
        too_large=too_large,
    )
    return app
