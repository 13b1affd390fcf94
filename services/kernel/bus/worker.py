"""The worker: polls a topic for a group and settles what it gets, one partition at a time.

The stored position beside the effect is the truth. A record below it is skipped; one above it is a
gap (something was lost on the way): the group is put back to the stored offset and the records
come again. A topic that ends below it was replaced by an older one: the worker refuses to start.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.kernel.bus.blame import is_trouble, place_of
from services.kernel.bus.course import Course
from services.kernel.bus.pause import Pause
from services.kernel.bus.port import Bus, Consumer
from services.kernel.bus.settling import OnDeadLetter, Settler, TooManyBugs
from services.kernel.bus.stores import (
    TOMBSTONE,
    Batch,
    Handler,
    Message,
    Outgoings,
    SeenIds,
    StoredPositions,
    Transactions,
)
from services.kernel.clock import Clock, Monotonic
from services.kernel.contracts.records import Record, TopicPartition
from services.kernel.contracts.topics import dead_letters
from services.kernel.crash import crashpoint
from services.kernel.errors import Fault, Retryable, Stale, WrongUse
from services.kernel.logging import get_logger
from services.kernel.metrics import Metrics

__all__ = ["TOMBSTONE", "Batch", "Handler", "Message", "State", "Worker"]

_log: Final = get_logger(__name__)


class State(StrEnum):
    """What a worker is at."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    GAP = "gap"
    REFUSED = "refused"
    STOPPED = "stopped"


