"""The course of an alert: what records and time do to it, each at an instant that is given.

Whatever happens becomes a line with an enumerated reason; `docs/semantics.md` section 6 fixes which
lines count for the digest and which instant they carry.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from services.alerts.domain.alert import FACT, Alert, Page, Task
from services.alerts.domain.ladder import (
    RANK,
    Ladder,
    Milestone,
    Step,
    due_at,
    due_steps,
    plan,
)

Because = Literal[
    "assessed", "unreadable", "due", "manual", "missed", "fact", "person", "ended", "withdrawn",
    "merged", "repaired",
]  # fmt: skip
REASONS: Final[tuple[Because, ...]] = (
    "assessed", "unreadable", "due", "manual", "missed", "fact", "person", "ended", "withdrawn",
    "merged", "repaired",
)  # fmt: skip
"""Why a line that counts was written; closed set, part of the digest."""


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What an alert opens with. `at` is the processing time; the clock never starts after it."""

    id: str
    subject: str
    household: str
    kind: str
    rule: str
    instance: str
    level: int
    ladder: Ladder
    clock_start: int
    at: int
    since: int
    cause: str
    pack: str
    because: Because = "assessed"
    evidence: str = "{}"


def open_alert(opening: Opening) -> Alert:
    """Return a new alert; rungs already due have fired, promises already broken are marked."""
    start = min(opening.clock_start, opening.at)
    ladder = opening.ladder
    alert = Alert(
        id=opening.id,
        subject=opening.subject,
        household=opening.household,
        kind=opening.kind,
        rule=opening.rule,
        instance=opening.instance,
        level=opening.level,
        ladder=ladder,
        clock_start=start,
        opened_at=opening.at,
        since=opening.since,
        cause=opening.cause,
        pack=opening.pack,
        memory=opening.subject,
        evidence=opening.evidence,
        steps=plan(ladder, start, opening.at),
        tasks=[Task(t.stage, due_at("task", start, t.due, opening.at)) for t in ladder.tasks],
        version=1,
    )
    alert.write("opened", opening.at, opening.because, counted=True)
    _catch_up(alert, opening.at)
    return alert


def fire_due(alert: Alert, now: int, *, inclusive: bool, told_at: int) -> list[Step]:
    """Fire every step due before `now` (or at it); return them in the order they fired.

    Each carries its own due instant, so it does not matter how often or how late this is called.
    `told_at` is when the engine did it, kept beside the line to measure lateness.
    """
    due = due_steps(alert.steps, now, inclusive=inclusive)
    for step in due:
        fire(alert, step, step.due_at, "due", told_at=told_at)
    return due


def fire(alert: Alert, step: Step, at: int, because: Because, *, told_at: int) -> None:
    """Fire one step: a rung pages its targets, a promise is missed, a task is overdue."""
    step.state, step.fired_at, step.changed = "fired", told_at, True
    alert.version += 1
    if step.kind == "ladder":
        targets = next(r.to for r in alert.ladder.rungs if r.step == step.name)
        alert.write(
            step.name, at, because, counted=True, detail={"kind": "ladder", "to": list(targets)}
        )
        alert.pages.extend(Page(step.name, target, at) for target in targets)
    elif step.kind == "deadline":
        alert.write(
            f"deadline:{step.name}", at, "missed", counted=True, detail={"kind": "deadline"}
        )
    elif step.kind == "emergency":
        alert.escalated_at = at
        alert.write("emergency", at, "missed", detail={"kind": "emergency"})
    else:
        _set_task(alert, step.name, "overdue")
        alert.write(f"task:{step.name}", at, "missed", detail={"kind": "task"})


def reach(
    alert: Alert,
    milestone: Milestone,
    at: int,
    because: Because,
    *,
    actor: str,
    name: str = "",
    fact: str = "",
) -> bool:
    """Reach a milestone at `at`: end what waited for it. False when it was reached before.

    `fact` is the id of the change that did it, kept beside the line: it knows who was there.
    """
    if milestone in alert.reached():
        return False
    alert.version += 1
    if milestone == "acknowledged":
        alert.acknowledged_at, alert.acknowledged_by, alert.acknowledged_name = at, actor, name
    elif milestone == "handled":
        alert.handled_at, alert.handled_by = at, actor
    elif milestone == "outcome":
        alert.outcome_at = at
    else:
        alert.closed_at, alert.closed_by, alert.closed_because = at, actor, because
        alert.state = "closed"
    for step in alert.steps:
        if RANK[step.until] <= RANK[milestone]:
            _met(step, at)
    for task in alert.tasks:
        if task.state in ("open", "overdue") and _stage_met(alert, task.stage, milestone):
            task.state = "cancelled" if milestone == "closed" else "done"
            task.done_at, task.done_by, task.changed = at, actor, True
    if milestone != "outcome":
        detail = {"fact": fact} if fact else None
        alert.write(milestone, at, because, counted=True, actor=actor, detail=detail)
    return True


