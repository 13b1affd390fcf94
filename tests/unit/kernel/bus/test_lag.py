"""How far a group is behind, and whether it gets on, seen from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kernel.bus.lag import Lag, Progress, lag_of
from services.kernel.bus.sqlite import SqliteBus
from services.kernel.clock import SECOND, VirtualClock
from services.kernel.contracts.records import Outgoing, TopicPartition
from tests.support.patience import FakeMonotonic

TOPIC = "t.v1"


class Bench:
    def __init__(self, folder: Path) -> None:
        self.clock = VirtualClock(1000 * SECOND)
        self.bus = SqliteBus(folder / "bus.db", self.clock, FakeMonotonic())
        self.bus.create_topic(TOPIC, 2)

    def publish(self, partition: int, count: int) -> None:
        self.bus.publish([Outgoing(TOPIC, None, b"x", (), partition)] * count)

    def read(self, partition: int, offset: int) -> None:
        member = self.bus.consumer("g", [TOPIC])
        member.poll(1, 0)
        member.commit({TopicPartition(TOPIC, partition): offset})
        member.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path)
    yield found
    found.bus.close()


def test_a_group_that_has_read_nothing_waits_for_all(bench: Bench) -> None:
    bench.publish(0, 3)
    bench.clock.advance_to(1005 * SECOND)
    bench.publish(1, 2)
    assert lag_of(bench.bus, "g", TOPIC) == Lag("g", TOPIC, 5, 1000 * SECOND, 0)


def test_the_oldest_unread_is_that_of_the_partition_that_is_behind(bench: Bench) -> None:
    bench.publish(0, 3)
    bench.clock.advance_to(1005 * SECOND)
    bench.publish(1, 2)
    bench.read(0, 3)
    assert lag_of(bench.bus, "g", TOPIC) == Lag("g", TOPIC, 2, 1005 * SECOND, 3)
    bench.read(1, 2)
    assert lag_of(bench.bus, "g", TOPIC) == Lag("g", TOPIC, 0, None, 5)


def test_without_age_no_record_is_looked_at(bench: Bench) -> None:
    bench.publish(0, 3)
    assert lag_of(bench.bus, "g", TOPIC, age=False).oldest_at is None


def test_what_retention_removed_is_not_waited_for(bench: Bench) -> None:
    bench.publish(0, 5)
    bench.bus.retain(TOPIC, below={TopicPartition(TOPIC, 0): 2})
    assert lag_of(bench.bus, "g", TOPIC).waiting == 3


def test_a_reader_stands_still_only_while_something_waits_and_nothing_moves() -> None:
    monotonic = FakeMonotonic()
    progress = Progress(monotonic)
    monotonic.now += 50
    assert progress.still_s(Lag("g", TOPIC, 0, None, 7)) == 0
    monotonic.now += 50
    assert progress.still_s(Lag("g", TOPIC, 3, None, 7)) == 50
    monotonic.now += 10
    assert progress.still_s(Lag("g", TOPIC, 2, None, 8)) == 0
    monotonic.now += 10
    assert progress.still_s(Lag("g", TOPIC, 2, None, 8)) == 10
