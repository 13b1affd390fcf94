"""The escalation ladder: what happens how long after the clock of an alert has started.

A ladder is frozen into an alert when it opens (docs/adr/0010): editing the pack changes alerts that
open later, never one that is running. Durations are whole microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from services.kernel.clock import NEVER

Milestone = Literal["acknowledged", "handled", "outcome", "closed"]
Kind = Literal["ladder", "deadline", "emergency", "task"]
StepState = Literal["pending", "fired", "cancelled", "met"]
Ending = Literal["keep", "close"]
Stage = Literal["warning", "visit", "handling"]

RANK: Final[dict[str, int]] = {"acknowledged": 1, "handled": 2, "outcome": 3, "closed": 4}
"""How far a milestone takes an alert; reaching one reaches those below it."""

STAGES: Final[dict[str, Milestone]] = {
    "warning": "acknowledged",
    "visit": "handled",
    "handling": "outcome",
}
"""The three tasks of an alert and the milestone that meets each."""

_PROMISES: Final = ("emergency", "deadline")


class Rung(msgspec.Struct, frozen=True):
    """One step of the ladder: `after` the clock start tell the roles `to`, `until` a milestone."""

    step: str
    after: int
    to: tuple[str, ...]
    until: Milestone = "handled"


class NamedDeadline(msgspec.Struct, frozen=True):
    """A promise that is counted: the milestone is reached within `after` of the clock start."""

    name: str
    after: int
    until: Milestone = "handled"


class TaskPlan(msgspec.Struct, frozen=True):
    """A task that opens with the alert and is due `due` after the clock start."""

    stage: Stage
    due: int


class Ladder(msgspec.Struct, frozen=True):
    """A whole ladder as frozen into an alert: 0..20 rungs, ascending in `after`.

    `emergency` is the span of the one-hour promise, None where the ladder makes none.
    """

    name: str
    rungs: tuple[Rung, ...] = ()
    deadlines: tuple[NamedDeadline, ...] = ()
    tasks: tuple[TaskPlan, ...] = ()
    emergency: int | None = None
    on_withdrawn: Ending = "close"
    on_ended: Ending = "keep"


class Step(msgspec.Struct, gc=False):
    """One deadline of one alert: a row with `due_at`, never a timer.

    `after` is the span from the clock start. `reached_at` is when its milestone came, before or
    after it fired. `token` grows with each re-planning, so that a stale claim finds another one.
    """

    position: int
    kind: Kind
    name: str
    after: int
    until: Milestone
    due_at: int
    state: StepState = "pending"
    fired_at: int | None = None
    reached_at: int | None = None
    token: int = 1
    changed: bool = True


def due_at(kind: Kind, clock_start: int, after: int, opened_at: int) -> int:
    """Return when a step is due. Rungs and tasks not before the alert opened; promises keep time.

    Fails towards: paging too early, never too late.
    """
    due = clock_start + after
    return due if kind in ("deadline", "emergency") else max(due, opened_at)


def plan(ladder: Ladder, clock_start: int, opened_at: int) -> list[Step]:
    """Return every deadline of a new alert, in the order in which equal instants fire."""
    wanted: list[tuple[Kind, str, int, Milestone]] = []
    wanted.extend(("deadline", d.name, d.after, d.until) for d in ladder.deadlines)
    if ladder.emergency is not None:
        wanted.append(("emergency", "emergency", ladder.emergency, "handled"))
    wanted.extend(("ladder", r.step, r.after, r.until) for r in ladder.rungs)
    wanted.extend(("task", t.stage, t.due, STAGES[t.stage]) for t in ladder.tasks)
    return [
        Step(n, kind, name, after, until, due_at(kind, clock_start, after, opened_at))
        for n, (kind, name, after, until) in enumerate(wanted)
    ]


def due_steps(steps: list[Step], now: int, *, inclusive: bool) -> list[Step]:
    """Return the pending steps due before `now` (or at it), in the order they fire."""
    limit = now if inclusive else now - 1
    due = [s for s in steps if s.state == "pending" and s.due_at <= limit]
    due.sort(key=lambda s: (s.due_at, s.position))
    return due


def urgent(steps: Iterable[Step], *, handled: bool) -> int:
    """Return the instant by which an alert waits in the queue of its level; NEVER: for nothing.

    While nobody has handled it, that of the oldest promise (emergency or named deadline) that was
    missed and is not made good, so that it stands before all that is still in time; else that of
    the next pending step.
    """
    broken, following = NEVER, NEVER
    for step in steps:
        if step.state == "pending":
            following = min(following, step.due_at)
        elif step.state == "fired" and step.reached_at is None and step.kind in _PROMISES:
            broken = min(broken, step.due_at)
    return following if handled or broken == NEVER else broken
