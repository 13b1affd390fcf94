"""The event catalogue: which types of facts there are and what each may carry."""

from __future__ import annotations

from datetime import tzinfo
from typing import Final, Literal

import msgspec

from services.intake.domain.fields import Field, Payload, compile_payload
from services.kernel.clock import MINUTE
from services.kernel.contracts import registry_types as registry
from services.kernel.contracts.changes import RETRACTED

Subject = Literal["person", "household", "place"]
MAX_AHEAD: Final = 5 * MINUTE
STATEMENTS: Final = frozenset({registry.PERSON, registry.JOINED, registry.MOVED, registry.LEFT})
"""Types that state where a person lives, and are believed over what facts happen to mention."""
HOUSED: Final = frozenset({registry.PERSON, registry.JOINED})
"""Types whose household may stand in the change or in its payload."""


class EventType(msgspec.Struct, frozen=True):
    """One type of fact. `max_ahead` in microseconds; `red` when a level-3 rule mentions it.

    protected: names of the fields that leave the door encrypted only.
    """

    name: str
    subject: Subject
    fields: tuple[Field, ...]
    payload: Payload
    max_ahead: int = MAX_AHEAD
    red: bool = False
    title: dict[str, str] = {}
    protected: tuple[str, ...] = ()


class Catalogue(msgspec.Struct, frozen=True):
    """Everything the door needs of a pack.

    unreadable: false when the pack switches the one-hour clock of unreadable reports off.
    digest: of the catalogue's files, so that a change of pack can be told.
    """

    name: str
    version: str
    zone: tzinfo
    own_sources: frozenset[str]
    unreadable: bool
    types: dict[str, EventType]
    digest: str = ""

    def can_be_red(self, event_type: str | None) -> bool:
        """Tell whether an unreadable item of this type could have been a cry for help.

        A type that is missing or unknown could have been anything: true.
        """
        found = self.types.get(event_type) if event_type is not None else None
        return self.unreadable and (found is None or found.red)


def event_type(
    name: str,
    subject: Subject,
    fields: tuple[Field, ...],
    *,
    max_ahead: int = MAX_AHEAD,
    red: bool = False,
    title: dict[str, str] | None = None,
) -> EventType:
    """Return an event type with its check compiled."""
    compiled = compile_payload(name, fields)
    protected = tuple(field.name for field in fields if field.protected)
    return EventType(name, subject, fields, compiled, max_ahead, red, title or {}, protected)


def retraction() -> EventType:
    """Return the built-in type of an item that takes an earlier one back."""
    return event_type(
        RETRACTED,
        "person",
        (Field(name="reason", kind="text", max_length=500),),
        title={"zh": "撤回", "en": "retraction"},
    )
