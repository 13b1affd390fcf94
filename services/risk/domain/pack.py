"""A pack as written: the typed definitions that the loader makes and the compiler takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from services.kernel.clock import NEVER
from services.kernel.contracts.assessments import Role
from services.risk.domain import terms as t
from services.risk.domain.calendar import Calendar, Zone

Kind = Literal["person", "household", "place"]
SEPARATOR = "#"


@dataclass(frozen=True)
class FieldType:
    """One field of an event type; bounds in the field's unit, None where there are none.

    protected: comes encrypted, so that no rule can read it.
    """

    kind: Literal["integer", "number", "boolean", "text", "enum", "date", "time", "list"]
    required: bool = False
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()
    protected: bool = False


@dataclass(frozen=True)
class EventType:
    """One entry of the event catalogue."""

    type: str
    subject: Kind
    title: Mapping[str, str]
    max_ahead: int
    profile: bool
    fields: Mapping[str, FieldType]


@dataclass(frozen=True)
class Example:
    """A worked case of one rule; facts as (type, occurred, received, clock, data)."""

    name: str
    now: int
    subject: str
    facts: tuple[Mapping[str, Any], ...]
    expect: Literal["true", "false", "unknown"]
    where: str = ""


@dataclass(frozen=True)
class Rule:
    """One rule as written. level 0..3; exactly one of when and expect."""

    id: str
    subject: Literal["person", "household"]
    level: int
    who: t.Condition | None = None
    when: t.Condition | None = None
    expect: t.Expect | None = None
    ladder: str | None = None
    family: str | None = None
    at_once: bool = False
    hard: bool = False
    lifted_by: tuple[str, ...] = ()
    valid_from: int = 0
    valid_to: int = NEVER
    texts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    where: str = ""


@dataclass(frozen=True)
class PassRule:
    """A fact that acknowledges, handles or closes alerts."""

    facts: t.Select
    role: Role
    rules: tuple[str, ...]
    instance: t.FieldOf | t.LocalDate | None
    outcome: str


@dataclass(frozen=True)
class Level:
    """One level of the scheme; fall_after in microseconds."""

    level: int
    color: str
    name: Mapping[str, str]
    fall_after: int
    visit_every: int | None
    contact_every: int | None


@dataclass(frozen=True)
class Feature:
    """One input of the model: a number read from a subject's facts."""

    name: str
    value: t.Operand
    direction: Literal["+", "-", "0"]
    title: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSlot:
    """The model's place: features, thresholds to levels 1.., cap; weights of the built-in model.

    trained: hash of the trained model that scores instead of the weights, '' for none. It learned
    from people, so households and places have no features then.
    """

    features: tuple[Feature, ...]
    thresholds: tuple[float, ...]
    cap: int
    intercept: float | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    trained: str = ""


@dataclass(frozen=True)
class Pack:
    """A checked pack. digest: SHA-256 over its files. groups: named conditions, as rules."""

    name: str
    version: str
    digest: str
    zone: Zone
    zone_name: str
    own_sources: frozenset[str]
    scheme: tuple[Level, ...]
    calendars: Mapping[str, Calendar]
    events: Mapping[str, EventType]
    rules: tuple[Rule, ...]
    passes: tuple[PassRule, ...]
    unreadable: str | None
    model: ModelSlot | None = None
    groups: tuple[Rule, ...] = ()
