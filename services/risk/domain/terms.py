"""The language of conditions as values: what a pack's YAML becomes before it is compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["number", "text", "boolean", "time", "duration", "list"]
Comparison = Literal["eq", "ne", "lt", "le", "gt", "ge", "in", "has"]
Total = Literal["sum", "max", "min"]
Scalar = int | float | str | bool


@dataclass(frozen=True, slots=True)
class Const:
    """A value written in the pack; a tuple for the list of `in`."""

    value: Scalar | tuple[Scalar, ...]
    kind: Kind


@dataclass(frozen=True, slots=True)
class FieldOf:
    """A field of the fact that a `where` looks at."""

    type: str
    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class LocalDate:
    """The local date (ISO text) on which the fact that a `where` looks at occurred."""


@dataclass(frozen=True, slots=True)
class LocalHour:
    """The local hour 0..23 in which the fact that a `where` looks at occurred."""


@dataclass(frozen=True, slots=True)
class Select:
    """Facts of a type, in a window (microseconds, None: all), that satisfy `where`."""

    type: str
    within: int | None = None
    where: Condition | None = None


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest value of one of these (type, field) pairs.

    skip_null: profile fields, where null means "not said again"; else a null newest is unknown.
    """

    sources: tuple[tuple[Select, str], ...]
    kind: Kind
    skip_null: bool = False


@dataclass(frozen=True, slots=True)
class Count:
    """How many facts."""

    facts: Select


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Sum, maximum or minimum of a number field."""

    how: Total
    facts: Select
    field: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Delta:
    """Latest value of a number field minus the earliest in the window."""

    facts: Select
    field: str


@dataclass(frozen=True, slots=True)
class Streak:
    """How many of the latest facts in a row satisfy the condition."""

    type: str
    where: Condition


@dataclass(frozen=True, slots=True)
class Since:
    """Time since the latest fact; unknown when there never was one."""

    facts: Select


@dataclass(frozen=True, slots=True)
class Age:
    """Whole years since a date."""

    birth: Latest


@dataclass(frozen=True, slots=True)
class Members:
    """How many members of the household satisfy the condition."""

    condition: Condition


Operand = (
    Const
    | FieldOf
    | LocalDate
    | LocalHour
    | Latest
    | Count
    | Aggregate
    | Delta
    | Streak
    | Since
    | Age
    | Members
)


@dataclass(frozen=True, slots=True)
class All:
    """Every one holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """It does not hold."""

    part: Condition


@dataclass(frozen=True, slots=True)
class Compare:
    """Two operands compared."""

    op: Comparison
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Absent:
    """Armed, and for at least `within` (of the calendar's open time) no such fact came."""

    facts: Select
    within: int
    armed_by: Select | None
    calendar: str | None


@dataclass(frozen=True, slots=True)
class Active:
    """A fact of the type holds now: for a length of time, or until an instant it names."""

    facts: Select
    lasts: int | None
    until: str | None


@dataclass(frozen=True, slots=True)
class AnyMember:
    """Some member (or tied person) of the household satisfies the condition."""

    condition: Condition
    tied: bool


Condition = All | AnyOf | Not | Compare | Absent | Active | AnyMember


@dataclass(frozen=True, slots=True)
class Expect:
    """Something is expected: armed by a fact, due at an instant, met by another fact.

    Exactly one of due_field, due_after (microseconds) and due_daily (minutes after local midnight).
    """

    armed_by: Select
    by: Select
    armed_key: FieldOf | LocalDate | None
    by_key: FieldOf | LocalDate | None
    due_field: str | None
    due_after: int | None
    due_daily: int | None
    back: int | None
