"""Takes in `risk.assessment.v1`: assessments, passed facts, moves, unreadable reports and marks.

Called by the worker inside its transaction, a batch of one partition at a time. Alerts of all
subjects in the batch are read with one query and written in bulk at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection

from services.alerts.domain.alert import Alert
from services.alerts.domain.course import (
    Opening,
    end_reason,
    open_alert,
    pass_fact,
    reach,
    report_again,
)
from services.alerts.domain.policy import UNREADABLE, UNREADABLE_LEVEL, Policy
from services.alerts.handlers.barriers import Barriers, Parked
from services.alerts.handlers.fire import fire_all_due
from services.alerts.handlers.ward import Ward
from services.alerts.ports import AlertStore, MarkStore, MoveStore, Transactions, Waiting
from services.kernel.bus.worker import Batch, Message
from services.kernel.clock import SECOND, Clock, to_us
from services.kernel.contracts import assessments as a
from services.kernel.contracts import changes as c
from services.kernel.contracts.envelope import Envelope, decode
from services.kernel.contracts.records import Record
from services.kernel.errors import Fault, InvalidMessage, Retryable
from services.kernel.ids import derived
from services.kernel.metrics import Metrics

Drive = Literal["marks", "clock"]
T = TypeVar("T")
REPAIRED: Final = "repaired"
"""The code of a `fact.unreadable` that says the kept item has been mended and taken in."""
_MARKS_LOCK: Final = "alerts.marks"
_MOVES_LOCK: Final = "alerts.moves"


@dataclass(kw_only=True)
class Consumer:
    """The handler of the assessments' topic.

    drive: `marks` (replay: time is what the marks say) or `clock` (production: marks are only
    stored; the engine fires by the wall clock, and nothing counts as later than now).
    """

    store: AlertStore
    moves: MoveStore
    marks: MarkStore
    db: Transactions
    policy: Policy
    topic: str
    partitions: int
    drive: Drive
    clock: Clock
    metrics: Metrics | None = None

    def handle(self, conn: Connection, batch: Batch) -> None:
        """Write the effect of a batch; see the worker's `Handler`."""
        _Taking(self, conn, batch.partition).run(batch.messages)

    def forget(self, partition: int) -> None:
        """Nothing is cached between batches."""

    def on_dead_letter(self, conn: Connection, record: Record, fault: Fault) -> None:
        """Open a report for what nobody can read, in the transaction that buries it."""
        try:
            envelope = decode(record.value)
        except InvalidMessage:
            where = f"{record.topic}/{record.partition}/{record.offset}"
            kept, subject, household, received = where, f"kept:{where}", "", self.clock.now()
        else:
            kept, subject = envelope.id, envelope.subject
            household, received = envelope.partitionkey, envelope.received_us()
        taking = _Taking(self, conn, record.partition)
        taking.open_unreadable(
            subject, household, kept, cause=kept, code=fault.code, at=received, clock=received
        )
        taking.ward.finish()


