"""What the book is folded from: the few changes that say who is who."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from services.kernel.contracts import registry_types as types
from services.kernel.contracts.changes import MOVED_IN, MOVED_OUT, RETRACTED

PLACED: Final = "placed"
"""Type under which the first ordinary fact about a subject is noted: it exists, and where."""
PLACE: Final = "place:"
KEPT: Final = "kept:"
PROVISIONAL: Final = "prov:"

ENTRIES: Final = frozenset(
    {
        types.HOUSEHOLD, types.PERSON, types.TIE, types.AREA, types.STAFF, types.DUTY,
        types.MERGED, types.JOINED, types.LEFT, types.MOVED,
    }
)  # fmt: skip
"""Types of facts that the book is made of."""
MOVES: Final = frozenset({MOVED_OUT, MOVED_IN})
_SILENT: Final = frozenset({MOVED_OUT, RETRACTED})


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One line the book is folded from.

    seq: grows with arrival here. occurred, received: microseconds since 1970. target: the change
    that this one corrects or takes back.
    """

    seq: int
    id: str
    type: str
    subject: str
    household: str
    occurred: int
    received: int
    data: dict[str, Any]
    target: str | None = None

    def order(self) -> tuple[int, int, str]:
        """Return the order in which later ones win: by when it says so, then by receipt."""
        return self.occurred, self.received, self.id


def is_place(subject: str) -> bool:
    """Tell whether a subject is an area or grid."""
    return subject.startswith(PLACE)


def about_somebody(subject: str) -> bool:
    """Tell whether a subject is a person or a household, not a place or an unread report."""
    return not subject.startswith((PLACE, KEPT))


def live(facts: list[Fact], killed: set[str]) -> list[Fact]:
    """Return the facts that nobody corrected or took back, in the order in which later ones win."""
    return sorted((fact for fact in facts if fact.id not in killed), key=Fact.order)


def home(facts: list[Fact]) -> str | None:
    """Return the household in which a subject was last heard of: the latest receipt decides."""
    heard = [fact for fact in facts if fact.type not in _SILENT]
    return max(heard, key=lambda fact: (fact.received, fact.seq)).household if heard else None
