"""What risk does with its one input: fold each record, wake what time makes due, pass the rest on.

One batch of one partition is one transaction: facts, states, assessments, outbox, position.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from services.kernel.bus.stores import Batch, Message
from services.kernel.clock import from_us
from services.kernel.contracts import assessments as a
from services.kernel.contracts import changes as c
from services.kernel.contracts.envelope import HEADERS, Envelope, decode, encode
from services.kernel.contracts.records import Outgoing, Record
from services.kernel.contracts.topics import ASSESSMENTS
from services.kernel.db.write import chunks
from services.kernel.errors import Fault, InvalidMessage
from services.kernel.ids import derived
from services.kernel.metrics import Metrics
from services.risk.domain.change import Change
from services.risk.domain.compiled import Compiled
from services.risk.domain.drafts import Draft, Output
from services.risk.domain.fold import Fold
from services.risk.domain.reading import Reader
from services.risk.domain.state import Household
from services.risk.ports import AssessmentRow, FactRow, Scorer, Store
from services.risk.scoring import says_of

SOURCE: Final = "hearthwatch/risk"
_WAKE: Final = 500
"""Households woken at a time on a mark: bounds memory, not the transaction."""
_REBUILT: Final = 100
"""Households under an old pack whose facts are read at a time."""
WEIGH_EVERY: Final = 20_000
"""Facts read or taken in between two weighings of what is cached, each of which looks at all of it.
Counted in facts, for a household has few at first and hundreds after a year."""
_encoder = msgspec.json.Encoder()


class _Item(NamedTuple):
    """One output of the fold with the household it belongs to."""

    household: Household
    output: Output


class Changes:
    """Handler of `intake.change.v1`.

    Keeps up to `cache` household states of about `facts` facts; its partitions share both equally.
    """

    def __init__(
        self,
        compiled: Compiled,
        store: Store,
        scorer: Scorer | None,
        *,
        cache: int = 20_000,
        facts: int = 40_000,
        metrics: Metrics | None = None,
    ) -> None:
        self._store = store
        self._compiled = compiled
        self._fold = Fold(compiled)
        self._reader = Reader(compiled)
        self._scorer = scorer
        self._cache = cache
        self.facts = facts
        self._used = 0
        self._metrics = metrics
        self._pack = _read_by(compiled)
        self._states: dict[int, OrderedDict[str, Household]] = {}
        self._marks: dict[int, int] = {}

    def held(self) -> int:
        """Return how many facts are cached."""
        return sum(_weight(state) for kept in self._states.values() for state in kept.values())

    def forget(self, partition: int) -> None:
        """Drop what is cached of a partition."""
        self._states.pop(partition, None)
        self._marks.pop(partition, None)

    def handle(self, conn: Connection, batch: Batch) -> None:
        """Write the whole effect of a batch through `conn`."""
        work = _Work(conn, self._store, batch.partition)
        if batch.partition not in self._marks:
            known = self._store.marks(conn)
            self._marks[batch.partition] = known.get(batch.partition, 0)
        self._load(
            work, {m.envelope.partitionkey for m in batch.messages if m.envelope.type != c.MARK}
        )
        for message in batch.messages:
            if message.envelope.type == c.MARK:
                self._mark(work, c.mark_of(message.envelope))
            else:
                self._change(work, message)
        self._flush(work)
        self._trim(batch.partition)
        self._count(work)

    # -- one message ---------------------------------------------------------------------------

    def _change(self, work: _Work, message: Message) -> None:
        envelope = message.envelope
        change = self._reader.change(envelope)
        state = self._state(work, envelope.partitionkey)
        if change.moved_out is not None or change.moved_in is not None:
            self._flush(work)  # what the household comes to does not depend on the batch
        now = max(change.received, self._marks[work.partition], state.now)
        work.items += [_Item(state, output) for output in self._fold.fold(state, change, now)]
        work.changed[state.id] = state
        self._keep(work, change, envelope, message.record)

    def _keep(self, work: _Work, change: Change, envelope: Envelope, record: Record) -> None:
        if change.moved_out is not None:
            self._flush(work)
            self._store.leave(work.conn, change.household, change.subject, change.received)
        elif change.moved_in is not None:
            for raw_fact in change.moved_in.facts:
                past = decode(bytes(raw_fact))
                work.facts.append(
                    FactRow(
                        change.household,
                        past.id,
                        past.subject,
                        past.type,
                        past.received_us(),
                        bytes(raw_fact),
                    )
                )
        elif change.unreadable is None:
            work.facts.append(
                FactRow(
                    change.household,
                    change.id,
                    change.subject,
                    envelope.type,
                    change.received,
                    record.value or b"",
                )
            )

    def _mark(self, work: _Work, at: int) -> None:
        """Wake every household of the partition with work due up to the mark, then pass it on."""
        partition = work.partition
        if at <= self._marks[partition]:
            return
        self._flush(work)
        while due := self._store.due_households(work.conn, partition, at, _WAKE):
            self._load(work, set(due))
            for name in due:
                state = self._state(work, name)
                work.items += [_Item(state, output) for output in self._fold.wake(state, at)]
                work.changed[name] = state
            self._flush(work)
            self._trim(partition)
        self._marks[partition] = at
        self._store.mark(work.conn, partition, at)
        mark = c.mark(SOURCE, ASSESSMENTS.name, partition, at)
        work.out.append(Outgoing(ASSESSMENTS.name, None, encode(mark), HEADERS, partition))

    # -- states --------------------------------------------------------------------------------

    def _load(self, work: _Work, wanted: set[str]) -> None:
        cache = self._states.setdefault(work.partition, OrderedDict())
        missing = sorted(wanted - cache.keys())
        found = self._store.load_states(work.conn, missing)
        self._used += len(wanted) + sum(map(_weight, found.values()))
        old = [name for name, state in found.items() if state.pack != self._pack]
        cache.update((name, state) for name, state in found.items() if state.pack == self._pack)
        for names in chunks(old, _REBUILT):
            facts = self._store.facts_of(work.conn, names)
            for name in names:
                cache[name] = self._rebuilt(work, found[name], facts.get(name, ()))

    def _state(self, work: _Work, name: str) -> Household:
        cache = self._states[work.partition]
        state = cache.get(name)
        if state is None:
            state = cache[name] = Household(name, self._pack)
        cache.move_to_end(name)
        return state

    def _rebuilt(self, work: _Work, old: Household, facts: Sequence[FactRow]) -> Household:
        """Return the state under the present pack, from the fact rows; tell what changed by it."""
        history = []
        for row in facts:
            try:
                history.append(self._reader.change(decode(row.body)))
            except InvalidMessage:  # readable under the old pack, not under this one: kept as a row
                continue
        state, outputs = self._fold.rebuild(old, history, max(old.now, self._marks[work.partition]))
        state.pack = self._pack
        work.items += [_Item(state, output) for output in outputs]
        work.changed[state.id] = state
        return state

    def _trim(self, partition: int) -> None:
        """Let go of the states used longest ago: past so many, or past so many facts."""
        cache, sharing = self._states[partition], len(self._states)
        while len(cache) > self._cache // sharing:
            cache.popitem(last=False)
        if self._used >= WEIGH_EVERY:
            self._used = 0
            for kept in self._states.values():
                excess = sum(map(_weight, kept.values())) - self.facts // sharing
                while excess > 0 and kept:
                    excess -= _weight(kept.popitem(last=False)[1])

    # -- writing -------------------------------------------------------------------------------

    def _flush(self, work: _Work) -> None:
        """Score, settle and write what has gathered."""
        outputs = [item.output for item in work.items]
        says = says_of(self._scorer, outputs) if self._scorer is not None else {}
        for n, (state, output) in enumerate(work.items):
            if isinstance(output, Draft):
                assessment = self._fold.settle(state, output, says.get(n))
                if assessment is not None:
                    self._assessed(work, output, assessment)
            else:
                _pass_on(work, state.id, output)
        work.write()

    def _assessed(self, work: _Work, draft: Draft, assessment: a.Assessment) -> None:
        cause = draft.cause or str(draft.at)
        key = derived("assessment", cause, assessment.household, draft.subject, assessment.pack)
        body = _encoder.encode(assessment)
        work.assessments.append(
            AssessmentRow(
                key,
                draft.subject,
                assessment.household,
                draft.at,
                assessment.level,
                draft.cause,
                body,
            )
        )
        work.emit(key, a.ASSESSED, draft.subject, assessment.household, draft.at, body)
        work.levels[assessment.level] += 1
        work.unknown[assessment.level] += bool(assessment.unknowns)

    def _count(self, work: _Work) -> None:
        if self._metrics is None:
            return
        for level, count in work.levels.items():
            self._metrics.count("hearthwatch_risk_assessments_total", count, level=str(level))
            self._metrics.count(
                "hearthwatch_risk_unknown_assessments_total", work.unknown[level], level=str(level)
            )


class _Work:
    """What one transaction has gathered and not yet written."""

    def __init__(self, conn: Connection, store: Store, partition: int) -> None:
        self.conn = conn
        self.store = store
        self.partition = partition
        self.items: list[_Item] = []
        self.changed: dict[str, Household] = {}
        self.facts: list[FactRow] = []
        self.assessments: list[AssessmentRow] = []
        self.out: list[Outgoing] = []
        self.levels: Counter[int] = Counter()
        self.unknown: Counter[int] = Counter()

    def emit(self, key: str, kind: str, subject: str, household: str, at: int, body: bytes) -> None:
        """Queue one message for the same partition of the output."""
        when = from_us(at)
        message = Envelope(
            id=key,
            type=kind,
            source=SOURCE,
            time=when,
            subject=subject,
            partitionkey=household,
            receivedat=when,
            data=msgspec.Raw(body),
        )
        self.out.append(
            Outgoing(ASSESSMENTS.name, household, encode(message), HEADERS, self.partition)
        )

    def write(self) -> None:
        """Write everything gathered and start anew."""
        self.store.add_facts(self.conn, self.facts)
        self.store.save_states(self.conn, self.partition, self.changed.values())
        self.store.add_assessments(self.conn, self.assessments)
        self.store.send(self.conn, self.out)
        self.items, self.changed, self.facts = [], {}, []
        self.assessments, self.out = [], []


def _pass_on(work: _Work, household: str, output: tuple[str, str, int, object]) -> None:
    subject, cause, at, message = output
    match message:
        case a.Passed():
            key, kind = derived("passed", cause, message.role, *message.rules), a.PASSED
        case a.Moved():
            key, kind = derived("moved", message.move, message.half), a.MOVED
        case c.Unreadable():
            key, kind = derived("unreadable", message.kept, message.code), c.UNREADABLE
        case _:
            raise TypeError(f"the fold gave {type(message).__name__}")
    work.emit(key, kind, subject, household, at, _encoder.encode(message))


def _read_by(compiled: Compiled) -> str:
    """Return what decides which fields a state holds: another pack or model rebuilds it."""
    pack = compiled.pack
    trained = pack.model.trained if pack.model is not None else ""
    return f"{pack.name}@{pack.version}" + (f" {trained}" if trained else "")


def _weight(state: Household) -> int:
    """Return how many facts a state holds; each takes about a kilobyte."""
    return sum(len(held) for subject in state.subjects.values() for held in subject.facts.values())


def dead_letter(store: Store, conn: Connection, record: Record, fault: Fault, now: int) -> None:
    """Tell alerts that something which may have been a cry for help could not be read by risk."""
    kept = derived("kept", record.topic, record.partition, record.offset)
    try:
        envelope = decode(record.value)
        subject, household = envelope.subject, envelope.partitionkey
        kind, started = envelope.type, envelope.clock_us()
    except InvalidMessage:
        subject = household = f"kept:{kept}"
        kind, started = None, record.published
    place = f"{record.topic}/{record.partition}/{record.offset}"
    message = c.Unreadable(kept=kept, code=fault.code, place=place, event_type=kind)
    envelope = Envelope(
        id=derived("unreadable", kept, fault.code),
        type=c.UNREADABLE,
        source=SOURCE,
        time=from_us(now),
        subject=subject,
        partitionkey=household,
        receivedat=from_us(now),
        clockat=from_us(min(started, now)),
        data=msgspec.Raw(_encoder.encode(message)),
    )
    store.send(
        conn, [Outgoing(ASSESSMENTS.name, household, encode(envelope), HEADERS, record.partition)]
    )