def pass_fact(
    alert: Alert, role: Milestone, at: int, *, fact: str, type_: str, outcome: str
) -> bool:
    """Apply a fact that acknowledges, handles or closes; return whether it changed anything."""
    because: Because = "repaired" if role == "closed" and outcome == "repaired" else "fact"
    actor = f"{FACT}{type_ or fact}"
    changed = reach(alert, role, at, because, actor=actor, fact=fact)
    if role == "acknowledged":
        if changed and alert.state == "new":
            alert.state = "acknowledged"
        return changed
    if outcome and alert.outcome_at is None:
        alert.outcome = outcome
        changed = reach(alert, "outcome", at, because, actor=actor) or changed
    if role == "handled" and changed and alert.open:
        alert.state = "outcome_recorded" if alert.outcome_at is not None else "handling"
    return changed


def report_again(alert: Alert, *, level: int, since: int, clock_start: int, at: int) -> None:
    """An assessment lists the reason of an open alert again: the earliest clock start wins."""
    if level > alert.level:
        alert.level = level
        alert.version += 1
        alert.write("raised", at, "assessed", detail={"level": level})
    if alert.standing != "true":
        alert.write("again", at, "assessed", detail={"since": since})
        alert.version += 1
    if alert.standing != "true" or alert.since != since:
        alert.standing, alert.since, alert.changed = "true", since, True
    if clock_start < alert.clock_start:
        rebase(alert, clock_start, at)


def rebase(alert: Alert, clock_start: int, at: int) -> None:
    """Move the clock to an earlier start; what is then due fires at once. Never moves it later."""
    before, alert.clock_start = alert.clock_start, clock_start
    alert.version += 1
    alert.write("clock_moved", at, "assessed", detail={"from": before, "to": clock_start})
    for step in alert.steps:
        if step.state == "pending":
            step.due_at = due_at(step.kind, clock_start, step.after, alert.opened_at)
            step.token, step.changed = step.token + 1, True
    for task in alert.tasks:
        if task.state == "open":
            step_ = next(s for s in alert.steps if s.kind == "task" and s.name == task.stage)
            task.due_at, task.changed = step_.due_at, True
    _catch_up(alert, at)


def end_reason(alert: Alert, how: Literal["ended", "withdrawn"], at: int) -> None:
    """The reason no longer stands; the ladder says whether the alert stays for a person."""
    if alert.standing in (how, "withdrawn"):
        return
    alert.standing = how
    alert.version += 1
    alert.write(how, at, how, counted=True)
    says = alert.ladder.on_ended if how == "ended" else alert.ladder.on_withdrawn
    if says == "close":
        reach(alert, "closed", at, how, actor="rule")


def _catch_up(alert: Alert, at: int) -> None:
    """Fire what is already due: rungs and tasks due by `at`, promises due before it."""
    for step in due_steps(alert.steps, at, inclusive=True):
        if step.due_at < at or step.kind == "ladder":
            fire(alert, step, step.due_at, "due", told_at=at)


def _met(step: Step, at: int) -> None:
    if step.state == "pending":
        step.state = "cancelled" if step.kind == "ladder" else "met"
        step.token, step.changed = step.token + 1, True
    if step.kind != "ladder" and step.reached_at is None:
        step.reached_at, step.changed = at, True


def _stage_met(alert: Alert, stage: str, milestone: Milestone) -> bool:
    step = next(s for s in alert.steps if s.kind == "task" and s.name == stage)
    return RANK[step.until] <= RANK[milestone]


def _set_task(alert: Alert, stage: str, state: Literal["overdue"]) -> None:
    for task in alert.tasks:
        if task.stage == stage and task.state == "open":
            task.state, task.changed = state, True
