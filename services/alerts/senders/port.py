"""The port of a channel. What leaves names no person: alert id, level, place, rule and a link."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

import msgspec

Outcome = Literal["delivered", "temporary", "permanent"]


class Outbound(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel is given. `key` stays the same when a sending is repeated; `to` is a contact.

    `place` is grid or area, never an address; `title` the rule's, in both languages.
    """

    key: str
    alert: str
    level: int
    place: str
    rule: str
    title: Mapping[str, str]
    step: str
    role: str
    to: str
    due_at: str
    link: str


class Result(NamedTuple):
    """What became of a sending. `problem` is one of the channel's enumerated words, no free text.

    temporary: may work later, try again by the schedule. permanent: this contact never takes it;
    the next one is tried.
    """

    outcome: Outcome
    problem: str = ""


class Sender(Protocol):
    """A channel. Thread-safe.

    instant: sending neither waits nor leaves the process, so it may happen inside a transaction.
    """

    name: str
    instant: bool

    def send(self, message: Outbound) -> Result:
        """Send, within a bounded time; a repeated key must not reach anybody twice if it can help.

        Raises nothing: whatever goes wrong is a result.
        """
        ...

    def close(self) -> None:
        """Release what it holds; idempotent."""
        ...
