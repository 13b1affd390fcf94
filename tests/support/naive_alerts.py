"""An independent, naive model of what alerts must do with a log: a dict, a loop, no database.

Written against docs/semantics.md 6 and 7 alone; it shares no code with the product. Times are
whole minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

STEPS = {  # rule -> (step, minutes after the clock start, what cancels it)
    "R1": [("notify", 0, 2), ("second", 10, 1), ("head", 30, 2), ("escalate", 60, 2)],
    "R2": [("ask", 0, 2), ("remind", 1440, 2)],
    "R3": [("tell", 0, 2)],
}
DEADLINES = {"R1": [("on_site", 60)], "R2": [("day", 1440)], "R3": []}
CLOSES = {"R1": set(), "R2": {"withdrawn"}, "R3": {"withdrawn", "ended"}}
RANKS = {"acknowledged": 1, "handled": 2, "closed": 3}


class Event(NamedTuple):
    """Something that happens at a minute: kind is true, false, passed, moved or merged."""

    at: int
    kind: str
    subject: str
    rule: str = ""
    clock: int = 0
    how: str = ""
    role: str = ""
    other: str = ""


@dataclass
class Open:
    """An alert of the model."""

    subject: str
    rule: str
    opened: int
    clock: int
    since: int
    reached: int = 0
    at: dict[str, int] = field(default_factory=dict)
    fired: set[str] = field(default_factory=set)
    standing: str = "true"
    closed: bool = False

    def due(self, after: int) -> int:
        return max(self.clock + after, self.opened)


class Model:
    """The lines that a log must give."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str, int, str]] = []
        self.answers: dict[tuple[str, str], Open] = {}
        self.truth: dict[str, dict[str, tuple[int, int]]] = {}
        self.all: list[Open] = []

    def run(self, events: list[Event], until: int) -> None:
        for event in events:
            for name in {event.subject, event.other} - {""}:
                for alert in self._of(name):
                    self._pass_time(alert, event.at - 1)
            getattr(self, f"_{event.kind}")(event)
        for alert in self.all:
            self._pass_time(alert, until)

    def text(self, rfc: object) -> list[str]:
        assert callable(rfc)
        return sorted(f"{s}|{r}|{step}|{rfc(at)}|{why}" for s, r, step, at, why in self.lines)

    # --- records ---------------------------------------------------------------------------------

    def _true(self, event: Event) -> None:
        """A rule holds."""
        truth = self.truth.setdefault(event.subject, {})
        since, clock = truth.get(event.rule, (event.at, event.clock))
        truth[event.rule] = (since, min(clock, event.clock))
        self._listed(event)

    def _listed(self, event: Event) -> None:
        """Everything that holds of somebody is listed again, as each assessment does."""
        for rule, (since_, clock_) in self.truth.get(event.subject, {}).items():
            alert = self.answers.get((event.subject, rule))
            if alert is not None and not alert.closed:
                alert.standing, alert.since = "true", since_
                if clock_ < alert.clock:
                    alert.clock = clock_
                    self._catch_up(alert, event.at)
            elif alert is None or not self._had(alert, event.subject, since_):
                self._open(event.subject, rule, event.at, clock_, since_)

    def _had(self, answers: Open, subject: str, since: int) -> bool:
        """Return whether what became true then has had an alert: that one, or one of this name."""
        own = [a.since for a in self.all if (a.subject, a.rule) == (subject, answers.rule)]
        return since in (answers.since, *own)

    def _false(self, event: Event) -> None:
        self.truth.get(event.subject, {}).pop(event.rule, None)
        self._listed(event)
        alert = self.answers.get((event.subject, event.rule))
        if alert is None or alert.closed or alert.standing in (event.how, "withdrawn"):
            return
        alert.standing = event.how
        self._line(alert, event.how, event.at, event.how)
        if event.how in CLOSES[alert.rule]:
            self._reach(alert, "closed", event.at, event.how)

    def _passed(self, event: Event) -> None:
        for alert in self._of(event.subject):
            if event.rule in ("", alert.rule):
                self._reach(alert, event.role, event.at, "fact")

    def _moved(self, event: Event) -> None:
        """Another household under the same name: nothing that a line shows."""

    def _merged(self, event: Event) -> None:
        was, became = event.subject, event.other
        for rule in STEPS:
            old, new = self.answers.pop((was, rule), None), self.answers.get((became, rule))
            if old is None:
                continue
            if new is None:
                self._rename(old, became)
            elif not old.closed and not new.closed:
                self._merge(old, new, became, event.at)
            elif not old.closed or new.closed:
                self._rename(old, became)
        theirs = self.truth.setdefault(became, {})
        for rule, (since, clock) in self.truth.pop(was, {}).items():
            theirs.setdefault(rule, (since, clock))

    def _merge(self, old: Open, new: Open, became: str, at: int) -> None:
        first = (old.clock, old.opened) <= (new.clock, new.opened)
        winner, loser = (old, new) if first else (new, old)
        self._line(loser, "merged", at, "merged")
        self._reach(loser, "closed", at, "merged")
        if new.standing == "true" and winner.standing != "true":
            winner.standing, winner.since = "true", new.since
        if first:
            self._rename(winner, became)

    def _rename(self, alert: Open, became: str) -> None:
        if not alert.closed:
            alert.subject = became
        self.answers[became, alert.rule] = alert

    # --- one alert -------------------------------------------------------------------------------

    def _of(self, subject: str) -> list[Open]:
        return [a for (name, _), a in self.answers.items() if name == subject and not a.closed]

    def _open(self, subject: str, rule: str, at: int, clock: int, since: int) -> None:
        alert = Open(subject, rule, at, min(clock, at), since)
        self.all.append(alert)
        self.answers[subject, rule] = alert
        self._line(alert, "opened", at, "assessed")
        self._catch_up(alert, at)

    def _catch_up(self, alert: Open, at: int) -> None:
        """A rung due by now fires at once, a promise only when its instant has passed."""
        self._rungs(alert, at)
        self._promises(alert, at - 1)

    def _pass_time(self, alert: Open, until: int) -> None:
        if not alert.closed:
            self._rungs(alert, until)
            self._promises(alert, until)

    def _rungs(self, alert: Open, until: int) -> None:
        for step, after, cancel in STEPS[alert.rule]:
            due = alert.due(after)
            if step not in alert.fired and alert.reached < cancel and due <= until:
                alert.fired.add(step)
                self._line(alert, step, due, "due")

    def _promises(self, alert: Open, until: int) -> None:
        for name, after in DEADLINES[alert.rule]:
            due = alert.clock + after
            if name not in alert.fired and alert.reached < 2 and due <= until:
                alert.fired.add(name)
                self._line(alert, f"deadline:{name}", due, "missed")

    def _reach(self, alert: Open, milestone: str, at: int, why: str) -> None:
        if milestone in alert.at or alert.closed:
            return
        alert.at[milestone] = at
        alert.reached = max(alert.reached, RANKS[milestone])
        alert.closed = milestone == "closed"
        self._line(alert, milestone, at, why)

    def _line(self, alert: Open, step: str, at: int, why: str) -> None:
        self.lines.append((alert.subject, alert.rule, step, at, why))
