"""Keeping the book: takes every change, folds what it touches anew, publishes what is news."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from services.kernel.bus.worker import Batch
from services.kernel.contracts.changes import (
    CONTROL,
    MOVED_OUT,
    RETRACTED,
    MovedOut,
)
from services.kernel.contracts.envelope import HEADERS, Envelope, encode, moment, raw
from services.kernel.contracts.records import Outgoing
from services.kernel.contracts.registry import DUTY_CHANGED, HOUSEHOLD_CHANGED
from services.kernel.contracts.registry_types import MERGED
from services.kernel.contracts.topics import DUTY, HOUSEHOLDS
from services.kernel.errors import Fault, InvalidMessage
from services.kernel.ids import derived
from services.registry.domain.entries import (
    duty_card,
    entries,
    household_card,
    household_row,
    member,
)
from services.registry.domain.facts import (
    ENTRIES,
    MOVES,
    PLACED,
    Fact,
    about_somebody,
    is_place,
)
from services.registry.ports import Store

SEEN: Final = 20_000
"""Subjects remembered at least to have facts; about 2 MB. One that is not is looked up again."""
_object: Final = msgspec.json.Decoder(dict[str, Any])
_moved_out: Final = msgspec.json.Decoder(MovedOut)


class Keeper:
    """The effect of a batch of changes on the book; idempotent, order-free across partitions."""

    def __init__(self, store: Store, zone: tzinfo) -> None:
        self._store = store
        self._zone = zone
        self._seen: set[str] = set()

    def handle(self, conn: Connection, batch: Batch) -> None:
        """Take a batch; called within the transaction that moves the position on."""
        self._store.exclude(conn)
        if len(self._seen) >= SEEN:
            self._seen = set()
        taken = _Taking(self._store, conn, self._seen)
        envelopes = [message.envelope for message in batch.messages]
        taken.look(envelopes)
        for envelope in envelopes:
            taken.take(envelope)
        taken.settle(self._zone)

    def held(self) -> int:
        """Return how many subjects are remembered to have facts."""
        return len(self._seen)

    def forget(self, partition: int) -> None:
        """Drop what is cached: the transaction was rolled back."""
        del partition
        self._seen = set()


class _Taking:
    """One batch being taken. `seen` are the keeper's subjects known to have facts."""

    def __init__(self, store: Store, conn: Connection, seen: set[str]) -> None:
        self._store = store
        self._conn = conn
        self._seen = seen
        self._became_of: dict[str, str | None] = {}
        self._unknown: set[str] = set()
        self._facts: list[Fact] = []
        self._touched: dict[str, None] = {}
        self._cause = ""
        self._received = 0

    def look(self, envelopes: list[Envelope]) -> None:
        """Ask at once which subjects of the batch are new, and what all names have become."""
        names = {envelope.subject for envelope in envelopes}
        names |= {envelope.partitionkey for envelope in envelopes}
        self._became_of = {**dict.fromkeys(names), **self._store.became(self._conn, names)}
        subjects = {self._resolve(e.subject) for e in envelopes if _is_fact(e)} - self._seen
        self._unknown = self._store.unknown(self._conn, subjects)
        self._seen |= subjects - self._unknown

    def take(self, envelope: Envelope) -> None:
        """Note one change."""
        self._cause = envelope.id
        self._received = max(self._received, envelope.received_us())
        if not _is_fact(envelope) and envelope.type not in MOVES:
            return
        subject = self._resolve(envelope.subject)
        target = envelope.supersedes or envelope.retracts
        if envelope.type in ENTRIES or envelope.type in MOVES or target is not None:
            self._note(envelope, _kind(envelope), _payload(envelope), target)
            self._touch(subject)
            if target is not None:
                self._touch_target(target)
            if envelope.type == MOVED_OUT:
                self._merge(envelope.subject, _read_out(envelope).became)
            elif envelope.type == MERGED:
                said = _object.decode(envelope.data)
                self._merge(said["was"], said["became"], envelope.id)
        elif subject in self._unknown:
            self._note(envelope, PLACED, {}, None)
            self._touch(subject)
        self._unknown.discard(subject)
        self._seen.add(subject)

    def settle(self, zone: tzinfo) -> None:
        """Fold every touched subject anew and publish what is news; a few questions for all."""
        self._flush()
        store, conn = self._store, self._conn
        touched = list(self._touched)
        people = [subject for subject in touched if not is_place(subject)]
        before = store.homes(conn, people)
        known, killed = self._facts_of(touched)
        made = {
            subject: entries(subject, known[subject], killed, self._resolve, zone)
            for subject in touched
        }
        roles = store.enter(conn, made)
        households: dict[str, None] = {}
        for subject in people:
            after = [row["household"] for row in (*made[subject].person, *made[subject].membership)]
            own = [] if made[subject].person else [subject]
            households.update(dict.fromkeys((*sorted(before.get(subject, ())), *after, *own)))
        records = self._households(list(households))
        records += [self._duty(role, area) for role, area in sorted(roles)]
        store.publish(conn, records)

    def _facts_of(self, names: Sequence[str]) -> tuple[dict[str, list[Fact]], set[str]]:
        """Return for each name its facts and of those that became it; none if it became another."""
        ends = [name for name in names if self._resolve(name) == name]
        behind = self._store.names_of(self._conn, ends)
        wanted = [known for name in ends for known in (name, *behind.get(name, ()))]
        found, killed = self._store.facts(self._conn, wanted)
        facts: dict[str, list[Fact]] = {name: [] for name in names}
        for fact in found:
            facts[self._resolve(fact.subject)].append(fact)
        return facts, killed

    # -- noting --------------------------------------------------------------------------------

    def _note(
        self, envelope: Envelope, kind: str, data: dict[str, Any], target: str | None
    ) -> None:
        self._facts.append(
            Fact(
                seq=0,
                id=envelope.id,
                type=kind,
                subject=envelope.subject,
                household=envelope.partitionkey,
                occurred=envelope.occurred_us(),
                received=envelope.received_us(),
                data=data,
                target=target,
            )
        )

    def _touch(self, subject: str) -> None:
        self._touched[self._resolve(subject)] = None

    def _touch_target(self, target: str) -> None:
        self._flush()
        subject = self._store.subject_of(self._conn, target)
        if subject is not None:
            self._touch(subject)

    def _merge(self, was: str, became: str, said_by: str | None = None) -> None:
        was, became = self._resolve(was), self._resolve(became)
        self._flush()
        if was == became or (said_by is not None and self._killed(said_by, became)):
            return
        self._touched.update(dict.fromkeys(self._store.touched_by(self._conn, was)))
        self._store.add_alias(self._conn, was, became)
        for name, end in list(self._became_of.items()):
            if end == was:
                self._became_of[name] = became
        self._became_of[was] = became
        self._touched[was] = None
        self._touched[became] = None

    def _killed(self, fact: str, subject: str) -> bool:
        return fact in self._store.facts(self._conn, [subject])[1]

    def _flush(self) -> None:
        if self._facts:
            self._store.add(self._conn, self._facts)
            self._facts = []

    def _resolve(self, name: str) -> str:
        if name not in self._became_of:
            self._became_of[name] = self._store.became(self._conn, [name]).get(name)
        return self._became_of[name] or name

    # -- publishing ----------------------------------------------------------------------------

    def _households(self, names: Sequence[str]) -> list[Outgoing]:
        known, killed = self._facts_of(names)
        living = self._store.members(self._conn, names)
        lived = self._store.lived_in(self._conn, names)
        rows, cards = {}, {}
        for name in names:
            own = [fact for fact in known[name] if fact.subject == fact.household]
            members = [
                member(row["person"], row["name"], row["kind"], row["now"])
                for row in living.get(name, ())
            ]
            row = rows[name] = household_row(name, own, killed, members, past=name in lived)
            cards[name] = household_card(row, members) if row is not None else None
        records = []
        for name in self._store.enter_households(self._conn, rows):
            card = cards[name]
            if card is None:
                records.append(Outgoing(HOUSEHOLDS.name, name, None))
            else:
                records.append(self._card(HOUSEHOLDS.name, name, HOUSEHOLD_CHANGED, card))
        return records

    def _duty(self, role: str, area: str) -> Outgoing:
        turns = self._store.turns(self._conn, role, area)
        key = f"{role}:{area}"
        if not turns:
            return Outgoing(DUTY.name, key, None)
        staff = self._store.staff(self._conn, area)
        return self._card(DUTY.name, key, DUTY_CHANGED, duty_card(role, area, turns, staff))

    def _card(self, topic: str, key: str, kind: str, card: msgspec.Struct) -> Outgoing:
        at = moment(self._received)
        envelope = Envelope(
            id=derived(kind, key, self._cause),
            type=kind,
            source="registry",
            time=at,
            subject=key,
            partitionkey=key,
            receivedat=at,
            data=raw(card),
        )
        return Outgoing(topic, key, encode(envelope), HEADERS)


