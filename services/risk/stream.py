"""The Faust way to read risk's changes: a worker of the runtime that settles as the plain one does.

Same handler, same positions, same inbox and outbox; only who fetches differs (docs/deployed.md).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from services.kernel.bus.course import Course
from services.kernel.bus.port import Bus
from services.kernel.bus.settling import OnDeadLetter, Settler
from services.kernel.bus.stores import Handler, Outgoings, SeenIds, StoredPositions, Transactions
from services.kernel.clock import Clock, Monotonic
from services.kernel.contracts.records import Record, TopicPartition
from services.kernel.contracts.topics import CHANGES, dead_letters
from services.kernel.crash import crashpoint
from services.kernel.errors import Stale
from services.kernel.metrics import Metrics
from services.kernel.settings import Settings

if TYPE_CHECKING:
    from services.risk.adapters.faust_stream import FaustStream

NAME: Final = "risk"


class Lost(Exception):
    """Records are missing before the next one: the process ends and reads on from its position."""


@dataclass(kw_only=True, eq=False, repr=False)
class StreamWorker:
    """`WorkerLike` over Faust. The stream lives on the thread that calls `run_once`.

    folder: where Faust may keep files. The others are those of the plain worker.
    """

    settings: Settings
    folder: Path
    bus: Bus
    db: Transactions
    positions: StoredPositions
    inbox: SeenIds
    outbox: Outgoings
    handler: Handler
    monotonic: Monotonic
    clock: Clock
    metrics: Metrics
    on_dead_letter: OnDeadLetter
    name: str = NAME
    group: str = NAME
    topic: str = CHANGES.name

    def __post_init__(self) -> None:
        self._prefix = f"{self.settings.run}." if self.settings.run else ""
        self._course = Course(CHANGES.name, self.monotonic)
        self._settler = Settler(
            worker=NAME,
            topic=CHANGES.name,
            group=NAME,
            next_offset=self._course.next_offset,
            db=self.db,
            positions=self.positions,
            inbox=self.inbox,
            outbox=self.outbox,
            handler=self.handler,
            clock=self.clock,
            monotonic=self.monotonic,
            metrics=self.metrics,
            on_dead_letter=self.on_dead_letter,
        )
        self._stream: FaustStream | None = None
        self._stopping = threading.Event()

    def run_once(self, timeout_s: float) -> int:
        """Let the stream run for so long; return how many records were settled."""
        if self._stopping.is_set():
            self._close()
            self.monotonic.wait(self._stopping, timeout_s)
            return 0
        stream = self._stream or self._open()
        settled = stream.run_for(timeout_s)
        if self._stopping.is_set():  # nobody calls again; its threads would keep the process
            self._close()
        return settled

    def stop(self) -> None:
        """Leave the group at the next turn."""
        self._stopping.set()

    def ready(self) -> str | None:
        """Return why it does not work, None when it does."""
        if self._stream is None:
            return f"worker {NAME}: is starting"
        return None if self._stream.assigned else f"worker {NAME}: has no partitions yet"

    # --- inside ----------------------------------------------------------------------------------

    def _open(self) -> FaustStream:
        from services.risk.adapters.faust_stream import FaustStream  # noqa: PLC0415 - an extra

        self.bus.create_topic(dead_letters(CHANGES.name), self.bus.partitions(CHANGES.name))
        self._stream = FaustStream(
            url=self.settings.bus_url,
            group=f"{self._prefix}{NAME}",
            topic=f"{self._prefix}{CHANGES.name}",
            member=f"{NAME}-{self.settings.http_port}",
            folder=self.folder / "faust",
            settle=self._settle,
            positions=self._positions,
        )
        return self._stream

    def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop()

    def _positions(self) -> Mapping[int, int]:
        """Return where the database stands; drop what is cached, for others may have moved it."""
        starts = {}
        with self.db.read() as conn:
            found = self.positions.load(conn, CHANGES.name)
        for where, first in self.bus.starts(CHANGES.name).items():
            at = found[where.partition].next_offset if where.partition in found else 0
            self.handler.forget(where.partition)
            self._course.begin(where.partition, at, first)
            starts[where.partition] = at or first
        return starts

    def _settle(self, partition: int, records: Sequence[Record]) -> None:
        plain = [record._replace(topic=CHANGES.name) for record in records]
        if partition not in self._course.next_offset:
            self._positions()
        cut = self._course.cut(partition, plain)
        if cut.due:
            try:
                self._settler.settle(partition, cut.due)
            except Stale:  # another process has it now; what it did not settle comes to it
                self._reload(partition)
                return
            crashpoint(f"{NAME}.worker.after_commit_before_offset")
        if cut.beyond is not None:
            where = TopicPartition(CHANGES.name, partition)
            raise Lost(f"{where.topic}/{partition}: a gap before offset {cut.beyond.offset}")

    def _reload(self, partition: int) -> None:
        with self.db.read() as conn:
            found = self.positions.load(conn, CHANGES.name)
        at = found[partition].next_offset if partition in found else 0
        self.handler.forget(partition)
        self._course.begin(partition, at)