@dataclass
class _Taking:
    """One batch being taken in."""

    base: Consumer
    conn: Connection
    partition: int
    now: int = 0
    mark: int | None = None
    ward: Ward = field(init=False)
    barriers: Barriers[_Read] = field(init=False, default_factory=Barriers)
    last_marks: dict[int, int] = field(init=False, default_factory=dict)
    opened: list[_Opened] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.now = self.base.clock.now()
        self.ward = Ward(self.conn, self.base.store, self.now)

    def run(self, messages: Sequence[Message]) -> None:
        base, conn = self.base, self.conn
        by_marks = base.drive == "marks"
        if by_marks:  # partitions are taken in by several workers; the smallest mark is one for all
            base.db.lock(conn, _MARKS_LOCK, shared=False)
            self.last_marks = dict(base.marks.marks(conn, base.topic))
        payloads = [_payload(message.envelope) for message in messages]
        self._load_barriers(halves=any(isinstance(p, a.Moved) for p in payloads))
        self.ward.need(
            name
            for message, payload in zip(messages, payloads, strict=True)
            for name in _names(message.envelope, payload)
        )
        before = self._watermark()
        for message, payload in zip(messages, payloads, strict=True):
            if isinstance(payload, c.Mark):
                self._mark(to_us(payload.at))
            elif payload is not None:
                read = _Read(message.envelope, payload)
                record = read.parked(message.record.value or b"")
                self.barriers.take(message.envelope.partitionkey, record, self._run)
        if self.barriers.changed:
            base.moves.save(conn, self.barriers.kept())
        self._repaired([m.envelope.id for m in messages])
        self.ward.finish()
        if messages:
            offset = messages[-1].record.offset + 1
            base.marks.handled(conn, base.topic, self.partition, offset, self.mark)
        after = self._watermark()
        if by_marks and after is not None and after != before:
            fire_all_due(conn, base.store, after, self.now, self.ward.ids())
        self._measure()

    def _measure(self) -> None:
        metrics, now = self.base.metrics, self.base.clock.now()
        if metrics is None:
            return
        for level, cause, since in self.opened:
            metrics.count("hearthwatch_alerts_opened_total", level=level)
            took_s = max(0, now - since) / SECOND
            metrics.observe(
                "hearthwatch_alerts_change_to_alert_seconds", took_s, level=level, cause=cause
            )

    # --- marks -----------------------------------------------------------------------------------

    def _mark(self, at: int) -> None:
        self.mark = at if self.mark is None else max(at, self.mark)
        if self.base.drive == "marks":
            self.last_marks[self.partition] = max(at, self.last_marks.get(self.partition, at))
            self.ward.watermark = self._watermark()

    def _watermark(self) -> int | None:
        if len(self.last_marks) < self.base.partitions:
            return None
        return min(self.last_marks.values())

    def _at(self, instant: int) -> int:
        """Return the processing time; by the wall clock nothing happens later than now."""
        return instant if self.base.drive == "marks" else min(instant, self.now)

    # --- records ---------------------------------------------------------------------------------

    def _run(self, household: str, record: Parked[_Read]) -> None:
        envelope, payload = record.item
        if isinstance(payload, a.Assessment):
            self._assessed(envelope, payload)
        elif isinstance(payload, a.Passed):
            self._passed(payload)
        elif isinstance(payload, a.Moved):
            self._moved(household, payload)
        elif payload.code == REPAIRED:
            self._close_unreadable(envelope, payload.kept)
        else:
            self.open_unreadable(
                envelope.subject, household, payload.kept, cause=envelope.id, code=payload.code,
                at=self._at(envelope.received_us()), clock=envelope.clock_us(),
            )  # fmt: skip

    def _assessed(self, envelope: Envelope, said: a.Assessment) -> None:
        at = self._at(to_us(said.at))
        known = self.ward.of(said.subject, at)
        for reason in said.reasons:
            alert = known.get((reason.rule, reason.instance))
            if reason.held:
                continue
            since, clock = to_us(reason.since), min(to_us(reason.clock_start), at)
            if alert is not None and alert.open:
                report_again(alert, level=reason.level, since=since, clock_start=clock, at=at)
            elif alert is None or (
                alert.since != since
                and not self.ward.reported(said.subject, (reason.rule, reason.instance), since)
            ):
                self._open(envelope, said, reason, at, alert)
        for ended in said.ended:
            alert = known.get((ended.rule, ended.instance))
            if alert is not None and alert.open:
                end_reason(alert, ended.how, at)

    def _open(
        self, envelope: Envelope, said: a.Assessment, reason: a.Reason, at: int, old: Alert | None
    ) -> None:
        policy = self.base.policy
        if not policy.knows(reason.rule):
            raise InvalidMessage(_other_pack(reason.rule, said.pack, policy))
        ladder = policy.ladder_of(reason.rule)
        if ladder is None:
            return
        opening = Opening(
            id=derived("alert", envelope.id, reason.rule, reason.instance),
            subject=said.subject,
            household=said.household,
            kind=said.kind,
            rule=reason.rule,
            instance=reason.instance,
            level=reason.level,
            ladder=ladder,
            clock_start=to_us(reason.clock_start),
            at=at,
            since=to_us(reason.since),
            cause=envelope.id,
            pack=said.pack,
            evidence=_text({"values": reason.values, "facts": reason.facts}),
        )
        self.ward.add(open_alert(opening), old)
        cause = "fact" if said.cause else "time"
        self.opened.append(_Opened(str(reason.level), cause, envelope.received_us()))

    def _passed(self, passed: a.Passed) -> None:
        at = self._at(to_us(passed.at))
        for alert in list(self.ward.of(passed.subject, at).values()):
            if not alert.open or (passed.rules and alert.rule not in passed.rules):
                continue
            if passed.instance is not None and alert.instance != passed.instance:
                continue
            pass_fact(
                alert, passed.role, at, fact=passed.fact, type_=passed.type, outcome=passed.outcome
            )

    def open_unreadable(
        self, subject: str, household: str, kept: str, *, cause: str, code: str, at: int, clock: int
    ) -> None:
        """Open the alert of the built-in rule, unless the pack switches it off or it is open."""
        ladder = self.base.policy.ladder_of(UNREADABLE)
        if ladder is None:
            return
        instance = "" if subject == f"kept:{kept}" else kept
        known = self.ward.of(subject, at).get((UNREADABLE, instance))
        if known is not None:
            return
        opening = Opening(
            id=derived("alert", cause, UNREADABLE, kept),
            subject=subject,
            household=household or subject,
            kind="person",
            rule=UNREADABLE,
            instance=instance,
            level=UNREADABLE_LEVEL,
            ladder=ladder,
            clock_start=clock,
            at=at,
            since=at,
            cause=cause,
            pack=self.base.policy.version,
            because="unreadable",
            evidence=_text({"values": {"code": code}, "facts": [kept]}),
        )
        self.ward.add(open_alert(opening), None)
        self.opened.append(_Opened(str(UNREADABLE_LEVEL), "fact", at))

    def _close_unreadable(self, envelope: Envelope, kept: str) -> None:
        at = self._at(envelope.received_us())
        for name, instance in ((envelope.subject, kept), (f"kept:{kept}", "")):
            alert = self.ward.of(name, at).get((UNREADABLE, instance))
            if alert is not None and alert.open:
                reach(alert, "closed", at, "repaired", actor="intake")

    def _repaired(self, ids: Sequence[str]) -> None:
        """Close the reports of messages of ours that were dead letters and now went through."""
        for alert in self.base.store.unreadable(self.conn, ids):
            for held in self.ward.of(alert.subject, self.now).values():
                if held.id == alert.id and held.open:
                    reach(held, "closed", self._at(self.now), "repaired", actor="dlq")

    # --- moves -----------------------------------------------------------------------------------

    def _moved(self, household: str, moved: a.Moved) -> None:
        """Carry a move out when both halves are here."""
        other = self.barriers.half(Waiting(moved.move, moved.half, household, moved))
        if other is not None:
            at = self._at(max(to_us(other.moved.at), to_us(moved.at)))
            self.ward.move(moved.was, moved.became, moved.to_household, at)

    def _load_barriers(self, *, halves: bool) -> None:
        """Read what waits, and keep other workers from changing it meanwhile.

        Another worker may set free what this one is about to keep back, so both must not be at it
        together; where nothing waits, all go on side by side.
        """
        base, conn = self.base, self.conn
        exclusive = halves or bool(base.moves.load(conn).waiting)
        base.db.lock(conn, _MOVES_LOCK, shared=not exclusive)
        kept = base.moves.load(conn)
        if kept.waiting and not exclusive:
            raise Retryable("a move began to wait meanwhile: the batch comes again")
        self.barriers.waiting = {waiting.move: waiting for waiting in kept.waiting}
        for household, values in kept.queues.items():
            self.barriers.queues[household] = [_read(value).parked(value) for value in values]


