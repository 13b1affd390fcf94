"""The one way to the other services: their HTTP APIs, with time limits, and what was last heard.

Embedded, the requests go to the applications in this process; deployed, to base addresses. A
service that does not answer is `Away`; what it last said about the same question can be shown then,
with its age.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import httpx2
from starlette.types import ASGIApp

from services.kernel.clock import SECOND, Clock
from services.kernel.errors import Fault, HearthwatchError, Refused
from services.kernel.ids import uuid7

TIMEOUT_S: Final = 5.0
_REMEMBERED: Final = 400
_NAMES_AT_ONCE: Final = 100
_AREAS_HOLD: Final = 30 * SECOND
_TROUBLE: Final = (502, 503, 504)
_BUG: Final = 500

Json = dict[str, Any]
Query = Mapping[str, str | int | Sequence[str] | None]


class Away(HearthwatchError):
    """A service does not answer: it is down, out of reach or too slow."""

    def __init__(self, service: str, why: str) -> None:
        super().__init__(f"{service} does not answer: {why}")
        self.service = service


class Heard(NamedTuple):
    """An answer, and since when it is known when the service is away now (None: fresh)."""

    body: Any
    since: int | None = None


HEARD_BEFORE: Final[ContextVar[dict[str, int] | None]] = ContextVar("heard_before", default=None)
"""Which services' earlier answers a request was given, with the age of the oldest of each."""


class By(NamedTuple):
    """Who acts: the id in registry and the name colleagues know."""

    id: str
    name: str


def remote(urls: Mapping[str, str], token: str) -> dict[str, httpx2.AsyncClient]:
    """Return clients for services at base addresses."""
    return {
        name: httpx2.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_S,
            trust_env=False,
        )
        for name, url in urls.items()
        if name != "console"
    }


def inside(apps: Mapping[str, ASGIApp], token: str) -> dict[str, httpx2.AsyncClient]:
    """Return clients for applications in this process."""
    return {
        name: httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app, raise_app_exceptions=False),
            base_url=f"http://{name}",
            headers={"Authorization": f"Bearer {token}"},
        )
        for name, app in apps.items()
    }


