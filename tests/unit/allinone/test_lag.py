"""The command that asks the broker how far readers are behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.allinone.lag import as_json, main, measured, standing
from services.kernel.bus.sqlite import SqliteBus
from services.kernel.clock import SECOND, VirtualClock
from services.kernel.contracts.records import Outgoing, TopicPartition
from services.kernel.contracts.topics import CHANGES
from tests.support.patience import FakeMonotonic


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(1000 * SECOND)


@pytest.fixture
def bus(tmp_path: Path, clock: VirtualClock) -> Iterator[SqliteBus]:
    found = SqliteBus(tmp_path / "bus.db", clock, FakeMonotonic())
    found.create_topic(CHANGES.name, 1)
    found.publish([Outgoing(CHANGES.name, "k", b"x")] * 3)
    yield found
    found.close()


def read(bus: SqliteBus, group: str, offset: int) -> None:
    member = bus.consumer(group, [CHANGES.name])
    member.poll(1, 0)
    member.commit({TopicPartition(CHANGES.name, 0): offset})
    member.close()


def test_each_group_tells_what_waits_and_for_how_long(bus: SqliteBus, clock: VirtualClock) -> None:
    read(bus, "registry", 3)
    clock.advance_to(1012 * SECOND)
    assert [as_json(lag, clock) for lag in measured(bus)] == [
        {"group": "registry", "topic": CHANGES.name, "waiting": 0, "oldest_age_s": None},
        {"group": "risk", "topic": CHANGES.name, "waiting": 3, "oldest_age_s": 12.0},
    ]


def test_a_group_that_moves_nothing_although_something_waits_stands_still(bus: SqliteBus) -> None:
    read(bus, "registry", 3)
    assert standing(bus, 20, FakeMonotonic()) == ["risk"]
    read(bus, "risk", 3)
    assert standing(bus, 20, FakeMonotonic()) == []


def test_a_group_that_gets_on_does_not_stand_still(bus: SqliteBus) -> None:
    class Reading(FakeMonotonic):
        def wait(self, event: object, timeout_s: float) -> bool:
            if self.now > 1010:
                read(bus, "risk", 1)
                read(bus, "registry", 1)
            self.now += timeout_s
            return False

    assert standing(bus, 20, Reading()) == []


def test_the_bus_of_one_process_cannot_be_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEARTHWATCH_BUS_URL", raising=False)
    assert main([]) == 2
    assert "HEARTHWATCH_BUS_URL" in capsys.readouterr().err
