"""What the fold remembers of a household: facts that rules read, and where each rule stands.

The state is a cache: it can be rebuilt from the fact rows. It is encoded (msgpack) after every
change, so a subject keeps the bytes of what did not change since it was last encoded: whoever
changes facts or instances says so with `add`, `touch_facts` or `touch`.
"""

from __future__ import annotations

from bisect import insort
from operator import methodcaller
from sys import intern
from typing import Any, Final

import msgspec

from services.kernel.clock import NEVER

FALSE: Final = 0
TRUE: Final = 1
UNKNOWN: Final = 2
_SHORT: Final = 15
_LONG: Final = 65_535
_order = methodcaller("order")


class Fact(msgspec.Struct, array_like=True, gc=False):
    """One fact as the rules see it. Times in microseconds; `values` in the order the pack reads.

    occurred, received: see docs/semantics.md. clock: where a life clock it starts would start.
    """

    occurred: int
    received: int
    id: str
    clock: int
    values: tuple[Any, ...] = ()

    def order(self) -> tuple[int, int, str]:
        """Return the key by which facts of one type are ordered."""
        return (self.occurred, self.received, self.id)


class Instance(msgspec.Struct, array_like=True, gc=False):
    """Where one rule (and key) of one subject stands.

    truth: FALSE, TRUE or UNKNOWN. since, clock: semantics.md 4. floor: level held up now (0 none);
    falls_at: when an ended floor falls next. changes_at: when time alone may change the truth.
    earlier: the floor that an earlier truth still held when this one began, with its falls_at,
    since and clock; it is held again if this one turns out never to have been. armed: before that
    no clock of this truth starts. by: ids of the facts that made it true; none when time did.
    """

    truth: int = FALSE
    since: int = 0
    clock: int = 0
    floor: int = 0
    falls_at: int = NEVER
    changes_at: int = NEVER
    earlier: tuple[int, int, int, int] | None = None
    armed: int = 0
    by: tuple[str, ...] = ()

    def due(self) -> int:
        """Return when this instance must be looked at next through time alone."""
        return min(self.falls_at, self.changes_at)

    def join(self, other: Instance) -> None:
        """Take over what another memory of the same subject and rule held up."""
        mine, theirs = self.truth == TRUE, other.truth == TRUE
        if mine and theirs:
            self.since, self.clock = min(self.since, other.since), min(self.clock, other.clock)
            self.armed, self.by = min(self.armed, other.armed), self.by + other.by
        elif theirs:
            held = (self.floor, self.falls_at, self.since, self.clock) if self.floor else None
            self.truth, self.since, self.clock = TRUE, other.since, other.clock
            self.armed, self.by = other.armed, other.by
            self.floor, self.falls_at, self.earlier = other.floor, NEVER, held or other.earlier
        elif other.floor and mine:
            self.earlier = (other.floor, other.falls_at, other.since, other.clock)
        elif other.floor and (other.floor, other.falls_at) > (self.floor, self.falls_at):
            self.floor, self.falls_at = other.floor, other.falls_at
            self.since, self.clock = other.since, other.clock

    def idle(self) -> bool:
        """Return whether nothing need be remembered."""
        return not self.truth and not self.floor and self.changes_at == NEVER


class Subject:
    """A person, household or place: facts by type (ordered), instances by `rule` or `rule#key`.

    came: processing time at which the household got it: looking back, it was not there before.
    level, model_level: as last published; level includes the model's. due: smallest of its
    instances'. Beside the bytes: scored, the features that the model was last asked about; read,
    each feature with the instant from which on it must be read again.
    """

    __slots__ = (
        "_facts", "_stale", "_whole", "came", "due", "facts", "instances", "level", "model_level",
        "read", "scored", "tied",
    )  # fmt: skip

    def __init__(self, *, tied: bool = False, came: int = 0) -> None:
        self.tied = tied
        self.came = came
        self.facts: dict[str, list[Fact]] = {}
        self.instances: dict[str, Instance] = {}
        self.level = 0
        self.model_level = 0
        self.due = NEVER
        self.scored: tuple[float | None, ...] | None = None
        self.read: tuple[list[float | None], list[int]] | None = None
        self._facts: dict[str, msgspec.Raw | None] = {}
        self._stale = True
        self._whole: msgspec.Raw | None = None

    def touch(self) -> None:
        """Note that something other than facts changed."""
        self._whole = None

    def touch_facts(self, kind: str) -> None:
        """Note that the facts of this type changed."""
        self._whole = None
        self._stale = True
        if kind in self._facts:
            self._facts[kind] = None  # keeps its place: the bytes do not tell what came when

    def add(self, kind: str, fact: Fact) -> bool:
        """Put a fact in its place; return False when it is there already.

        The newest of its type, which most are, goes to the end of the bytes too: the others need
        not be looked at, which are in memory far away.
        """
        facts = self.facts.get(kind)
        if facts is None:
            facts = self.facts[kind] = []
        if not facts or facts[-1].occurred < fact.occurred:
            facts.append(fact)
            kept = self._facts.get(kind)
            if kept is not None:
                self._facts[kind] = _grown(kept, len(facts), fact)
                self._whole = None
                return True
        elif not _insert(facts, fact):
            return False
        self.touch_facts(kind)
        return True

    def remember(self, memory: Subject) -> None:
        """Take over what a memory of the same subject under another name holds up."""
        self.touch()
        for key, instance in memory.instances.items():
            known = self.instances.get(key)
            if known is None:
                self.instances[key] = instance
            else:
                known.join(instance)

    def reschedule(self) -> None:
        """Find the smallest due of the instances anew."""
        due = NEVER
        for instance in self.instances.values():
            if instance.falls_at < due:  # noqa: PLR1730 - a call costs four times a comparison
                due = instance.falls_at
            if instance.changes_at < due:  # noqa: PLR1730
                due = instance.changes_at
        self.due = due

    def packed(self) -> msgspec.Raw:
        """Return the subject's bytes, made from what changed and what is kept."""
        if self._whole is None:
            kept = self._facts
            if self._stale:
                for kind, facts in self.facts.items():
                    if kept.get(kind) is None:
                        kept[kind] = msgspec.Raw(_encode(facts))
                self._stale = False
            self._whole = msgspec.Raw(
                _encode((self.tied, self.level, self.model_level, kept, self.instances, self.came))
            )
        return self._whole