class Gateway:
    """Asks the other services and acts through them. For one event loop.

    Raises, whatever is called:
        Away: the service does not answer in time.
        Refused: it refuses; carries its fault and status.
    """

    def __init__(
        self,
        clients: Mapping[str, httpx2.AsyncClient],
        clock: Clock,
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._clients = clients
        self._clock = clock
        self._timeout_s = timeout_s
        self._heard: OrderedDict[tuple[str, str, str], Heard] = OrderedDict()
        self._areas: tuple[int, list[Json]] | None = None

    # -- any service ------------------------------------------------------------------------------

    async def get(
        self, service: str, path: str, query: Query | None = None, by: str = "", why: str = ""
    ) -> Any:  # noqa: ANN401 - JSON
        """Return the JSON answer of a GET; `by` and `why` say who looks, where looks are logged."""
        said = {"X-Hearthwatch-Person": by, "X-Hearthwatch-Why": why}
        headers = {name: value for name, value in said.items() if value}
        found = await self._send(service, "GET", path, params=_given(query or {}), headers=headers)
        return found.json()

    async def text(self, service: str, path: str) -> str:
        """Return the text of a GET, such as /metrics."""
        found: str = (await self._send(service, "GET", path)).text
        return found

    async def last(self, service: str, path: str, query: Query | None = None) -> Heard:
        """Return the answer of a GET, or the last one to the same question while it is away.

        Raises:
            Away: it does not answer and nothing was heard before.
        """
        key = (service, path, repr(sorted(_given(query or {}).items())))
        try:
            body = await self.get(service, path, query)
        except Away:
            if key not in self._heard:
                raise
            found = self._heard[key]
            if (told := HEARD_BEFORE.get()) is not None and found.since is not None:
                told[service] = min(told.get(service, found.since), found.since)
            return found
        self._heard[key] = Heard(body, self._clock.now())
        self._heard.move_to_end(key)
        if len(self._heard) > _REMEMBERED:
            self._heard.popitem(last=False)
        return Heard(body)

    async def post(
        self, service: str, path: str, body: object, *, key: str = "", match: int | None = None
    ) -> Any:  # noqa: ANN401 - JSON
        """Return the JSON answer of a POST; `key` makes a repetition of it one act."""
        headers = {"Idempotency-Key": key or uuid7(self._clock.now())}
        if match is not None:
            headers["If-Match"] = f'"{match}"'
        found = await self._send(service, "POST", path, json=body, headers=headers)
        return found.json() if found.content else None

    async def _send(self, service: str, method: str, path: str, **rest: Any) -> httpx2.Response:  # noqa: ANN401
        client = self._clients.get(service)
        if client is None:
            raise Away(service, "no address is set")
        try:
            found = await asyncio.wait_for(client.request(method, path, **rest), self._timeout_s)
        except (httpx2.TransportError, TimeoutError, httpx2.InvalidURL) as exc:
            raise Away(service, type(exc).__name__) from exc
        if found.is_success:
            return found
        if found.status_code in _TROUBLE or found.status_code == _BUG:
            raise Away(service, f"status {found.status_code}")
        raise Refused(_fault(found), found.status_code)

    # -- alerts -----------------------------------------------------------------------------------

    async def alerts(self, **query: str | int | Sequence[str] | None) -> Heard:
        """Return a page of alerts: highest level, then broken promises, then what is due next."""
        return await self.last("alerts", "/v1/alerts", query)

    async def alert(self, identity: str, by: str = "") -> Json:
        """Return one alert whole; with `by` its timeline says who looked."""
        found: Json = await self.get("alerts", f"/v1/alerts/{_segment(identity)}", by=by)
        return found

    async def tasks(self, **query: str | int | Sequence[str] | None) -> Heard:
        """Return a page of tasks by due instant."""
        return await self.last("alerts", "/v1/tasks", query)

    async def act(
        self, identity: str, action: str, body: Json, *, key: str, match: int | None = None
    ) -> Json:
        """Do something to an alert: acknowledge, take, handover, on_site, outcome, note, ..."""
        path = f"/v1/alerts/{_segment(identity)}/{action}"
        found: Json = await self.post("alerts", path, body, key=key, match=match)
        return found

    # -- registry ---------------------------------------------------------------------------------

    async def areas(self) -> list[Json]:
        """Return the trees of areas; the ones last heard while registry is away."""
        now = self._clock.now()
        if self._areas is not None and 0 <= now - self._areas[0] < _AREAS_HOLD:
            return self._areas[1]
        found = (await self.last("registry", "/v1/areas")).body["items"]
        self._areas = (now, found)
        return list(found)

    async def households(self, names: Sequence[str]) -> dict[str, Json]:
        """Return households by name, without their members: what a list may show."""
        wanted = sorted(set(names))
        found: dict[str, Json] = {}
        for start in range(0, len(wanted), _NAMES_AT_ONCE):
            part = wanted[start : start + _NAMES_AT_ONCE]
            heard = await self.last(
                "registry", "/v1/households", {"name": part, "limit": _NAMES_AT_ONCE}
            )
            found |= {row["household"]: row for row in heard.body["items"]}
        return found

    async def called(self, name: str) -> tuple[list[Json], bool]:
        """Return households of this very id or name, or in which somebody of this name lives.

        And whether there are more than fit into one answer.
        """
        found = await self._send(
            "registry",
            "GET",
            "/v1/households",
            params={"limit": _NAMES_AT_ONCE},
            headers={"X-Hearthwatch-Called": quote(name, safe="")},
        )
        body = found.json()
        return list(body["items"]), body["next"] is not None

    async def household(self, name: str, by: str, why: str = "") -> Json:
        """Return a household with its people; the look is logged for each of them."""
        path = f"/v1/households/{_segment(name)}"
        found: Json = await self.get("registry", path, by=by, why=why)
        return found

    async def person(self, name: str, by: str, why: str = "") -> Json:
        """Return a person; the look is logged."""
        found: Json = await self.get("registry", f"/v1/people/{_segment(name)}", by=by, why=why)
        return found

    async def key_holder(self, name: str, by: str) -> Json:
        """Return who keeps the key of a household; the look is logged as such."""
        path = f"/v1/households/{_segment(name)}/key-holder"
        found: Json = await self.get("registry", path, by=by)
        return found

    async def staff(self) -> list[Json]:
        """Return staff by area."""
        heard = await self.last("registry", "/v1/staff", {"limit": 1000})
        return list(heard.body["items"])

    # -- risk and intake --------------------------------------------------------------------------

    async def assessment(self, subject: str) -> Json | None:
        """Return the assessment in force, or None when there is none."""
        try:
            found: Json = await self.get("risk", f"/v1/subjects/{_segment(subject)}/assessment")
        except Refused as exc:
            if exc.status == httpx2.codes.NOT_FOUND:
                return None
            raise
        return found

    async def rules(self) -> dict[str, Json]:
        """Return the pack's rules by id, with their texts."""
        heard = await self.last("risk", "/v1/rules")
        return {row["id"]: row for row in heard.body["items"]}

    async def features(self) -> dict[str, Json]:
        """Return what the model's features are called, by name."""
        found: dict[str, Json] = (await self.last("risk", "/v1/rules")).body["features"]
        return found

    async def types(self) -> Json:
        """Return the event catalogue of the door."""
        found: Json = (await self.last("intake", "/v1/types")).body
        return found

    async def change(self, identity: str) -> Json:
        """Return a change with its message and what corrected or took it back."""
        found: Json = await self.get("intake", f"/v1/changes/{_segment(identity)}")
        return found

    async def send_change(self, item: Json, key: str) -> Json:
        """Send one change in at the door; raises Refused when it is rejected (and kept)."""
        found: Json = await self.post("intake", "/v1/changes", item, key=key)
        return found


def _given(query: Query) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


def _segment(text: str) -> str:
    """Return an id as one segment of a path."""
    return quote(text, safe="")


def _fault(found: httpx2.Response) -> Fault:
    try:
        body = found.json()
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    return Fault(
        where=str(body.get("where") or "request"),
        expected=str(body.get("expected") or "an answer"),
        found=str(body.get("found") or f"status {found.status_code}"),
        remedy=str(body.get("remedy") or "tell whoever runs the system"),
        code=str(body.get("code") or "http"),
    )
