"""What people do to an alert: `act` decides every act, or refuses it with place and remedy."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from services.alerts.domain.alert import (
    ATTEMPTS,
    FACT,
    MOVES,
    OUTCOMES,
    TWO_PERSON_LEVEL,
    Action,
    Alert,
    State,
)
from services.alerts.domain.course import fire, reach
from services.alerts.domain.ladder import Milestone, due_at
from services.kernel.errors import Fault, Refused

_CONFLICT: Final = 409


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """An act of one person. `at` is the instant it is done; `by` a staff id, `name` for people.

    to, to_name: the new owner of a handover. outcome: one of OUTCOMES or ATTEMPTS. note: free text
    (kept on the timeline, never in logs). result: what an agency said, by field, where a closing
    was asked for it. scope, key: of the request's idempotency key.
    """

    action: Action
    by: str
    at: int
    name: str = ""
    to: str = ""
    to_name: str = ""
    outcome: str = ""
    note: str = ""
    result: dict[str, str] | None = None
    scope: str = ""
    key: str = ""


def act(alert: Alert, deed: Act) -> None:
    """Carry out an act.

    Raises:
        Refused: the alert's state does not allow it; 409 with what is in the way.
    """
    check(alert, deed)
    after = MOVES[deed.action][alert.state]
    match deed.action:
        case "acknowledge":
            _reach(alert, "acknowledged", deed)
        case "take":
            _reach(alert, "acknowledged", deed)
            _own(alert, deed.by, deed.name)
        case "handover":
            _reach(alert, "acknowledged", deed)
            _own(alert, deed.to, deed.to_name)
        case "on_site":
            _reach(alert, "acknowledged", deed)
            _reach(alert, "handled", deed)
        case "outcome":
            after = _outcome(alert, deed)
        case "close":
            after = _close(alert, deed)
        case "escalate":
            _escalate(alert, deed)
        case "note":
            pass
    _note(alert, deed)
    if alert.state != after:
        alert.state = after
        alert.version += 1


def check(alert: Alert, deed: Act) -> None:
    """Raise Refused when the alert's state does not allow the act."""
    if alert.state in MOVES[deed.action]:
        first = alert.acknowledged_name or alert.acknowledged_by
        if deed.action == "acknowledge" and alert.acknowledged_at is not None:
            raise _refused(alert, f"already acknowledged by {first}", "see who has it and help")
        if deed.action == "take" and alert.owner not in ("", deed.by):
            holder = alert.owner_name or alert.owner
            raise _refused(alert, f"already taken by {holder}", "ask for a handover")
        return
    if deed.action == "acknowledge" and alert.acknowledged_at is not None:
        first = alert.acknowledged_name or alert.acknowledged_by
        raise _refused(alert, f"already acknowledged by {first}", "see who has it and help")
    allowed = ", ".join(MOVES[deed.action])
    raise _refused(alert, f"state {alert.state}", f"`{deed.action}` is for: {allowed}")


def _reach(alert: Alert, milestone: Milestone, deed: Act) -> None:
    reach(alert, milestone, deed.at, "person", actor=deed.by, name=deed.name)


def _own(alert: Alert, owner: str, name: str) -> None:
    if alert.owner != owner:
        alert.owner, alert.owner_name = owner, name
        alert.version += 1


def _outcome(alert: Alert, deed: Act) -> State:
    if deed.outcome in ATTEMPTS:  # nobody was reached: the clock runs on
        _reach(alert, "acknowledged", deed)
        return "acknowledged" if alert.state == "new" else alert.state
    if deed.outcome not in OUTCOMES:
        known = ", ".join(sorted(OUTCOMES | ATTEMPTS))
        raise _refused(alert, f"outcome {deed.outcome!r}", f"choose one of: {known}", status=422)
    _reach(alert, "acknowledged", deed)
    _reach(alert, "handled", deed)
    _reach(alert, "outcome", deed)
    if alert.handled_by.startswith(FACT):  # the visit's own fact was faster than its visitor
        alert.handled_by = deed.by
    alert.outcome, alert.proposed_by = deed.outcome, ""
    alert.version += 1
    return "outcome_recorded"


def _close(alert: Alert, deed: Act) -> State:
    """Close, or below two persons' eyes only propose it: the second must be somebody else."""
    if deed.outcome:
        _outcome(alert, deed)
    if not alert.outcome:
        raise _refused(alert, "no outcome", "record an outcome first, or send one with the close")
    if alert.level >= TWO_PERSON_LEVEL:
        if not alert.proposed_by or deed.outcome:
            alert.proposed_by = deed.by
            alert.version += 1
            return "review"
        if alert.proposed_by == deed.by:
            raise _refused(
                alert, "the same person who proposed to close it", "a second person must confirm"
            )
    _reach(alert, "closed", deed)
    return "closed"


def _escalate(alert: Alert, deed: Act) -> None:
    """Fire the next rung now and take the acknowledgement back, so that the ladder goes on."""
    rung = next((s for s in alert.in_order() if s.state != "fired"), None)
    if rung is None:
        raise _refused(alert, "a ladder that has been climbed", "call the last rung's target")
    fire(alert, rung, deed.at, "manual", told_at=deed.at)
    if alert.handled_at is None and alert.acknowledged_at is not None:
        alert.acknowledged_at, alert.acknowledged_by, alert.acknowledged_name = None, "", ""
        for step in alert.in_order():
            if step.state == "cancelled" and step.until == "acknowledged":
                due = due_at("ladder", alert.clock_start, step.after, alert.opened_at)
                step.state, step.due_at = "pending", max(due, deed.at)
                step.reached_at, step.token, step.changed = None, step.token + 1, True


def _note(alert: Alert, deed: Act) -> None:
    detail: dict[str, Any] = {"state": alert.state}
    for field in ("to", "to_name", "outcome", "note", "name", "scope", "key"):
        if value := getattr(deed, field):
            detail[field] = value
    if deed.result is not None:
        detail["result"] = deed.result
    alert.write(f"act:{deed.action}", deed.at, "person", actor=deed.by, detail=detail)


def _refused(alert: Alert, found: str, remedy: str, status: int = 409) -> Refused:
    return Refused(
        Fault(
            where=f"alert {alert.id}",
            found=found,
            expected="an alert that allows it",
            remedy=remedy,
            code="conflict" if status == _CONFLICT else "invalid",
        ),
        status,
    )
