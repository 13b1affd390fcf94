"""What the naive model knows: rows as they are sent, facts, and a look at them at one instant."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
ZONE: Final = ZoneInfo("Europe/Berlin")
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

Truth = bool | None
"""None is unknown."""


class Row(NamedTuple):
    """One item on its way to the door. Times in microseconds since 1970.

    bad: the door must refuse it, and keep it. observed: only for rows of the town's own phones.
    """

    id: str
    type: str
    time: int
    received: int
    person: str | None = None
    household: str | None = None
    data: Mapping[str, Any] = MappingProxyType({})
    supersedes: str | None = None
    retracts: str | None = None
    bad: bool = False
    observed: int | None = None


@dataclass(frozen=True)
class Fact:
    """A fact as one household knows it.

    corrects: the id of the one that it replaces. rank: its name in the chain, which decides between
    facts of the same instant and receipt.
    """

    id: str
    type: str
    who: str
    occurred: int
    received: int
    clock: int
    data: Mapping[str, Any]
    tied: bool = False
    corrects: str | None = None
    rank: str = ""

    def order(self) -> tuple[int, int, str]:
        """Return the key by which facts are ordered."""
        return self.occurred, self.received, self.rank

    def says(self, name: str) -> Any:
        """Return a field; None for unknown."""
        return self.data.get(name)


@dataclass
class Look:
    """A household at one instant, with one subject to decide on."""

    now: int
    own: list[Fact]
    home: list[Fact]
    members: list[list[Fact]] = field(default_factory=list)
    tied: list[list[Fact]] = field(default_factory=list)


@cache
def moment(text: str) -> int:
    """Return the instant of a time with offset."""
    return (dt.datetime.fromisoformat(text) - _EPOCH) // dt.timedelta(microseconds=1)


def text_of(instant: int) -> str:
    """Return RFC 3339 text in UTC, with a fraction only where there is one."""
    return (_EPOCH + dt.timedelta(microseconds=instant)).isoformat().replace("+00:00", "Z")


@cache
def local(instant: int) -> dt.datetime:
    """Return the local wall time."""
    return (_EPOCH + dt.timedelta(microseconds=instant)).astimezone(ZONE)


@cache
def midnight(day: dt.date, hour: int = 0) -> int:
    """Return the instant at which a local day begins, or an hour of it."""
    return moment(dt.datetime.combine(day, dt.time(hour), ZONE).isoformat())


@cache
def end_of(date: str) -> int:
    """Return the last microsecond of a local date."""
    return midnight(dt.date.fromisoformat(date) + dt.timedelta(days=1)) - 1


# -- three values ----------------------------------------------------------------------------------


def both(*truths: Truth) -> Truth:
    """Return whether all hold."""
    if False in truths:
        return False
    return None if None in truths else True


def no(truth: Truth) -> Truth:
    """Return the opposite."""
    return None if truth is None else not truth


def at_least(truths: Iterable[Truth], number: int) -> Truth:
    """Return whether at least so many hold."""
    found = list(truths)
    sure, maybe = found.count(True), found.count(None)
    if sure >= number:
        return True
    return None if sure + maybe >= number else False


def same(value: Any, other: Any) -> Truth:
    """Return whether two values are equal."""
    return None if value is None else bool(value == other)


def reaches(value: float | None, limit: float) -> Truth:
    """Return whether a value is at least the limit."""
    return None if value is None else value >= limit


def within(low: float, high: float, test: Callable[[float], bool]) -> Truth:
    """Return what a test says of a number between two bounds, for a test that turns only once."""
    return test(low) if test(low) == test(high) else None


# -- selecting -------------------------------------------------------------------------------------


def known(facts: Sequence[Fact], kind: str, now: int, window: int | None = None) -> list[Fact]:
    """Return the facts of a type that have happened by now, in a window if there is one."""
    found = [
        fact
        for fact in facts
        if fact.type == kind
        and fact.occurred <= now
        and (window is None or fact.occurred > now - window)
    ]
    return sorted(found, key=Fact.order)


def profile(facts: Sequence[Fact], name: str, now: int) -> Any:
    """Return the newest value that was said of a person."""
    said = [fact.says(name) for fact in known(facts, "registry.person", now)]
    return next((value for value in reversed(said) if value is not None), None)
