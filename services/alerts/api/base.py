"""What the routes of alerts share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import Header, Query
from starlette.responses import Response

from services.alerts.domain.policy import Policy
from services.alerts.handlers.consume import Drive
from services.alerts.storage.store import Store
from services.alerts.storage.tables import POSITIONS
from services.kernel.clock import Clock, parse_rfc3339
from services.kernel.db.engine import Database
from services.kernel.errors import Fault, InvalidMessage
from services.kernel.http import page
from services.kernel.metrics import Metrics

Limit = Annotated[int, Query(ge=1, le=10_000, description="items on a page")]
Cursor = Annotated[str | None, Query(description="`next` of the page before")]
Instant = Annotated[str | None, Query(description="an instant, RFC 3339 with offset")]
IfMatch = Annotated[str | None, Header(description="the ETag of the alert as the person saw it")]


@dataclass(frozen=True, kw_only=True)
class Api:
    """What the routes stand on."""

    db: Database
    store: Store
    policy: Policy
    clock: Clock
    metrics: Metrics
    drive: Drive
    topic: str
    partitions: int

    def now(self) -> int:
        """Return the instant reports are as of: the clock's, in replay that of the marks."""
        if self.drive == "marks":
            with self.db.read() as conn:
                marks = POSITIONS.marks(conn, self.topic)
            if len(marks) == self.partitions:
                return min(marks.values())
        return self.clock.now()


def json(body: object, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(
        msgspec.json.encode(body), media_type="application/json", headers=dict(headers or {})
    )


def paged(found: Sequence[dict[str, Any]], limit: int) -> Response:
    """Return a page of items that carry their sort key as `_key`."""
    items, following = page(found, limit, lambda item: tuple(item["_key"]))
    for item in items:
        del item["_key"]
    return json({"items": items, "next": following})


def instant(text: str | None, name: str) -> int | None:
    """Return the instant of a query parameter, or None when it is missing.

    Raises:
        InvalidMessage: not RFC 3339 with an offset.
    """
    if text is None:
        return None
    try:
        return parse_rfc3339(text.replace(" ", "+"))  # a plus sign not escaped arrives as a space
    except ValueError as exc:
        raise InvalidMessage(
            Fault(
                where=f"query.{name}",
                expected="RFC 3339 with offset, such as 2026-11-22T08:00:00Z",
                found=f"text of length {len(text)}",
                remedy="correct the instant",
            )
        ) from exc
