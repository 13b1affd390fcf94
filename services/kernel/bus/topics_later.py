"""A bus whose topics are made once it can be reached: a process starts while the broker is away.

What was asked for meanwhile is made before anything else is done with the bus. So the door takes
facts, and alerts escalate, also when they start before the broker does.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from services.kernel.bus.port import Bus, Consumer, OnAssigned
from services.kernel.contracts.records import Outgoing, TopicPartition
from services.kernel.errors import Retryable, WrongUse
from services.kernel.logging import get_logger

_log: Final = get_logger(__name__)


class _Wanted(NamedTuple):
    topic: str
    partitions: int
    compacted: bool


class TopicsLater:
    """Puts off what `create_topic` cannot do now; everything else is the inner bus's."""

    def __init__(self, inner: Bus) -> None:
        self._inner = inner
        self._guard = threading.Lock()
        self._wanted: list[_Wanted] = []

    def create_topic(self, topic: str, partitions: int, *, compacted: bool = False) -> None:
        """Create or check the topic, now or as soon as the bus can be reached; see the port."""
        wanted = _Wanted(topic, partitions, compacted)
        with self._guard:
            if self._wanted:
                self._wanted.append(wanted)
                return
            try:
                self._make(wanted)
            except Retryable as exc:
                _log.warning("topics are made later", reason=str(exc))
                self._wanted.append(wanted)

    def partitions(self, topic: str) -> int:
        """See the port."""
        return self._ready().partitions(topic)

    def publish(self, records: Sequence[Outgoing]) -> None:
        """See the port."""
        self._ready().publish(records)

    def consumer(
        self, group: str, topics: Sequence[str], on_assigned: OnAssigned | None = None
    ) -> Consumer:
        """See the port."""
        return self._ready().consumer(group, topics, on_assigned)

    def starts(self, topic: str) -> Mapping[TopicPartition, int]:
        """See the port."""
        return self._ready().starts(topic)

    def ends(self, topic: str) -> Mapping[TopicPartition, int]:
        """See the port."""
        return self._ready().ends(topic)

    def committed(self, group: str, topic: str) -> Mapping[TopicPartition, int]:
        """See the port."""
        return self._ready().committed(group, topic)

    def oldest_unread_at(self, group: str, topic: str) -> int | None:
        """See the port."""
        return self._ready().oldest_unread_at(group, topic)

    def close(self) -> None:
        """See the port."""
        self._inner.close()

    def _ready(self) -> Bus:
        """Return the bus once every topic is there.

        Raises:
            Retryable: it is still away; or a topic is not as it should be, which only a person can
                mend, and until then nothing is read or written.
        """
        if self._wanted:
            with self._guard:
                while self._wanted:
                    try:
                        self._make(self._wanted[0])
                    except WrongUse as exc:
                        raise Retryable(str(exc)) from exc
                    self._wanted.pop(0)
        return self._inner

    def _make(self, wanted: _Wanted) -> None:
        self._inner.create_topic(wanted.topic, wanted.partitions, compacted=wanted.compacted)
