"""What alerts costs by itself, without the chain before it: taking in, and ticking over a million.

`python -m services.alerts.bench` prints the rows; `hearthwatch bench --only alerts` measures the
engine and the queue through the whole chain beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from services.alerts.domain.ladder import Ladder, NamedDeadline, Rung
from services.alerts.domain.policy import Policy, RuleCard
from services.alerts.engine.firing import Engine
from services.alerts.handlers.consume import Consumer
from services.alerts.storage.moves import Moves
from services.alerts.storage.progress import Marks
from services.alerts.storage.store import Store
from services.alerts.storage.tables import POSITIONS, TABLES
from services.kernel.bus.stores import Batch, Message
from services.kernel.clock import DAY, HOUR, MINUTE, SystemMonotonic, VirtualClock, from_us
from services.kernel.contracts import assessments as a
from services.kernel.contracts.envelope import Envelope, raw
from services.kernel.contracts.records import Record
from services.kernel.contracts.topics import ASSESSMENTS
from services.kernel.db.engine import Database
from services.kernel.metrics import Metrics

COMMAND: Final = "python -m services.alerts.bench"
START: Final = 20_000 * DAY
BATCH: Final = 500
FAR: Final = 9
"""Deadlines of each alert that lie far ahead; with one rung due soon that makes ten rows."""

_LADDER: Final = Ladder(
    name="bench",
    rungs=(Rung("soon", HOUR, ("duty",)),),
    deadlines=tuple(NamedDeadline(f"d{n}", (n + 1) * 30 * DAY) for n in range(FAR)),
)
_RULE: Final = RuleCard("B1", "bench", {"zh": "测", "en": "bench"})
_POLICY: Final = Policy("bench", "1", {"bench": _LADDER}, {"B1": _RULE})
Row = dict[str, Any]


def rows(*, quick: bool = False) -> list[Row]:
    """Return the rows of this service; `quick` with a hundredth of the data."""
    alerts, due = (1_000, 10) if quick else (100_000, 1_000)
    with _bench() as bench:
        opened_s = bench.open_alerts(alerts - due, START)
        bench.open_alerts(due, START - 30 * MINUTE, first=alerts)
        handled_s = bench.handle(min(alerts, 10_000) // 2)
        find_s = [bench.find(due) for _ in range(5)]
        tick_s = bench.tick(due)
    pending = alerts * (FAR + 1)
    return [
        _row("alerts: assessments that open an alert", (alerts - due) / opened_s, "per s"),
        _row("alerts: facts that handle one", min(alerts, 10_000) // 2 / handled_s, "per s"),
        _row(f"alerts: finding {due:,} due of {pending:,} pending", sorted(find_s)[2] * 1000, "ms"),
        _row(f"alerts: a tick that fires {due:,} of {pending:,}", tick_s * 1000, "ms"),
    ]


class _Bench:
    """A database of its own, a consumer and an engine on a virtual clock."""

    def __init__(self, folder: Path) -> None:
        self.clock = VirtualClock(START)
        self.db = Database(f"sqlite:///{folder / 'alerts.db'}", TABLES, service="alerts")
        self.db.migrate("services.alerts.migrations")
        self.store = Store(self.db.name)
        self.engine = Engine(self.db, self.store, self.clock, Metrics())
        self._monotonic = SystemMonotonic()
        self._offset = 0
        self._consumer = Consumer(
            store=self.store,
            moves=Moves(),
            marks=Marks(POSITIONS),
            db=self.db,
            policy=_POLICY,
            topic=ASSESSMENTS.name,
            partitions=1,
            drive="clock",
            clock=self.clock,
        )

    def open_alerts(self, count: int, clock_start: int, first: int = 0) -> float:
        """Open alerts whose clock started at an instant; return the seconds it took."""
        return self._take([self._assessed(n, clock_start) for n in range(first, first + count)])

    def handle(self, count: int) -> float:
        """Handle the first alerts by facts; return the seconds it took."""
        at = from_us(START)
        return self._take(
            [
                self._message(
                    f"p{n}",
                    a.PASSED,
                    a.Passed(
                        subject=f"p{n}",
                        household=f"h{n}",
                        role="handled",
                        fact="f",
                        type="t",
                        at=at,
                    ),
                )
                for n in range(count)
            ]
        )

    def find(self, due: int) -> float:
        """Return the seconds of the query that a tick begins with."""
        before_s = self._monotonic.seconds()
        with self.db.read() as conn:
            found = self.store.due(conn, START + HOUR - MINUTE, 2 * due)
        spent_s = self._monotonic.seconds() - before_s
        if len(found) != due:
            raise RuntimeError(f"found {len(found)} due, expected {due}")
        return spent_s

    def tick(self, due: int) -> float:
        """Return the seconds of a whole tick: found, fired, timeline and deliveries committed."""
        self.clock.advance_to(START + HOUR - MINUTE)
        before_s = self._monotonic.seconds()
        fired = self.engine.tick()
        spent_s = self._monotonic.seconds() - before_s
        if fired != due:
            raise RuntimeError(f"{fired} steps fired, expected {due}")
        return spent_s

    def _take(self, messages: list[Message]) -> float:
        before_s = self._monotonic.seconds()
        for start in range(0, len(messages), BATCH):
            with self.db.begin() as conn:
                part = messages[start : start + BATCH]
                self._consumer.handle(conn, Batch(ASSESSMENTS.name, 0, part))
        return self._monotonic.seconds() - before_s

    def _assessed(self, n: int, clock_start: int) -> Message:
        reason = a.Reason(
            rule="B1", level=2, since=from_us(START), clock_start=from_us(clock_start)
        )
        said = a.Assessment(
            subject=f"p{n}",
            household=f"h{n}",
            kind="person",
            level=2,
            was=0,
            household_level=2,
            at=from_us(START),
            reasons=[reason],
        )
        return self._message(f"p{n}", a.ASSESSED, said)

    def _message(self, subject: str, type_: str, payload: object) -> Message:
        when = from_us(START)
        envelope = Envelope(
            id=f"m{self._offset}",
            type=type_,
            source="risk",
            time=when,
            subject=subject,
            partitionkey=subject,
            receivedat=when,
            data=raw(payload),
        )
        record = Record(ASSESSMENTS.name, 0, self._offset, subject, None, (), 0)
        self._offset += 1
        return Message(record, envelope)


@contextmanager
def _bench() -> Iterator[_Bench]:
    with TemporaryDirectory(prefix="hearthwatch-bench-") as folder:
        bench = _Bench(Path(folder))
        try:
            yield bench
        finally:
            bench.db.close()


def _row(name: str, value: float, unit: str) -> Row:
    return {
        "name": name,
        "value": round(value, 2),
        "unit": unit,
        "peer": None,
        "ratio": None,
        "command": COMMAND,
    }


def main(arguments: list[str]) -> int:
    """Print the rows as JSON lines; `--quick` with a hundredth of the data."""
    for row in rows(quick="--quick" in arguments):
        sys.stdout.write(msgspec.json.encode(row).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
