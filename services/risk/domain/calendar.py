"""Local dates and open time: fixed calendars as data, never a look at today."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from services.kernel.clock import DAY, NEVER, from_us, to_us

_QUARTER = 900_000_000
"""Every zone's offset is a whole multiple of 15 minutes and changes on such a boundary."""


class Zone:
    """A time zone with cached conversions; instants are microseconds since 1970."""

    def __init__(self, zone: dt.tzinfo) -> None:
        self.zone = zone
        self._offset: Callable[[int], int] = lru_cache(maxsize=65536)(self._offset_of_quarter)
        self._iso: Callable[[int], str] = lru_cache(maxsize=8192)(_iso_of_day)
        self._aged: Callable[[int, int], tuple[int, int]] = lru_cache(maxsize=65536)(self._birthday)

    def _offset_of_quarter(self, quarter: int) -> int:
        local = from_us(quarter * _QUARTER).astimezone(self.zone)
        return (local.utcoffset() or dt.timedelta(0)) // dt.timedelta(microseconds=1)

    def local(self, instant: int) -> int:
        """Return the instant's local wall time as microseconds since local 1970-01-01."""
        return instant + self._offset(instant // _QUARTER)

    def day(self, instant: int) -> int:
        """Return the local day, counted from 1970-01-01."""
        return self.local(instant) // DAY

    def date(self, instant: int) -> str:
        """Return the local date as ISO text."""
        return self._iso(self.day(instant))

    def hour(self, instant: int) -> int:
        """Return the local hour, 0..23."""
        return self.local(instant) % DAY // 3_600_000_000

    def at(self, day: int, minute: int = 0) -> int:
        """Return the instant of a local time of day, `minute` minutes after midnight."""
        moment = dt.datetime.combine(_date_of_day(day), dt.time(), self.zone)
        return to_us((moment + dt.timedelta(minutes=minute)).astimezone(dt.UTC))

    def end_of(self, date: dt.date) -> int:
        """Return the last microsecond of a local date."""
        return self.at(_day_of_date(date) + 1) - 1

    def years_before(self, now: int, years: int) -> dt.date:
        """Return the local date so many whole years before an instant."""
        today = _date_of_day(self.day(now))
        try:
            return today.replace(year=today.year - years)
        except ValueError:  # 29 February
            return dt.date(today.year - years, 3, 1)

    def birthday(self, birth: int, now: int) -> tuple[int, int]:
        """Return (whole years since the birth date, instant of the next birthday)."""
        return self._aged(self.day(birth), self.day(now))

    def _birthday(self, birth_day: int, today_day: int) -> tuple[int, int]:
        born, today = _date_of_day(birth_day), _date_of_day(today_day)
        had = (today.month, today.day) >= (born.month, born.day)
        years = today.year - born.year - (0 if had else 1)
        year = today.year + (1 if had else 0)
        try:
            following = born.replace(year=year)
        except ValueError:  # 29 February
            following = dt.date(year, 3, 1)
        return years, self.at(_day_of_date(following))


def _date_of_day(day: int) -> dt.date:
    return dt.date(1970, 1, 1) + dt.timedelta(days=day)


def _day_of_date(date: dt.date) -> int:
    return (date - dt.date(1970, 1, 1)).days


def _iso_of_day(day: int) -> str:
    return _date_of_day(day).isoformat()


@dataclass(frozen=True)
class Calendar:
    """Open days: inside one of the spans, on one of the weekdays (1..7), not closed; or extra."""

    zone: Zone
    spans: tuple[tuple[dt.date, dt.date], ...]
    weekdays: frozenset[int] = frozenset(range(1, 8))
    closed: frozenset[dt.date] = frozenset()
    extra: frozenset[dt.date] = field(default_factory=frozenset)

    def is_open(self, day: int) -> bool:
        """Return whether the local day (counted from 1970-01-01) is open."""
        date = _date_of_day(day)
        if date in self.extra:
            return True
        if date in self.closed or date.isoweekday() not in self.weekdays:
            return False
        return any(first <= date <= last for first, last in self.spans)

    def add(self, start: int, length: int) -> int:
        """Return the instant at which `length` microseconds of open time have passed since `start`.

        NEVER when the calendar ends before. Cost: one step per day.
        """
        end = max([*(last for _, last in self.spans), *self.extra], default=dt.date.min)
        if end == dt.date.min:
            return NEVER
        last = _day_of_date(end)
        day, at, left = self.zone.day(start), start, length
        while day <= last:
            following = self.zone.at(day + 1)
            if self.is_open(day):
                if at + left <= following:
                    return at + left
                left -= following - at
            day, at = day + 1, following
        return NEVER
