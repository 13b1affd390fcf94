"""Two services joined by a real bus and real databases: stepped by hand, and turned by threads."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Column, Connection, MetaData, String, Table, func, select

from services.kernel.bus.worker import Batch, Worker
from services.kernel.clock import VirtualClock
from services.kernel.contracts.envelope import HEADERS, Envelope, encode, moment
from services.kernel.contracts.records import Outgoing
from services.kernel.db.engine import Database
from services.kernel.db.outbox import Outbox, Relay
from services.kernel.db.positions import Inbox, Positions
from services.kernel.db.write import insert
from services.kernel.metrics import Metrics
from services.kernel.runtime import App, Context, Service, open_app
from services.kernel.settings import load
from tests.support.patience import eventually

TOPIC: Final = "test.chain.v1"
COUNT: Final = 700
UNSENT: Final = "hearthwatch_outbox_unsent_records"


class Sender:
    """A service that only says things."""

    def __init__(self) -> None:
        self.tables = MetaData()
        self.outbox = Outbox(self.tables)
        self.db: Database | None = None

    def build(self, ctx: Context) -> Service:
        self.db = made(ctx, "intake", self.tables)
        ctx.bus.create_topic(TOPIC, ctx.settings.partitions)
        return Service(name="intake", relays=[Relay(self.db, self.outbox, ctx.bus)])

    def say(self, count: int) -> None:
        assert self.db is not None
        when = moment(0)
        with self.db.begin() as conn:
            self.outbox.add(
                conn,
                [
                    Outgoing(
                        TOPIC,
                        f"h-{n % 9}",
                        encode(
                            Envelope(
                                id=f"id-{n}",
                                type="test.fact",
                                source="test",
                                time=when,
                                subject="p",
                                partitionkey=f"h-{n % 9}",
                                receivedat=when,
                            )
                        ),
                        HEADERS,
                    )
                    for n in range(count)
                ],
            )


class Hearer:
    """A service that writes down what it hears."""

    def __init__(self) -> None:
        self.tables = MetaData()
        self.outbox = Outbox(self.tables)
        self.positions = Positions(self.tables)
        self.inbox = Inbox(self.tables)
        self.heard = Table("heard", self.tables, Column("id", String, primary_key=True))
        self.db: Database | None = None

    def handle(self, conn: Connection, batch: Batch) -> None:
        insert(conn, self.heard, [{"id": message.envelope.id} for message in batch.messages])

    def forget(self, partition: int) -> None:
        """Keep nothing, so drop nothing."""

    def build(self, ctx: Context) -> Service:
        self.db = made(ctx, "risk", self.tables)
        worker = Worker(
            name="risk",
            bus=ctx.bus,
            db=self.db,
            positions=self.positions,
            inbox=self.inbox,
            outbox=self.outbox,
            group="risk",
            topic=TOPIC,
            handler=self,
            monotonic=ctx.monotonic,
            clock=ctx.clock,
            metrics=ctx.metrics,
        )
        return Service(name="risk", workers=[worker], relays=[Relay(self.db, self.outbox, ctx.bus)])

    def count(self) -> int:
        assert self.db is not None
        with self.db.read() as conn:
            return conn.scalar(select(func.count()).select_from(self.heard)) or 0


class World:
    def __init__(self, folder: Path) -> None:
        self.sender, self.hearer, self.metrics = Sender(), Hearer(), Metrics()
        self.app: App = open_app(
            load({}, data_dir=folder),
            [self.sender.build, self.hearer.build],
            clock=VirtualClock(),
            metrics=self.metrics,
            serve=False,
        )


def made(ctx: Context, name: str, tables: MetaData) -> Database:
    db = ctx.open_db(name, tables)
    with db.begin() as conn:
        tables.create_all(conn)
    return db


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_step_brings_everything_from_end_to_end(world: World) -> None:
    world.sender.say(COUNT)
    assert world.app.step() == 2 * COUNT
    assert world.hearer.count() == COUNT
    assert world.app.step() == 0
    world.app.stop()


def test_threads_bring_everything_from_end_to_end_and_say_what_is_unsent(world: World) -> None:
    world.sender.say(COUNT)
    world.metrics.render()
    assert world.metrics.value(UNSENT, service="intake") == COUNT
    world.app.start()
    eventually(lambda: None, lambda: world.hearer.count() == COUNT, f"{COUNT} heard")
    eventually(lambda: None, lambda: world.app.reasons() == [], "ready")
    world.metrics.render()
    assert world.metrics.value(UNSENT, service="intake") == 0
    world.app.stop()


def test_what_was_said_before_a_stop_is_heard_after_the_next_start(tmp_path: Path) -> None:
    first = World(tmp_path)
    first.sender.say(COUNT)
    first.app.stop()
    second = World(tmp_path)
    assert second.app.step() == 2 * COUNT
    assert second.hearer.count() == COUNT
    second.app.stop()