# --- payloads ------------------------------------------------------------------------------------

Said = a.Assessment | a.Passed | a.Moved | c.Unreadable
Payload = Said | c.Mark
_DECODERS: Final[dict[str, Callable[[msgspec.Raw], Payload]]] = {
    a.ASSESSED: msgspec.json.Decoder(a.Assessment).decode,
    a.PASSED: msgspec.json.Decoder(a.Passed).decode,
    a.MOVED: msgspec.json.Decoder(a.Moved).decode,
    c.UNREADABLE: msgspec.json.Decoder(c.Unreadable).decode,
    c.MARK: msgspec.json.Decoder(c.Mark).decode,
}


def _payload(envelope: Envelope) -> Payload | None:
    """Return the decoded payload; None for a type of a later version, which concerns others."""
    decoder = _DECODERS.get(envelope.type)
    if decoder is None:
        return None
    try:
        return decoder(envelope.data)
    except msgspec.MsgspecError as exc:
        raise InvalidMessage(
            Fault(
                where=f"message {envelope.id} of type {envelope.type}",
                expected="a payload as services/kernel/contracts has it",
                found=str(exc),
                remedy="fix it with `hearthwatch dlq fix` and send it again with `dlq replay`",
            )
        ) from exc


class _Opened(NamedTuple):
    """What is measured of an opening: level, what brought it about, and since when it was due."""

    level: str
    cause: str
    since: int


class _Read(NamedTuple):
    """A message with its payload."""

    envelope: Envelope
    payload: Said

    def parked(self, value: bytes) -> Parked[_Read]:
        """Return it as what may have to wait."""
        move = self.payload.move if isinstance(self.payload, a.Moved) else None
        return Parked(value, frozenset(_names(self.envelope, self.payload)), move, self)


def _read(value: bytes) -> _Read:
    envelope = decode(value)
    payload = _payload(envelope)
    assert payload is not None  # noqa: S101 - only what was read once is kept back
    assert not isinstance(payload, c.Mark)  # noqa: S101 - marks concern nobody
    return _Read(envelope, payload)


def _names(envelope: Envelope, payload: Payload | None) -> Iterable[str]:
    if isinstance(payload, a.Assessment | a.Passed):
        return (payload.subject,)
    if isinstance(payload, a.Moved):
        return (payload.was, payload.became)
    return (envelope.subject,) if isinstance(payload, c.Unreadable) else ()


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _other_pack(rule: str, pack: str, policy: Policy) -> Fault:
    return Fault(
        where=f"assessment of pack {pack!r}",
        expected=f"a rule of pack {policy.pack} {policy.version}",
        found=f"rule {rule!r}",
        remedy="start alerts with the pack that risk uses, then `hearthwatch dlq replay`",
        code="other_pack",
    )
