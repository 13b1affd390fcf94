"""The one door: a batch in, one answer per item out, everything durable before the answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from services.intake.domain.check import check
from services.intake.domain.clocks import clock_start
from services.intake.domain.fields import instant_of
from services.intake.domain.guarding import Guard
from services.intake.domain.item import Broken, Checked, Item, Refused, change_id
from services.intake.domain.types import Catalogue
from services.intake.handlers.covering import Cover
from services.intake.handlers.facts import Taking
from services.intake.handlers.refusals import (
    CONFLICT,
    Answer,
    Refusals,
    conflict,
)
from services.intake.handlers.session import Session
from services.intake.ports import Answered, Clocks, Meter, Store
from services.kernel.clock import Clock, rfc3339, to_us
from services.kernel.crash import crashpoint
from services.kernel.errors import Fault
from services.kernel.errors import Refused as CommandRefused

ACCEPTED: Final = "accepted"
DUPLICATE: Final = "duplicate"
REJECTED: Final = "rejected"


Sent = dict[str, Any] | bytes | msgspec.Raw | Broken
"""One item: JSON values, JSON bytes, or what a file reader could not make an item of."""

_answers: Final = msgspec.json.Decoder(list[Answer])
_encode: Final = msgspec.json.Encoder().encode


class Door:
    """Takes batches. Thread-safe; batches are taken one after the other."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        clock: Clock,
        guard: Guard,
        *,
        replay: bool = False,
        meter: Meter | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.replay = replay
        self.guard = guard
        self.cover = Cover(guard, stable=replay)
        self._store = store
        self._clock = clock
        self._meter = meter

    def accept(
        self,
        batch: Sequence[Sent],
        *,
        idempotency_key: str | None = None,
        received_at: int | None = None,
    ) -> list[Answer]:
        """Take a batch and return one answer per item, in order; durable when this returns.

        Args:
            batch: Items in the order in which they came.
            idempotency_key: The same key with the same batch gets the stored answers again.
            received_at: Receipt of items that do not bring their own (replay only).

        Raises:
            Refused: the key was used for another batch (422).
            Retryable: store out of reach; send the batch again.
        """
        started = self._meter.start() if self._meter is not None else 0.0
        originals = [_bytes(sent) for sent in batch]
        looked = [self._look(sent, raw) for sent, raw in zip(batch, originals, strict=True)]
        body = _digest(originals) if idempotency_key is not None else b""
        with self._store.unit() as unit:
            if idempotency_key is not None:
                stored = unit.answered(idempotency_key)
                if stored is not None:
                    return _again(stored, (*self.cover.requests(body), body.hex()))
            clocks = unit.clocks()
            received = self._receipt(clocks, received_at)
            session = Session(unit, self.catalogue, self.cover)
            taken = _Batch(session, received)
            answers = list(taken.run(looked))
            session.close()
            unit.set_clocks(Clocks(max(taken.latest, clocks.received), clocks.marked))
            if idempotency_key is not None:
                answered = Answered(self.cover.request(body), _encode(answers))
                unit.answer(idempotency_key, answered, received)
            crashpoint("intake.accept.before_commit")
        crashpoint("intake.accept.after_commit")
        if self._meter is not None:
            self._meter.batch(started, [answer.status for answer in answers])
        return answers

    def _receipt(self, clocks: Clocks, received_at: int | None) -> int:
        """Return the receipt of a batch: never before what was received or marked already."""
        if self.replay:
            return received_at if received_at is not None else self._clock.now()
        return max(self._clock.now(), clocks.received, clocks.marked + 1)

    def _look(self, sent: Sent, original: bytes) -> Checked | Refused:
        if not isinstance(sent, Broken):
            return check(original, self.catalogue, self.guard, replay=self.replay)
        named = sent.source and sent.sourceid
        return Refused(
            original,
            [sent.fault],
            id=change_id(sent.source, sent.sourceid or "") if named else None,
            type=sent.type,
            source=sent.source,
            person=sent.person,
            household=sent.household,
            origin=sent.origin,
            receivedat=instant_of(sent.receivedat) if self.replay else None,
            draft=_encode(sent.draft) if sent.draft is not None else None,
        )


