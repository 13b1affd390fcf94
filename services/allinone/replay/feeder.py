"""Feeds mapped rows through intake's own door: in order of receipt, in batches, with marks between.

Every batch has the key `<run>/<n>`, so a run that was killed is fed again from its beginning and
changes nothing that was taken already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from services.allinone.replay.sorting import Row
from services.intake.domain.item import Broken
from services.intake.mapping import Mapped
from services.kernel.clock import VirtualClock
from services.kernel.crash import crashpoint

_BROKEN: Final = b"!"
_SUFFIX: Final = "~"
_names: Final[tuple[str, ...]] = ("sourceid", "person", "household", "place")
_encode: Final = msgspec.json.Encoder().encode
_broken: Final = msgspec.msgpack.Decoder(Broken)

Sent = bytes | Broken


class Piece(NamedTuple):
    """A batch of items; `last` is the receipt of its last one."""

    sent: list[Sent]
    last: int


class Answer(Protocol):
    """What the door says of one item."""

    @property
    def status(self) -> str:
        """Return accepted, duplicate, conflict or rejected."""
        ...


class Door(Protocol):
    """Intake's accept command."""

    def accept(self, batch: Sequence[Any], *, idempotency_key: str) -> Sequence[Answer]:
        """Take a batch; durable when it returns."""
        ...


class Marker(Protocol):
    """Writes marks into every partition."""

    def mark(self, at: int) -> bool:
        """Mark an instant; one that is not above the last is ignored."""
        ...


class Counts(msgspec.Struct):
    """What became of the items; a conflict is rejected too."""

    read: int = 0
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    conflict: int = 0


def packed(found: Iterable[Mapped], repeat: int) -> Iterator[tuple[int, bytes]]:
    """Yield receipt and bytes of each item, `repeat` times under names of their own."""
    for received, sent in found:
        for time in range(repeat):
            yield received, _packed(sent, f"{_SUFFIX}{time}" if time else "")


def _packed(sent: dict[str, Any] | Broken, suffix: str) -> bytes:
    if isinstance(sent, Broken):
        named = {n: v + suffix for n in _names if (v := getattr(sent, n, None)) is not None}
        return _BROKEN + msgspec.msgpack.encode(msgspec.structs.replace(sent, **named))
    if not suffix:
        return _encode(sent)
    renamed: dict[str, Any] = {n: sent[n] + suffix for n in _names if n in sent}
    for name in ("supersedes", "retracts"):
        if isinstance(sent.get(name), dict):
            renamed[name] = sent[name] | {"sourceid": sent[name]["sourceid"] + suffix}
    return _encode(sent | renamed)


def _unpacked(what: bytes) -> Sent:
    return _broken.decode(what[1:]) if what[:1] == _BROKEN else what


def course(
    rows: Iterable[Row], *, size: int, marks: Sequence[int] = (), every: int = 0
) -> Iterator[Piece | int]:
    """Cut ordered rows into batches of at most `size`, with the instants to mark between them.

    Args:
        rows: Ordered by receipt.
        size: Items of a batch.
        marks: Instants to mark, each after every row received by then.
        every: Mark also after so many rows, where the receipt moves on; 0 for never.
    """
    waiting = iter(sorted(set(marks)))
    stop = next(waiting, None)
    held: list[Sent] = []
    since, last = 0, 0
    for received, _, what in rows:
        due: list[int] = []
        while stop is not None and stop < received:
            due.append(stop)
            stop = next(waiting, None)
        if every and since >= every and received > last:
            due.append(last)
            since = 0
        if held and (due or len(held) >= size):
            yield Piece(held, last)
            held = []
        yield from sorted(due)
        held.append(_unpacked(what))
        since, last = since + 1, received
    if held:
        yield Piece(held, last)
    if stop is not None:
        yield stop
        yield from waiting


class Feeder:
    """Sends batches and marks in order; moves the virtual clock along with them."""

    def __init__(self, run: str, door: Door, marker: Marker, clock: VirtualClock) -> None:
        self.counts = Counts()
        self.last = 0
        self._run = run
        self._door = door
        self._marker = marker
        self._clock = clock
        self._number = 0

    def send(self, piece: Piece) -> int:
        """Send one batch; return how many of its items were rejected."""
        self._number += 1
        self._clock.advance_to(piece.last)
        answers = self._door.accept(piece.sent, idempotency_key=f"{self._run}/{self._number}")
        crashpoint("feeder.mid_batch")
        self.last = max(self.last, piece.last)
        before = self.counts.rejected
        for answer in answers:
            self._count(answer.status)
        return self.counts.rejected - before

    def mark(self, at: int) -> None:
        """Mark an instant in every partition."""
        self._clock.advance_to(at)
        self._marker.mark(at)

    def _count(self, status: str) -> None:
        counts = self.counts
        counts.read += 1
        if status == "accepted":
            counts.accepted += 1
        elif status == "duplicate":
            counts.duplicate += 1
        else:
            counts.rejected += 1
            counts.conflict += status == "conflict"
