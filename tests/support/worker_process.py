"""A process that runs a worker and a relay over a SQLite bus until nothing is left to do.

`python -m tests.support.worker_process FOLDER`. It may be killed at any point, also by itself
(HEARTHWATCH_CRASH), and started again; each message must have its effect once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, func, select

from services.kernel.bus.sqlite import SqliteBus
from services.kernel.bus.worker import Batch, Worker
from services.kernel.clock import SystemClock, SystemMonotonic
from services.kernel.contracts.envelope import HEADERS
from services.kernel.contracts.records import Outgoing
from services.kernel.db.engine import Database
from services.kernel.db.outbox import Outbox, Relay
from services.kernel.db.positions import Inbox, Positions
from services.kernel.db.write import insert
from services.kernel.metrics import Metrics

INPUT: Final = "test.input.v1"
OUTPUT: Final = "test.output.v1"
PARTITIONS: Final = 3


class Copying:
    """Writes each message into `effect` and sends its id on."""

    def __init__(self, metadata: MetaData, outbox: Outbox) -> None:
        self.outbox = outbox
        self.effect = Table(
            "effect",
            metadata,
            Column("seq", Integer, primary_key=True),
            Column("id", String, nullable=False),
        )

    def handle(self, conn: Connection, batch: Batch) -> None:
        ids = [message.envelope.id for message in batch.messages]
        insert(conn, self.effect, [{"id": id} for id in ids])
        self.outbox.add(conn, [Outgoing(OUTPUT, id, id.encode(), HEADERS) for id in ids])

    def forget(self, partition: int) -> None:
        """Keep nothing, so drop nothing."""


def counted(folder: Path) -> tuple[int, int]:
    """Return how many effects are stored, and how many of them are of different messages."""
    metadata = MetaData()
    effect = Copying(metadata, Outbox(metadata)).effect
    db = Database(f"sqlite:///{folder / 'service.db'}", metadata)
    with db.read() as conn:
        ids = list(conn.scalars(select(effect.c.id)))
    db.close()
    return len(ids), len(set(ids))


def main(folder: Path) -> None:
    metadata = MetaData()
    outbox, positions, inbox = Outbox(metadata), Positions(metadata), Inbox(metadata)
    handler = Copying(metadata, outbox)
    db = Database(f"sqlite:///{folder / 'service.db'}", metadata, service="risk")
    metadata.create_all(db.engine)
    bus = SqliteBus(folder / "bus.db", SystemClock())
    for topic in (INPUT, OUTPUT):
        bus.create_topic(topic, PARTITIONS)
    relay = Relay(db, outbox, bus, batch=40)
    worker = Worker(
        name="risk",
        bus=bus,
        db=db,
        positions=positions,
        inbox=inbox,
        outbox=outbox,
        group="risk",
        topic=INPUT,
        handler=handler,
        monotonic=SystemMonotonic(),
        clock=SystemClock(),
        metrics=Metrics(),
        batch=30,
    )
    while worker.run_once(0) + relay.run_once() or worker.lag():
        pass
    with db.read() as conn:
        sys.stdout.write(f"{conn.scalar(select(func.count()).select_from(handler.effect))}\n")
    worker.stop()
    relay.close()
    bus.close()
    db.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
