"""The parts of alerts on a bare database, SQLite or PostgreSQL: no bus, no HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.alerts.domain.policy import Policy
from services.alerts.engine.delivering import Deliverer
from services.alerts.engine.firing import Engine
from services.alerts.handlers.consume import Consumer, Drive
from services.alerts.policy_file import load_policy
from services.alerts.storage.deliveries import Deliveries
from services.alerts.storage.moves import Moves
from services.alerts.storage.progress import Marks
from services.alerts.storage.roster import Roster
from services.alerts.storage.store import Store
from services.alerts.storage.tables import POSITIONS, TABLES
from services.kernel.bus.stores import Batch, Message
from services.kernel.clock import MINUTE, SystemMonotonic, VirtualClock, from_us
from services.kernel.contracts import assessments as a
from services.kernel.contracts.envelope import Envelope, encode, raw
from services.kernel.contracts.records import Record
from services.kernel.contracts.topics import ASSESSMENTS
from services.kernel.db.engine import Database
from services.kernel.metrics import Metrics
from tests.support.scenario import START, FakeSender, write_pack


class Desk:
    """One database of alerts, opened as often as needed, under one virtual clock."""

    def __init__(self, url: str, schema: str | None, folder: Path) -> None:
        self._url = url
        self._schema = schema
        self._opened: list[Database | Deliverer] = []
        self._offset = 0
        self.clock = VirtualClock(START)
        self.policy: Policy = load_policy(write_pack(folder / "pack"))
        self.metrics = Metrics()
        self.db = self.open()
        self.db.migrate("services.alerts.migrations")
        self.store = Store(self.db.name)

    def open(self) -> Database:
        """Open the database once more, as another process would."""
        db = Database(self._url, TABLES, schema=self._schema, service="alerts")
        self._opened.append(db)
        return db

    def close(self) -> None:
        for each in reversed(self._opened):
            each.stop() if isinstance(each, Deliverer) else each.close()

    def engine(self) -> Engine:
        return Engine(self.open(), self.store, self.clock, self.metrics)

    def consumer(self, drive: Drive = "clock", partitions: int = 1) -> Consumer:
        return Consumer(
            store=self.store, moves=Moves(), marks=Marks(POSITIONS), db=self.db,
            policy=self.policy, topic=ASSESSMENTS.name, partitions=partitions, drive=drive,
            clock=self.clock,
        )  # fmt: skip

    def deliverer(self, sender: FakeSender, process: str, *, alone: bool = False) -> Deliverer:
        made = Deliverer(
            db=self.open(), store=self.store, deliveries=Deliveries(), duty=Roster(),
            policy=self.policy, sender=sender, clock=self.clock, monotonic=SystemMonotonic(),
            metrics=self.metrics, process=process, alone=alone,
        )  # fmt: skip
        self._opened.append(made)
        return made

    def raise_alerts(
        self, count: int, rule: str = "R1", level: int = 3, partition: int = 0, first: int = 0
    ) -> None:
        """Open one alert for each of `count` people, a millisecond apart, in batches of 500."""
        messages = []
        for n in range(first, first + count):
            subject, home = f"p{n:06}", f"h{n:06}"
            at = from_us(self.clock.now())
            reason = a.Reason(rule=rule, level=level, since=at, clock_start=at)
            said = a.Assessment(
                subject=subject, household=home, kind="person", level=level, was=0,
                household_level=level, at=at, reasons=[reason], pack="1",
            )  # fmt: skip
            messages.append(self.message(said, a.ASSESSED, subject, home, partition))
        consumer = self.consumer()
        for start in range(0, count, 500):
            with self.db.begin() as conn:
                part = messages[start : start + 500]
                consumer.handle(conn, Batch(ASSESSMENTS.name, partition, part))

    def message(
        self, payload: object, type_: str, subject: str, household: str, partition: int = 0
    ) -> Message:
        """Return a message as the worker hands it to the handler."""
        now = from_us(self.clock.now())
        envelope = Envelope(
            id=f"m{self._offset}", type=type_, source="risk", time=now, subject=subject,
            partitionkey=household, receivedat=now, data=raw(payload),
        )  # fmt: skip
        value = encode(envelope)
        record = Record(ASSESSMENTS.name, partition, self._offset, household, value, (), 0)
        self._offset += 1
        return Message(record, envelope)

    def forward(self, minutes: float) -> None:
        self.clock.advance_to(self.clock.now() + round(minutes * MINUTE))

    def scalar(self, query: Any) -> Any:
        with self.db.read() as conn:
            return conn.scalar(query)

    def all(self, query: Any) -> list[Any]:
        with self.db.read() as conn:
            return list(conn.scalars(query))
