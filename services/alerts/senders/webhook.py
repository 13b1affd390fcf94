"""A webhook: one POST for each delivery, with an idempotency key and a bounded time."""

from __future__ import annotations

from typing import Final

import httpx2
import msgspec

from services.alerts.senders.port import Outbound, Result

TIMEOUT_S: Final = 10.0
_OK: Final = range(200, 300)
_AGAIN: Final = frozenset({408, 425, 429})
_SERVER: Final = range(500, 600)


class WebhookSender:
    """Posts JSON to one address. 2xx is delivered; timeouts, 408, 425, 429 and 5xx come again."""

    name = "webhook"
    instant = False

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._client = httpx2.Client(
            timeout=timeout_s,
            follow_redirects=False,
            trust_env=False,
            limits=httpx2.Limits(max_connections=32, max_keepalive_connections=8),
        )

    def send(self, message: Outbound) -> Result:
        """See `Sender`."""
        try:
            response = self._client.post(
                self._url,
                content=msgspec.json.encode(message),
                headers={"Content-Type": "application/json", "Idempotency-Key": message.key},
            )
        except httpx2.TimeoutException:
            return Result("temporary", "timeout")
        except httpx2.InvalidURL:
            return Result("permanent", "bad_address")
        except httpx2.HTTPError:
            return Result("temporary", "unreachable")
        return _judged(response.status_code)

    def close(self) -> None:
        """See `Sender`."""
        self._client.close()


def _judged(status: int) -> Result:
    if status in _OK:
        return Result("delivered")
    if status in _AGAIN or status in _SERVER:
        return Result("temporary", f"http_{status}")
    return Result("permanent", f"http_{status}")
