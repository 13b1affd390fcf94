"""How far a group is behind, seen from outside: a reader that hangs cannot tell it itself.

The group's committed offsets are compared with the ends of the topic. A reader is alive as long as
they move while there is something to read (`Progress`).
"""

from __future__ import annotations

from typing import NamedTuple

from services.kernel.bus.port import Bus
from services.kernel.clock import Monotonic


class Lag(NamedTuple):
    """What one group has not read yet of one topic.

    waiting: records. oldest_at: when the oldest of them was published (microseconds), None when
    nothing waits. done: the sum of the committed offsets, which grows with every batch.
    """

    group: str
    topic: str
    waiting: int
    oldest_at: int | None
    done: int


def lag_of(bus: Bus, group: str, topic: str, *, age: bool = True) -> Lag:
    """Measure one group; without `age` no record is read.

    Raises:
        WrongUse: there is no such topic. Retryable: the bus is out of reach.
    """
    ends, starts = bus.ends(topic), bus.starts(topic)
    done = bus.committed(group, topic)
    reached = {where: max(done.get(where, 0), starts[where]) for where in ends}
    waiting = sum(max(0, end - reached[where]) for where, end in ends.items())
    oldest_at = bus.oldest_unread_at(group, topic) if age and waiting else None
    return Lag(group, topic, waiting, oldest_at, sum(reached.values()))


class Progress:
    """Tells a reader that works from one that stands still although something waits for it."""

    def __init__(self, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        self._done = -1
        self._moved_s = monotonic.seconds()

    def still_s(self, lag: Lag) -> float:
        """Return for how many seconds nothing was read while something waited; 0 when all is read.

        Call it regularly with fresh measurements of one group.
        """
        if lag.done != self._done or not lag.waiting:
            self._done = lag.done
            self._moved_s = self._monotonic.seconds()
        return self._monotonic.seconds() - self._moved_s
