"""What waits for moves: halves whose other half has not come, and what their household says since.

A household's records about a name wait behind a half that concerns the name, and behind whatever
waits already about it; so each name keeps its order (docs/adr/0012).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from services.alerts.ports import Kept, Waiting

Item = TypeVar("Item")


class Parked(NamedTuple, Generic[Item]):
    """A record kept back: its bytes, the names it concerns, and what was read of it.

    move: of a half, the move it belongs to.
    """

    value: bytes
    names: frozenset[str]
    move: str | None
    item: Item


@dataclass
class Barriers(Generic[Item]):
    """Waiting halves and kept-back records of all households; empty nearly always."""

    waiting: dict[str, Waiting] = field(default_factory=dict)
    queues: dict[str, list[Parked[Item]]] = field(default_factory=dict)
    changed: bool = False
    _freed: list[str] = field(default_factory=list)

    def take(
        self, household: str, record: Parked[Item], run: Callable[[str, Parked[Item]], None]
    ) -> None:
        """Run a record now, or keep it back; then run whatever it has set free."""
        if not self.waiting and record.move is None:
            run(household, record)
            return
        if self._blocked(household, record, self.queues.get(household, [])):
            self.queues.setdefault(household, []).append(record)
            self.changed = True
            return
        run(household, record)
        while self._freed:
            self._drain(self._freed.pop(), run)

    def half(self, waiting: Waiting) -> Waiting | None:
        """Take in a half: return the other one if it was here, else wait for it."""
        first = self.waiting.get(waiting.move)
        if first is None:
            self.waiting[waiting.move] = waiting
        elif first.half != waiting.half:
            del self.waiting[waiting.move]
            self._freed += dict.fromkeys((first.household, waiting.household))
        self.changed = True
        return first if first is not None and first.half != waiting.half else None

    def kept(self) -> Kept:
        """Return what is to be stored."""
        queues = {home: [p.value for p in queue] for home, queue in self.queues.items() if queue}
        return Kept(list(self.waiting.values()), queues)

    def _drain(self, household: str, run: Callable[[str, Parked[Item]], None]) -> None:
        """Run, in order, what nothing holds back any more."""
        queue = self.queues.get(household, [])
        place = 0
        while place < len(queue):
            record = queue[place]
            if self._blocked(household, record, queue[:place]):
                place += 1
                continue
            del queue[place]
            freed = len(self._freed)
            run(household, record)
            if len(self._freed) > freed:  # a move was carried out: this household comes again
                return

    def _blocked(self, household: str, record: Parked[Item], before: list[Parked[Item]]) -> bool:
        halves = [half for half in self.waiting.values() if half.household == household]
        if any(half.move != record.move and half.names & record.names for half in halves):
            return True
        if any(half.move == record.move for half in halves):
            return False  # both halves are told here: what waits between them waits for this one
        return any(earlier.names & record.names for earlier in before)
