"""How many glasses are open and wait for a review, as gauges at each scrape; no id, no name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from services.console.storage import glasses
from services.kernel.clock import Clock
from services.kernel.db.engine import Database
from services.kernel.errors import Retryable
from services.kernel.metrics import MetricName, Metrics

_NAME: Final[MetricName] = "hearthwatch_console_glasses"


def measuring(db: Database, clock: Clock, metrics: Metrics) -> Callable[[], None]:
    """Return what sets them; a database out of reach leaves the last values."""

    def measure() -> None:
        try:
            with db.read() as conn:
                found = glasses.counts(conn, clock.now())
        except Retryable:
            return
        for state, count in found._asdict().items():
            metrics.set(_NAME, count, state=state)

    return measure
