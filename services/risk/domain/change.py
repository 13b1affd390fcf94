"""A change as the fold takes it: times as instants, payload reduced to what rules read."""

from __future__ import annotations

from typing import Any, NamedTuple

from services.kernel.contracts.assessments import Role
from services.kernel.contracts.changes import MovedIn, MovedOut, Unreadable


class Change(NamedTuple):
    """One record of the input, decoded. Times in microseconds since 1970."""

    id: str
    type: str
    subject: str
    household: str
    occurred: int
    received: int
    clock: int
    values: tuple[Any, ...] = ()
    supersedes: str | None = None
    retracts: str | None = None
    tie: str | None = None
    moved_out: MovedOut | None = None
    moved_in: MovedIn | None = None
    history: tuple[Change, ...] = ()
    unreadable: Unreadable | None = None
    passes: tuple[Pass, ...] = ()


class Pass(NamedTuple):
    """What a fact tells alerts beside what it changes: role, rules and instance it concerns."""

    role: Role
    rules: tuple[str, ...]
    instance: str | None
    outcome: str
