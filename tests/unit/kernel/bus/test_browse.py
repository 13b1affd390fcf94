from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kernel.bus.browse import browse
from services.kernel.bus.sqlite import SqliteBus
from services.kernel.clock import VirtualClock
from services.kernel.contracts.records import Outgoing, TopicPartition
from services.kernel.errors import Retryable, WrongUse
from tests.support.faulty import FaultyBus
from tests.support.patience import FakeMonotonic

TOPIC = "t.v1"


@pytest.fixture
def monotonic() -> FakeMonotonic:
    return FakeMonotonic()


@pytest.fixture
def bus(tmp_path: Path, monotonic: FakeMonotonic) -> Iterator[SqliteBus]:
    made = SqliteBus(tmp_path / "bus.db", VirtualClock(), monotonic)
    made.create_topic(TOPIC, 2)
    made.publish([Outgoing(TOPIC, None, b"%d" % n, partition=0) for n in range(600)])
    yield made
    made.close()


def test_what_retention_removed_is_not_waited_for(bus: SqliteBus, monotonic: FakeMonotonic) -> None:
    bus.retain(TOPIC, below={TopicPartition(TOPIC, 0): 598})
    assert [record.offset for record in browse(bus, TOPIC, monotonic)] == [598, 599]
    bus.retain(TOPIC, below={TopicPartition(TOPIC, 0): 600})
    assert list(browse(bus, TOPIC, monotonic)) == []


def test_what_comes_meanwhile_is_left_out(bus: SqliteBus, monotonic: FakeMonotonic) -> None:
    found = []
    for record in browse(bus, TOPIC, monotonic):
        bus.publish([Outgoing(TOPIC, None, b"later", partition=record.offset % 2)])
        found.append(record.value)
    assert found == [b"%d" % n for n in range(600)]


def test_a_topic_that_is_not_there_is_refused(bus: SqliteBus, monotonic: FakeMonotonic) -> None:
    with pytest.raises(WrongUse, match="nowhere"):
        list(browse(bus, "nowhere.v1", monotonic))


def test_records_that_do_not_come_are_not_passed_over_in_silence(
    bus: SqliteBus, monotonic: FakeMonotonic
) -> None:
    faulty = FaultyBus(bus)
    faulty.hide = lambda record: record.offset == 599
    with pytest.raises(Retryable, match="nothing came for 15 s"):
        list(browse(faulty, TOPIC, monotonic))
