"""Fakes of what a service is made of, for tests of the runtime."""

from __future__ import annotations

import threading
from collections.abc import Callable

from services.kernel.errors import Retryable


class FakeWorker:
    """A worker with a number of records to settle; `reason` says that it does not get on."""

    def __init__(self, name: str, records: int = 0) -> None:
        self.name = name
        self.records = records
        self.reason: str | None = None
        self.stopped = threading.Event()
        self.settled: list[int] = []

    def run_once(self, timeout_s: float) -> int:
        if self.records:
            part = min(2, self.records)
            self.records -= part
            self.settled.append(part)
            return part
        self.stopped.wait(timeout_s)
        return 0

    def stop(self) -> None:
        self.stopped.set()

    def ready(self) -> str | None:
        return self.reason


class FakeRelay:
    """A relay that publishes what `take` gives; raises while it is `away`."""

    def __init__(self, name: str, take: Callable[[], int] = lambda: 0) -> None:
        self.name = name
        self.event = threading.Event()
        self.take = take
        self.away = False
        self.runs = 0
        self.closed = 0

    def run_once(self) -> int:
        self.event.clear()
        self.runs += 1
        if self.away:
            raise Retryable("bus out of reach")
        return self.take()

    def close(self) -> None:
        self.closed += 1
