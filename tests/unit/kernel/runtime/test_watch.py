from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kernel.bus.sqlite import SqliteBus
from services.kernel.clock import SECOND, SystemMonotonic, VirtualClock
from services.kernel.contracts.records import Outgoing, TopicPartition
from services.kernel.metrics import Metrics
from services.kernel.runtime import Service
from services.kernel.runtime.watch import Watch
from tests.support.services import FakeWorker

START = 1_800_000_000 * SECOND
TOPIC = "risk.assessment.v1"


class FakeReader(FakeWorker):
    """A worker that says what it reads."""

    group = "alerts"
    topic = TOPIC


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def bus(tmp_path: Path, clock: VirtualClock) -> Iterator[SqliteBus]:
    found = SqliteBus(tmp_path / "bus.db", clock, SystemMonotonic())
    yield found
    found.close()


def watch(bus: SqliteBus, clock: VirtualClock, folder: Path) -> tuple[Watch, Metrics]:
    metrics = Metrics()
    services = [Service(name="alerts", workers=[FakeReader("alerts"), FakeWorker("deliverer")])]
    return Watch(bus, services, clock, metrics, folder), metrics


def test_a_group_that_does_not_read_is_measured_from_outside(
    bus: SqliteBus, clock: VirtualClock, tmp_path: Path
) -> None:
    found, metrics = watch(bus, clock, tmp_path)
    found.look()  # there is no topic yet
    assert b"hearthwatch_worker_lag_records{" not in metrics.render()[0]
    bus.create_topic(TOPIC, 1)
    bus.publish([Outgoing(TOPIC, "h1", b"one", ()), Outgoing(TOPIC, "h1", b"two", ())])
    clock.advance_to(START + 90 * SECOND)
    found.look()
    assert metrics.value("hearthwatch_worker_lag_records", worker="alerts") == 2
    assert metrics.value("hearthwatch_worker_oldest_unread_age_seconds", worker="alerts") == 90
    member = bus.consumer("alerts", [TOPIC])
    assert len(member.poll(10, 1)) == 2
    member.commit({TopicPartition(TOPIC, 0): 2})
    member.close()
    found.look()
    assert metrics.value("hearthwatch_worker_lag_records", worker="alerts") == 0
    assert metrics.value("hearthwatch_worker_oldest_unread_age_seconds", worker="alerts") == 0


def test_the_disk_is_measured_where_the_data_is(
    bus: SqliteBus, clock: VirtualClock, tmp_path: Path
) -> None:
    found, metrics = watch(bus, clock, tmp_path)
    found.disk()
    free = metrics.value("hearthwatch_disk_free_bytes")
    assert 0 < free < metrics.value("hearthwatch_disk_size_bytes")
    missing, silent = watch(bus, clock, tmp_path / "missing")
    missing.disk()
    assert silent.value("hearthwatch_disk_size_bytes") == 0
