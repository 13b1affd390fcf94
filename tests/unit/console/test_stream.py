"""The hub: who listens hears every change, who comes back what was missed, or takes the whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from services.console import stream
from services.console.stream import Hub, Tail, parsed
from services.kernel.clock import SystemMonotonic, VirtualClock
from services.kernel.contracts.records import Record
from services.kernel.errors import Retryable


def record(partition: int, offset: int) -> Record:
    return Record("alerts.alert.v1", partition, offset, "h", b"", (), 0)


def hub_at(*position: int) -> Hub:
    hub = Hub(VirtualClock(0))
    hub.begin(position)
    return hub


async def heard(stream_: AsyncIterator[bytes], count: int) -> list[tuple[str, str]]:
    """Return what and id of the next events; the first chunk says how soon to come back."""
    found = []
    for _ in range(count):
        text = (await asyncio.wait_for(anext(stream_), 5)).decode()
        lines = dict(line.split(": ", 1) for line in text.strip().split("\n"))
        if "event" in lines:
            found.append((lines["event"], lines.get("id", "")))
    return found


def test_who_comes_first_takes_a_snapshot_and_then_hears_each_change() -> None:
    async def run() -> None:
        hub = hub_at(0, 0)
        listening = hub.listen(None)
        assert await heard(listening, 2) == [("snapshot", "0.0")]
        hub.changed([record(0, 0), record(1, 0)])
        assert await heard(listening, 2) == [("changed", "1.0"), ("changed", "1.1")]

    asyncio.run(run())


def test_who_comes_back_hears_what_was_missed_once_and_in_order() -> None:
    async def run() -> None:
        hub = hub_at(5, 7)
        hub.changed([record(0, 5), record(1, 7), record(0, 6)])
        again = hub.listen("6.7")
        assert await heard(again, 3) == [("changed", "6.8"), ("changed", "7.8")]
        nothing_missed = hub.listen("7.8")
        assert await heard(nothing_missed, 2) == [("ping", "7.8")]

    asyncio.run(run())


@pytest.mark.parametrize("last", ["", "4.7", "9.9", "6", "1.2.3", "x", "-1.2", "9" * 40])
def test_a_position_that_cannot_be_told_from_takes_a_snapshot(last: str) -> None:
    async def run() -> None:
        hub = hub_at(5, 7)
        hub.changed([record(0, 5)])
        assert await heard(hub.listen(last), 2) == [("snapshot", "6.7")]

    asyncio.run(run())


def test_a_position_older_than_what_is_kept_takes_a_snapshot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        monkeypatch.setattr(stream, "KEPT", 3)
        hub = hub_at(0)
        hub._kept = type(hub._kept)(maxlen=3)  # noqa: SLF001 - a hub that keeps little
        hub.changed([record(0, n) for n in range(5)])
        assert await heard(hub.listen("1"), 2) == [("snapshot", "5")]
        assert await heard(hub.listen("2"), 2) == [("changed", "3")]

    asyncio.run(run())


def test_closing_ends_open_streams_at_once_and_later_ones_before_they_begin() -> None:
    async def run() -> list[bytes]:
        hub = hub_at(0)
        listening = hub.listen(None)
        await heard(listening, 2)
        asyncio.get_running_loop().call_later(0, hub.close)
        rest = [chunk async for chunk in listening]
        assert hub.open_streams == 0
        return rest + [chunk async for chunk in hub.listen(None)]

    assert asyncio.run(run()) == []


def test_a_page_that_cannot_keep_up_takes_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr(stream, "_WAITING", 10)
        hub = hub_at(0)
        listening = hub.listen(None)
        await heard(listening, 2)
        hub.changed([record(0, n) for n in range(50)])
        await asyncio.to_thread(lambda: None)
        assert await heard(listening, 1) == [("snapshot", "50")]

    asyncio.run(run())


class AwayBus:
    """A bus that is out of reach."""

    def create_topic(self, *_: object, **__: object) -> None:
        raise Retryable("away")


class Listener(Hub):
    """A hub that counts what it is told."""

    def __init__(self) -> None:
        super().__init__(VirtualClock(0))
        self.snapshots = 0

    def behind(self) -> None:
        self.snapshots += 1

    def changed(self, records: Sequence[Record]) -> None:
        raise AssertionError(records)


def test_while_the_bus_is_away_pages_are_told_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BEHIND_S", 0.0)
    hub, bus = Listener(), AwayBus()
    tail = Tail(bus, hub, SystemMonotonic(), "group", 2)  # type: ignore[arg-type]
    assert [tail.run_once(0), tail.run_once(0)] == [0, 0]
    assert hub.snapshots == 2
    assert tail.ready() is None


def test_event_ids_are_positions() -> None:
    assert parsed("3.14") == (3, 14)
    assert parsed("3.x") == ()
