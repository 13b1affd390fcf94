"""What the ledger and its companions hold, and the seal that tells an altered row."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final, Literal

import msgspec

EntryKind = Literal["fact", "copy", "control", "parked"]
"""fact: accepted from outside. copy: for a tied household. control: moves, take-backs, unreadable
reports. parked: a retraction whose original nobody has sent yet, so it has nowhere to go."""

SEAL_BYTES: Final = 16
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the ledger; never changed, never removed.

    occurred, received, clock: microseconds since 1970. claim: household that the item itself named
    for its person. target: change that it corrects, or takes back when `retracts`. cause: change
    that a copy or control comes from. person: whose home decided where a household's own fact went.
    content: fingerprint of a fact. envelope: the message as published.
    """

    id: str
    kind: EntryKind
    type: str
    source: str
    subject: str
    household: str
    occurred: int
    received: int
    clock: int
    envelope: bytes
    claim: str | None = None
    target: str | None = None
    retracts: bool = False
    cause: str | None = None
    content: bytes | None = None
    person: str | None = None
    related: str | None = None
    origin: str | None = None


class Kept(msgspec.Struct, kw_only=True):
    """An item that was refused: original bytes, first receipt, reason, and what became of it.

    change: the id it would have had. subject, household: of the unreadable report, when there is
    one (`reported`). draft: the item as far as a file gave it. fixed: the corrected item somebody
    wrote. repaired_by: the change that took its place.
    """

    id: str
    received: int
    source: str
    type: str | None
    change: str | None
    code: str
    fault: dict[str, Any]
    faults: list[dict[str, Any]]
    original: bytes
    origin: str | None = None
    reported: bool = False
    subject: str | None = None
    household: str | None = None
    draft: bytes | None = None
    fixed: bytes | None = None
    repaired_by: str | None = None


class Tally(msgspec.Struct):
    """How many items of one source were read and what came of them; conflicts count as rejected."""

    read: int = 0
    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    rejected: int = 0


def seal(table: str, values: list[Any]) -> bytes:
    """Return the fingerprint of a row's columns, in the table's order; another value, another seal.

    A seal finds accidents and careless hands; who can read this and write the file can forge it.
    """
    key = b"hearthwatch.intake." + table.encode()
    return blake2b(_encode(values), digest_size=SEAL_BYTES, key=key).digest()