def _is_fact(envelope: Envelope) -> bool:
    """Tell whether an envelope is a fact about somebody or some place, and no copy for a tie."""
    if envelope.copyof is not None:
        return False
    if envelope.type in CONTROL and envelope.type != RETRACTED:
        return False
    corrects = envelope.supersedes is not None or envelope.retracts is not None
    return envelope.type in ENTRIES or corrects or about_somebody(envelope.subject)


def _kind(envelope: Envelope) -> str:
    return RETRACTED if envelope.retracts is not None else envelope.type


def _payload(envelope: Envelope) -> dict[str, Any]:
    if envelope.type == MOVED_OUT:
        return {"became": _read_out(envelope).became}
    if envelope.type not in ENTRIES:
        return {}
    try:
        return _object.decode(envelope.data)
    except msgspec.MsgspecError as exc:
        raise _unreadable(envelope.type) from exc


def _read_out(envelope: Envelope) -> MovedOut:
    try:
        return _moved_out.decode(envelope.data)
    except msgspec.MsgspecError as exc:
        raise _unreadable(envelope.type) from exc


def _unreadable(kind: str) -> InvalidMessage:
    return InvalidMessage(
        Fault(
            where=f"data of a {kind}",
            expected="the payload of its type",
            found="another form",
            remedy="correct it with `hearthwatch dlq fix` and send it again with `dlq replay`",
            code="payload",
        )
    )
