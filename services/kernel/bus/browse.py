"""Reading a topic from its beginning to its present end, for people and for checks."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Final

from services.kernel.bus.port import Bus
from services.kernel.clock import Monotonic
from services.kernel.contracts.records import Record, TopicPartition
from services.kernel.errors import Retryable

QUIET_S: Final = 15.0
_POLL_S: Final = 0.5
_BATCH: Final = 500


def browse(bus: Bus, topic: str, monotonic: Monotonic) -> Iterator[Record]:
    """Yield what stands in the topic now, in order per partition; commits nothing.

    Reads as a group of its own; what is published meanwhile is left out. Not for compacted topics,
    whose newest records may be gone.

    Raises:
        WrongUse: there is no such topic.
        Retryable: the bus is out of reach, or gave nothing for 15 s while records were due.
    """
    starts = bus.starts(topic)
    due = {where: end for where, end in bus.ends(topic).items() if starts[where] < end}
    consumer = bus.consumer(f"browse-{uuid.uuid4()}", [topic])
    heard_at = monotonic.seconds()
    try:
        while due:
            records = consumer.poll(_BATCH, _POLL_S)
            if records:
                heard_at = monotonic.seconds()
            elif monotonic.seconds() - heard_at > QUIET_S:
                raise Retryable(f"topic {topic}: nothing came for {QUIET_S:.0f} s; try again")
            for record in records:
                where = TopicPartition(record.topic, record.partition)
                end = due.get(where, 0)
                if record.offset < end:
                    yield record
                if record.offset + 1 >= end:
                    due.pop(where, None)
    finally:
        consumer.close()