class _Batch:
    """The items of one batch, taken one after the other in one session."""

    def __init__(self, session: Session, received: int) -> None:
        self.latest = received
        self._session = session
        self._received = received
        self._taking = Taking(session)
        self._refusals = Refusals(session)
        self._waiting: dict[str, str] = {}

    def run(self, looked: list[Checked | Refused]) -> Iterator[Answer]:
        """Yield one answer per item; items see the effect of those before them."""
        good = [each for each in looked if isinstance(each, Checked)]
        ids = [each.id for each in good]
        targets = [each.target for each in good if each.target is not None]
        self._session.prepare(ids, targets, _names(looked))
        waiting = self._session.unit.open_kept(ids)
        self._session.kept.update((kept.id, kept) for kept in waiting.values())
        self._waiting = {change: kept.id for change, kept in waiting.items()}
        for each in looked:
            answer = self._refused(each) if isinstance(each, Refused) else self._good(each)
            self._count(each.source if isinstance(each, Refused) else each.item.source, answer)
            yield answer

    def _refused(self, refused: Refused) -> Answer:
        answer = self._refusals.refuse(refused, self._stamp(refused.receivedat))
        if refused.id is not None and answer.kept is not None:
            self._waiting.setdefault(refused.id, answer.kept)
        return answer

    def _good(self, checked: Checked) -> Answer:
        item = checked.item
        received = self._stamp(item.receivedat)
        known = self._session.known.get(checked.id)
        if known is not None and known.content is not None and not _same(known.content, checked):
            refused = conflict(checked.original, checked.id, item.source, item.origin)
            answer = self._refusals.refuse(refused, received)
            return Answer(CONFLICT, checked.id, answer.kept, answer.fault)
        waiting = item.repairs if item.repairs is not None else self._waiting.get(checked.id)
        kept = self._refusals.find(waiting) if waiting is not None else None
        if item.repairs is not None and kept is None:
            return self._refuse(checked, _no_such_kept(), received)
        if known is None:
            earlier = kept.received if kept is not None else None
            fault = _ahead(checked, received) or self._taking.take(
                checked,
                received,
                clock_start(item, received, self._session.catalogue.own_sources, earlier),
            )
            if fault is not None:
                return self._refuse(checked, fault, received)
        if kept is not None:
            self._refusals.repaired(kept, checked.id, received)
        return Answer(ACCEPTED if known is None else DUPLICATE, checked.id)

    def _refuse(self, checked: Checked, fault: Fault, received: int) -> Answer:
        item = checked.item
        refused = Refused(
            checked.original,
            [fault],
            id=checked.id,
            type=item.type,
            source=item.source,
            person=item.person,
            household=item.household,
            repairs=item.repairs,
            origin=item.origin,
        )
        answer = self._refusals.refuse(refused, received)
        if answer.kept is not None:
            self._waiting.setdefault(checked.id, answer.kept)
        return answer

    def _stamp(self, brought: Any) -> int:  # noqa: ANN401 - a datetime of a replayed item, or None
        received = self._received if brought is None else to_us(brought)
        self.latest = max(self.latest, received)
        return received

    def _count(self, source: str, answer: Answer) -> None:
        tally = self._session.tallies[source]
        tally.read += 1
        if answer.status == ACCEPTED:
            tally.accepted += 1
        elif answer.status == DUPLICATE:
            tally.duplicate += 1
        else:
            tally.rejected += 1
            tally.conflict += answer.status == CONFLICT


def _names(looked: list[Checked | Refused]) -> set[str]:
    found: set[str | None] = set()
    for each in looked:
        about: Item | Refused = each.item if isinstance(each, Checked) else each
        found.add(about.person)
        found.add(about.household)
    return {name for name in found if name is not None}


def _ahead(checked: Checked, received: int) -> Fault | None:
    latest = received + checked.kind.max_ahead
    if checked.occurred <= latest:
        return None
    return Fault(
        where="time",
        expected=f"at most {checked.kind.max_ahead // 1_000_000} s after its receipt "
        f"({rfc3339(received)})",
        found="a time further ahead",
        remedy="correct the sender's clock or the year, or raise the type's max_ahead",
        code="too_far_ahead",
    )


def _no_such_kept() -> Fault:
    return Fault(
        where="repairs",
        expected="the id of a kept item",
        found="an id under which nothing is kept",
        remedy="look it up with `hearthwatch dlq list`, or leave `repairs` out",
        code="unknown_kept",
    )


def _bytes(sent: Sent) -> bytes:
    if isinstance(sent, Broken):
        return sent.original.encode("utf-8", "surrogatepass")
    if isinstance(sent, dict):
        return _encode(sent)
    return bytes(sent)


def _same(content: bytes, checked: Checked) -> bool:
    return content == checked.content or content in checked.older


def _digest(originals: list[bytes]) -> bytes:
    digest = blake2b(digest_size=16)
    for original in originals:
        digest.update(len(original).to_bytes(8, "big") + original)
    return digest.digest()


def _again(stored: Answered, digests: tuple[str, ...]) -> list[Answer]:
    """Return the stored answers; `digests` of this request, as it is kept now or once was."""
    if stored.digest not in digests:
        raise CommandRefused(
            Fault(
                where="Idempotency-Key",
                expected="a key of its own for another request",
                found="a key that was used for a request with another body",
                remedy="make a new key for each new request",
                code="key_reused",
            ),
            status=422,
        )
    return _answers.decode(stored.body)
