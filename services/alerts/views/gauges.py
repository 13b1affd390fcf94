"""What is open, who waits and who is on duty, as gauges at each scrape: a handful of reads."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from services.alerts.storage.deliveries import Deliveries
from services.alerts.storage.moves import Moves
from services.alerts.storage.roster import Roster
from services.alerts.storage.tables import POSITIONS
from services.alerts.views.reports import standing
from services.kernel.clock import SECOND, Clock
from services.kernel.contracts.topics import ASSESSMENTS
from services.kernel.db.engine import Database
from services.kernel.errors import Retryable
from services.kernel.metrics import Metrics


class Gauges:
    """Sets the gauges of alerts.

    roles: those that the ladders of the pack name.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        metrics: Metrics,
        *,
        roles: Collection[str],
        partitions: int,
    ) -> None:
        self._db = db
        self._clock = clock
        self._metrics = metrics
        self._roles = roles
        self._partitions = partitions

    def measure(self) -> None:
        """Set them all; a database out of reach leaves the last values, readiness says so."""
        now, metrics = self._clock.now(), self._metrics
        try:
            with self._db.read() as conn:
                self._alerts(conn, now)
                _, oldest = Deliveries().unsent(conn)
                waiting = Moves().load(conn).waiting
                marks = POSITIONS.marks(conn, ASSESSMENTS.name)
                empty = Roster().without_duty(conn, self._roles, now)
        except Retryable:
            return
        if len(marks) == self._partitions:
            metrics.set(
                "hearthwatch_risk_mark_age_seconds", _age_s(min(marks.values()), now),
                service="alerts",
            )  # fmt: skip
        metrics.set("hearthwatch_alerts_undelivered_age_seconds", _age_s(oldest, now))
        metrics.set("hearthwatch_alerts_waiting_moves", len(waiting))
        metrics.set("hearthwatch_alerts_roles_without_duty", empty)

    def _alerts(self, conn: Connection, now: int) -> None:
        for level, found in standing(conn).items():
            at = {"level": str(level)}
            self._metrics.set("hearthwatch_alerts_open", found.open, **at)
            self._metrics.set("hearthwatch_alerts_unacknowledged", found.new, **at)
            age_s = _age_s(found.since, now)
            self._metrics.set("hearthwatch_alerts_oldest_unacknowledged_age_seconds", age_s, **at)


def _age_s(since: int | None, now: int) -> float:
    return 0.0 if since is None else max(0, now - since) / SECOND
