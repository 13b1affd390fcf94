"""The hourly upkeep of the SQLite bus: what time removes, and what it may not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kernel.bus.sqlite import SqliteBus
from services.kernel.clock import DAY, VirtualClock
from services.kernel.contracts.records import Outgoing, TopicPartition
from services.kernel.runtime.opening import upkeep_of
from tests.support.faulty import FaultyBus
from tests.support.patience import FakeMonotonic

FACTS, CARDS = "facts.v1", "cards.v1"
FACT, CARD = TopicPartition(FACTS, 0), TopicPartition(CARDS, 0)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.clock = VirtualClock(1000 * DAY)
        self.bus = SqliteBus(folder / "bus.db", self.clock, FakeMonotonic())
        self.bus.create_topic(FACTS, 1)
        self.bus.create_topic(CARDS, 1, compacted=True)

    def write(self, day: int) -> None:
        self.clock.advance_to((1000 + day) * DAY)
        value = None if day == 1 else str(day).encode()
        self.bus.publish([Outgoing(FACTS, "k", b"x"), Outgoing(CARDS, f"k{day % 2}", value)])

    def read(self, group: str, offset: int) -> None:
        member = self.bus.consumer(group, [FACTS])
        member.poll(1, 0)
        member.commit({FACT: offset})
        member.close()

    def upkeep(self, day: int) -> tuple[int, list[bytes | None]]:
        """Return where the facts begin, and the cards that are left."""
        self.bus.upkeep((1000 + day) * DAY)
        cards = self.bus.consumer("cards", [CARDS])
        found = [record.value for record in cards.poll(100, 0)]
        cards.close()
        return self.bus.starts(FACTS)[FACT], found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path)
    yield found
    found.bus.close()


def test_facts_stay_for_ninety_days(bench: Bench) -> None:
    for day in (0, 1, 2):
        bench.write(day)
    assert bench.upkeep(90)[0] == 0
    assert bench.upkeep(92)[0] == 2


def test_what_a_group_has_not_read_stays_however_old_it_is(bench: Bench) -> None:
    for day in (0, 1, 2):
        bench.write(day)
    bench.read("slow", 1)
    assert bench.upkeep(500)[0] == 1


def test_of_cards_the_last_of_each_key_stays_and_a_tombstone_for_a_day(bench: Bench) -> None:
    for day in (0, 1, 2):
        bench.write(day)
    assert bench.upkeep(2)[1] == [None, b"2"]
    assert bench.upkeep(3)[1] == [b"2"]


def test_an_app_keeps_up_the_bus_of_one_process_and_no_other(bench: Bench) -> None:
    bench.write(0)
    bench.clock.advance_to(1100 * DAY)
    (tick,) = upkeep_of(bench.bus, bench.clock)
    tick.call()
    assert bench.bus.starts(FACTS)[FACT] == 1
    assert upkeep_of(FaultyBus(bench.bus), bench.clock) == []
