"""What ends a reported harm: the outcome that a rule waits for, read off its own expectation.

An expectation that is met by a fact which names the rule (`eq: [.rule, C01]`) waits for an outcome.
Whoever closes the case is asked for the fact's other fields (docs/adr/0026-outcome-of-a-case.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from services.risk.domain import terms as t
from services.risk.domain.pack import Rule


class Awaited(NamedTuple):
    """The fact that ends a rule: its type, and the field that must name the rule.

    ends: by field, the values that end it; a field that is not there may have any.
    plain: whether this says all that the rule asks of the fact.
    """

    type: str
    names: str
    ends: Mapping[str, tuple[str, ...]]
    plain: bool


def awaited(rule: Rule) -> Awaited | None:
    """Return the outcome that ends a rule; None where no fact that names the rule does."""
    if rule.expect is None:
        return None
    asked = [_asked(part) for part in _parts(rule.expect.by.where)]
    names = next((each[0] for each in asked if each and each[1] == (rule.id,)), None)
    if names is None:
        return None
    ends: dict[str, tuple[str, ...]] = {}
    for each in asked:
        if each is not None and each[0] != names:
            kept = ends.get(each[0], each[1])
            ends[each[0]] = tuple(value for value in each[1] if value in kept)
    plain = None not in asked and sum(1 for each in asked if each and each[0] == names) == 1
    return Awaited(rule.expect.by.type, names, ends, plain)


def _parts(where: t.Condition | None) -> Iterator[t.Condition]:
    """Yield the conditions that must all hold."""
    if isinstance(where, t.All):
        for part in where.parts:
            yield from _parts(part)
    elif where is not None:
        yield where


def _asked(part: t.Condition) -> tuple[str, tuple[str, ...]] | None:
    """Return a field and the texts it may be; None for a condition of another form."""
    if not isinstance(part, t.Compare) or part.op not in ("eq", "in"):
        return None
    if not isinstance(part.left, t.FieldOf) or not isinstance(part.right, t.Const):
        return None
    value = part.right.value
    values = value if isinstance(value, tuple) else (value,)
    return part.left.name, tuple(str(each) for each in values)
