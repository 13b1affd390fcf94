"""Log-in, log-out, language, one's own account, the files that pages load."""

import asyncio
import hmac
import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from services.console.access import HOME
from services.console.auth import ABSOLUTE, SHORTEST, LoggedIn, Refusal
from services.console.web.entering import (
    BEFORE,
    KNOWN,
    cookie_path,
    local,
    log_in_page,
    root_of,
    set_cookie,
)
from services.console.web.visit import (
    COOKIE,
    LANGUAGE,
    Console,
    Visit,
    absent,
    guard,
    read_form,
)
from services.console.words import LANGUAGES
from services.kernel.clock import MINUTE, SECOND
from services.kernel.errors import Fault, Refused

_YEAR_S: Final = 365 * 24 * 3600
_AT_ONCE: Final = 2
"""Passwords checked at once. Each takes a good part of a second, so a crowd of log-ins that waited
in threads would stop every page."""


def entry_routes(console: Console) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    _log_in_routes(routes, console)
    _account_routes(routes, console)

    @routes.get("/static/{digest}/{name}")
    async def static(digest: str, name: str) -> Response:
        found = console.pages.static.files.get(name)
        if found is None:
            raise absent()
        kept = digest == console.pages.static.digest
        cache = "public, max-age=31536000, immutable" if kept else "no-cache"
        return Response(found[0], media_type=found[1], headers={"cache-control": cache})

    return routes


def _log_in_routes(routes: APIRouter, console: Console) -> None:
    turns = asyncio.Semaphore(_AT_ONCE)

    @routes.get("/login")
    async def show(request: Request) -> Response:
        return log_in_page(request, console)

    @routes.post("/login")
    async def log_in(request: Request) -> Response:
        form = await read_form(request)
        _need_same(request, form)
        name, password = _field(form, "name"), _field(form, "password")
        marks = request.cookies.get(KNOWN, "")
        async with turns:
            found = await run_in_threadpool(console.auth.log_in, name, password, marks)
        if isinstance(found, Refusal):
            return _refused(request, console, found, form)
        return _enter(request, console, found, form)

    @routes.post("/language")
    async def language(request: Request) -> Response:
        form = await read_form(request)
        wanted = _field(form, "language")
        wanted = wanted if wanted in LANGUAGES else LANGUAGES[0]
        found = await run_in_threadpool(console.auth.session, request.cookies.get(COOKIE, ""))
        if found is not None:
            await run_in_threadpool(console.auth.prefer, found[1], language=wanted)
        answer = RedirectResponse(root_of(request) + local(_field(form, "next")), 303)
        set_cookie(request, answer, LANGUAGE, wanted, _YEAR_S)
        return answer


def _account_routes(routes: APIRouter, console: Console) -> None:
    see, change = guard(console, "account", "see"), guard(console, "account", "change")

    @routes.get("/")
    async def home(visit: Annotated[Visit, Depends(see)]) -> Response:
        return visit.back(HOME[visit.user.role])

    @routes.post("/logout")
    async def log_out(visit: Annotated[Visit, Depends(change)]) -> Response:
        await run_in_threadpool(console.auth.log_out, visit.session.digest)
        answer = visit.back("/login")
        answer.delete_cookie(COOKIE, cookie_path(visit.request), httponly=True, samesite="strict")
        return answer

    @routes.get("/account")
    async def account(visit: Annotated[Visit, Depends(see)]) -> Response:
        return visit.page("account.html", told="")

    @routes.post("/account/password")
    async def password(visit: Annotated[Visit, Depends(change)]) -> Response:
        new = _field(visit.form, "new")
        if len(new) < SHORTEST or new != _field(visit.form, "again"):
            return visit.page(
                "account.html", 422, told="short" if len(new) < SHORTEST else "unlike"
            )
        done = await run_in_threadpool(
            console.auth.change_password,
            visit.user,
            _field(visit.form, "old"),
            new,
            visit.session.digest,
        )
        return visit.page("account.html", 200 if done else 422, told="done" if done else "wrong")

    @routes.post("/account/sound")
    async def sound(visit: Annotated[Visit, Depends(change)]) -> Response:
        on = visit.text("on") == "yes"
        await run_in_threadpool(console.auth.prefer, visit.user, sound=on)
        return visit.back(local(visit.text("next")))


def _refused(request: Request, console: Console, found: Refusal, form: FormData) -> Response:
    shared = {"kept": _field(form, "kept", 200_000), "next": _field(form, "next")}
    if found.locked_until:
        minutes = -(-max(0, found.locked_until - console.wall.now()) // MINUTE)
        return log_in_page(request, console, 429, told="locked", minutes=minutes, **shared)
    return log_in_page(request, console, 403, told="wrong", left=found.left, **shared)


def _enter(request: Request, console: Console, found: LoggedIn, form: FormData) -> Response:
    root, kept = root_of(request), _field(form, "kept", 200_000)
    answer: Response
    if kept and (waiting := _waiting(kept)) is not None:
        request.state.user = found.user
        answer = console.pages.page(
            request,
            "resume.html",
            found.user.language,
            user=found.user,
            csrf=found.session.csrf,
            now=console.clock.now(),
            waiting=waiting,
        )
    else:
        answer = RedirectResponse(root + local(_field(form, "next")), 303)
    set_cookie(request, answer, COOKIE, found.cookie, ABSOLUTE // SECOND)
    set_cookie(request, answer, KNOWN, found.marks, _YEAR_S)
    answer.delete_cookie(BEFORE, cookie_path(request), httponly=True, samesite="strict")
    return answer


def _waiting(kept: str) -> dict[str, Any] | None:
    """Return path and fields of a form that waited, None when it is not one of ours."""
    try:
        found = json.loads(kept)
        fields = [
            (str(name), str(value)) for name, values in found["form"].items() for value in values
        ]
        path = str(found["path"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return {"path": path, "fields": fields} if local(path) == path and path != "/" else None


def _need_same(request: Request, form: FormData) -> None:
    """Raise Refused (403) unless the log-in form is one that this console gave this browser."""
    cookie = request.cookies.get(BEFORE, "")
    if not cookie or not hmac.compare_digest(cookie.encode(), _field(form, "before").encode()):
        fault = Fault("form", "one that this browser was given", "another", "open the page again",
                      "forged")  # fmt: skip
        raise Refused(fault, 403)


def _field(form: FormData, name: str, most: int = 1000) -> str:
    value = form.get(name, "")
    return value[:most] if isinstance(value, str) else ""
