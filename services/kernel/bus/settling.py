"""Settling a batch: effect, inbox, dead letters and position in one transaction, or none of it.

A batch that fails is halved until the message that spoils it stands alone; the others go through.
Trouble with the infrastructure is told apart and never costs a message anything but time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Connection

from services.kernel.bus import dead_letters
from services.kernel.bus.blame import is_trouble, place_of
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
from services.kernel.contracts.changes import MARK
from services.kernel.contracts.envelope import Envelope, decode, moment
from services.kernel.contracts.records import Record
from services.kernel.crash import crashpoint
from services.kernel.errors import Fault, HearthwatchError, InvalidMessage, Stale
from services.kernel.ids import derived
from services.kernel.logging import get_logger, places
from services.kernel.metrics import Metrics

TRIES: Final = 3
BUGS_PER_MINUTE: Final = 20
_MINUTE_S: Final = 60.0
_log: Final = get_logger(__name__)

OnDeadLetter = Callable[[Connection, Record, Fault], None]


class TooManyBugs(HearthwatchError):
    """The handler fails on so many messages that it is the handler: stop, bury no more."""


class Item(NamedTuple):
    """A record, and what its value is: a message, or something that nobody can read."""

    record: Record
    message: Message | None
    fault: Fault | None


def item_of(record: Record, *, compacted: bool) -> Item:
    """Decode a record; what cannot be decoded is a fault, not an error."""
    if compacted and record.value is None:
        return Item(record, Message(record, _tombstone(record)), None)
    try:
        return Item(record, Message(record, decode(record.value)), None)
    except InvalidMessage as exc:
        return Item(record, None, exc.fault)


@dataclass(kw_only=True, eq=False)
class Settler:
    """Settles batches of one topic for one group. Used by one thread.

    worker: its name, for metrics and logs; up to the first point it is the service's.
    next_offset: the stored positions, as believed; moved on with each commit. After `Stale` they
        must be loaded anew.
    """

    worker: str
    topic: str
    group: str
    next_offset: dict[int, int]
    db: Transactions
    positions: StoredPositions
    inbox: SeenIds
    outbox: Outgoings
    handler: Handler
    clock: Clock
    monotonic: Monotonic
    metrics: Metrics
    on_dead_letter: OnDeadLetter | None = None
    compacted: bool = False
    _bugs: deque[float] = field(default_factory=deque)

    @property
    def service(self) -> str:
        """The service that the worker belongs to."""
        return self.worker.partition(".")[0]

    def settle(self, partition: int, records: Sequence[Record]) -> None:
        """Settle the records, the first of which is due next.

        Raises:
            Stale: somebody else moved the position.
            TooManyBugs: see BUGS_PER_MINUTE; the message in question is left where it is.
            Exception: trouble (`is_trouble`); what was settled before it stays settled.
        """
        items = [item_of(record, compacted=self.compacted) for record in records]
        self._settle(partition, items)

    def _settle(self, partition: int, items: Sequence[Item]) -> None:
        try:
            self._attempt(partition, items)
        except Exception as exc:  # a worker's loop: what a handler may raise is not known
            self.handler.forget(partition)
            if isinstance(exc, Stale) or is_trouble(exc):
                raise
            if len(items) == 1:
                self._single(partition, items[0], exc)
            else:
                middle = len(items) // 2
                self._settle(partition, items[:middle])
                self._settle(partition, items[middle:])

    def _single(self, partition: int, item: Item, exc: Exception) -> None:
        """Deal with the one message that spoiled its batch and has just failed alone."""
        tries = 1
        while not isinstance(exc, InvalidMessage) and tries < TRIES:
            tries += 1
            try:
                self._attempt(partition, [item])
            except Exception as again:  # as above
                self.handler.forget(partition)
                if isinstance(again, Stale) or is_trouble(again):
                    raise
                exc = again
            else:
                return
        if isinstance(exc, InvalidMessage):
            fault = exc.fault
        else:
            self._count_bug(exc)
            fault = _bug(item.record, exc)
        self._bury(partition, item._replace(message=None, fault=item.fault or fault), tries)

    def _bury(self, partition: int, item: Item, tries: int) -> None:
        try:
            self._attempt(partition, [item], tries)
        except Exception as exc:  # as above: here it is the hook that failed
            self.handler.forget(partition)
            if isinstance(exc, Stale) or is_trouble(exc):
                raise
            self._count_bug(exc)
            self._attempt(partition, [item], tries, hook=False)

    def _count_bug(self, exc: Exception) -> None:
        trace = places(exc.__traceback__)
        _log.error("bug on a message", worker=self.worker, error=type(exc).__name__, trace=trace)
        now = self.monotonic.seconds()
        self._bugs.append(now)
        while self._bugs and now - self._bugs[0] > _MINUTE_S:
            self._bugs.popleft()
        if len(self._bugs) > BUGS_PER_MINUTE:
            raise TooManyBugs(
                f"more than {BUGS_PER_MINUTE} messages failed within a minute, the last with "
                f"{place_of(exc)}: expected a handler that works; mend it and start again, "
                "then send the dead letters again with `hearthwatch dlq replay`"
            ) from exc

    def _attempt(
        self, partition: int, items: Sequence[Item], tries: int = 1, *, hook: bool = True
    ) -> None:
        """Do everything for the items in one transaction."""
        expected = self.next_offset[partition]
        following = items[-1].record.offset + 1
        with self.db.begin() as conn:
            fresh = self._unseen(conn, items)
            for part in _runs(fresh):
                if part[0].fault is None:
                    messages = [item.message for item in part if item.message]
                    self.handler.handle(conn, Batch(self.topic, partition, messages))
                else:
                    self._write_dead(conn, part, tries, hook=hook)
            self._remember(conn, fresh)
            self.positions.move(conn, self.topic, partition, expected, following)
            crashpoint(f"{self.service}.worker.before_commit")
        self.next_offset[partition] = following
        self.metrics.count("hearthwatch_worker_records_total", len(items), worker=self.worker)
        for item in fresh:
            if item.fault is not None:
                self._tell_dead(item.record, item.fault)

    def _tell_dead(self, record: Record, fault: Fault) -> None:
        self.metrics.count("hearthwatch_worker_dead_letters_total", worker=self.worker)
        _log.warning(
            "dead letter",
            worker=self.worker,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            code=fault.code,
            reason=fault.sentence(),
        )

    def _unseen(self, conn: Connection, items: Sequence[Item]) -> list[Item]:
        """Return the items without those whose id is in the inbox or came twice."""
        ids = [item.message.envelope.id for item in items if item.message and _counts(item.message)]
        new = self.inbox.unseen(conn, ids) if ids else set()
        fresh = []
        for item in items:
            if item.message and _counts(item.message):
                if item.message.envelope.id not in new:
                    continue
                new.discard(item.message.envelope.id)
            fresh.append(item)
        return fresh

    def _remember(self, conn: Connection, items: Sequence[Item]) -> None:
        rows = [
            {
                "id": item.message.envelope.id,
                "topic": self.topic,
                "partition": item.record.partition,
                "offset": item.record.offset,
            }
            for item in items
            if item.message and _counts(item.message)
        ]
        if rows:
            self.inbox.add(conn, rows)

    def _write_dead(
        self, conn: Connection, items: Sequence[Item], tries: int, *, hook: bool
    ) -> None:
        now = self.clock.now()
        for record, fault in [(item.record, item.fault) for item in items if item.fault]:
            letter = dead_letters.bury(record, fault, group=self.group, attempts=tries, now=now)
            self.outbox.add(conn, [letter])
            if hook and self.on_dead_letter:
                self.on_dead_letter(conn, record, fault)


def _counts(message: Message) -> bool:
    """Return whether the inbox keeps the message: a mark says the same when it comes again."""
    return message.envelope.type != MARK


def _runs(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Cut the items where readable and unreadable ones meet: all are dealt with in order."""
    run: list[Item] = []
    for item in items:
        if run and (run[-1].fault is None) != (item.fault is None):
            yield run
            run = []
        run.append(item)
    if run:
        yield run


def _tombstone(record: Record) -> Envelope:
    at = moment(record.published)
    return Envelope(
        id=derived(TOMBSTONE, record.topic, record.partition, record.offset),
        type=TOMBSTONE,
        source="bus",
        time=at,
        subject=record.key or "",
        partitionkey=record.key or "",
        receivedat=at,
    )


def _bug(record: Record, exc: Exception) -> Fault:
    return Fault(
        where=f"{record.topic}/{record.partition} offset {record.offset}",
        expected="a handler that takes the message",
        found=place_of(exc),
        remedy="mend the handler, then send it again with `hearthwatch dlq replay`",
        code="bug",
    )
