"""What risk costs with its tables: marks over very many deadlines, and a town under a new pack.

Real tables in an SQLite file of its own; `hearthwatch bench --only risk` prints the rows.
"""

from __future__ import annotations

import resource
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from services.kernel.bus.stores import Batch, Message
from services.kernel.clock import DAY, HOUR, SystemMonotonic, from_us
from services.kernel.contracts import changes as c
from services.kernel.contracts.envelope import Envelope, encode, raw
from services.kernel.contracts.records import Record
from services.kernel.contracts.topics import CHANGES
from services.kernel.db.engine import Database
from services.kernel.db.write import chunks
from services.risk import storage
from services.risk.bench import START, day, packed
from services.risk.domain.compiled import compile_pack
from services.risk.handlers import Changes

BATCH: Final = 500
FACTS: Final = 10
"""Facts of each household that is judged again."""
_LOOKS: Final = 5


class _Town:
    """Risk's handler over a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.pack = packed(model=False)
        self.db = Database(f"sqlite:///{folder / 'risk.db'}", storage.TABLES, service="risk")
        self.db.migrate("services.risk.migrations")
        self.store = storage.SqlStore()
        self.handler = Changes(compile_pack(self.pack), self.store, None)
        self._offset = 0

    def take(self, envelopes: Sequence[Envelope]) -> None:
        """Take in changes, a transaction for each batch."""
        for part in chunks(envelopes, BATCH):
            self._handle([self._message(envelope) for envelope in part])

    def mark(self, at: int) -> None:
        """Let time pass up to an instant."""
        self._handle([self._message(c.mark("bench", CHANGES.name, 0, at))])

    def renewed(self, version: str) -> None:
        """Put the pack in force again under another version."""
        pack = replace(self.pack, version=version)
        with self.db.begin() as conn:
            storage.activate(conn, f"{pack.name}@{version}")
        self.handler = Changes(compile_pack(pack), self.store, None)

    def due(self, until: int, limit: int) -> int:
        """Return how many households have work due."""
        with self.db.read() as conn:
            return len(self.store.due_households(conn, 0, until, limit))

    def _handle(self, messages: list[Message]) -> None:
        with self.db.begin() as conn:
            self.handler.handle(conn, Batch(CHANGES.name, 0, messages))

    def _message(self, envelope: Envelope) -> Message:
        record = Record(
            CHANGES.name, 0, self._offset, envelope.partitionkey, encode(envelope), (), START
        )
        self._offset += 1
        return Message(record, envelope)


def due(pending: int, woken: int) -> tuple[float, float]:
    """Return the seconds of the query for what is due, and of the whole mark that wakes it.

    Args:
        pending: Households that wait for a parent to call, a week each.
        woken: How many of them began so much earlier that their week is over.
    """
    monotonic = SystemMonotonic()
    with _town() as town:
        old = [_called(f"w{n}", START - HOUR) for n in range(woken)]
        town.take(old)
        for numbers in chunks(range(pending - woken), 20 * BATCH):
            town.take([_called(f"h{n}", START) for n in numbers])
        at = START - HOUR + 7 * DAY
        looks = []
        for _ in range(_LOOKS):
            before_s = monotonic.seconds()
            found = town.due(at, 2 * woken)
            looks.append(monotonic.seconds() - before_s)
            _same(found, woken)
        before_s = monotonic.seconds()
        town.mark(at)
        spent_s = monotonic.seconds() - before_s
        _same(town.due(at, woken), 0)
    return statistics.median(looks), spent_s


def rescored(households: int) -> tuple[float, float]:
    """Return households per second judged again under a new pack, and megabytes grown by it."""
    monotonic = SystemMonotonic()
    with _town() as town:
        town.take(list(day(7, households, FACTS, 0)))
        town.renewed("2")
        before_mb, before_s = _peak_mb(), monotonic.seconds()
        town.mark(START)
        spent_s = monotonic.seconds() - before_s
        _same(town.due(START, households), 0)
    return households / spent_s, _peak_mb() - before_mb


def _called(household: str, at: int) -> Envelope:
    when = from_us(at)
    return Envelope(
        id=f"call-{household}",
        type="child.parent_contact",
        source="bench",
        time=when,
        subject=f"{household}-p0",
        partitionkey=household,
        receivedat=when,
        data=raw({"mode": "call"}),
    )


def _same(found: int, expected: int) -> None:
    if found != expected:
        raise RuntimeError(f"{found} households due, expected {expected}: nothing was measured")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def _town() -> Iterator[_Town]:
    with TemporaryDirectory(prefix="hearthwatch-bench-") as folder:
        town = _Town(Path(folder))
        try:
            yield town
        finally:
            town.db.close()
