"""Marks: everything received up to and including T stands before this (docs/semantics.md 2)."""

from __future__ import annotations

from services.intake.handlers.session import SOURCE
from services.intake.ports import Clocks, Store
from services.kernel.clock import Clock
from services.kernel.contracts.changes import MARK, Mark
from services.kernel.contracts.envelope import HEADERS, Envelope, encode, moment, raw
from services.kernel.contracts.records import Outgoing
from services.kernel.contracts.topics import CHANGES
from services.kernel.ids import derived


class Marker:
    """Writes marks into every partition of the changes."""

    def __init__(self, store: Store, clock: Clock, partitions: int) -> None:
        self._store = store
        self._clock = clock
        self._partitions = partitions

    def tick(self) -> None:
        """Mark the present (production)."""
        self.mark(None)

    def mark(self, at: int | None) -> bool:
        """Mark an instant, or the present, in every partition; return whether it was news.

        Units exclude each other, so everything received so far is in the outbox already. An instant
        not above the last mark is ignored. In production what is received later is stamped later.
        """
        with self._store.unit() as unit:
            clocks = unit.clocks()
            instant = max(self._clock.now(), clocks.received) if at is None else at
            if instant <= clocks.marked:
                return False
            unit.publish([_mark(partition, instant) for partition in range(self._partitions)])
            unit.set_clocks(Clocks(clocks.received, instant))
            return True


def _mark(partition: int, at: int) -> Outgoing:
    when = moment(at)
    envelope = Envelope(
        id=derived("mark", partition, at),
        type=MARK,
        source=SOURCE,
        time=when,
        subject=f"partition:{partition}",
        partitionkey=f"partition:{partition}",
        receivedat=when,
        data=raw(Mark(when)),
    )
    return Outgoing(CHANGES.name, None, encode(envelope), HEADERS, partition)
