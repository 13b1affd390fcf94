"""A worker and the retention of the SQLite bus: what is gone unread is told, never passed over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kernel.bus.sqlite import SqliteBus
from services.kernel.bus.worker import State
from services.kernel.clock import SystemClock
from services.kernel.contracts.records import TopicPartition
from tests.support.worker_world import World, envelope, ids, world_of


class OneBus:
    """The factory of the world over one SQLite bus."""

    def __init__(self, folder: Path) -> None:
        self.made = SqliteBus(folder / "bus.db", SystemClock())

    def bus(self) -> SqliteBus:
        return self.made

    def reopened(self) -> SqliteBus:
        return self.made

    def topic(self, partitions: int = 4, *, compacted: bool = False) -> str:
        self.made.create_topic("t.v1", partitions, compacted=compacted)
        return "t.v1"

    def name(self) -> str:
        return "group"


@pytest.fixture
def factory(tmp_path: Path) -> Iterator[OneBus]:
    made = OneBus(tmp_path)
    yield made
    made.made.close()


@pytest.fixture
def world(factory: OneBus, tmp_path: Path) -> Iterator[World]:
    with world_of(factory, tmp_path) as made:
        yield made


def test_a_group_that_never_read_begins_where_the_topic_begins(
    world: World, factory: OneBus
) -> None:
    world.publish(*map(envelope, range(6)))
    factory.made.retain(world.topic, below={TopicPartition(world.topic, 0): 4})
    worker = world.worker()
    world.drain(worker)
    assert world.ids() == ids(4, 5)
    assert world.position() == 6
    worker.stop()


def test_records_removed_before_they_were_read_are_told_and_not_passed_over(
    world: World, factory: OneBus
) -> None:
    world.publish(*map(envelope, range(2)))
    worker = world.worker()
    world.drain(worker)
    worker.stop()
    world.publish(*map(envelope, range(2, 8)))
    where = TopicPartition(world.topic, 0)
    assert factory.made.retain(world.topic, below={where: 5})[where] == 2
    factory.made.retain(world.topic, below={where: 5}, keep_unread=False)
    late = world.worker()
    world.run(late, lambda: late.state is State.GAP, "the gap")
    for _ in range(5):
        late.run_once(0)
        world.monotonic.now += 6
    assert "records 2..4 of t.v1/0 are missing" in (late.ready() or "")
    assert (world.ids(), world.position()) == (ids(0, 1), 2)
    late.stop()