def _insert(facts: list[Fact], fact: Fact) -> bool:
    """Put a fact among those of its type; return False when it is there already."""
    for known in reversed(facts):
        if known.occurred < fact.occurred:
            break
        if known.id == fact.id:
            return False
    insort(facts, fact, key=_order)
    return True


def _grown(kept: msgspec.Raw, count: int, fact: Fact) -> msgspec.Raw:
    """Return the bytes of a list of `count` facts, of which all but the last are encoded already.

    A msgpack array begins with its length: one byte up to fifteen items, three beyond.
    """
    head = 1 if count <= _SHORT + 1 else 3
    if count <= _SHORT:
        length = bytes((0x90 | count,))
    elif count <= _LONG:
        length = b"\xdc" + count.to_bytes(2, "big")
    else:
        length, head = b"\xdd" + count.to_bytes(4, "big"), 3 if count == _LONG + 1 else 5
    return msgspec.Raw(b"".join((length, memoryview(kept)[head:], _encode(fact))))


class Household:
    """One partition key: its subjects (the household itself under its own id among them).

    pack: name@version whose fields the facts hold. now: processing time of the last record. due:
    smallest due of all subjects. gone: ids that were retracted or replaced, before or after they
    came: (earliest clock, id of the replacement or ''). open: drafts not yet explained or settled
    (no part of the bytes).
    """

    __slots__ = ("due", "gone", "id", "now", "open", "pack", "subjects")

    def __init__(self, name: str, pack: str = "") -> None:
        self.id = name
        self.pack = pack
        self.now = 0
        self.due = NEVER
        self.subjects: dict[str, Subject] = {}
        self.gone: dict[str, tuple[int, str]] = {}
        self.open: list[Any] = []  # Draft, which knows this module

    def reschedule(self) -> None:
        """Find the smallest due of the subjects anew."""
        due = NEVER
        for subject in self.subjects.values():
            if subject.due < due:  # noqa: PLR1730 - as above
                due = subject.due
        self.due = due


class _SubjectBytes(msgspec.Struct, array_like=True):
    tied: bool
    level: int
    model_level: int
    facts: dict[str, list[Fact]]
    instances: dict[str, Instance]
    came: int = 0  # a state of an earlier version


class _HouseholdBytes(msgspec.Struct, array_like=True):
    id: str
    pack: str
    now: int
    due: int
    subjects: dict[str, _SubjectBytes]
    gone: dict[str, tuple[int, str]]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_HouseholdBytes)


def encode(state: Household) -> bytes:
    """Return the state as bytes. Cost: what changed since it was last encoded, and a copy."""
    subjects = {name: subject.packed() for name, subject in state.subjects.items()}
    return _encode((state.id, state.pack, state.now, state.due, subjects, state.gone))


def decode(blob: bytes) -> Household:
    """Return the state of `encode`d bytes."""
    found = _decoder.decode(blob)
    state = Household(found.id, found.pack)
    state.now, state.due, state.gone = found.now, found.due, found.gone
    for name, kept in found.subjects.items():
        subject = state.subjects[name] = Subject(tied=kept.tied, came=kept.came)
        subject.level, subject.model_level = kept.level, kept.model_level
        subject.facts = {intern(kind): facts for kind, facts in kept.facts.items()}
        subject.instances = {intern(key): instance for key, instance in kept.instances.items()}
        subject.reschedule()
    return state
