"""What risk says while the demo runs: level changes, the highest level of a day, its reasons."""

from __future__ import annotations

import queue
from collections import defaultdict
from typing import Final, NamedTuple

import msgspec

from services.kernel.bus.port import Bus, Consumer
from services.kernel.clock import to_us
from services.kernel.contracts.assessments import ASSESSED, Assessment
from services.kernel.contracts.changes import MARK, mark_of
from services.kernel.contracts.envelope import decode
from services.kernel.contracts.records import TopicPartition
from services.kernel.contracts.topics import ASSESSMENTS
from services.kernel.runtime import Context, Service

_POLL: Final = 500
_assessment: Final = msgspec.json.Decoder(Assessment)


class Level(NamedTuple):
    """A level that changed."""

    at: int
    subject: str
    household: str
    was: int
    now: int


class Said(NamedTuple):
    """What was said of a subject at an instant: its level, and the rules that hold."""

    at: int
    level: int
    rules: frozenset[str]


class Notes:
    """A service that only listens. `since`: assessments of earlier instants are let go."""

    def __init__(self, partitions: int) -> None:
        self.since = 0
        self.levels: queue.SimpleQueue[Level] = queue.SimpleQueue()
        self.said: defaultdict[str, list[Said]] = defaultdict(list)
        self.name = "demo.notes"
        self._marks = dict.fromkeys(range(partitions), 0)
        self._bus: Bus | None = None
        self._consumer: Consumer | None = None

    @property
    def marked(self) -> int:
        """Return the instant up to which everything was heard."""
        return min(self._marks.values())

    def build(self, ctx: Context) -> Service:
        """Return the service of a process."""
        self._bus = ctx.bus
        return Service(name="demo", workers=[self])

    def run_once(self, timeout_s: float) -> int:
        """Note what has come; return how many messages."""
        if self._consumer is None:
            if self._bus is None:
                raise RuntimeError("notes that no service was built of")
            self._consumer = self._bus.consumer(self.name, [ASSESSMENTS.name])
        records = self._consumer.poll(_POLL, timeout_s)
        for record in records:
            envelope = decode(record.value)
            if envelope.type == MARK:
                self._marks[record.partition] = mark_of(envelope)
            elif envelope.type == ASSESSED:
                self._note(_assessment.decode(envelope.data))
        if records:
            self._consumer.commit(
                {TopicPartition(r.topic, r.partition): r.offset + 1 for r in records}
            )
        return len(records)

    def _note(self, found: Assessment) -> None:
        at = to_us(found.at)
        if at < self.since:
            return
        rules = frozenset(reason.rule for reason in found.reasons if not reason.held)
        self.said[found.subject].append(Said(at, found.level, rules))
        if found.level != found.was:
            self.levels.put(Level(at, found.subject, found.household, found.was, found.level))

    def stop(self) -> None:
        """Leave the group."""
        if self._consumer is not None:
            self._consumer.close()

    def ready(self) -> None:
        """Have nothing to complain of."""
