"""One request of somebody who is logged in: who, in which areas, with which form; or why not."""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.responses import RedirectResponse, Response

from services.console.access import EVERYWHERE, THROUGH_GLASS, Action, Page, below, may
from services.console.auth import Auth
from services.console.gateway import HEARD_BEFORE, Away, By, Gateway, Heard
from services.console.glass import WHY, Glass, took_at
from services.console.storage import glasses
from services.console.storage.sessions import Session
from services.console.storage.users import User
from services.console.stream import Hub
from services.console.web.render import Pages
from services.console.words import LANGUAGES
from services.kernel.clock import Clock
from services.kernel.db.engine import Database
from services.kernel.errors import Fault, HearthwatchError, Refused

COOKIE: Final = "hw_session"
LANGUAGE: Final = "hw_lang"
UNPLACED: Final = ""
"""The area of a household that nobody has placed yet: shown to every desk, lest nobody see it."""
_MOST_FIELDS: Final = 200
_KEY: Final = re.compile(r"[\x21-\x7e]{0,150}")
_SAFE: Final = ("GET", "HEAD")
_NOT_FOUND: Final = 404


class NotLoggedIn(HearthwatchError):
    """No session holds; `form` is what was sent, to be kept until they have logged in."""

    def __init__(self, form: dict[str, list[str]]) -> None:
        super().__init__("no session")
        self.form = form


class NotAllowed(HearthwatchError):
    """The role may not do this."""


@dataclass(frozen=True, kw_only=True)
class Console:
    """What the pages stand on. `clock` is the domain's, `wall` that of sessions."""

    db: Database
    auth: Auth
    gateway: Gateway
    hub: Hub
    pages: Pages
    clock: Clock
    wall: Clock


@dataclass(kw_only=True)
class Visit:
    """A request with its user.

    missing: services that did not answer. before: those whose earlier answer is shown, and since
    when it was known. asked: what the route asked of the policy. glasses: open ones of the user.
    through: households that only a glass let them see.
    """

    console: Console
    request: Request
    user: User
    session: Session
    form: FormData
    missing: list[str] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    asked: tuple[Page, Action] = ("account", "see")
    glasses: list[Glass] = field(default_factory=list)
    through: set[str] = field(default_factory=set)

    @property
    def gateway(self) -> Gateway:
        """The way to the other services."""
        return self.console.gateway

    @property
    def by(self) -> By:
        """Who acts, as the other services know them."""
        return By(self.user.staff, self.user.display)

    @property
    def language(self) -> str:
        """The language they read."""
        return self.user.language

    def may(self, page: Page, action: Action) -> bool:
        """Return whether they may."""
        return may(self.user.role, page, action)

    def need(self, page: Page, action: Action) -> None:
        """Raise NotAllowed unless they may."""
        if not self.may(page, action):
            raise NotAllowed(f"{page}: {action}")

    def text(self, name: str, most: int = 4000) -> str:
        """Return a field of the form, stripped; '' when it is missing.

        Raises:
            Refused: longer than it may be, or a file (422).
        """
        value = self.form.get(name, "")
        if isinstance(value, UploadFile) or len(value) > most:
            found = "a file" if isinstance(value, UploadFile) else f"text of length {len(value)}"
            fault = Fault(f"field {name}", f"text of at most {most}", found, "shorten it", "field")
            raise Refused(fault, 422)
        return value.strip().replace("\x00", "")

    async def try_last(self, ask: Awaitable[Heard], empty: Any) -> Any:  # noqa: ANN401 - JSON
        """Return what is heard or was last heard, else `empty`; who is away is remembered."""
        try:
            return (await ask).body
        except Away as exc:
            self._away(exc.service)
            return empty

    async def attempt(self, ask: Awaitable[Any], empty: Any) -> Any:  # noqa: ANN401 - JSON
        """Return what is asked for, else `empty` when the service is away; it is remembered."""
        try:
            return await ask
        except Away as exc:
            self._away(exc.service)
            return empty

    def _away(self, service: str) -> None:
        if service not in self.missing:
            self.missing.append(service)

    async def areas(self) -> frozenset[str] | None:
        """Return the codes of their areas and all below; None stands for everywhere."""
        if EVERYWHERE in self.user.areas:
            return None
        trees = await self.attempt(self.gateway.areas(), [])
        return below(trees, self.user.areas)

    async def covers(self, area: str | None, grid: str | None, household: str = "") -> bool:
        """Return whether a place lies in their areas; one nobody knows is every desk's.

        A household that is named may be open to them through a glass, too; that is remembered.
        """
        mine = await self.areas()
        if mine is None or (area or "") in mine or (grid or "") in mine:
            return True
        if not area and not grid and self.may("queue", "see"):
            return True
        open_ = any(each.household == household for each in self.glasses)
        if open_ and self.asked in THROUGH_GLASS:
            self.through.add(household)
        return household in self.through

    def why(self, household: str) -> str:
        """Return what the log of looks is told of a look at a household: '' or the glass."""
        return WHY if household in self.through else ""

    async def holds(self, alert: dict[str, Any]) -> bool:
        """Return whether an alert is theirs wherever it lies, and wherever it has moved since.

        One that they took themselves while they had a glass open is not: it may be through that.
        """
        if alert["owner"] != self.user.staff:
            return False
        at = took_at(alert, self.user.staff)

        def through() -> bool:
            with self.console.db.read() as conn:
                return at is not None and glasses.had_open(conn, self.user.staff, at)

        return at is None or not await run_in_threadpool(through)

    async def need_alert(self, identity: str, *, look: bool = False) -> dict[str, Any]:
        """Return an alert of their areas, or one that is theirs; any other is absent (404).

        One that there is not is told in the same words as one of elsewhere.
        """
        try:
            found = await self.gateway.alert(identity)
        except Refused as exc:
            raise (absent() if exc.status == _NOT_FOUND else exc) from exc
        place = found["area"], found["grid"], found["household"]
        if not await self.holds(found) and not await self.covers(*place):
            raise absent()
        return await self.gateway.alert(identity, self.user.staff) if look else found

    def page(self, template: str, status: int = 200, **values: Any) -> Response:  # noqa: ANN401
        """Return a page of theirs; one that a glass opened is kept by no browser."""
        answer = self.console.pages.page(
            self.request,
            template,
            self.language,
            status,
            user=self.user,
            csrf=self.session.csrf,
            now=self.console.clock.now(),
            through=bool(self.through),
            missing=[*self.missing, *(each for each in self.before if each not in self.missing)],
            stale_since=min(self.before.values(), default=None),
            **values,
        )
        if self.through:
            answer.headers["cache-control"] = "no-store"
        return answer

    def back(self, path: str) -> Response:
        """Return a redirection to a page after a form was taken."""
        return RedirectResponse(self.request.scope.get("root_path", "") + path, 303)


