"""The two clocks: domain time (virtual in tests and replay) and the monotonic one (never virtual).

Every other module gets time from here; lint forbids the standard calls elsewhere.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NEVER = 1 << 62
"""An instant later than every real one (microseconds)."""


def to_us(moment: datetime) -> int:
    """Return whole microseconds since 1970-01-01T00:00Z; raises ValueError for a naive datetime."""
    if moment.tzinfo is None:
        raise ValueError(f"naive datetime {moment!r}: expected one with an offset; add the zone")
    return (moment - EPOCH) // _MICROSECOND


def from_us(instant: int) -> datetime:
    """Return the aware UTC datetime of an instant in microseconds since 1970."""
    return EPOCH + timedelta(microseconds=instant)


def rfc3339(instant: int) -> str:
    """Return RFC 3339 text in UTC; fractions of a second only where they are not zero."""
    return from_us(instant).isoformat().replace("+00:00", "Z")


def parse_rfc3339(text: str, zone: tzinfo | None = None) -> int:
    """Return the instant (microseconds) of an ISO 8601 text; `zone` fills in a missing offset.

    Raises:
        ValueError: not a time, or no offset and no zone given.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None and zone is not None:
        moment = moment.replace(tzinfo=zone)
    return to_us(moment)


class Clock(Protocol):
    """Domain time. Cheap, thread-safe, never goes backwards by itself."""

    def now(self) -> int:
        """Return the present instant in microseconds since 1970, UTC."""
        ...


class SystemClock:
    """The wall clock."""

    def now(self) -> int:
        """Return the present instant in microseconds since 1970, UTC."""
        return time.time_ns() // 1000


class VirtualClock:
    """A clock that stands still until it is moved; used by replay, demo and tests."""

    def __init__(self, start: int = 0) -> None:
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> int:
        """Return the instant last set, in microseconds since 1970, UTC."""
        return self._now

    def advance_to(self, instant: int) -> None:
        """Move forward to `instant`; an earlier one is ignored."""
        with self._lock:
            self._now = max(self._now, instant)


class Monotonic(Protocol):
    """Machine time for leases, retries and timeouts; never virtual in production."""

    def seconds(self) -> float:
        """Return seconds since an arbitrary start; never decreases."""
        ...

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Block until the event is set or the time is over; return whether it was set."""
        ...


class SystemMonotonic:
    """The operating system's monotonic clock."""

    def seconds(self) -> float:
        """Return seconds since an arbitrary start."""
        return time.monotonic()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Block on the event for at most `timeout_s` seconds."""
        return event.wait(timeout_s)


def fixed_zone(offset: str) -> tzinfo:
    """Return a fixed-offset zone from text such as `+08:00`; else raises ValueError."""
    sample = datetime.fromisoformat(f"2000-01-01T00:00:00{offset}")
    if sample.tzinfo is None:
        raise ValueError(f"zone {offset!r}: expected an offset such as +08:00")
    return timezone(sample.utcoffset() or timedelta(0))
