"""Fires what is due on the wall clock, waiting for nobody."""

from __future__ import annotations

from typing import Final

from services.alerts.handlers.fire import fire_due
from services.alerts.ports import AlertStore, Transactions
from services.kernel.clock import SECOND, Clock
from services.kernel.crash import crashpoint
from services.kernel.metrics import Metrics

TICK_S: Final = 0.5


class Engine:
    """Fires what is due now. Several may run on one PostgreSQL: each takes what no other holds."""

    def __init__(self, db: Transactions, store: AlertStore, clock: Clock, metrics: Metrics) -> None:
        self._db = db
        self._store = store
        self._clock = clock
        self._metrics = metrics

    def tick(self) -> int:
        """Fire everything due at the clock's now; return how many steps fired.

        Raises:
            Retryable: the database is out of reach; what was committed stays, the rest comes again.
        """
        now, total = self._clock.now(), 0
        while fired := self._some(now):
            total += fired
        return total

    def _some(self, now: int) -> int:
        with self._db.begin() as conn:
            steps = fire_due(conn, self._store, now, self._clock.now())
            if steps:
                crashpoint("alerts.engine.before_commit")
        if not steps:
            return 0
        crashpoint("alerts.engine.after_commit")
        for step in steps:
            late_s = max(0, (step.fired_at or now) - step.due_at) / SECOND
            self._metrics.observe("hearthwatch_alerts_step_lateness_seconds", late_s)
            outcome = "fired" if step.kind == "ladder" else "missed_deadline"
            self._metrics.count("hearthwatch_alerts_steps_total", outcome=outcome)
        return len(steps)
