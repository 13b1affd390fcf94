"""Errors as pages for people and as problem+json for scripts; a form that was typed is kept."""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from services.console.gateway import Away
from services.console.web.entering import log_in_page
from services.console.web.visit import (
    Console,
    NotAllowed,
    NotLoggedIn,
    language_of,
    wants_page,
)
from services.console.words import says
from services.kernel.errors import (
    Fault,
    HearthwatchError,
    InvalidMessage,
    Refused,
    Retryable,
)
from services.kernel.http.problems import of_error, problem
from services.kernel.logging import get_logger

MOST_KEPT: Final = 200_000
_log = get_logger(__name__)


def tell_errors(app: FastAPI, console: Console) -> None:
    """Have `app` answer every error with a page or a problem."""

    async def own(request: Request, exc: Exception) -> Response:
        if isinstance(exc, NotLoggedIn):
            return _log_in_first(request, exc, console)
        if isinstance(exc, NotAllowed):
            fault = Fault("role", "one that may do this", "another", "ask the head", "not_allowed")
            return answer(request, console, fault, 403)
        if isinstance(exc, Away):
            fault = Fault(exc.service, "an answer", "none", "try again in a moment", "away")
            return answer(request, console, fault, 503)
        if isinstance(exc, Refused | InvalidMessage):
            return answer(request, console, exc.fault, getattr(exc, "status", 422))
        if isinstance(exc, Retryable):
            fault = Fault("console", "its database", "one out of reach", "try again", "away")
            return answer(request, console, fault, 503)
        return of_error(exc) if isinstance(exc, HearthwatchError) else await bug(request, exc)

    async def plain(request: Request, exc: Exception) -> Response:
        status = exc.status_code if isinstance(exc, HTTPException) else 500
        codes = {404: "not_found", 405: "method", 400: "bad_request"}
        fault = Fault("request", "one that can be served", f"status {status}", "go back",
                      codes.get(status, "invalid"))  # fmt: skip
        return answer(request, console, fault, status)

    async def malformed(request: Request, _: Exception) -> Response:
        fault = Fault("request", "well-formed fields", "others", "correct them", "field")
        return answer(request, console, fault, 422)

    async def bug(request: Request, _: Exception) -> Response:
        fault = Fault("console", "a page", "a bug", "tell whoever runs the system", "bug")
        return answer(request, console, fault, 500)

    app.add_exception_handler(HearthwatchError, own)
    app.add_exception_handler(HTTPException, plain)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(Exception, bug)


def answer(request: Request, console: Console, fault: Fault, status: int) -> Response:
    """Return a fault as a page, or as a problem for a script."""
    if not wants_page(request):
        return problem(status, fault)
    language = language_of(request)
    code = fault.code if says(language, f"error.{fault.code}") else f"status.{status}"
    code = code if says(language, f"error.{code}") else "any"
    return console.pages.page(
        request,
        "error.html",
        language,
        status,
        user=getattr(request.state, "user", None),
        csrf=getattr(request.state, "csrf", ""),
        now=console.clock.now(),
        code=code,
        fault=fault,
    )


def _log_in_first(request: Request, exc: NotLoggedIn, console: Console) -> Response:
    """Send to log-in; a form that was sent comes along and waits there to be sent again."""
    root = request.scope.get("root_path", "")
    path = request.url.path.removeprefix(root) or "/"
    if not wants_page(request):
        fault = Fault("session", "one that holds", "none", "log in again", "no_session")
        return problem(401, fault)
    if request.method in ("GET", "HEAD"):
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{root}/login?next={quote(path + query, safe='/')}", 303)
    kept = json.dumps({"path": path, "form": exc.form}, ensure_ascii=False)
    if len(kept) > MOST_KEPT:
        kept = ""
    return log_in_page(request, console, status=401, kept=kept, told="expired")
