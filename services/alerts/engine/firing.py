"""Fires what is due on the wall clock, waiting for nobody."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from services.alerts.domain.ladder import Step
from services.alerts.engine.aside import Aside
from services.alerts.handlers.fire import BATCH, fire_alerts, fire_due
from services.alerts.ports import AlertStore, Transactions
from services.kernel.clock import SECOND, Clock
from services.kernel.crash import crashpoint
from services.kernel.errors import Retryable
from services.kernel.metrics import Metrics

TICK_S: Final = 0.5


class Engine:
    """Fires what is due now. Several may run on one PostgreSQL: each takes what no other holds.

    An alert that cannot be fired is put aside for a minute and told; the others are fired.
    """

    def __init__(self, db: Transactions, store: AlertStore, clock: Clock, metrics: Metrics) -> None:
        self._db = db
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._aside = Aside(metrics)

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
        """Fire a batch; return how many steps it had, and alerts that had to be put aside."""
        but = self._aside.at(now)
        try:
            return self._told(self._fired(now, but), now)
        except Retryable:
            raise
        except Exception:  # noqa: BLE001 - one alert must not keep all others from being escalated
            with self._db.read() as conn:
                ids = self._store.due(conn, now, BATCH, but)
            return sum(self._alone(id_, now) for id_ in ids)

    def _fired(self, now: int, but: Collection[str]) -> list[Step]:
        with self._db.begin() as conn:
            steps = fire_due(conn, self._store, now, self._clock.now(), but=but)
            if steps:
                crashpoint("alerts.engine.before_commit")
        return steps

    def _alone(self, alert_id: str, now: int) -> int:
        try:
            with self._db.begin() as conn:
                steps = fire_alerts(conn, self._store, [alert_id], now, self._clock.now())
        except Retryable:
            raise
        except Exception as exc:  # noqa: BLE001 - as above; it is told and tried again
            self._aside.put(alert_id, now, exc)
            return 1
        return self._told(steps, now)

    def _told(self, steps: Sequence[Step], now: int) -> int:
        if not steps:
            return 0
        crashpoint("alerts.engine.after_commit")
        for step in steps:
            late_s = max(0, (step.fired_at or now) - step.due_at) / SECOND
            self._metrics.observe("hearthwatch_alerts_step_lateness_seconds", late_s)
            outcome = "fired" if step.kind == "ladder" else "missed_deadline"
            self._metrics.count("hearthwatch_alerts_steps_total", outcome=outcome)
        return len(steps)
