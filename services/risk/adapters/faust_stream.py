"""Risk's changes read by Faust, so that nothing is lost; the only door to faust.

Faust acknowledges what raised, so the database holds the truth about position: after every
assignment the partitions are sought to where it stands, a record below it is skipped, one above it
ends the process. Whatever goes wrong ends the process too; a supervisor starts it again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import faust
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP

from services.kernel.contracts.records import Record
from services.kernel.logging import get_logger

BATCH: Final = 500
WITHIN_S: Final = 0.05
SESSION_S: Final = 10
HEARTBEAT_S: Final = 3
COMMIT_S: Final = 1
ENDED: Final = 70
"""Exit code of a process that ends because its stream cannot go on."""
_MILLISECOND: Final = 1_000
_LARGEST_BYTES: Final = 8_000_000
_log = get_logger(__name__)

Settle = Callable[[int, Sequence[Record]], None]
"""Settles records of one partition, in order; raises when the process shall end."""
Positions = Callable[[], Mapping[int, int]]
"""Returns where each partition is to be read from."""


class FaustStream:
    """A Faust app over one topic; runs only while `run_for` is called, on the caller's thread.

    Args:
        url: `kafka://host:port[,host:port...]`.
        group: The group; also Faust's application id.
        topic: What it reads.
        member: Name of this process in the group, the same after a restart.
        folder: Where Faust may keep files.
        settle, positions: See the types.
    """

    def __init__(
        self,
        *,
        url: str,
        group: str,
        topic: str,
        member: str,
        folder: Path,
        settle: Settle,
        positions: Positions,
    ) -> None:
        self._topic = topic
        self._settle = settle
        self._positions = positions
        self._loop = asyncio.new_event_loop()
        self._started = False
        self._task: asyncio.Task[None] | None = None
        self.busy = 0
        """Records settled so far."""
        self.assigned: frozenset[int] = frozenset()
        asyncio.set_event_loop(self._loop)
        self.app = faust.App(
            group,
            broker=[f"kafka://{server}" for server in url.removeprefix("kafka://").split(",")],
            loop=self._loop,
            datadir=str(folder),
            store="memory://",
            web_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            topic_replication_factor=1,
            consumer_auto_offset_reset="earliest",
            consumer_group_instance_id=member,
            consumer_max_fetch_size=_LARGEST_BYTES,
            stream_wait_empty=False,
            broker_session_timeout=SESSION_S,
            broker_heartbeat_interval=HEARTBEAT_S,
            broker_commit_interval=COMMIT_S,
            worker_redirect_stdouts=False,
        )
        self._add_agent()
        self._seek_by_database()

    def run_for(self, seconds: float) -> int:
        """Let the stream run so long; return how many records were settled meanwhile.

        Ends the process when the stream has died.
        """
        before = self.busy
        if not self._started:
            self._started = True
            self._task = self._loop.create_task(self._whole())
        self._loop.call_later(seconds, self._loop.stop)
        self._loop.run_forever()
        return self.busy - before

    def stop(self) -> None:
        """Leave the group; called on the thread that called `run_for`, or after it has ended."""
        if self._started and not self._loop.is_closed():
            self._loop.run_until_complete(self.app.stop())

    # --- inside ----------------------------------------------------------------------------------

    async def _whole(self) -> None:
        try:
            await self.app.start()
            await self.app.wait_until_stopped()
        except BaseException as exc:  # noqa: BLE001 - whatever it is, a new process begins anew
            self._end(exc)

    def _add_agent(self) -> None:
        source = self.app.topic(
            self._topic, key_serializer="raw", value_serializer="raw", allow_empty=True
        )

        async def settle(stream: Any) -> None:
            async for events in stream.take_events(BATCH, within=WITHIN_S):
                parts: dict[int, list[Record]] = {}
                for event in events:
                    record = _record(event.message)
                    parts.setdefault(record.partition, []).append(record)
                for partition, records in parts.items():
                    try:
                        await asyncio.to_thread(self._settle, partition, records)
                    except BaseException as exc:  # noqa: BLE001 - Faust would take it for handled
                        self._end(exc)
                    self.busy += len(records)

        self.app.agent(source, concurrency=1, name=f"{self._topic}.settle")(settle)

    def _seek_by_database(self) -> None:
        stream = self

        class _Consumer(Consumer):
            async def seek_to_committed(self) -> Mapping[TP, int]:
                """Seek to where the database stands, not to what the group believes."""
                mine: set[TP] = set()
                wanted: dict[TP, int] = {}
                try:
                    mine = {tp for tp in self.assignment() if tp.topic == stream._topic}
                    stored = await asyncio.to_thread(stream._positions)
                    wanted = {TP(t.topic, t.partition): stored[t.partition] for t in mine}
                    if wanted:
                        await self._thread.seek_wait(wanted)
                except Exception as exc:  # noqa: BLE001 - without positions nothing may be read
                    stream._end(exc)
                stream.assigned = frozenset(tp.partition for tp in mine)
                return wanted

        setattr(self.app.transport, "Consumer", _Consumer)  # noqa: B010 - a class attribute of theirs

    def _end(self, exc: BaseException) -> None:
        _log.error("stream ends the process", topic=self._topic, error=type(exc).__name__,
                   reason=str(exc)[:300])  # fmt: skip
        os._exit(ENDED)


def _record(message: Any) -> Record:
    return Record(
        message.topic,
        message.partition,
        message.offset,
        None if message.key is None else bytes(message.key).decode(errors="replace"),
        message.value,
        tuple((name, value or b"") for name, value in _headers(message.headers)),
        int(message.timestamp * 1000) * _MILLISECOND,
    )


def _headers(found: Any) -> Sequence[tuple[str, bytes]]:
    if not found:
        return ()
    return list(found.items()) if isinstance(found, Mapping) else list(found)
