"""When the town's school has lessons: the terms and holidays that packs/cn-town says too."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

_TERMS: Final = [((9, 1), (1, 23)), ((3, 1), (7, 3))]
"""First and last day of a term, month and day; the first goes over the year's end."""
_HOLIDAYS: Final = {
    (1, 1), (1, 2), (1, 3), (4, 4), (4, 5), (4, 6), (5, 1), (5, 2), (5, 3), (5, 4), (5, 5),
    (6, 19), (6, 20), (6, 21), (9, 25), (9, 26), (9, 27),
    (10, 1), (10, 2), (10, 3), (10, 4), (10, 5), (10, 6), (10, 7),
}  # fmt: skip
_SUNDAY: Final = 6
_SATURDAY: Final = 5


def lessons(day: date) -> bool:
    """Tell whether there is school; make-up days at weekends are left out: none is missed then."""
    now = (day.month, day.day)
    if now in _HOLIDAYS or day.weekday() in (_SATURDAY, _SUNDAY):
        return False
    return any(
        (begin <= now <= end) if begin < end else (now >= begin or now <= end)
        for begin, end in _TERMS
    )


def days_back(day: date, count: int) -> list[date]:
    """Return the last `count` school days before a day, oldest first."""
    found: list[date] = []
    while len(found) < count:
        day -= timedelta(days=1)
        if lessons(day):
            found.append(day)
    return found[::-1]
