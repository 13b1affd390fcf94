"""Looking at a household: a view at one instant, windows of facts, filters on one fact.

Each closure lowers `view.changes_at` to the next instant at which, without any new fact, what it
gives could differ.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from services.kernel.clock import NEVER
from services.risk.domain import terms as t
from services.risk.domain.calendar import Calendar, Zone
from services.risk.domain.logic import ON_VALUES, Value, compare, negate
from services.risk.domain.state import FALSE, TRUE, UNKNOWN, Fact, Household


class View:
    """What a condition looks at: one subject in its household at one instant.

    changes_at: when time alone may change the answer. armed: when what armed it had been received
    and was due.
    """

    __slots__ = ("armed", "changes_at", "facts", "home", "household", "now")

    def __init__(self, household: Household, now: int) -> None:
        self.household = household
        self.now = now
        self.changes_at = NEVER
        self.armed = 0
        own = household.subjects.get(household.id)
        self.home: dict[str, list[Fact]] = own.facts if own else {}
        self.facts: dict[str, list[Fact]] = self.home

    def soon(self, instant: int) -> None:
        """Note that the answer may change at `instant`, if that is ahead."""
        if self.now < instant < self.changes_at:
            self.changes_at = instant


Test = Callable[[View], int]
Read = Callable[[View], Value]
Filter = Callable[[Fact], int]
_occurred = attrgetter("occurred")
_NONE: Sequence[Fact] = ()


def until_now(view: View, known: Sequence[Fact]) -> Sequence[Fact]:
    """Return the facts that do not lie ahead, and note when the first that does will count."""
    end = bisect_right(known, view.now, key=_occurred)
    view.soon(known[end].occurred)
    return known[:end]


class Looker:
    """Makes the closures that select facts, for one pack.

    at_home: event types that are told of the household itself. fields: for each type the position
    of a field in `Fact.values`.
    """

    def __init__(
        self,
        at_home: frozenset[str],
        fields: Mapping[str, Mapping[str, int]],
        calendars: Mapping[str, Calendar],
        zone: Zone,
    ) -> None:
        self._at_home = at_home
        self._fields = fields
        self._calendars = calendars
        self._zone = zone

    def _latest_times(self, select: t.Select) -> Callable[[View], tuple[int | None, int | None]]:
        """Return (latest certain time, latest possible time after it) as a closure."""
        facts, keep = self._window(select), self._filter(select)

        def times(view: View) -> tuple[int | None, int | None]:
            maybe: int | None = None
            for fact in reversed(facts(view)):
                truth = keep(fact) if keep else TRUE
                if truth == TRUE:
                    return fact.occurred, maybe
                if truth == UNKNOWN and maybe is None:
                    maybe = fact.occurred
            return None, maybe

        return times

    def _window(
        self, select: t.Select, *, leaving: bool = True
    ) -> Callable[[View], Sequence[Fact]]:
        """Return the closure that gives the facts in the window, oldest first.

        leaving: note when the oldest of them leaves (a caller that knows better says no).
        """
        kind, within, at_home = select.type, select.within, select.type in self._at_home

        def facts(view: View) -> Sequence[Fact]:
            known = (view.home if at_home else view.facts).get(kind, _NONE)
            if not known:
                return _NONE
            if known[-1].occurred > view.now:
                known = until_now(view, known)
            end = len(known)
            if within is None:
                return known
            start = bisect_right(known, view.now - within, 0, end, key=_occurred)
            if leaving and start < end:
                view.soon(known[start].occurred + within)
            return known[start:] if start else known

        return facts

    def _filter(self, select: t.Select) -> Filter | None:
        return self._where(select.where, select.type) if select.where else None

    def where(self, select: t.Select) -> Filter | None:
        """Return the closure that decides a selection's `where` on one fact, or None for all."""
        return self._filter(select)

    def _where(self, condition: t.Condition, kind: str) -> Filter:
        match condition:
            case t.All(parts):
                return _filter_all([self._where(p, kind) for p in parts])
            case t.AnyOf(parts):
                return _filter_any([self._where(p, kind) for p in parts])
            case t.Not(part):
                return _filter_not(self._where(part, kind))
            case t.Compare(op, t.FieldOf(_, name, _), t.Const(value)):
                return _field_against(self._fields[kind][name], ON_VALUES[op], value)
            case t.Compare(op, left, right):
                a, b = self.of_fact(left, kind), self.of_fact(right, kind)
                return lambda fact: compare(op, a(fact), b(fact))
            case _:
                raise TypeError("a condition of a subject inside `where` (checked on loading)")

    def of_fact(self, operand: t.Operand, kind: str) -> Callable[[Fact], Any]:
        """Return the closure that reads a constant, a field, the date or hour of one fact."""
        match operand:
            case t.Const(value):
                return lambda _fact: value
            case t.FieldOf(_, name, _):
                position = self._fields[kind][name]
                return lambda fact: fact.values[position]
            case t.LocalDate():
                return lambda fact: self._zone.date(fact.occurred)
            case t.LocalHour():
                return lambda fact: self._zone.hour(fact.occurred)
            case _:
                raise TypeError("an operand of a subject inside `where` (checked on loading)")


def _filter_all(filters: list[Filter]) -> Filter:
    def keep(fact: Fact) -> int:
        answer = TRUE
        for part in filters:
            truth = part(fact)
            if truth == FALSE:
                return FALSE
            if truth == UNKNOWN:
                answer = UNKNOWN
        return answer

    return keep


def _filter_any(filters: list[Filter]) -> Filter:
    def keep(fact: Fact) -> int:
        answer = FALSE
        for part in filters:
            truth = part(fact)
            if truth == TRUE:
                return TRUE
            if truth == UNKNOWN:
                answer = UNKNOWN
        return answer

    return keep


def _field_against(position: int, test: Callable[[Any, Any], bool], constant: Any) -> Filter:  # noqa: ANN401 - any value
    """Return the commonest filter, a field against a constant, without going through `compare`."""

    def keep(fact: Fact) -> int:
        value = fact.values[position]
        if value is None:
            return UNKNOWN
        return TRUE if test(value, constant) else FALSE

    return keep


def _filter_not(inner: Filter) -> Filter:
    return lambda fact: negate(inner(fact))
