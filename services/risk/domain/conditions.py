"""Conditions compiled into closures over a `View`: truth now, and when time may change it.

Compiled once per pack; a change runs only the rules that read its type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from services.kernel.clock import NEVER
from services.risk.domain import terms as t
from services.risk.domain.logic import ON_VALUES, Interval, compare, negate
from services.risk.domain.looking import Test, View
from services.risk.domain.operands import OperandCompiler, members
from services.risk.domain.state import FALSE, TRUE, UNKNOWN, Fact


class Compiler(OperandCompiler):
    """Turns conditions into closures for one pack."""

    def test(self, condition: t.Condition) -> Test:
        """Return the closure that decides a condition on a view."""
        match condition:
            case t.All(parts):
                return _all([self.test(p) for p in parts])
            case t.AnyOf(parts):
                return _any([self.test(p) for p in parts])
            case t.Not(part):
                inner = self.test(part)
                return lambda view: negate(inner(view))
            case t.Compare():
                return self._comparison(condition)
            case t.Absent():
                return self._absent(condition)
            case t.Active():
                return self._active(condition)
            case t.AnyMember(inner_condition, tied):
                return _any_member(self.test(inner_condition), tied=tied)

    def _comparison(self, c: t.Compare) -> Test:
        if isinstance(c.left, t.Since):
            return self._since_compared(c.op, c.left, c.right)
        if isinstance(c.right, t.Since):
            flipped = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}.get(c.op, c.op)
            return self._since_compared(flipped, c.right, c.left)
        if isinstance(c.left, t.Count) and isinstance(c.right, t.Const) and c.op in ("ge", "gt"):
            return self._at_least(c.left.facts, _needed(c.op, c.right.value))
        if isinstance(c.left, t.Streak) and isinstance(c.right, t.Const) and c.op in ("ge", "gt"):
            return self._row_of(c.left, _needed(c.op, c.right.value))
        left = self.read(c.left)
        if isinstance(c.right, t.Const):
            constant, op, plain = c.right.value, c.op, ON_VALUES[c.op]

            def against_constant(view: View) -> int:
                value = left(view)
                if value is None:
                    return UNKNOWN
                if type(value) is Interval:
                    return compare(op, value, constant)
                return 1 if plain(value, constant) else 0

            return against_constant
        right = self.read(c.right)
        return lambda view: compare(c.op, left(view), right(view))

    def _at_least(self, select: t.Select, needed: int) -> Test:
        """Return whether at least `needed` facts count: the most common condition.

        It can only stop being true through time, and does so when the fact leaves its window that
        is the `needed`-th newest; so nothing wakes it while it is false.
        """
        keep, within = self._filter(select), select.within
        facts = self._window(select, leaving=False)

        def test(view: View) -> int:
            sure = maybe = 0
            oldest_maybe = NEVER
            for fact in reversed(facts(view)):
                truth = keep(fact) if keep else TRUE
                if truth == TRUE:
                    sure += 1
                    if sure >= needed:
                        if within is not None:
                            view.soon(fact.occurred + within)
                        return TRUE
                elif truth == UNKNOWN:
                    maybe += 1
                if truth != FALSE and sure + maybe >= needed and oldest_maybe == NEVER:
                    oldest_maybe = fact.occurred
            if sure >= needed:
                return TRUE
            if sure + maybe >= needed:
                if within is not None:
                    view.soon(oldest_maybe + within)
                return UNKNOWN
            return FALSE

        return test

    def _row_of(self, streak: t.Streak, needed: int) -> Test:
        """Return whether the newest `needed` facts all satisfy; looks at no more than those."""
        facts = self._window(t.Select(streak.type))
        keep = self._where(streak.where, streak.type)

        def test(view: View) -> int:
            left, answer = needed, TRUE
            for fact in reversed(facts(view)):
                if left <= 0:
                    break
                truth = keep(fact)
                if truth == FALSE:
                    return FALSE
                answer = max(answer, truth)
                left -= 1
            return FALSE if left > 0 else answer

        return test

    def _since_compared(self, op: str, since: t.Since, constant: t.Operand) -> Test:
        if not isinstance(constant, t.Const) or not isinstance(constant.value, int):
            raise TypeError("since is compared with a constant duration only (checked on loading)")
        length = constant.value
        latest = self._latest_times(since.facts)

        def test(view: View) -> int:
            sure, maybe = latest(view)
            if sure is None:
                return UNKNOWN
            for start in (sure, maybe):
                if start is not None:
                    view.soon(start + length)
                    view.soon(start + length + 1)
            if maybe is None:
                return compare(op, view.now - sure, length)
            return compare(op, Interval(view.now - maybe, view.now - sure), length)

        return test

    def _absent(self, c: t.Absent) -> Test:
        latest = self._latest_times(c.facts)
        armed = self._armed(c.armed_by) if c.armed_by else None
        calendar = self._calendars[c.calendar] if c.calendar else None

        def due(start: int) -> int:
            return calendar.add(start, c.within) if calendar else start + c.within

        def test(view: View) -> int:
            arms, earliest, last, by = armed(view) if armed else _ALWAYS
            if arms == FALSE:
                return FALSE
            sure, maybe = latest(view)
            low = _later(earliest, sure)
            high = _later(last, sure if maybe is None else maybe)
            if low is None or high is None:
                return UNKNOWN
            possible = due(low)
            view.soon(possible)
            if possible > view.now:
                return FALSE
            certain = due(high) if high != low else possible
            view.soon(certain)
            if certain > view.now:
                return UNKNOWN
            known = min((fact.received for fact in by), default=0)
            view.armed = max(view.armed, known, certain)
            return arms

        return test

    def _armed(self, select: t.Select) -> Callable[[View], _Arming]:
        facts, keep = self._window(select), self._filter(select)

        def always(view: View) -> _Arming:
            known = facts(view)
            if not known:
                return _UNARMED
            start = known[0].occurred
            return TRUE, start, start, known

        if keep is None:
            return always

        def arming(view: View) -> _Arming:
            known = facts(view)
            truth, earliest, latest, certain = FALSE, None, None, len(known)
            sure = True
            for n in range(len(known) - 1, -1, -1):
                found = keep(known[n])
                if found == FALSE:
                    break
                if latest is None:
                    truth = found
                sure = sure and found == TRUE
                earliest = known[n].occurred
                if sure or latest is None:
                    latest, certain = earliest, n
            return truth, earliest, latest, known[certain:]

        return arming

    def _active(self, c: t.Active) -> Test:
        facts, keep = self._window(c.facts), self._filter(c.facts)
        until = self._fields[c.facts.type][c.until] if c.until else None

        def test(view: View) -> int:
            answer = FALSE
            for fact in facts(view):
                truth = keep(fact) if keep else TRUE
                if truth == FALSE:
                    continue
                end = fact.values[until] if until is not None else fact.occurred + (c.lasts or 0)
                if end is None:
                    answer = max(answer, UNKNOWN) if answer != TRUE else TRUE
                    continue
                if view.now < end:
                    view.soon(end)
                    answer = TRUE if TRUE in (answer, truth) else UNKNOWN
            return answer

        return test


_Arming = tuple[int, int | None, int | None, Sequence[Fact]]
"""Whether an absence is armed, since when at the earliest and at the latest, and by which facts."""
_UNARMED: Final[_Arming] = (FALSE, None, None, ())
_ALWAYS: Final[_Arming] = (TRUE, None, None, ())


def _later(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return max(one, other)


def _needed(op: str, number: object) -> int:
    """Return how many facts satisfy `count >= number` or `count > number`."""
    if not isinstance(number, (int, float)):
        raise TypeError("a count is compared with a number only (checked on loading)")
    return math.ceil(number) if op == "ge" else math.floor(number) + 1


def _all(tests: list[Test]) -> Test:
    def test(view: View) -> int:
        answer = TRUE
        for part in tests:
            truth = part(view)
            if truth == FALSE:
                return FALSE
            if truth == UNKNOWN:
                answer = UNKNOWN
        return answer

    return test


def _any(tests: list[Test]) -> Test:
    def test(view: View) -> int:
        answer = FALSE
        for part in tests:
            truth = part(view)
            if truth == TRUE:
                return TRUE
            if truth == UNKNOWN:
                answer = UNKNOWN
        return answer

    return test


def _any_member(test: Test, *, tied: bool) -> Test:
    def any_member(view: View) -> int:
        own, answer = view.facts, FALSE
        for member in members(view, tied=tied):
            view.facts = member.facts
            truth = test(view)
            if truth == TRUE:
                answer = TRUE
                break
            answer = max(answer, truth)
        view.facts = own
        return answer

    return any_member
