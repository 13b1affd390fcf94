"""Alerts made by hand for the tests of the pure domain. Instants are microseconds after zero."""

from __future__ import annotations

from typing import Any

from services.alerts.domain.acts import Act
from services.alerts.domain.alert import Action, Alert
from services.alerts.domain.course import Opening, open_alert
from services.alerts.domain.ladder import Ladder, NamedDeadline, Rung, TaskPlan
from services.kernel.clock import HOUR, MINUTE

EMERGENCY = Ladder(
    name="emergency",
    rungs=(
        Rung("notify", 0, ("duty",)),
        Rung("second", 10 * MINUTE, ("second_duty",), "acknowledged"),
        Rung("head", 30 * MINUTE, ("station_head",)),
        Rung("escalate", 60 * MINUTE, ("township_duty", "county_hotline")),
    ),
    deadlines=(NamedDeadline("on_site", 60 * MINUTE),),
    tasks=(
        TaskPlan("warning", 10 * MINUTE),
        TaskPlan("visit", 60 * MINUTE),
        TaskPlan("handling", 48 * HOUR),
    ),
    emergency=60 * MINUTE,
    on_withdrawn="keep",
)


def alert(at: int = 0, **given: Any) -> Alert:
    """Open an alert at an instant; fields of `Opening` may be given."""
    fields: dict[str, Any] = {
        "id": "a1",
        "subject": "p1",
        "household": "h1",
        "kind": "person",
        "rule": "R1",
        "instance": "",
        "level": 3,
        "ladder": EMERGENCY,
        "clock_start": at,
        "at": at,
        "since": at,
        "cause": "c1",
        "pack": "1",
    }
    return open_alert(Opening(**(fields | given)))


def deed(action: Action, at: int = MINUTE, by: str = "li", **given: Any) -> Act:
    """Return an act of a person, `li` unless somebody else is named."""
    return Act(action=action, by=by, at=at, name=by.title(), **given)


def lines(of: Alert) -> list[tuple[str, int, str]]:
    """Return the lines that count, as (step, instant, reason)."""
    return [(e.what, e.at, e.reason) for e in of.fresh if e.counted]


def states(of: Alert) -> dict[str, str]:
    """Return the state of each deadline by name."""
    return {f"{s.kind}:{s.name}": s.state for s in of.steps}
