"""Where a worker stands in each partition: what is due, what it knows, what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from services.kernel.clock import Monotonic
from services.kernel.contracts.records import Record

RETRY_S = 5.0


class Gap(NamedTuple):
    """Records that should have come and did not; looked for again at `retry_at` (monotonic)."""

    reason: str
    retry_at: float


class Cut(NamedTuple):
    """Polled records of one partition: how many are known, which are due, what comes after a hole.

    `beyond` is the first record after the hole, None when there is no hole.
    """

    known: int
    due: Sequence[Record]
    beyond: Record | None


@dataclass(eq=False)
class Course:
    """The stored positions of the partitions that are read, as this worker believes them.

    compacted: the topic may have holes, which are then no gaps.
    """

    topic: str
    monotonic: Monotonic
    compacted: bool = False
    next_offset: dict[int, int] = field(default_factory=dict)
    gaps: dict[int, Gap] = field(default_factory=dict)
    _first: dict[int, int] = field(default_factory=dict)

    def begin(self, partition: int, offset: int, first: int = 0) -> None:
        """Start from a stored position; 0 means that nothing was ever read there.

        `first` is the first record that the topic still has: where a partition never read begins,
        since old records are removed in time.
        """
        self.next_offset[partition] = offset
        self._first[partition] = first
        self.gaps.pop(partition, None)

    def cut(self, partition: int, records: Sequence[Record]) -> Cut:
        """Return what is to be done with polled records.

        A record below the position is known; one above it shows a hole.
        """
        position = self.next_offset[partition]
        due = [record for record in records if record.offset >= position]
        known = len(records) - len(due)
        if self.compacted or not due:
            return Cut(known, due, None)
        first = position or self._first[partition]
        for index, record in enumerate(due):
            if record.offset != first + index:
                return Cut(known, due[:index], record)
        return Cut(known, due, None)

    def lose(self, partition: int, found: int) -> Gap:
        """Note that the record due has not come, but the one at `found`; return the gap.

        The first time it is looked for again at once, after that every few seconds.
        """
        position = self.next_offset[partition] or self._first[partition]
        wait_s = RETRY_S if partition in self.gaps else 0.0
        gap = self.gaps[partition] = Gap(
            f"records {position}..{found - 1} of {self.topic}/{partition} are missing: expected "
            f"offset {position}, found {found}; the group was put back. If they stay away they "
            "were removed before they were read: restore them, or publish them again with "
            "`hearthwatch doctor --repair`",
            self.monotonic.seconds() + wait_s,
        )
        return gap

    def keep(self, partitions: Iterable[int]) -> None:
        """Forget the gaps of partitions that others read now."""
        for partition in self.gaps.keys() - set(partitions):
            del self.gaps[partition]

    def resting(self, partition: int) -> bool:
        """Return whether the partition has a gap that it is too early to look at again."""
        gap = self.gaps.get(partition)
        return gap is not None and gap.retry_at > self.monotonic.seconds()

    def retries(self) -> list[int]:
        """Return the partitions with a gap to be looked at again now."""
        return [partition for partition in self.gaps if not self.resting(partition)]
