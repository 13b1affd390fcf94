"""A bus that was away at the start: its topics are made before anything else is done with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kernel.bus.sqlite import SqliteBus
from services.kernel.bus.topics_later import TopicsLater
from services.kernel.clock import SystemClock
from services.kernel.contracts.records import Outgoing, TopicPartition
from services.kernel.errors import Retryable, WrongUse
from tests.support.faulty import FaultyBus


@pytest.fixture
def inner(tmp_path: Path) -> Iterator[FaultyBus]:
    bus = SqliteBus(tmp_path / "bus.db", SystemClock())
    yield FaultyBus(bus)
    bus.close()


def test_what_was_asked_for_while_it_was_away_is_made_first(inner: FaultyBus) -> None:
    bus = TopicsLater(inner)
    inner.down = True
    bus.create_topic("a.v1", 1)
    bus.create_topic("b.v1", 2, compacted=True)
    with pytest.raises(Retryable):
        bus.publish([Outgoing("a.v1", "k", b"1")])
    inner.down = False
    bus.publish([Outgoing("a.v1", "k", b"1")])
    assert bus.ends("a.v1") == {TopicPartition("a.v1", 0): 1}
    assert bus.partitions("b.v1") == 2


def test_a_topic_that_turns_out_to_be_another_one_blocks_and_is_told(inner: FaultyBus) -> None:
    inner.create_topic("a.v1", 3)
    bus = TopicsLater(inner)
    inner.down = True
    bus.create_topic("a.v1", 2)
    inner.down = False
    for _ in range(2):
        with pytest.raises(Retryable, match="found 3 partitions"):
            bus.consumer("g", ["a.v1"])


def test_with_the_bus_there_a_wrong_topic_is_refused_at_once(inner: FaultyBus) -> None:
    inner.create_topic("a.v1", 3)
    with pytest.raises(WrongUse):
        TopicsLater(inner).create_topic("a.v1", 2)
