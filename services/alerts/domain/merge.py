"""Moves and merges: what becomes of a subject's alerts when it gets another name or household."""

from __future__ import annotations

from collections.abc import Iterable

from services.alerts.domain.alert import Alert
from services.alerts.domain.course import reach


def carry_over(
    old: Iterable[Alert], new: Iterable[Alert], *, became: str, household: str, at: int
) -> None:
    """Carry the alerts of the old name over to `became`, merging where both have the same key.

    Of two open alerts of one (rule, instance) the one with the earlier clock start goes on, then
    the smaller `opened_at`, then the old name's; the other closes as `merged`, under its own name.
    A closed alert answers on for its reason under the new name, unless that has an open one; a
    closed one that it puts aside is still found under its own name (`AlertStore.reported`).
    """
    held = {(a.rule, a.instance): a for a in new}
    for alert in old:
        there = held.get((alert.rule, alert.instance))
        if there is alert:
            _move_house(alert, household, at)
        elif there is None:
            _rename(alert, became, household, at)
        elif alert.open and there.open:
            _merge(alert, there, became, household, at)
        elif alert.open or not there.open:
            _retire(there)
            _rename(alert, became, household, at)
        else:
            _retire(alert)


def _merge(old: Alert, new: Alert, became: str, household: str, at: int) -> None:
    if (old.clock_start, old.opened_at) <= (new.clock_start, new.opened_at):
        winner, loser = old, new
    else:
        winner, loser = new, old
    loser.write("merged", at, "merged", counted=True, detail={"into": winner.id})
    reach(loser, "closed", at, "merged", actor="move")
    _retire(loser)
    if new.standing == "true" and winner.standing != "true":
        winner.standing, winner.since = "true", new.since
    winner.changed = True
    if winner is old:
        _rename(old, became, household, at)


def _retire(alert: Alert) -> None:
    """A newer alert answers for the key from now on."""
    alert.memory, alert.changed = None, True


def _rename(alert: Alert, became: str, household: str, at: int) -> None:
    alert.memory, alert.changed = became, True
    if not alert.open:
        return
    if alert.subject != became:
        before, alert.subject = alert.subject, became
        alert.version += 1
        alert.write("renamed", at, "moved", detail={"from": before, "household": household})
        alert.household = household
    else:
        _move_house(alert, household, at)


def _move_house(alert: Alert, household: str, at: int) -> None:
    if alert.open and alert.household != household:
        before, alert.household = alert.household, household
        alert.version += 1
        alert.write("moved", at, "moved", detail={"from": before, "to": household})
