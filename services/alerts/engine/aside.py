"""Alerts that cannot be read or fired: kept apart for a while, so that the rest goes on."""

from __future__ import annotations

from typing import Final

from services.kernel.clock import MINUTE, rfc3339
from services.kernel.logging import get_logger
from services.kernel.metrics import Metrics

AGAIN: Final = MINUTE
"""After so long one is tried again: somebody may have mended the row, or the code."""
_log: Final = get_logger(__name__)


class Aside:
    """Ids put aside, each for a minute; counted and told each time. One thread at a time."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._until: dict[str, int] = {}
        metrics.count("hearthwatch_alerts_set_aside_total", 0)

    def put(self, alert_id: str, now: int, exc: Exception) -> None:
        """Put an alert aside. The error is told by its kind alone: its text may be personal."""
        self._until[alert_id] = now + AGAIN
        self._metrics.count("hearthwatch_alerts_set_aside_total")
        _log.error(
            "alert set aside", alert=alert_id, error=type(exc).__name__, until=rfc3339(now + AGAIN)
        )

    def at(self, now: int) -> list[str]:
        """Return the ids that are still aside."""
        self._until = {id_: until for id_, until in self._until.items() if until > now}
        return sorted(self._until)
