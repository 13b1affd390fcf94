"""The whole chain in one process over SQLite: rows in at the door, the digest's lines out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from services.allinone.apis import Apis, Local
from services.allinone.embedded import BUILDS
from services.allinone.replay.reporting import timeline
from services.intake.handlers.refusals import Answer
from services.intake.wiring import Intake
from services.kernel import settings as kernel_settings
from services.kernel.bus.port import Bus
from services.kernel.bus.worker import Worker
from services.kernel.clock import VirtualClock, rfc3339
from services.kernel.contracts.assessments import Assessment
from services.kernel.contracts.topics import ASSESSMENTS
from services.kernel.runtime import App, open_app
from services.kernel.settings import ensure_token
from tests.support.patience import eventually

Sent = dict[str, Any]
_assessment: Final = msgspec.json.Decoder(Assessment)


class Cut(NamedTuple):
    """How a run is cut up, none of which may change what comes of it.

    items: sent to the door at once. marks: rows between marks, 0 for the end only. batch: records
    that a worker takes at once. drain: batches sent before the chain is let through.
    """

    items: int = 500
    marks: int = 0
    batch: int = 500
    partitions: int = 3
    drain: int = 8
    drive: Literal["stepped", "threads"] = "stepped"


@dataclass(frozen=True)
class Stores:
    """What the services of a run have stored in its folder, while it runs or afterwards."""

    folder: Path

    def assessments(self) -> list[Assessment]:
        """Return everything that risk published, by subject and instant, in order."""
        rows = self.select("risk", "SELECT body FROM assessment ORDER BY subject, at, rowid")
        return [_assessment.decode(body) for (body,) in rows]

    def deliveries(self) -> list[tuple[str, str, str, str, str]]:
        """Return of every delivery row the alert, its rule and instance, the step, the target."""
        return self.select(
            "alerts",
            "SELECT alert.id, rule, instance, step, target "
            "FROM delivery JOIN alert ON alert.id = delivery.alert_id",
        )

    def kept(self) -> dict[str, str]:
        """Return, by the id under which a refused item is kept, the change that it was to be."""
        return dict(self.select("intake", "SELECT id, change FROM kept WHERE change IS NOT NULL"))

    def dead_letters(self, bus: Bus) -> int:
        """Return how many messages were buried on this run's bus."""
        names = self.select("bus", "SELECT name FROM topic WHERE name LIKE '%.dlq'")
        return sum(sum(bus.ends(name).values()) for (name,) in names)

    def select(self, name: str, query: str, *values: Any) -> list[Any]:
        """Return the rows of a query to one service's store."""
        with closing(sqlite3.connect(f"file:{self.folder / name}.db?mode=ro", uri=True)) as conn:
            return conn.execute(query, values).fetchall()


@dataclass
class Chain:
    """An open chain; `answers` are the door's, in order."""

    app: App
    door: Any
    marker: Any
    apis: Apis
    folder: Path
    clock: VirtualClock
    cut: Cut
    answers: list[Answer] = field(default_factory=list)
    waiting: int = 0

    def feed(self, items: Sequence[Sent], received: Sequence[int]) -> None:
        """Send items in order of receipt, with marks where the receipt moves on."""
        held: list[Sent] = []
        since = 0
        for n, (item, at) in enumerate(zip(items, received, strict=True)):
            moves_on = n > 0 and at > received[n - 1]
            marks = bool(self.cut.marks) and since >= self.cut.marks and moves_on
            if held and (marks or len(held) >= self.cut.items):
                self._send(held, received[n - 1])
                held = []
            if marks:
                self.mark(received[n - 1])
                since = 0
            held.append(item)
            since += 1
        if held:
            self._send(held, received[-1])

    def mark(self, at: int) -> None:
        """Mark an instant in every partition."""
        self.clock.advance_to(at)
        self.marker.mark(at)

    def end(self, at: int) -> None:
        """Mark the end and let everything through."""
        self.mark(at)
        if self.cut.drive == "stepped":
            self.app.step()
        else:
            eventually(lambda: None, lambda: self._marked() >= at, "the last mark in alerts")

    def _send(self, items: Sequence[Sent], at: int) -> None:
        self.clock.advance_to(at)
        self.answers += self.door.accept(items)
        self.waiting += 1
        if self.cut.drive == "stepped" and self.waiting >= self.cut.drain:
            self.app.step()
            self.waiting = 0

    def _marked(self) -> int:
        """Return the smallest mark that alerts has come to."""
        query = "SELECT mark_us FROM position WHERE topic = ?"
        found = self.stores().select("alerts", query, ASSESSMENTS.name)
        marks = [mark for (mark,) in found if mark is not None]
        return min(marks) if len(marks) == self.cut.partitions else 0

    # -- what has come of it -------------------------------------------------------------------

    def lines(self) -> list[str]:
        """Return the lines of the digest, as exported, sorted."""
        return sorted(timeline(self.apis))

    def digest(self) -> str:
        """Return the digest that alerts itself reports."""
        return str(self.apis.get("alerts", "/v1/digest")["digest"])

    def report(self, at: int) -> dict[str, Any]:
        """Return how the alerts went by an instant."""
        found: dict[str, Any] = self.apis.get("alerts", "/v1/report", at=rfc3339(at))
        return found

    def stores(self) -> Stores:
        """Return what the services have stored."""
        return Stores(self.folder)

    def dead_letters(self) -> int:
        """Return how many messages were buried on the way; none should be."""
        found = [w for s in self.app.services for w in s.workers if isinstance(w, Worker)]
        return self.stores().dead_letters(found[0].bus)


@contextmanager
def chain(folder: Path, pack: Path, cut: Cut = Cut()) -> Iterator[Chain]:  # noqa: B008 - a value
    """Open the chain as a replay would: marks drive it, nobody can be told."""
    settings = kernel_settings.load(
        {},
        data_dir=folder,
        pack=pack,
        partitions=cut.partitions,
        replay=True,
        alerts_drive="marks",
        log_level="ERROR",
    )
    clock = VirtualClock()
    app = open_app(settings, BUILDS, clock=clock, serve=False)
    try:
        for service in app.services:
            for worker in service.workers:
                if isinstance(worker, Worker):
                    worker.batch = cut.batch
        intake = next(service for service in app.services if isinstance(service, Intake))
        with Apis(Local(app, ensure_token(settings))) as apis:
            if cut.drive == "threads":
                app.start()
            yield Chain(app, intake.door, intake.marker, apis, folder, clock, cut)
    finally:
        app.stop()
