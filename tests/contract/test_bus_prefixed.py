"""The bus contract over the wrappers of the deployed form: a run's prefix, topics made later."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from services.kernel.bus.port import Bus
from services.kernel.bus.prefixed import PrefixedBus
from services.kernel.bus.sqlite import SqliteBus
from services.kernel.bus.topics_later import TopicsLater
from services.kernel.clock import SystemClock
from services.kernel.contracts.records import Outgoing, TopicPartition
from tests.contract.bus_laws import GroupLaws, ReadingLaws, RecordLaws, TopicLaws


class PrefixedFactory:
    """Buses behind a prefix, on one file in a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "bus.db"
        self._numbers = count()
        self._bus = self._opened()

    def _opened(self) -> PrefixedBus:
        return PrefixedBus(TopicsLater(SqliteBus(self._path, SystemClock())), "run1.")

    def bus(self) -> Bus:
        return self._bus

    def reopened(self) -> Bus:
        self._bus.close()
        self._bus = self._opened()
        return self._bus

    def topic(self, partitions: int = 4, *, compacted: bool = False) -> str:
        name = f"test.topic{next(self._numbers)}.v1"
        self._bus.create_topic(name, partitions, compacted=compacted)
        return name

    def name(self) -> str:
        return f"group-{next(self._numbers)}"

    def close(self) -> None:
        self._bus.close()


@pytest.fixture
def bus_factory(tmp_path: Path) -> Iterator[PrefixedFactory]:
    factory = PrefixedFactory(tmp_path)
    yield factory
    factory.close()


class TestRecords(RecordLaws):
    pass


class TestTopics(TopicLaws):
    pass


class TestReading(ReadingLaws):
    pass


class TestGroups(GroupLaws):
    pass


def test_runs_on_one_bus_see_nothing_of_each_other(tmp_path: Path) -> None:
    whole = SqliteBus(tmp_path / "bus.db", SystemClock())
    first, second = PrefixedBus(whole, "run1."), PrefixedBus(whole, "run2.")
    for bus in (first, second):
        bus.create_topic("t.v1", 1)
    first.publish([Outgoing("t.v1", "k", b"of the first")])
    where = TopicPartition("t.v1", 0)
    reader = first.consumer("g", ["t.v1"])
    assert [(r.topic, r.value) for r in reader.poll(10, 1.0)] == [("t.v1", b"of the first")]
    reader.commit({where: 1})
    assert (first.committed("g", "t.v1"), second.committed("g", "t.v1")) == ({where: 1}, {})
    assert (first.ends("t.v1"), second.ends("t.v1")) == ({where: 1}, {where: 0})
    assert whole.committed("run1.g", "run1.t.v1") == {TopicPartition("run1.t.v1", 0): 1}
    whole.close()
