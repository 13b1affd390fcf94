"""Dead letters: records that cannot be handled, kept with bytes and reason, to be sent again.

A dead letter has the original key, value and headers, and headers of its own beside them; taking
those away gives the original back.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from services.kernel.contracts.records import Outgoing, Record
from services.kernel.contracts.topics import DEAD_LETTER_SUFFIX, dead_letters
from services.kernel.errors import Fault, InvalidMessage

PREFIX: Final = "dead-"
_ATTEMPTS: Final = PREFIX + "attempts"
_DIGITS: Final = 9

_fault_decoder = msgspec.json.Decoder(Fault)


class DeadLetter(NamedTuple):
    """What a record of a dead-letter topic tells.

    `published` is when the bus took the original, `died` when it was given up (microseconds since
    1970). `attempts` counts over all its lives. `headers` are the original's own.
    """

    topic: str
    partition: int
    offset: int
    published: int
    died: int
    group: str
    attempts: int
    fault: Fault
    key: str | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def bury(record: Record, fault: Fault, *, group: str, attempts: int, now: int) -> Outgoing:
    """Return the dead letter of a record, to be put into the outbox of the effect's transaction."""
    count = dict(record.headers).get(_ATTEMPTS, b"")
    earlier = int(count) if count.isdigit() and len(count) <= _DIGITS else 0  # it may be foreign
    notes = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "published": str(record.published),
        "died": str(now),
        "group": group,
        "attempts": str(earlier + attempts),
        "code": fault.code,
        "reason": fault.sentence(),
    }
    return Outgoing(
        topic=dead_letters(record.topic),
        key=record.key,
        value=record.value,
        headers=(
            *_own(record.headers),
            *((PREFIX + name, text.encode()) for name, text in notes.items()),
            (PREFIX + "fault", msgspec.json.encode(fault)),
        ),
        partition=record.partition if record.key is None else None,
    )


def read(record: Record) -> DeadLetter:
    """Return what a record of a dead-letter topic tells.

    Raises:
        InvalidMessage: a header of a dead letter is missing or broken.
    """
    headers = dict(record.headers)

    def note(name: str) -> str:
        return headers[PREFIX + name].decode()

    try:
        return DeadLetter(
            topic=note("topic"),
            partition=int(note("partition")),
            offset=int(note("offset")),
            published=int(note("published")),
            died=int(note("died")),
            group=note("group"),
            attempts=int(note("attempts")),
            fault=_fault_decoder.decode(headers[PREFIX + "fault"]),
            key=record.key,
            value=record.value,
            headers=_own(record.headers),
        )
    except (KeyError, ValueError, msgspec.MsgspecError) as exc:
        raise InvalidMessage(
            Fault(
                where=f"{record.topic}/{record.partition} offset {record.offset}",
                expected=f"the headers of a dead letter ({PREFIX}topic, {PREFIX}fault ...)",
                found=f"{type(exc).__name__} at {exc}",
                remedy=f"only workers write to topics that end in {DEAD_LETTER_SUFFIX}",
                code="unreadable",
            )
        ) from exc


def revive(dead: DeadLetter, value: bytes | None = None) -> Outgoing:
    """Return the record to publish again: the original, or with corrected bytes where given.

    The count of attempts stays with it, so that a second death shows that it is one.
    """
    return Outgoing(
        topic=dead.topic,
        key=dead.key,
        value=dead.value if value is None else value,
        headers=(*dead.headers, (_ATTEMPTS, str(dead.attempts).encode())),
        partition=dead.partition if dead.key is None else None,
    )


def _own(headers: tuple[tuple[str, bytes], ...]) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value) for name, value in headers if not name.startswith(PREFIX))
