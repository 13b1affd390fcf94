"""The log-in page, cookies, and which addresses a form may lead to."""

from __future__ import annotations

import re
import secrets
from typing import Any, Final

from fastapi import Request
from starlette.responses import Response

from services.console.web.visit import Console, language_of

BEFORE: Final = "hw_before"
"""Cookie of somebody not logged in: the log-in form must carry the same text."""
KNOWN: Final = "hw_known"
"""Cookie of a browser in which somebody has logged in: a lock by others leaves it alone."""
_PATH: Final = re.compile(r"/(?!/)[\w\-./~%]*(\?[\w\-./~%=&,:+]*)?")


def log_in_page(
    request: Request,
    console: Console,
    status: int = 200,
    *,
    kept: str = "",
    told: str = "",
    **values: Any,  # noqa: ANN401 - put into what is told
) -> Response:
    """Return the log-in page; `kept` is a form that waits for it."""
    before = request.cookies.get(BEFORE) or secrets.token_urlsafe(24)
    answer = console.pages.page(
        request,
        "login.html",
        language_of(request),
        status,
        before=before,
        next=local(values.pop("next", request.query_params.get("next", ""))),
        kept=kept,
        told=told,
        values=values,
        now=console.clock.now(),
    )
    set_cookie(request, answer, BEFORE, before, None)
    return answer


def local(path: str) -> str:
    """Return a path of this console, `/` for anything else."""
    return path if _PATH.fullmatch(path) else "/"


def set_cookie(
    request: Request, answer: Response, name: str, value: str, age_s: int | None
) -> None:
    """Set a cookie that scripts cannot read and other sites cannot send."""
    answer.set_cookie(
        name,
        value,
        max_age=age_s,
        path=cookie_path(request),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def cookie_path(request: Request) -> str:
    """Return the path cookies hold for: of this console alone."""
    return root_of(request) or "/"


def root_of(request: Request) -> str:
    """Return where the console is mounted, '' at the root."""
    root: str = request.scope.get("root_path", "")
    return root
