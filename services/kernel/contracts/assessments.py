"""Messages on `risk.assessment.v1`: what risk concluded, with its reasons, and what it passes on.

Levels are ordinals 0..3 (green, blue, yellow, red in the default scheme); colours are the scheme's.
Instants are RFC 3339 datetimes in JSON.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

import msgspec

ASSESSED: Final = "risk.assessed"
PASSED: Final = "risk.fact_passed"
MOVED: Final = "risk.subject_moved"

Role = Literal["acknowledged", "handled", "closed"]
Half = Literal["out", "in"]
Ending = Literal["ended", "withdrawn"]
Kind = Literal["person", "household", "place"]


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule that holds the level up.

    `instance` tells apart several alerts of one rule (one missed assignment each), else ''.
    `held` is true when the condition has ended and its floor is still falling step by step.
    `clock_start` is where a life clock for this reason starts. `values` are what the rule saw
    (names of operands with value and time); `facts` the ids of the facts it stands on.
    """

    rule: str
    level: int
    since: datetime
    clock_start: datetime
    instance: str = ""
    held: bool = False
    values: dict[str, Any] = {}
    facts: list[str] = []


class Ended(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule of this subject that held before and no longer does.

    withdrawn: its fact was retracted, corrected or declared a false alarm; otherwise it ended.
    """

    rule: str
    how: Ending
    instance: str = ""


class Unknown(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule that could not be decided, and the operands it lacks."""

    rule: str
    missing: list[str]
    instance: str = ""


class ModelSays(msgspec.Struct, frozen=True, omit_defaults=True):
    """The model's part: level after the cap, probability 0..1, top signed contributions."""

    level: int
    probability: float
    contributions: list[tuple[str, float]] = []
    missing: list[str] = []
    model: str = ""


class Assessment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a subject from `at` on. Published only when something in it changed."""

    subject: str
    household: str
    kind: Kind
    level: int
    was: int
    household_level: int
    at: datetime
    reasons: list[Reason]
    ended: list[Ended] = []
    unknowns: list[Unknown] = []
    model: ModelSays | None = None
    pack: str = ""
    cause: str | None = None
    next_due_at: datetime | None = None
    next_visit_due: datetime | None = None
    next_contact_due: datetime | None = None


class Passed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fact that acknowledges, handles or closes alerts of its subject, as the pack lists.

    `rules` empty means every rule; `instance` None means every instance. `at` is the processing
    time; `fact` the change it came from.
    """

    subject: str
    household: str
    role: Role
    fact: str
    type: str
    at: datetime
    rules: list[str] = []
    instance: str | None = None
    outcome: str = ""


class Moved(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Half of a move.

    Alerts carries it out when both halves have arrived, and until then keeps back what either
    partition says of the two names.
    """

    move: str
    half: Half
    was: str
    became: str
    from_household: str
    to_household: str
    at: datetime
    reason: str = "moved"
