"""Three-valued logic over values that may be unknown (None) or only bounded (Interval)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from services.risk.domain.state import FALSE, TRUE, UNKNOWN

Value = Any


class Interval(NamedTuple):
    """A number known to lie in [low, high]."""

    low: float
    high: float


def settle(low: float, high: float) -> Value:
    """Return the number when both bounds agree, else the interval."""
    return low if low == high else Interval(low, high)


def negate(truth: int) -> int:
    """Return the Kleene negation."""
    return truth if truth == UNKNOWN else 1 - truth


def conjunction(truths: Iterable[int]) -> int:
    """Return FALSE when one is, else UNKNOWN when one is, else TRUE."""
    answer = TRUE
    for truth in truths:
        if truth == FALSE:
            return FALSE
        if truth == UNKNOWN:
            answer = UNKNOWN
    return answer


def disjunction(truths: Iterable[int]) -> int:
    """Return TRUE when one is, else UNKNOWN when one is, else FALSE."""
    answer = FALSE
    for truth in truths:
        if truth == TRUE:
            return TRUE
        if truth == UNKNOWN:
            answer = UNKNOWN
    return answer


def _bounds(value: Value) -> Interval:
    return value if type(value) is Interval else Interval(value, value)


def _order(*, strict: bool) -> Callable[[Interval, Interval], int]:
    """Return the test a >= b (or a > b) on intervals."""
    sure: Callable[[Any, Any], bool] = operator.gt if strict else operator.ge
    never: Callable[[Any, Any], bool] = operator.le if strict else operator.lt

    def test(a: Interval, b: Interval) -> int:
        if sure(a.low, b.high):
            return TRUE
        return FALSE if never(a.high, b.low) else UNKNOWN

    return test


def _equal(a: Interval, b: Interval) -> int:
    if a.high < b.low or b.high < a.low:
        return FALSE
    return TRUE if a.low == a.high == b.low == b.high else UNKNOWN


_AT_LEAST, _MORE = _order(strict=False), _order(strict=True)

ON_INTERVALS: Final[dict[str, Callable[[Interval, Interval], int]]] = {
    "ge": _AT_LEAST,
    "gt": _MORE,
    "le": lambda a, b: _AT_LEAST(b, a),
    "lt": lambda a, b: _MORE(b, a),
    "eq": _equal,
    "ne": lambda a, b: negate(_equal(a, b)),
}

ON_VALUES: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
    "eq": operator.eq,
    "ne": operator.ne,
    "in": lambda a, b: a in b,
    "has": lambda a, b: b in a,
}


def compare(op: str, a: Value, b: Value) -> int:
    """Return the truth of `a op b`; an unknown side makes it unknown."""
    if a is None or b is None:
        return UNKNOWN
    if type(a) is Interval or type(b) is Interval:
        if op == "in":
            return disjunction(_equal(_bounds(a), _bounds(item)) for item in b)
        return ON_INTERVALS[op](_bounds(a), _bounds(b))
    return int(ON_VALUES[op](a, b))
