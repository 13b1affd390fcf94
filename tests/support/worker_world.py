"""A worker with everything around it: a topic, a database with one effect table, and a handler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, delete, select

from services.kernel.bus.dead_letters import DeadLetter
from services.kernel.bus.dead_letters import read as read_dead
from services.kernel.bus.worker import Batch, Worker
from services.kernel.clock import SECOND, VirtualClock
from services.kernel.contracts.changes import MARK, Mark
from services.kernel.contracts.envelope import HEADERS, Envelope, encode, moment, raw
from services.kernel.contracts.records import Outgoing, Record
from services.kernel.contracts.topics import dead_letters
from services.kernel.db.engine import Database
from services.kernel.db.outbox import Outbox, Relay
from services.kernel.db.positions import Inbox, Positions
from services.kernel.db.write import insert
from services.kernel.errors import Fault
from services.kernel.metrics import Metrics
from tests.contract.bus_laws import BusFactory
from tests.support.faulty import FaultyBus, FaultyDatabase
from tests.support.patience import POLL_S, FakeMonotonic, collect, eventually

START: Final = 1_767_225_600 * SECOND


def envelope(number: int, *, id: str = "", type: str = "test.fact", data: Any = None) -> Envelope:
    """Return a message; equal numbers give equal messages."""
    at = moment(START + number * SECOND)
    return Envelope(
        id=id or f"id-{number}",
        type=type,
        source="test",
        time=at,
        subject=f"person-{number % 7}",
        partitionkey=f"house-{number % 7}",
        receivedat=at,
        data=raw({"number": number} if data is None else data),
    )


def ids(*numbers: int) -> list[str]:
    """Return the ids of messages."""
    return [f"id-{number}" for number in numbers]


def mark(number: int) -> Envelope:
    """Return a mark; its id is the same in every partition."""
    at = moment(START + number * SECOND)
    return envelope(number, id=f"mark-{number}", type=MARK, data=Mark(at))


@dataclass
class RecordingHandler:
    """Writes each message into the table `effect`; `before` is called for each and may raise."""

    effect: Table
    before: Callable[[Connection, str], None] = lambda conn, id: None
    batches: list[list[str]] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)

    def handle(self, conn: Connection, batch: Batch) -> None:
        assert batch.messages
        assert {m.record.partition for m in batch.messages} == {batch.partition}
        self.batches.append([message.envelope.id for message in batch.messages])
        for message in batch.messages:
            self.before(conn, message.envelope.id)
        rows = [
            {"id": message.envelope.id, "offset": message.record.offset}
            for message in batch.messages
        ]
        insert(conn, self.effect, rows)

    def forget(self, partition: int) -> None:
        self.forgotten.append(partition)


class World:
    """One topic and one service's database over any bus.

    The bus waits on machine time; the worker's own monotonic clock is a fake one.
    """

    def __init__(self, factory: BusFactory, folder: Path, *, partitions: int = 1) -> None:
        self.factory = factory
        self.bus = FaultyBus(factory.bus())
        self.topic = factory.topic(partitions)
        self.group = factory.name()
        self.clock = VirtualClock(START)
        self.monotonic = FakeMonotonic()
        self.metrics = Metrics()
        metadata = MetaData()
        self.effect = Table(
            "effect",
            metadata,
            Column("seq", Integer, primary_key=True),
            Column("id", String, nullable=False),
            Column("offset", Integer, nullable=False),
        )
        self.reported = Table(
            "reported",
            metadata,
            Column("seq", Integer, primary_key=True),
            Column("offset", Integer, nullable=False),
            Column("code", String, nullable=False),
        )
        self.outbox = Outbox(metadata)
        self.positions = Positions(metadata)
        self.inbox = Inbox(metadata)
        self.database = Database(f"sqlite:///{folder / 'service.db'}", metadata, service="risk")
        metadata.create_all(self.database.engine)
        self.db = FaultyDatabase(self.database)
        self.relay = Relay(self.database, self.outbox, self.bus)
        self.handler = RecordingHandler(self.effect)

    def worker(self, **changes: Any) -> Worker:
        """Return a worker of the world; `changes` replace its arguments."""
        given: dict[str, Any] = {
            "name": "risk",
            "bus": self.bus,
            "db": self.db,
            "positions": self.positions,
            "inbox": self.inbox,
            "outbox": self.outbox,
            "group": self.group,
            "topic": self.topic,
            "handler": self.handler,
            "monotonic": self.monotonic,
            "clock": self.clock,
            "metrics": self.metrics,
            "on_dead_letter": self.report,
        }
        return Worker(**(given | changes))

    def report(self, conn: Connection, record: Record, fault: Fault) -> None:
        """Note a dead letter, in its transaction."""
        insert(conn, self.reported, [{"offset": record.offset, "code": fault.code}])

    def publish(self, *messages: Envelope | bytes | None, partition: int = 0) -> None:
        """Publish messages, or bytes as they are, into one partition."""
        values = [encode(m) if isinstance(m, Envelope) else m for m in messages]
        self.bus.inner.publish(
            [Outgoing(self.topic, None, value, HEADERS, partition) for value in values]
        )

    def run(self, worker: Worker, until: Callable[[], bool], what: str) -> None:
        """Run the worker until something is so."""
        eventually(lambda: worker.run_once(POLL_S), until, what)

    def drain(self, worker: Worker) -> None:
        """Run the worker until everything published has a stored position."""
        self.run(worker, lambda: worker.ready() is None and self.unsettled() == 0, "no lag")

    def drain_others(self, worker: Worker, stuck: int) -> None:
        """Run the worker until every partition but one is settled."""

        def settled() -> bool:
            ends = self.bus.inner.ends(self.topic)
            return all(
                self.position(where.partition) == end
                for where, end in ends.items()
                if where.partition != stuck
            )

        self.run(worker, settled, "no lag but in one partition")

    def unsettled(self) -> int:
        """Return how many published records have no stored position above them."""
        ends = self.bus.inner.ends(self.topic)
        return sum(end - self.position(where.partition) for where, end in ends.items())

    def ids(self) -> list[str]:
        """Return the ids whose effect is stored, in the order of writing."""
        with self.database.read() as conn:
            return list(conn.scalars(select(self.effect.c.id).order_by(self.effect.c.seq)))

    def reports(self) -> list[tuple[int, str]]:
        """Return what `report` noted."""
        with self.database.read() as conn:
            table = self.reported
            rows = conn.execute(select(table.c.offset, table.c.code).order_by(table.c.seq))
            return [(offset, code) for offset, code in rows]

    def position(self, partition: int = 0) -> int:
        """Return the stored position."""
        with self.database.read() as conn:
            stored = self.positions.load(conn, self.topic)
        return stored[partition].next_offset if partition in stored else 0

    def dead(self) -> list[DeadLetter]:
        """Relay the outbox and return all dead letters of the topic, in order of their offsets."""
        while self.relay.run_once():
            pass
        ends = self.bus.inner.ends(dead_letters(self.topic))
        reader = self.bus.inner.consumer(self.factory.name(), [dead_letters(self.topic)])
        letters = [read_dead(record) for record in collect(reader, sum(ends.values()))]
        reader.close()
        return sorted(letters, key=lambda letter: (letter.partition, letter.offset))

    def forget_positions(self) -> None:
        """Delete the stored positions, as a restore of half a backup would."""
        with self.database.begin() as conn:
            conn.execute(delete(self.positions.table))

    def set_position(self, offset: int, partition: int = 0) -> None:
        """Store another position behind the worker's back."""
        with self.database.begin() as conn:
            before = self.positions.load(conn, self.topic).get(partition)
            expected = before.next_offset if before else 0
            self.positions.move(conn, self.topic, partition, expected, offset)

    def close(self) -> None:
        self.relay.close()
        self.database.close()


@contextmanager
def world_of(factory: BusFactory, folder: Path, *, partitions: int = 1) -> Iterator[World]:
    """Yield a world and close it."""
    world = World(factory, folder, partitions=partitions)
    try:
        yield world
    finally:
        world.close()