Guard = Callable[[Request], Awaitable[Visit]]
GUARDS: Final[WeakKeyDictionary[Guard, tuple[Page, Action]]] = WeakKeyDictionary()
"""What each guard asks of the policy."""


def absent() -> Refused:
    """Return the refusal of an id that is not there, or not theirs to know of."""
    fault = Fault("path", "something of your areas", "nothing", "go back to the list", "not_found")
    return Refused(fault, 404)


def guard(console: Console, page: Page, action: Action) -> Guard:
    """Return the dependency of a route: who is logged in, may do this, and sent their own form.

    Raises, when it is called:
        NotLoggedIn: no session holds. NotAllowed: another role's. Refused: a forged form (403).
    """

    async def checked(request: Request) -> Visit:
        form = FormData() if request.method in _SAFE else await read_form(request)
        found = await run_in_threadpool(console.auth.session, request.cookies.get(COOKIE, ""))
        if found is None:
            raise NotLoggedIn(texts_of(form))
        session, user = found
        if request.method not in _SAFE:
            need_own_form(request, form, session.csrf)
            _need_key(form)
        request.state.user = user
        request.state.csrf = session.csrf
        visit = Visit(
            console=console, request=request, user=user, session=session, form=form,
            asked=(page, action),
        )  # fmt: skip
        HEARD_BEFORE.set(visit.before)
        await _find_glasses(visit)
        await _count_reviews(visit)
        visit.need(page, action)
        return visit

    GUARDS[checked] = (page, action)
    return checked


async def _find_glasses(visit: Visit) -> None:
    """Find which glasses the user has open, and for a page of theirs how to call each household."""
    if not visit.may("glass", "see"):
        return

    def ask() -> list[Glass]:
        with visit.console.db.read() as conn:
            return glasses.of_user(conn, visit.user.name, visit.console.clock.now())

    visit.glasses = await run_in_threadpool(ask)
    if visit.glasses and wants_page(visit.request):
        homes = [each.household for each in visit.glasses]
        known = await visit.attempt(visit.gateway.households(homes), {})
        visit.request.state.glasses = [
            (each, known.get(each.household, {}).get("name") or each.household)
            for each in visit.glasses
        ]


async def _count_reviews(visit: Visit) -> None:
    """Count, for a page of a head, which glasses of their areas wait for a review."""
    if not visit.may("reviews", "see") or not wants_page(visit.request):
        return
    areas = await visit.areas()

    def ask() -> int:
        with visit.console.db.read() as conn:
            return glasses.waiting(conn, areas)

    visit.request.state.reviews = await run_in_threadpool(ask)


async def read_form(request: Request) -> FormData:
    """Return the form of a request: at most 200 fields; a broken one is answered with 400."""
    return await request.form(max_files=10, max_fields=_MOST_FIELDS)


def texts_of(form: FormData) -> dict[str, list[str]]:
    """Return the text fields of a form, without those that no page may get back."""
    found: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if isinstance(value, str) and name not in ("csrf", "password", "old", "new", "again"):
            found.setdefault(name, []).append(value)
    return found


def need_own_form(request: Request, form: FormData, token: str) -> None:
    """Raise Refused (403) unless the form is of a page of this session."""
    sent = form.get("csrf") or request.headers.get("x-csrf", "")
    origin = request.headers.get("origin")
    elsewhere = origin not in (None, "null") and origin.split("://")[-1] != request.headers.get(
        "host"
    )
    right = isinstance(sent, str) and hmac.compare_digest(sent.encode(), token.encode())
    if elsewhere or not token or not right:
        fault = Fault("form", "one of a page of this session", "another", "open the page again",
                      "forged")  # fmt: skip
        raise Refused(fault, 403)


def _need_key(form: FormData) -> None:
    """Raise Refused (422) unless the form's key, if any, is one that a page of ours could give."""
    key = form.get("key", "")
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        fault = Fault("field key", "the key of a page", "another", "open the page again", "field")
        raise Refused(fault, 422)


def language_of(request: Request) -> str:
    """Return the language of somebody who need not be logged in: user's, cookie's, Chinese."""
    user: User | None = getattr(request.state, "user", None)
    wanted = user.language if user is not None else request.cookies.get(LANGUAGE, "")
    return wanted if wanted in LANGUAGES else LANGUAGES[0]


def wants_page(request: Request) -> bool:
    """Return whether a person's browser asks, and not one of our scripts."""
    return "text/html" in request.headers.get("accept", "")
