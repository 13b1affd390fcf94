"""What is measured of a process from beside its loops: how far its readers are behind, its disk.

A reader that hangs cannot say so itself; the group's committed offsets and the ends of the topic
can. In a loop of its own, for a bus out of reach answers late.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from services.kernel.bus.lag import lag_of
from services.kernel.bus.port import Bus
from services.kernel.clock import SECOND, Clock
from services.kernel.errors import WrongUse
from services.kernel.metrics import Metrics
from services.kernel.runtime.service import Service, Tick

WATCH: Final = "process.watch"
WATCH_S: Final = 5.0


@runtime_checkable
class Reader(Protocol):
    """A worker that reads a topic for a group."""

    name: str
    group: str
    topic: str


def watch(
    bus: Bus, services: Sequence[Service], clock: Clock, metrics: Metrics, folder: Path
) -> Tick:
    """Measure the disk at each scrape; return the tick that measures the readers."""
    found = Watch(bus, services, clock, metrics, folder)
    metrics.on_scrape(found.disk)
    return Tick(WATCH, WATCH_S, found.look)


class Watch:
    """Sets the gauges of lag and disk of one process."""

    def __init__(
        self, bus: Bus, services: Sequence[Service], clock: Clock, metrics: Metrics, folder: Path
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._metrics = metrics
        self._folder = folder
        workers = [worker for service in services for worker in service.workers]
        self._readers = [worker for worker in workers if isinstance(worker, Reader)]

    def look(self) -> None:
        """Measure every group that the process reads for; a topic that is not there yet is left.

        Raises:
            Retryable: the bus is out of reach; the gauges keep their values.
        """
        for reader in self._readers:
            try:
                lag = lag_of(self._bus, reader.group, reader.topic)
            except WrongUse:
                continue
            oldest = lag.oldest_at
            age_s = 0.0 if oldest is None else max(0, self._clock.now() - oldest) / SECOND
            self._metrics.set("hearthwatch_worker_lag_records", lag.waiting, worker=reader.name)
            self._metrics.set(
                "hearthwatch_worker_oldest_unread_age_seconds", age_s, worker=reader.name
            )

    def disk(self) -> None:
        """Measure the file system of the data folder; without a folder there is nothing to tell."""
        try:
            found = shutil.disk_usage(self._folder)
        except OSError:
            return
        self._metrics.set("hearthwatch_disk_free_bytes", found.free)
        self._metrics.set("hearthwatch_disk_size_bytes", found.total)
