"""The adapters that the contract suites run over."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from services.kernel.bus.kafka import KafkaBus
from services.kernel.bus.port import Bus
from services.kernel.bus.sqlite import SqliteBus
from services.kernel.clock import SystemClock
from tests.contract.bus_laws import BusFactory
from tests.support.worker_world import World, world_of


class SqliteFactory:
    """Buses on one file in a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "bus.db"
        self._numbers = count()
        self._bus = SqliteBus(self._path, SystemClock())

    def bus(self) -> Bus:
        return self._bus

    def reopened(self) -> Bus:
        self._bus.close()
        self._bus = SqliteBus(self._path, SystemClock())
        return self._bus

    def topic(self, partitions: int = 4, *, compacted: bool = False) -> str:
        name = f"test.topic{next(self._numbers)}.v1"
        self._bus.create_topic(name, partitions, compacted=compacted)
        return name

    def name(self) -> str:
        return f"group-{next(self._numbers)}"

    def close(self) -> None:
        self._bus.close()


class KafkaFactory:
    """Buses on a real broker; every test has topics and groups of its own."""

    def __init__(self, address: str) -> None:
        self._url = f"kafka://{address}"
        self._run = uuid.uuid4().hex[:8]
        self._numbers = count()
        self._bus = KafkaBus(self._url)

    def bus(self) -> Bus:
        return self._bus

    def reopened(self) -> Bus:
        self._bus.close()
        self._bus = KafkaBus(self._url)
        return self._bus

    def topic(self, partitions: int = 4, *, compacted: bool = False) -> str:
        name = f"test.{self._run}.topic{next(self._numbers)}.v1"
        self._bus.create_topic(name, partitions, compacted=compacted)
        return name

    def name(self) -> str:
        return f"group-{self._run}-{next(self._numbers)}"

    def close(self) -> None:
        self._bus.close()


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.connected)])
def bus_factory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BusFactory]:
    """Return what makes buses, topics and groups of the adapter under test."""
    factory: SqliteFactory | KafkaFactory
    if request.param == "kafka":
        factory = KafkaFactory(request.getfixturevalue("server_address")("kafka"))
    else:
        factory = SqliteFactory(tmp_path)
    yield factory
    factory.close()


@pytest.fixture
def world(bus_factory: BusFactory, tmp_path: Path) -> Iterator[World]:
    with world_of(bus_factory, tmp_path) as made:
        yield made


@pytest.fixture
def wide(bus_factory: BusFactory, tmp_path: Path) -> Iterator[World]:
    with world_of(bus_factory, tmp_path, partitions=4) as made:
        yield made
