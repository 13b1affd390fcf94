"""Live pages: what happens in alerts reaches every open stream, without a gap.

One reader per process follows `alerts.alert.v1` and keeps the latest changes. A stream tells only
that something changed and up to which position, never what: the page asks again, so a stream shows
nobody what is not theirs. A position is the next offset of each partition; who comes back with one
that is still kept hears what was missed, anybody else is told to take a new snapshot. While the bus
is away a snapshot is asked for every few seconds, for alerts goes on without it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from services.kernel.bus.port import Bus, Consumer
from services.kernel.clock import Clock, Monotonic, rfc3339
from services.kernel.contracts.records import Record, TopicPartition
from services.kernel.contracts.topics import ALERTS
from services.kernel.errors import HearthwatchError, Retryable

KEPT: Final = 5_000
"""Changes that a returning stream can be told; at the start the newest are read again."""
REREAD: Final = 500
PING_S: Final = 10.0
BEHIND_S: Final = 3.0
"""How often pages take a new snapshot while the bus is away."""
RETRY_MS: Final = 2_000
_BATCH: Final = 500
_WAITING: Final = 1_000

Position = tuple[int, ...]


class Event(NamedTuple):
    """Something changed; `position` is the point after it, `what` is changed, snapshot or ping."""

    what: str
    position: Position


class Hub:
    """Hands changes from the reader's thread to the streams of the event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: deque[tuple[int, int, Position]] = deque(maxlen=KEPT)
        self._position: Position = ()
        self._floor: Position = ()
        self._streams: set[_Stream] = set()
        self._closed = False

    @property
    def open_streams(self) -> int:
        """How many pages listen."""
        return len(self._streams)

    def begin(self, position: Position) -> None:
        """Say from which position on changes will come; what was kept is dropped."""
        with self._lock:
            self._kept.clear()
            self._position = self._floor = position
            self._tell(Event("snapshot", position))

    def changed(self, records: Sequence[Record]) -> None:
        """Take records of the topic, in order per partition."""
        with self._lock:
            for record in records:
                if record.offset < self._position[record.partition]:
                    continue
                if len(self._kept) == KEPT:
                    partition, offset, _ = self._kept[0]
                    floor = list(self._floor)
                    floor[partition] = offset + 1
                    self._floor = tuple(floor)
                after = list(self._position)
                after[record.partition] = record.offset + 1
                self._position = tuple(after)
                self._kept.append((record.partition, record.offset, self._position))
                self._tell(Event("changed", self._position))

    def behind(self) -> None:
        """Say that the bus is away: pages take a new snapshot."""
        with self._lock:
            self._tell(Event("snapshot", self._position))

    def close(self) -> None:
        """End every stream, now and later; from any thread."""
        with self._lock:
            self._closed = True
            for stream in self._streams:
                stream.end()

    async def listen(self, last: str | None) -> AsyncIterator[bytes]:
        """Yield server-sent events until the page leaves or the process stops.

        Args:
            last: `Last-Event-ID` of a page that comes back.
        """
        stream = _Stream(asyncio.get_running_loop())
        with self._lock:
            if self._closed:
                return
            waiting = self._since(parsed(last)) if last else [Event("snapshot", self._position)]
            self._streams.add(stream)
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            for event in waiting:
                yield self._told(event)
            while (event_ := await stream.next()) is not None:
                yield self._told(event_)
        finally:
            with self._lock:
                self._streams.discard(stream)

    def _since(self, last: Position) -> list[Event]:
        """Return what a page missed, or a snapshot when it cannot be told any more."""
        known = len(last) == len(self._position) and all(
            floor <= at <= end
            for floor, at, end in zip(self._floor, last, self._position, strict=True)
        )
        if not known:
            return [Event("snapshot", self._position)]
        missed = [at for part, offset, at in self._kept if offset >= last[part]]
        return [Event("changed", at) for at in missed] or [Event("ping", self._position)]

    def _tell(self, event: Event) -> None:
        for stream in self._streams:
            stream.put(event)

    def _told(self, event: Event) -> bytes:
        data: dict[str, Any] = {"now": rfc3339(self._clock.now())}
        position = event.position or self._position
        text = f"event: {event.what}\ndata: {msgspec.json.encode(data).decode()}\n"
        if position:
            text += f"id: {'.'.join(map(str, position))}\n"
        return (text + "\n").encode()


class _Stream:
    """One page that listens."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()

    def put(self, event: Event) -> None:
        """Hand an event over, from any thread."""
        self._call(event)

    def end(self) -> None:
        """End the stream, from any thread."""
        self._call(None)

    async def next(self) -> Event | None:
        """Wait for the next event; a ping when nothing comes, None at the end."""
        try:
            event = await asyncio.wait_for(self._queue.get(), PING_S)
        except TimeoutError:
            return Event("ping", ())
        if self._queue.qsize() > _WAITING:  # a page that cannot keep up takes the whole anew
            while event is not None and not self._queue.empty():
                event = self._queue.get_nowait()
            return None if event is None else Event("snapshot", event.position)
        return event

    def _call(self, event: Event | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, event)
        except RuntimeError:  # the server's loop has ended, and the page with it
            return


class Tail:
    """Reads the topic into the hub: a worker of the runtime, in a group of its own."""

    name = "console.tail"

    def __init__(
        self, bus: Bus, hub: Hub, monotonic: Monotonic, group: str, partitions: int
    ) -> None:
        self._bus = bus
        self._hub = hub
        self._monotonic = monotonic
        self._group = group
        self._partitions = partitions
        self._consumer: Consumer | None = None
        self._told_s = monotonic.seconds()
        self._trouble = False

    def run_once(self, timeout_s: float) -> int:
        """Read once; while the bus is away, have the pages ask every few seconds."""
        try:
            consumer = self._consumer or self._begin()
            records = consumer.poll(_BATCH, timeout_s)
        except (Retryable, HearthwatchError):
            self._away(timeout_s)
            return 0
        if self._trouble:
            self._trouble = False
            self._hub.behind()
        self._hub.changed(records)
        return len(records)

    def stop(self) -> None:
        """Leave the group."""
        if self._consumer is not None:
            self._consumer.close()

    def ready(self) -> str | None:
        """Return None: without the bus the pages ask by themselves."""
        return None

    def _begin(self) -> Consumer:
        self._bus.create_topic(ALERTS.name, self._partitions)
        starts, ends = self._bus.starts(ALERTS.name), self._bus.ends(ALERTS.name)
        begin = {at: max(starts[at], end - REREAD) for at, end in ends.items()}
        order = sorted(begin, key=lambda at: at.partition)
        self._hub.begin(tuple(begin[at] for at in order))

        def seek(assigned: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
            return {at: begin[at] for at in assigned}

        self._consumer = self._bus.consumer(self._group, [ALERTS.name], seek)
        return self._consumer

    def _away(self, timeout_s: float) -> None:
        self._trouble = True
        now_s = self._monotonic.seconds()
        if now_s - self._told_s >= BEHIND_S:
            self._told_s = now_s
            self._hub.behind()
        self._monotonic.wait(threading.Event(), timeout_s)


def parsed(text: str) -> Position:
    """Return the position of an event id; () for one that is not ours."""
    parts = text.split(".")
    if not all(part.isdecimal() and len(part) < 20 for part in parts):  # noqa: PLR2004 - 64 bits
        return ()
    return tuple(map(int, parts))
