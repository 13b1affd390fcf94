"""Intake's door over HTTP, as an import needs it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from services.allinone.apis import Apis


class HttpDoor:
    """Sends batches; each has a key made of its content, so that a repetition is one."""

    def __init__(self, apis: Apis) -> None:
        self._apis = apis

    def types(self) -> Mapping[str, Any]:
        """Return the event catalogue."""
        found: Mapping[str, Any] = self._apis.get("intake", "/v1/types")
        return found

    def batch(self, items: list[Any]) -> Mapping[str, Any]:
        """Send one batch and return its answers."""
        key = hashlib.sha256(msgspec.json.encode(items)).hexdigest()
        found: Mapping[str, Any] = self._apis.send(
            "POST", "intake", "/v1/changes:batch", items, key=f"import/{key}"
        )
        return found
