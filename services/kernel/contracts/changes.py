"""Control messages on `intake.change.v1`, beside the facts whose types the pack names.

A fact's type is one of the pack's event types and its `data` the payload checked against them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from services.kernel.clock import from_us, to_us
from services.kernel.contracts.envelope import Envelope, raw
from services.kernel.errors import Fault, InvalidMessage
from services.kernel.ids import derived

MARK: Final = "system.mark"
MOVED_OUT: Final = "subject.moved_out"
MOVED_IN: Final = "subject.moved_in"
RETRACTED: Final = "fact.retracted"
UNREADABLE: Final = "fact.unreadable"
CONTROL: Final = frozenset({MARK, MOVED_OUT, MOVED_IN, RETRACTED, UNREADABLE})


class Mark(msgspec.Struct, frozen=True):
    """Every record received up to and including `at` stands before this one in its partition."""

    at: datetime


class MovedOut(msgspec.Struct, frozen=True):
    """The subject left the household of this partition key.

    `move` is the id shared by both halves. `became` is the subject's name from now on: the same
    one after a move, another one when a provisional person or household was merged into a known.
    """

    move: str
    to_household: str
    became: str
    reason: str = "moved"


class MovedIn(msgspec.Struct, frozen=True):
    """The subject came into the household of this partition key, with its facts.

    `facts` are whole envelopes (encoded), in order of receipt, as this household shall know them.
    """

    move: str
    from_household: str
    was: str
    facts: list[msgspec.Raw] = []
    reason: str = "moved"


class Retracted(msgspec.Struct, frozen=True):
    """The fact named by the envelope's `retracts` never was."""

    reason: str = ""


class Unreadable(msgspec.Struct, frozen=True):
    """What may have been a cry for help could not be read; it is kept under `kept`."""

    kept: str
    code: str
    place: str
    event_type: str | None = None


def mark(source: str, topic: str, partition: int, at: int) -> Envelope:
    """Return the mark `at` (microseconds) of one partition; its id is derived: doubles are known.

    A mark belongs to no household: subject and key name the partition, and it is published into it.
    """
    when = from_us(at)
    place = f"{topic}/{partition}"
    return Envelope(
        id=derived("mark", source, place, at),
        type=MARK,
        source=source,
        time=when,
        subject=place,
        partitionkey=place,
        receivedat=when,
        data=raw(Mark(at=when)),
    )


_marks = msgspec.json.Decoder(Mark)


def mark_of(envelope: Envelope) -> int:
    """Return the instant of a mark, in microseconds.

    Raises:
        InvalidMessage: the payload is no mark.
    """
    try:
        return to_us(_marks.decode(envelope.data).at)
    except (msgspec.MsgspecError, ValueError) as exc:
        raise InvalidMessage(
            Fault("data of a system.mark", "an instant `at`", str(exc), "publish the mark again")
        ) from exc
