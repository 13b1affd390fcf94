"""Takes deliveries to their channel: claim, send outside of any transaction, settle.

A channel that hangs costs its own threads up to its timeout and nobody else's; each target has at
most a quarter of the threads, so one that hangs leaves room for the others.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from services.alerts.domain.alert import Alert
from services.alerts.domain.delivery import (
    Contact,
    Delivery,
    choose,
    claim,
    crashed,
    give_up,
    settle,
)
from services.alerts.domain.policy import Policy
from services.alerts.ports import AlertStore, DeliveryStore, Duty, Place, Transactions
from services.alerts.senders.port import Outbound, Result, Sender
from services.kernel.clock import Clock, Monotonic, rfc3339
from services.kernel.crash import crashpoint
from services.kernel.errors import Retryable
from services.kernel.logging import get_logger
from services.kernel.metrics import Metrics

BATCH: Final = 500
THREADS: Final = 32
PER_TARGET: Final = 8
FALLBACK: Final = "station_head"
"""Who is told when nobody on duty can be; the role of last resort."""
UNREADABLE: Final = {
    "zh": "该警报的记录无法读取，请打开查看", "en": "its record cannot be read: open the alert"
}  # fmt: skip
_log: Final = get_logger(__name__)


class _Sending(NamedTuple):
    delivery: Delivery
    message: Outbound


@dataclass(kw_only=True)
class Deliverer:
    """A worker of its own: never in the way of deciding. One thread calls `run_once`.

    process: names this process on what it claims. alone: no other process shares the database, so
    whatever another one claimed crashed with it.
    """

    db: Transactions
    store: AlertStore
    deliveries: DeliveryStore
    duty: Duty
    policy: Policy
    sender: Sender
    clock: Clock
    monotonic: Monotonic
    metrics: Metrics
    process: str
    alone: bool
    link: str = ""
    name: str = "alerts.deliverer"
    event: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._stopping = False
        self._recovered = False
        self._trouble: str | None = None
        self._flying: dict[Future[Result], _Sending] = {}
        for outcome in ("delivered", "retry", "failed", "repeated"):
            self._count(outcome, 0)
        self._pool = None if self.sender.instant else ThreadPoolExecutor(THREADS, "alerts.sending")

    def run_once(self, timeout_s: float) -> int:
        """Settle what came back, send what is due; return how many deliveries moved."""
        if self._stopping:
            return 0
        self.event.clear()
        try:
            moved = self._recover()
            moved += self._send_instantly() if self._pool is None else self._turn(timeout_s)
        except Retryable as exc:
            self._trouble = str(exc)
            self.monotonic.wait(self.event, timeout_s)
            return 0
        self._trouble = None
        if not moved and timeout_s > 0:
            self.monotonic.wait(self.event, timeout_s)
        return moved

    def in_flight(self) -> int:
        """Return how many sendings have not come back."""
        return len(self._flying)

    def wake(self) -> None:
        """Say that there may be something to deliver."""
        self.event.set()

    def ready(self) -> str | None:
        """Return what keeps deliveries from going out, None for nothing."""
        return f"{self.name}: {self._trouble}" if self._trouble else None

    def stop(self) -> None:
        """Send no more; what is in flight is settled by its lease. Idempotent."""
        self._stopping = True
        self.event.set()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    # --- what a dead process left ----------------------------------------------------------------

    def _recover(self) -> int:
        """Decide on sendings whose end nobody saw (docs/adr/0011)."""
        but = self.process if self.alone and not self._recovered else None
        now = self.clock.now()
        with self.db.read() as conn:
            if not self.deliveries.any_crashed(conn, now, but):
                self._recovered = True
                return 0
        with self.db.begin() as conn:
            lost = self.deliveries.crashed(conn, now, but, BATCH)
            lost = [d for d in lost if d.id not in {s.delivery.id for s in self._flying.values()}]
            alerts = self._heads(conn, lost)
            for delivery in lost:
                again = crashed(delivery, now)
                self._count("repeated" if again else "failed")
                self._note(alerts, delivery, "repeated" if again else "unconfirmed", now)
            self._write(conn, lost, alerts, now)
        return len(lost)

    # --- channels that cannot wait ---------------------------------------------------------------

    def _send_instantly(self) -> int:
        """Send and settle in one transaction: nothing leaves the process, nothing can hang."""
        now = self.clock.now()
        with self.db.read() as conn:
            if not self.deliveries.any_due(conn, now):
                return 0
        with self.db.begin() as conn:
            due = self.deliveries.due(conn, now, BATCH)
            alerts = self._heads(conn, due)
            for sending in self._prepare(conn, due, alerts, now):
                self._settle(alerts, sending.delivery, self.sender.send(sending.message), now)
            self._write(conn, due, alerts, now)
        return len(due)

    # --- channels that may -----------------------------------------------------------------------

    def _turn(self, timeout_s: float) -> int:
        done = self._landed(0)
        sent = self._launch()
        if not done and not sent and self._flying and timeout_s > 0:
            done = self._landed(timeout_s)
        return len(done) + sent

    def _launch(self) -> int:
        room = THREADS - len(self._flying)
        if room <= 0 or self._pool is None:
            return 0
        now = self.clock.now()
        with self.db.read() as conn:
            if not self.deliveries.any_due(conn, now):
                return 0
        with self.db.begin() as conn:
            busy = Counter(s.delivery.target for s in self._flying.values())
            full = [target for target, count in busy.items() if count >= PER_TARGET]
            due = self.deliveries.due(conn, now, room, full)
            alerts = self._heads(conn, due)
            sendings: list[_Sending] = []
            for sending in self._prepare(conn, due, alerts, now):
                target = sending.delivery.target
                if busy[target] < PER_TARGET:
                    busy[target] += 1
                    sendings.append(sending)
                else:
                    _unclaim(sending.delivery, now)
            given_up = [d for d in due if d.state == "failed"]
            self._write(conn, [*(s.delivery for s in sendings), *given_up], alerts, now)
        for sending in sendings:
            crashpoint("alerts.deliver.before_send")
            self._flying[self._pool.submit(self.sender.send, sending.message)] = sending
        return len(sendings) + len(given_up)

    def _landed(self, timeout_s: float) -> list[_Sending]:
        """Settle what came back, waiting at most so long for the first."""
        if not self._flying:
            return []
        done, _ = wait(self._flying, timeout=timeout_s, return_when=FIRST_COMPLETED)
        landed = [(self._flying[future], _result(future)) for future in done]
        if not landed:
            return []
        crashpoint("alerts.deliver.after_send_before_record")
        now = self.clock.now()
        with self.db.begin() as conn:
            held = {
                d.id: d
                for d in self.deliveries.by_ids(conn, [s.delivery.id for s, _ in landed])
                if d.state == "sending" and d.claimed_by == self.process
            }
            alerts = self._heads(conn, list(held.values()))
            for sending, result in landed:
                if sending.delivery.id in held:
                    self._settle(alerts, held[sending.delivery.id], result, now)
            self._write(conn, list(held.values()), alerts, now)
        for future in done:
            del self._flying[future]
        return [sending for sending, _ in landed]

    # --- both ------------------------------------------------------------------------------------

    def _prepare(
        self, conn: Connection, due: Sequence[Delivery], alerts: dict[str, Alert], now: int
    ) -> list[_Sending]:
        """Claim deliveries and write their messages; those nobody can be told are given up."""
        places = self.deliveries.places(conn, sorted({a.household for a in alerts.values()}))
        rosters: dict[tuple[str, str], list[Contact]] = {}
        sendings: list[_Sending] = []
        for delivery in due:
            alert = alerts.get(delivery.alert_id)
            place = places.get(alert.household, Place()) if alert else Place()
            if alert and not alert.open and delivery.attempts:
                give_up(delivery, "alert_closed", now)
                continue
            if (delivery.target, place.area) not in rosters:
                rosters[delivery.target, place.area] = self._contacts(
                    conn, delivery.target, place.area, now
                )
            contact = choose(delivery, rosters[delivery.target, place.area])
            if contact is None:
                give_up(delivery, delivery.problem or "nobody_on_duty", now)
                self._count("failed")
                self._note(alerts, delivery, "failed", now)
                _log.error("delivery given up", delivery=delivery.id, problem=delivery.problem)
                continue
            claim(delivery, self.process, self.sender.name, now)
            sendings.append(_Sending(delivery, self._message(delivery, alert, place, contact)))
        return sendings

    def _contacts(self, conn: Connection, role: str, area: str, now: int) -> list[Contact]:
        """Return whom to tell: the role's duty, then the last resort; without a roster the role."""
        found = self.duty.contacts(conn, role, area, now)
        if found is None:
            return [Contact(role, role)]
        if not found:
            self.metrics.count("hearthwatch_alerts_nobody_on_duty_total")
            _log.warning("nobody on duty", role=role)
        last = self.duty.contacts(conn, FALLBACK, area, now) or [Contact(FALLBACK, FALLBACK)]
        return [*found, *(c for c in last if c not in found)]

    def _message(
        self, delivery: Delivery, alert: Alert | None, place: Place, contact: Contact
    ) -> Outbound:
        return Outbound(
            key=delivery.id,
            alert=delivery.alert_id,
            level=alert.level if alert else delivery.level,
            place=place.grid or place.area,
            rule=alert.rule if alert else "",
            title=self.policy.title_of(alert.rule) if alert else UNREADABLE,
            step=delivery.step,
            role=delivery.target,
            to=contact.address,
            due_at=rfc3339(delivery.due_at),
            link=f"{self.link}/alerts/{delivery.alert_id}",
        )

    def _settle(
        self, alerts: dict[str, Alert], delivery: Delivery, result: Result, now: int
    ) -> None:
        became = settle(delivery, result.outcome, result.problem, now)
        self._count("delivered" if became == "delivered" else "retry")
        self._note(alerts, delivery, became, now)

    def _note(self, alerts: dict[str, Alert], delivery: Delivery, became: str, now: int) -> None:
        detail = {
            "step": delivery.step,
            "target": delivery.target,
            "contact": delivery.contact,
            "attempt": delivery.attempts,
        }
        if delivery.problem:
            detail["problem"] = delivery.problem
        if (alert := alerts.get(delivery.alert_id)) is not None:
            alert.write(f"delivery:{became}", now, "delivery", detail=detail)

    def _heads(self, conn: Connection, deliveries: Sequence[Delivery]) -> dict[str, Alert]:
        """Return the alerts by id; one whose record cannot be read is missing, and told of."""
        ids = sorted({d.alert_id for d in deliveries})
        try:
            return {alert.id: alert for alert in self.store.heads(conn, ids)} if ids else {}
        except msgspec.MsgspecError:
            return {id_: alert for id_ in ids for alert in self._head(conn, id_)}

    def _head(self, conn: Connection, alert_id: str) -> list[Alert]:
        try:
            return self.store.heads(conn, [alert_id])
        except msgspec.MsgspecError as exc:
            _log.error("alert cannot be read", alert=alert_id, error=type(exc).__name__)
            return []

    def _write(
        self,
        conn: Connection,
        deliveries: Sequence[Delivery],
        alerts: dict[str, Alert],
        now: int,
    ) -> None:
        self.deliveries.save(conn, deliveries)
        self.store.save(conn, alerts.values(), now)

    def _count(self, outcome: str, count: int = 1) -> None:
        self.metrics.count(
            "hearthwatch_alerts_deliveries_total",
            count,
            channel=self.sender.name,
            outcome=outcome,
        )


def _unclaim(delivery: Delivery, now: int) -> None:
    """Leave for a later turn what there is no room for now; the row is not written."""
    delivery.state, delivery.attempts = "queued", delivery.attempts - 1
    delivery.next_at = now


def _result(future: Future[Result]) -> Result:
    try:
        return future.result()
    except Exception as exc:  # noqa: BLE001 - a channel must not stop the others
        _log.error("sender failed", error=type(exc).__name__)
        return Result("temporary", "sender_bug")