@dataclass(kw_only=True, eq=False, repr=False)
class Worker:
    """Reads `topic` for `group`. One thread calls `run_once`; `stop` may come from another.

    name: of the worker, `<service>` or `<service>.<what>`; the service names the crash points.
    compacted: the topic may have holes, which are then no gaps, and tombstones, which are messages
        (see `TOMBSTONE`), not dead letters.
    on_dead_letter: called in the transaction that buries a record, after its outbox row.
    """

    name: str
    bus: Bus
    db: Transactions
    positions: StoredPositions
    inbox: SeenIds
    outbox: Outgoings
    group: str
    topic: str
    handler: Handler
    monotonic: Monotonic
    clock: Clock
    metrics: Metrics
    batch: int = 500
    on_dead_letter: OnDeadLetter | None = None
    compacted: bool = False

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._pause = Pause(self.monotonic, self._stopping)
        self._course = Course(self.topic, self.monotonic, self.compacted)
        self._settler = Settler(
            worker=self.name,
            topic=self.topic,
            group=self.group,
            next_offset=self._course.next_offset,
            db=self.db,
            positions=self.positions,
            inbox=self.inbox,
            outbox=self.outbox,
            handler=self.handler,
            clock=self.clock,
            monotonic=self.monotonic,
            metrics=self.metrics,
            on_dead_letter=self.on_dead_letter,
            compacted=self.compacted,
        )
        self._consumer: Consumer | None = None
        self._polled = False
        self._refusal: str | None = None
        self._halt: str | None = None
        self._progress_at = self.monotonic.seconds()

    # --- what others ask -------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """What the worker is at; the gravest of what applies."""
        if self._halt or self._stopping.is_set():
            return State.STOPPED
        if self._refusal:
            return State.REFUSED
        if self._course.gaps:
            return State.GAP
        if self._pause.reason:
            return State.WAITING
        return State.RUNNING if self._polled else State.STARTING

    def ready(self) -> str | None:
        """Return why the worker does not work, None when it does."""
        gap = next(iter(list(self._course.gaps.values())), None)
        reason = self._halt or self._refusal or (gap.reason if gap else None) or self._pause.reason
        if reason is None and self.state is not State.RUNNING:
            reason = f"is {self.state}"
        return f"worker {self.name}: {reason}" if reason else None

    def partitions(self) -> frozenset[int]:
        """Return the partitions that it reads now."""
        consumer = self._consumer
        held = consumer.assignment() if consumer else frozenset()
        return frozenset(where.partition for where in held)

    def lag(self) -> int:
        """Return how many records of its partitions wait; asks the bus."""
        mine = self.partitions()
        if not mine:
            return 0
        ends = self.bus.ends(self.topic)
        stored = self._course.next_offset
        return sum(max(0, ends[TopicPartition(self.topic, p)] - stored.get(p, 0)) for p in mine)

    def since_progress_s(self) -> float:
        """Return how long ago it last settled something or found that nothing was due."""
        return self.monotonic.seconds() - self._progress_at

    # --- the loop --------------------------------------------------------------------------------

    def run_once(self, timeout_s: float) -> int:
        """Poll once, waiting at most `timeout_s`, and settle what came.

        Returns:
            How many records were settled: handled, buried, skipped as known, or by somebody else.
        """
        if self.state in (State.STOPPED, State.REFUSED):
            self.monotonic.wait(self._stopping, timeout_s)
            return 0
        if not self._pause.over(timeout_s):
            return 0
        try:
            settled = self._cycle(timeout_s)
        except WrongUse as exc:
            self._refusal = str(exc)
            self._leave(self._refusal)
        except TooManyBugs as exc:
            self._halt = str(exc)
            self._leave(self._halt)
        except Exception as exc:  # noqa: BLE001 - the loop itself must outlive whatever comes
            self._wait_out(exc)
        else:
            self._pause.end()
            self._progress_at = self.monotonic.seconds()
            return settled
        return 0

    def stop(self) -> None:
        """Leave the group and end `run_once` soon; idempotent, from any thread."""
        self._stopping.set()
        self._leave(None)

    def _wait_out(self, exc: Exception) -> None:
        if isinstance(exc, Retryable):
            reason = str(exc)
        else:  # of a foreign error only its place: its text may be personal
            reason = place_of(exc) if is_trouble(exc) else f"bug, {place_of(exc)}"
        self._pause.lengthen(reason)
        kind = "retryable" if is_trouble(exc) else "bug"
        self.metrics.count("hearthwatch_loop_errors_total", loop=f"{self.name}.worker", kind=kind)
        _log.warning("worker waits", worker=self.name, reason=reason, pause_s=self._pause.length_s)

    def _leave(self, reason: str | None) -> None:
        if reason is not None:
            _log.error("worker stops", worker=self.name, state=self.state, reason=reason)
        consumer = self._consumer
        if consumer is not None:
            consumer.close()

    def _cycle(self, timeout_s: float) -> int:
        consumer = self._consumer or self._join()
        for partition in self._course.retries():
            self._seek(consumer, partition)
        records = consumer.poll(self.batch, timeout_s)
        self._polled = True
        self._course.keep(self.partitions())
        left: dict[int, list[Record]] = {}
        for record in records:
            left.setdefault(record.partition, []).append(record)
        touched = set(left)
        settled = 0
        try:
            for partition in list(left):
                settled += self._partition(consumer, partition, left[partition])
                del left[partition]
        finally:
            for partition in left:  # not settled: they come again
                self._seek(consumer, partition)
            self._commit(consumer, touched)
        return settled

    def _join(self) -> Consumer:
        self.bus.create_topic(dead_letters(self.topic), self.bus.partitions(self.topic))
        self._consumer = self.bus.consumer(self.group, [self.topic], self._assigned)
        if self._stopping.is_set():
            self._consumer.close()
        return self._consumer

    def _assigned(self, gained: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Put the group where the database stands; drop what is cached of these partitions."""
        firsts, ends = self.bus.starts(self.topic), self.bus.ends(self.topic)
        stored = self._stored()
        starts = {}
        for where in sorted(gained):
            start = stored.get(where.partition, 0)
            if ends[where] < start:
                raise WrongUse(_behind(where, start, ends[where]))
            self.handler.forget(where.partition)
            self._course.begin(where.partition, start, firsts[where])
            starts[where] = start
        return starts

    # --- one partition ---------------------------------------------------------------------------

    def _partition(self, consumer: Consumer, partition: int, records: Sequence[Record]) -> int:
        """Settle records of one partition; return how many."""
        if self._course.resting(partition):
            return 0
        cut = self._course.cut(partition, records)
        if cut.due:
            try:
                self._settler.settle(partition, cut.due)
            except Stale:
                return self._believe(consumer, partition)
            crashpoint(f"{self._settler.service}.worker.after_commit_before_offset")
            self._course.gaps.pop(partition, None)
        if cut.beyond is not None:
            self._seek(consumer, partition)
            if not cut.due:
                gap = self._course.lose(partition, cut.beyond.offset)
                _log.error("worker misses records", worker=self.name, reason=gap.reason)
        return cut.known + len(cut.due)

    def _believe(self, consumer: Consumer, partition: int) -> int:
        """Go where another member has moved the position; return by how much."""
        before = self._course.next_offset[partition]
        self._course.begin(partition, self._stored().get(partition, 0))
        self._seek(consumer, partition)
        return max(0, self._course.next_offset[partition] - before)

    def _stored(self) -> dict[int, int]:
        with self.db.read() as conn:
            stored = self.positions.load(conn, self.topic)
        return {partition: position.next_offset for partition, position in stored.items()}

    def _seek(self, consumer: Consumer, partition: int) -> None:
        where = TopicPartition(self.topic, partition)
        if where in consumer.assignment():
            consumer.seek(where, self._course.next_offset[partition])

    def _commit(self, consumer: Consumer, partitions: set[int]) -> None:
        """Tell the group where the partitions stand; after a gap this puts it back."""
        if partitions:
            offsets = self._course.next_offset
            consumer.commit({TopicPartition(self.topic, p): offsets[p] for p in partitions})


def _behind(where: TopicPartition, stored: int, end: int) -> Fault:
    return Fault(
        where=f"{where.topic}/{where.partition}",
        expected=f"a topic that reaches offset {stored}, the stored position",
        found=f"one that ends at {end}",
        remedy="this is another topic or an older copy: restore the bus and the database from "
        "the same backup",
        code="behind",
    )
