"""Waiting in tests without sleeping: poll the thing itself until it is so, or give up loudly."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

from services.kernel.bus.port import Consumer
from services.kernel.clock import SystemMonotonic
from services.kernel.contracts.records import Record

LIMIT_S: Final = 30.0
POLL_S: Final = 0.2


class FakeMonotonic:
    """A monotonic clock on which waiting takes no time: it moves to the end of the wait at once."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def seconds(self) -> float:
        return self.now

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        if event.is_set():
            return True
        self.now += timeout_s
        return False


def eventually(step: Callable[[], object], so: Callable[[], bool], what: str) -> None:
    """Repeat `step` until `so`; fails with `what` after 30 s of machine time."""
    monotonic = SystemMonotonic()
    end = monotonic.seconds() + LIMIT_S
    while not so():
        assert monotonic.seconds() < end, f"not within {LIMIT_S:.0f} s: {what}"
        step()


def collect(consumer: Consumer, count: int, *, most: int = 500) -> list[Record]:
    """Return the next `count` records of a consumer, or fail; more than that fails too."""
    records: list[Record] = []
    eventually(
        lambda: records.extend(consumer.poll(most, POLL_S)),
        lambda: len(records) >= count,
        f"{count} records",
    )
    assert len(records) == count
    return records


def collect_all(consumers: Sequence[Consumer], count: int) -> list[list[Record]]:
    """Return what each of the consumers got once they have `count` different records together."""
    got: list[list[Record]] = [[] for _ in consumers]

    def step() -> None:
        for records, consumer in zip(got, consumers, strict=True):
            records.extend(consumer.poll(500, POLL_S))

    eventually(
        step,
        lambda: len({place(record) for records in got for record in records}) >= count,
        f"{count} records among {len(consumers)} members",
    )
    return got


def place(record: Record) -> tuple[str, int, int]:
    """Return where a record stands."""
    return record.topic, record.partition, record.offset
