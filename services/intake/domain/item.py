"""One item at the door, as it is sent, as it is taken and as it is refused.

The id of a change is derived from (source, sourceid), see ADR-0013: a re-send, a repair and a
correction that overtakes its original all name the same change without asking anybody.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from services.intake.domain.types import EventType
from services.kernel.contracts.envelope import (
    Confidence,
    Confidentiality,
    LegalBasis,
    Precision,
)
from services.kernel.errors import Fault
from services.kernel.ids import derived

ITEM_LIMIT: Final = 256 * 1024
"""Bytes of one item; a fact is a few hundred, attachments do not travel in facts."""
NAME_LIMIT: Final = 200

Moment = Annotated[datetime, Meta(tz=True)]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_LIMIT)]


class Ref(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another change, named as its source names it."""

    source: Name
    sourceid: Name


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a source sends. `receivedat` only in replay; `origin` is a file and line."""

    type: str
    source: Name
    sourceid: Name
    time: Moment
    data: msgspec.Raw = msgspec.Raw(b"{}")
    observedat: Moment | None = None
    sentat: Moment | None = None
    receivedat: Moment | None = None
    person: Name | None = None
    household: Name | None = None
    place: Name | None = None
    precision: Precision = "instant"
    confidence: Confidence = "reported"
    legalbasis: LegalBasis = "statutory_duty"
    confidentiality: Confidentiality = "S2"
    supersedes: str | Ref | None = None
    retracts: str | Ref | None = None
    repairs: str | None = None
    related: list[Name] = []
    traceparent: str | None = None
    origin: str | None = None


class Checked(msgspec.Struct, frozen=True, gc=False):
    """A good item, ready to be taken.

    data: the canonical payload. content: the fingerprint of everything it says. target: the change
    that it corrects or takes back. occurred: its time in microseconds since 1970. older: what its
    fingerprint may have been before: without protected fields, or under another oldest key.
    """

    item: Item
    kind: EventType
    id: str
    data: msgspec.Raw
    content: bytes
    target: str | None
    original: bytes
    occurred: int
    older: tuple[bytes, ...] = ()


class Refused(msgspec.Struct, frozen=True):
    """An item that cannot be taken, with what could be read of it. `faults` has at least one."""

    original: bytes
    faults: list[Fault]
    id: str | None = None
    type: str | None = None
    source: str = ""
    person: str | None = None
    household: str | None = None
    repairs: str | None = None
    origin: str | None = None
    receivedat: datetime | None = None
    draft: bytes | None = None


class Broken(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something in a file that is not even an item: a line nobody could split or read.

    receivedat: RFC 3339, in replay only. origin: file and line. draft: the item as far as it could
    be made, to be completed by hand.
    """

    original: str
    fault: Fault
    origin: str | None = None
    source: str = ""
    sourceid: str | None = None
    type: str | None = None
    person: str | None = None
    household: str | None = None
    receivedat: str | None = None
    draft: dict[str, Any] | None = None


def change_id(source: str, sourceid: str) -> str:
    """Return the id of the change that `source` calls `sourceid`."""
    return derived("change", source, sourceid)


def target_of(item: Item) -> str | None:
    """Return the id of the change that this one corrects or takes back, if any."""
    ref = item.supersedes if item.supersedes is not None else item.retracts
    return change_id(ref.source, ref.sourceid) if isinstance(ref, Ref) else ref
