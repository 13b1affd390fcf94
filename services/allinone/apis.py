"""The services' HTTP APIs as one object: of a running process, or of an app in this process.

Commands that look at what is there (doctor, why, dlq) speak to the same routes either way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Protocol, Self

import httpx2

from services.kernel.errors import Fault, Faults, Refused, Retryable
from services.kernel.runtime import App

PAGE: Final = 10_000
_TIMEOUT_S: Final = 60.0

Query = Mapping[str, str | int | None]


class Transport(Protocol):
    """Sends one request to the API of a service."""

    def send(
        self,
        method: str,
        service: str,
        path: str,
        *,
        params: dict[str, Any],
        **rest: Any,  # noqa: ANN401
    ) -> httpx2.Response:
        """Return the answer, whatever its status."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Apis:
    """Reads from and writes to the APIs; every problem comes back as an error of the project."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, service: str, path: str, **query: str | int | None) -> Any:  # noqa: ANN401 - JSON
        """Return the JSON answer of a GET.

        Raises:
            Refused: the API refuses; carries its fault and status. Faults: it names several.
            Retryable: it cannot be reached.
        """
        return self._answer(self._send("GET", service, path, query)).json()

    def send(
        self,
        method: str,
        service: str,
        path: str,
        body: object,
        key: str | None = None,
        version: int | None = None,
    ) -> Any:  # noqa: ANN401 - JSON
        """Return the JSON answer of a write; with its Idempotency-Key and the version it edits."""
        headers = {} if key is None else {"Idempotency-Key": key}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        found = self._send(method, service, path, {}, json=body, headers=headers)
        return self._answer(found).json() if found.content else None

    def send_raw(self, service: str, path: str, body: bytes, key: str) -> bytes:
        """Return the answer of a POST of JSON bytes as bytes; raises as `get` does."""
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        found = self._send("POST", service, path, {}, content=body, headers=headers)
        content: bytes = self._answer(found).content
        return content

    def text(self, service: str, path: str) -> str:
        """Return the text of a GET, such as /metrics; raises as `get` does."""
        found: str = self._answer(self._send("GET", service, path, {})).text
        return found

    def items(self, service: str, path: str, **query: str | int | None) -> Iterator[Any]:
        """Yield the items of every page of a list."""
        cursor: str | None = None
        while True:
            page = self.get(service, path, **{"limit": PAGE, **query, "cursor": cursor})
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def close(self) -> None:
        """Let go of connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _send(
        self,
        method: str,
        service: str,
        path: str,
        query: Query,
        **rest: Any,  # noqa: ANN401
    ) -> httpx2.Response:
        params = {name: value for name, value in query.items() if value is not None}
        try:
            return self._transport.send(method, service, path, params=params, **rest)
        except httpx2.TransportError as exc:
            raise Retryable(
                f"{service}: {type(exc).__name__}; is it running, and is the address right?"
            ) from exc

    def _answer(self, found: httpx2.Response) -> httpx2.Response:
        if found.is_success:
            return found
        body = _problem(found)
        fault = _fault(body, found)
        several = [
            Fault(*(str(each.get(name, "")) for name in ("where", "expected", "found", "remedy")))
            for each in body.get("errors") or ()
        ]
        if several:
            raise Faults(fault.where, several)
        raise Refused(fault, found.status_code)


class Remote:
    """The APIs of a running process, or of several, by their base addresses."""

    def __init__(self, urls: Mapping[str, str], token: str) -> None:
        self._urls = urls
        self._client = httpx2.Client(
            headers={"Authorization": f"Bearer {token}"}, timeout=_TIMEOUT_S, trust_env=False
        )

    def send(
        self,
        method: str,
        service: str,
        path: str,
        *,
        params: dict[str, Any],
        **rest: Any,  # noqa: ANN401
    ) -> httpx2.Response:
        """Send over the network."""
        return self._client.request(method, self._urls[service] + path, params=params, **rest)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class Local:
    """The APIs of an app in this process, without a port."""

    def __init__(self, app: App, token: str) -> None:
        self._runner = asyncio.Runner()
        self._clients = {
            service.name: httpx2.AsyncClient(
                transport=httpx2.ASGITransport(service.api, raise_app_exceptions=False),
                base_url=f"http://{service.name}",
                headers={"Authorization": f"Bearer {token}"},
            )
            for service in app.services
            if service.api is not None
        }

    def send(
        self,
        method: str,
        service: str,
        path: str,
        *,
        params: dict[str, Any],
        **rest: Any,  # noqa: ANN401
    ) -> httpx2.Response:
        """Send to the API's application itself."""
        client = self._clients[service]
        return self._runner.run(client.request(method, path, params=params, **rest))

    def close(self) -> None:
        """Close the clients and their loop."""
        for client in self._clients.values():
            self._runner.run(client.aclose())
        self._runner.close()


def _problem(found: httpx2.Response) -> dict[str, Any]:
    """Return the body of a problem+json answer; empty when it is none."""
    try:
        body = found.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _fault(body: dict[str, Any], found: httpx2.Response) -> Fault:
    return Fault(
        where=str(body.get("where") or found.url.path),
        expected=str(body.get("expected") or "an answer"),
        found=str(body.get("found") or f"status {found.status_code}"),
        remedy=str(body.get("remedy") or "see the service's log"),
        code=str(body.get("code") or "http"),
    )
