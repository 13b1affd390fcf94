"""Operands compiled into closures that read a value (or None, or an Interval) on a view."""

from __future__ import annotations

from collections.abc import Callable

from services.risk.domain import terms as t
from services.risk.domain.logic import Value, settle
from services.risk.domain.looking import Looker, Read, Test, View
from services.risk.domain.state import FALSE, TRUE, UNKNOWN, Subject


class OperandCompiler(Looker):
    """Makes the closures that read operands."""

    def test(self, condition: t.Condition) -> Test:
        """Return the closure that decides a condition; the compiler of conditions has it."""
        raise NotImplementedError

    def read(self, operand: t.Operand) -> Read:
        """Return the closure that reads an operand on a view."""
        match operand:
            case t.Const(value):
                return lambda _view: value
            case t.Latest():
                return self._latest(operand)
            case t.Count(facts):
                return self._count(facts)
            case t.Aggregate():
                return self._aggregate(operand)
            case t.Delta():
                return self._delta(operand)
            case t.Streak():
                return self._streak(operand)
            case t.Age(birth):
                return self._age(self._latest(birth))
            case t.Members(condition):
                return _count_members(self.test(condition))
            case t.Since(facts):
                return self._since(facts)
            case t.FieldOf() | t.LocalDate() | t.LocalHour():
                raise TypeError("a field of a fact outside `where` (checked on loading)")

    def _since(self, facts: t.Select) -> Read:
        latest = self._latest_times(facts)

        def read(view: View) -> Value:
            sure, maybe = latest(view)
            return None if sure is None or maybe is not None else view.now - sure

        return read

    def _count(self, select: t.Select) -> Read:
        facts, keep = self._window(select), self._filter(select)
        if keep is None:
            return lambda view: len(facts(view))

        def read(view: View) -> Value:
            low = high = 0
            for fact in facts(view):
                truth = keep(fact)
                if truth == TRUE:
                    low += 1
                    high += 1
                elif truth == UNKNOWN:
                    high += 1
            return settle(low, high)

        return read

    def _aggregate(self, a: t.Aggregate) -> Read:
        facts, keep = self._window(a.facts), self._filter(a.facts)
        position = self._fields[a.facts.type][a.field]
        total = {"sum": _sum, "max": _extreme(max), "min": _extreme(min)}[a.how]

        def read(view: View) -> Value:
            parts: list[tuple[bool, float, float]] = []
            for fact in facts(view):
                truth = keep(fact) if keep else TRUE
                if truth == FALSE:
                    continue
                value = fact.values[position]
                low, high = (a.low, a.high) if value is None else (value, value)
                parts.append((truth == TRUE, low, high))
            return total(parts)

        return read

    def _delta(self, d: t.Delta) -> Read:
        facts, keep = self._window(d.facts), self._filter(d.facts)
        position = self._fields[d.facts.type][d.field]

        def read(view: View) -> Value:
            kept = []
            for fact in facts(view):
                truth = keep(fact) if keep else TRUE
                if truth == UNKNOWN:
                    return None
                if truth == TRUE:
                    kept.append(fact.values[position])
            if not kept or kept[0] is None or kept[-1] is None:
                return None
            return kept[-1] - kept[0]

        return read

    def _streak(self, s: t.Streak) -> Read:
        facts, keep = self._window(t.Select(s.type)), self._where(s.where, s.type)

        def read(view: View) -> Value:
            low = high = 0
            sure = True
            for fact in reversed(facts(view)):
                truth = keep(fact)
                if truth == FALSE:
                    break
                sure = sure and truth == TRUE
                low += sure
                high += 1
            return settle(low, high)

        return read

    def _age(self, birth: Read) -> Read:
        def read(view: View) -> Value:
            born = birth(view)
            if born is None:
                return None
            years, following = self._zone.birthday(born, view.now)
            view.soon(following)
            return years

        return read

    def _latest(self, operand: t.Latest) -> Read:
        sources = [
            (self._window(s), self._filter(s), self._fields[s.type][field])
            for s, field in operand.sources
        ]
        skip_null = operand.skip_null

        def read(view: View) -> Value:
            best: tuple[int, int, str] | None = None
            value: Value = None
            for facts, keep, position in sources:
                for fact in reversed(facts(view)):
                    found = fact.values[position]
                    truth = keep(fact) if keep else TRUE
                    if truth == FALSE or (found is None and skip_null):
                        continue
                    order = fact.order()
                    if best is None or order > best:
                        best, value = order, found if truth == TRUE else None
                    break
            return value

        return read


def members(view: View, *, tied: bool) -> list[Subject]:
    """Return those who were members then, or tied to it, without the household itself."""
    house, now = view.household, view.now
    return [
        subject
        for name, subject in house.subjects.items()
        if subject.tied == tied and subject.came <= now and name != house.id
    ]


def _count_members(test: Test) -> Read:
    def read(view: View) -> Value:
        own, low, high = view.facts, 0, 0
        for member in members(view, tied=False):
            view.facts = member.facts
            truth = test(view)
            low += truth == TRUE
            high += truth != FALSE
        view.facts = own
        return settle(low, high)

    return read


def _sum(parts: list[tuple[bool, float, float]]) -> Value:
    low = sum(a if sure else min(a, 0) for sure, a, _ in parts)
    high = sum(b if sure else max(b, 0) for sure, _, b in parts)
    return settle(low, high)


def _extreme(
    pick: Callable[[list[float]], float],
) -> Callable[[list[tuple[bool, float, float]]], Value]:
    least = pick is min

    def extreme(parts: list[tuple[bool, float, float]]) -> Value:
        if not parts:
            return None
        sure = [(a, b) for certain, a, b in parts if certain]
        lows, highs = [a for a, _ in sure], [b for _, b in sure]
        maybe_low = [a for certain, a, _ in parts if not certain]
        maybe_high = [b for certain, _, b in parts if not certain]
        if not sure:
            return None
        low = pick(lows + maybe_low) if least else pick(lows)
        high = pick(highs) if least else pick(highs + maybe_high)
        return settle(low, high)

    return extreme
