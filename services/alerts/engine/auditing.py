"""Looks for what the engine missed, on its own thread and by its own way through the data."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

from services.alerts.engine.firing import Engine
from services.alerts.ports import Transactions
from services.kernel.clock import SECOND, Clock, Monotonic
from services.kernel.logging import get_logger
from services.kernel.metrics import Metrics

AUDIT_S: Final = 30.0
OVERDUE: Final = 10 * SECOND
"""A step this long past its due instant was missed; a working engine needs a tenth of it."""
_log: Final = get_logger(__name__)


class Auditor:
    """Every 30 s looks for steps more than 10 s overdue that did not fire; says so, and fires them.

    A worker of its own, so that it lives on when the engine's thread hangs or has died.
    """

    name = "alerts.auditor"

    def __init__(
        self,
        db: Transactions,
        overdue: Callable[[Connection, int], int],
        engine: Engine,
        clock: Clock,
        monotonic: Monotonic,
        metrics: Metrics,
    ) -> None:
        self._db = db
        self._overdue = overdue
        self._engine = engine
        self._clock = clock
        self._monotonic = monotonic
        self._metrics = metrics
        self._stopping = threading.Event()
        self._next_s = monotonic.seconds() + AUDIT_S

    def run_once(self, timeout_s: float) -> int:
        """Look if it is time to; return 0, for nothing moves through here."""
        left_s = self._next_s - self._monotonic.seconds()
        if left_s > 0:
            self._monotonic.wait(self._stopping, min(left_s, timeout_s))
            return 0
        self._next_s = self._monotonic.seconds() + AUDIT_S
        self.look()
        return 0

    def look(self) -> int:
        """Count what was missed and have it fired; return how many steps were overdue."""
        before = self._clock.now() - OVERDUE
        with self._db.read() as conn:
            missed = self._overdue(conn, before)
        self._metrics.set("hearthwatch_alerts_overdue_steps", missed)
        if missed:
            _log.error("engine missed steps", overdue=missed)
            self._engine.tick()
        return missed

    def ready(self) -> str | None:
        """Return None: what was missed is a metric, and people must still be able to act."""

    def stop(self) -> None:
        """End the waiting; idempotent."""
        self._stopping.set()
