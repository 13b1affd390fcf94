"""The commonest conditions written out as Python source, so that no closure calls another per fact.

`Compiler` makes a closure for each node of a condition: easy to read, and what defines each answer.
A fact that passes five closures costs five calls, though. Here what looks at one fact (`where`)
becomes one expression, and counting facts one loop around it. Everything else is inherited. Both
give the same answers (tests/property/test_risk_written.py); `hearthwatch pack source` prints what
was written; docs/adr/0030-written-conditions.md says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import count
from string import Template
from types import CodeType
from typing import Any, Final

from services.kernel.clock import NEVER
from services.risk.domain import terms as t
from services.risk.domain.conditions import Compiler
from services.risk.domain.logic import compare, negate
from services.risk.domain.looking import Filter, Test, until_now

_ALL_TIME: Final = 2 * NEVER
"""The window of a selection without one: no fact ever leaves it."""
_SIGNS: Final = {
    "eq": "{a} == {b}",
    "ne": "{a} != {b}",
    "lt": "{a} < {b}",
    "le": "{a} <= {b}",
    "gt": "{a} > {b}",
    "ge": "{a} >= {b}",
    "in": "{a} in {b}",
    "has": "{b} in {a}",
}
_KEEP: Final = Template("""\
def keep(fact):
    values = fact.values
    return $truth
""")
_AT_LEAST: Final = Template("""\
def at_least(view):
    known = view.$whose.get($kind)
    if not known:
        return 0
    now = view.now
    if known[-1].occurred > now:
        known = until_now(view, known)
    sure = maybe = 0
    perhaps = None
    for fact in reversed(known):
        at = fact.occurred
        if at <= now - $within:
            break
        values = fact.values
        truth = $truth
        if truth:
            if truth == 1:
                sure += 1
                if sure >= $needed:
                    if at + $within < view.changes_at:
                        view.changes_at = at + $within
                    return 1
            else:
                maybe += 1
            if perhaps is None and sure + maybe >= $needed:
                perhaps = at
    if perhaps is None:
        return 0
    if perhaps + $within < view.changes_at:
        view.changes_at = perhaps + $within
    return 2
""")
_ROW_OF: Final = Template("""\
def row_of(view):
    known = view.$whose.get($kind)
    if not known:
        return 0
    if known[-1].occurred > view.now:
        known = until_now(view, known)
    left = $needed
    answer = 1
    for fact in reversed(known):
        values = fact.values
        truth = $truth
        if not truth:
            return 0
        if truth == 2:
            answer = 2
        left -= 1
        if not left:
            return answer
    return 0
""")


class Written(Compiler):
    """Turns conditions into closures, the commonest of them written out; see the module."""

    def _at_least(self, select: t.Select, needed: int) -> Test:
        if needed < 1 or select.where is None:
            return super()._at_least(select, needed)
        within = _ALL_TIME if select.within is None else select.within
        return self._counting(_AT_LEAST, select.type, select.where, needed, within)

    def _row_of(self, streak: t.Streak, needed: int) -> Test:
        if needed < 1:
            return super()._row_of(streak, needed)
        return self._counting(_ROW_OF, streak.type, streak.where, needed, _ALL_TIME)

    def _counting(
        self, form: Template, kind: str, where: t.Condition, needed: int, within: int
    ) -> Test:
        whose = "home" if kind in self._at_home else "facts"
        truth = _Expression(self._fields[kind]).of(where)
        test: Test = self._made(
            form.substitute(whose=whose, kind=repr(kind), truth=truth, needed=needed, within=within)
        )
        return test

    def _where(self, condition: t.Condition, kind: str) -> Filter:
        truth = _Expression(self._fields[kind]).of(condition)
        keep: Filter = self._made(_KEEP.substitute(truth=truth))
        return keep

    def _made(self, source: str) -> Callable[[Any], int]:
        """Return the function that a source defines; the names it may use stand here."""
        names: dict[str, Any] = {
            "compare": compare, "negate": negate, "until_now": until_now, "zone": self._zone,
            "inf": math.inf, "nan": math.nan,
        }  # fmt: skip
        exec(_code(source), names)  # noqa: S102 - made of a checked pack's terms, never of its text
        function: Callable[[Any], int] = names[source[4 : source.index("(")]]
        setattr(function, "source", source)  # noqa: B010 - for people who look at it
        return function


class _Expression:
    """Writes a condition on one fact as an expression of its truth, with names of its own."""

    def __init__(self, fields: Mapping[str, int]) -> None:
        self._fields = fields
        self._numbers = count()

    def of(self, condition: t.Condition) -> str:
        """Return the expression; it short-circuits as the closures do."""
        match condition:
            case t.All(parts):
                return self._joined(parts, "not {part}", "0", "1")
            case t.AnyOf(parts):
                return self._joined(parts, "{part} == 1", "1", "0")
            case t.Not(part):
                return f"negate({self.of(part)})"
            case t.Compare(op, t.FieldOf(_, name, _), t.Const(value)):
                it, position = self._name(), self._fields[name]
                holds = _SIGNS[op].format(a=it, b=repr(value))
                return f"(2 if ({it} := values[{position}]) is None else 1 if {holds} else 0)"
            case t.Compare(op, left, right):
                return f"compare({op!r}, {self._value(left)}, {self._value(right)})"
            case _:
                raise TypeError("a condition of a subject inside `where` (checked on loading)")

    def _joined(
        self, parts: tuple[t.Condition, ...], settles: str, settled: str, otherwise: str
    ) -> str:
        """Return the truth of several: settled by any part that settles it, else unknown by any."""
        if not parts:
            return otherwise
        names = [self._name() for _ in parts]
        written = [
            settles.format(part=f"({name} := {self.of(part)})")
            for name, part in zip(names, parts, strict=True)
        ]
        unknown = " or ".join(f"{name} == 2" for name in names)
        return f"({settled} if {' or '.join(written)} else 2 if {unknown} else {otherwise})"

    def _value(self, operand: t.Operand) -> str:
        match operand:
            case t.Const(value):
                return repr(value)
            case t.FieldOf(_, name, _):
                return f"values[{self._fields[name]}]"
            case t.LocalDate():
                return "zone.date(fact.occurred)"
            case t.LocalHour():
                return "zone.hour(fact.occurred)"
            case _:
                raise TypeError("an operand of a subject inside `where` (checked on loading)")

    def _name(self) -> str:
        return f"v{next(self._numbers)}"


@lru_cache(maxsize=4096)
def _code(source: str) -> CodeType:
    """Return compiled source; packs repeat themselves, and tests load them often."""
    return compile(source, "<condition>", "exec")
