"""Prints the cost of a record on the SQLite bus and in the worker.

Run: `python -m tests.support.bench_bus`. Bare sqlite3 does the same synced inserts beside it, since
only the ratio counts on a machine that others use.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, MetaData

from services.kernel.bus.sqlite import SqliteBus
from services.kernel.bus.worker import Batch, Worker
from services.kernel.clock import SystemClock, SystemMonotonic
from services.kernel.contracts.envelope import HEADERS, encode
from services.kernel.contracts.records import Outgoing, TopicPartition
from services.kernel.db.engine import Database
from services.kernel.db.outbox import Outbox
from services.kernel.db.positions import Inbox, Positions
from services.kernel.metrics import Metrics
from tests.support.worker_world import envelope

TOPIC: Final = "bench.v1"
WORK: Final = "work.v1"
ROUNDS: Final = 40
BATCH: Final = 1000
VALUE: Final = os.urandom(600)
_monotonic: Final = SystemMonotonic()


def timed(call: Callable[[int], int]) -> float:
    """Return the median cost of an item in microseconds; `call` gets the round, returns items."""
    costs = []
    for number in range(ROUNDS):
        start = _monotonic.seconds()
        items = call(number)
        costs.append((_monotonic.seconds() - start) / items * 1e6)
    return statistics.median(costs)


def tell(what: str, cost_us: float) -> None:
    sys.stdout.write(f"{what:<58} {cost_us:8.2f} us\n")


def bare(folder: Path) -> Callable[[int], int]:
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")
    connection.execute("create table t(id integer primary key, a, b, c, d)")

    def insert(number: int) -> int:
        rows = [(number * BATCH + n, 1, f"house-{n}", VALUE, b"") for n in range(BATCH)]
        connection.execute("begin immediate")
        connection.executemany("insert into t values (?, ?, ?, ?, ?)", rows)
        connection.execute("commit")
        return BATCH

    return insert


class Nothing:
    """A handler without effect: what is left is the worker's own cost."""

    def handle(self, conn: Connection, batch: Batch) -> None:
        pass

    def forget(self, partition: int) -> None:
        pass


def settle(bus: SqliteBus, folder: Path) -> float:
    """Return the worker's own cost of a record: poll, decode, inbox, position, synced."""
    metadata = MetaData()
    outbox, positions, inbox = Outbox(metadata), Positions(metadata), Inbox(metadata)
    db = Database(f"sqlite:///{folder / 'service.db'}", metadata)
    metadata.create_all(db.engine)
    bus.create_topic(WORK, 1)
    for start in range(0, ROUNDS * 500, BATCH):
        messages = [envelope(number) for number in range(start, start + BATCH)]
        bus.publish([Outgoing(WORK, m.partitionkey, encode(m), HEADERS) for m in messages])
    worker = Worker(
        name="risk",
        bus=bus,
        db=db,
        positions=positions,
        inbox=inbox,
        outbox=outbox,
        group="risk",
        topic=WORK,
        handler=Nothing(),
        monotonic=_monotonic,
        clock=SystemClock(),
        metrics=Metrics(),
    )
    cost_us = timed(lambda _: worker.run_once(0))
    worker.stop()
    db.close()
    return cost_us


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bus = SqliteBus(folder / "bus.db", SystemClock())
        bus.create_topic(TOPIC, 8)
        batches = [
            [
                Outgoing(TOPIC, f"house-{(number * BATCH + n) % 20_000}", VALUE, HEADERS)
                for n in range(BATCH)
            ]
            for number in range(ROUNDS)
        ]

        def publish(number: int) -> int:
            bus.publish(batches[number])
            return BATCH

        tell("bare sqlite3, 1000 x 600 B, synced", timed(bare(folder)))
        tell("publish 1000 x 600 B in one call, synced", timed(publish))
        consumer = bus.consumer("bench", [TOPIC])
        tell("poll of 500", timed(lambda _: len(consumer.poll(500, 0))))
        one = [Outgoing(TOPIC, "house-1", VALUE, HEADERS)]

        def publish_one(_: int) -> int:
            bus.publish(one)
            return 1

        tell("publish of one record, synced", timed(publish_one))
        where = min(consumer.assignment())

        def commit(number: int) -> int:
            consumer.commit({TopicPartition(*where): number})
            return 1

        tell("commit of a group's offset", timed(commit))
        tell("worker, batches of 500, a handler that does nothing", settle(bus, folder))
        bus.close()


if __name__ == "__main__":
    main()
