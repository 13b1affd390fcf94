"""Alerts in the naive model: a list of them, and what people and time do to each. Section 6."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.generated.naive.facts import DAY, HOUR, MINUTE, text_of
from tests.generated.naive.house import Said

Page = tuple[str, str, str]
"""Rule or rule#key, step, target."""


class Due(NamedTuple):
    """One step of a ladder (`name`) with whom it tells, or one named deadline (`deadline:NAME`)."""

    name: str
    after: int
    until: str = "handled"
    to: tuple[str, ...] = ("duty",)


class Ladder(NamedTuple):
    """A ladder as the pack writes it."""

    dues: tuple[Due, ...]
    emergency: int | None = None
    on_ended: str = "keep"
    on_withdrawn: str = "close"


LADDERS: Final[Mapping[str, Ladder]] = {
    "emergency": Ladder(
        (
            Due("notify", 0),
            Due("second", 10 * MINUTE, "acknowledged", to=("second_duty",)),
            Due("head", 30 * MINUTE, to=("station_head",)),
            Due("escalate", 60 * MINUTE, to=("township_duty", "county_hotline")),
            Due("deadline:on_site", 60 * MINUTE),
            Due("deadline:settled", 3 * DAY, "closed"),
        ),
        emergency=60 * MINUTE,
        on_withdrawn="keep",
    ),
    "visit": Ladder((Due("notify", 0), Due("supervisor", DAY, to=("station_head",)))),
    "gentle": Ladder((Due("notify", HOUR),), on_ended="close"),
    "work": Ladder(
        (Due("remind", 0), Due("deadline:d1", DAY), Due("deadline:d3", 3 * DAY, "closed"))
    ),
}
LADDER_OF: Final[Mapping[str, str]] = {
    **dict.fromkeys(("R01", "R02", "R12", "R18", "unreadable"), "emergency"),
    **dict.fromkeys(("R03", "R05", "R07", "R08", "R10", "R11", "R17", "H02", "H03"), "visit"),
    **dict.fromkeys(("R04", "R13", "R15", "R16", "H01"), "gentle"),
    "R06": "work",
}
"""R09, R14 and R19 raise a level and open no alert."""
REACHES: Final[Mapping[str, tuple[str, ...]]] = {
    "acknowledged": ("acknowledged",),
    "handled": ("acknowledged", "handled"),
    "closed": ("acknowledged", "handled", "closed"),
}


@dataclass
class Alert:
    """One alert. `waits`: what is still pending; `reached`: milestones with their instants."""

    who: str
    rule: str
    key: str
    ladder: Ladder
    opened: int
    clock: int
    since: int
    waits: list[Due] = field(default_factory=list)
    reached: dict[str, int] = field(default_factory=dict)
    stands: str = "true"

    @property
    def open(self) -> bool:
        return "closed" not in self.reached

    def due(self, step: Due) -> int:
        """Return when a step or deadline is due; a step not before the alert opened."""
        at = self.clock + step.after
        return at if step.name.startswith("deadline:") else max(at, self.opened)


class Counts(NamedTuple):
    """Alerts against their emergency deadline."""

    opened: int
    in_time: int
    escalated: int
    late: int
    never: int


class Desk:
    """All alerts, by whom they are about; `lines` are those of the digest, `pages` who was told."""

    def __init__(self) -> None:
        self.alerts: defaultdict[str, list[Alert]] = defaultdict(list)
        self.lines: list[str] = []
        self.pages: list[Page] = []

    # -- what comes ----------------------------------------------------------------------------

    def assessed(self, said: Said) -> None:
        """Take in an assessment: open what is new, note what ended."""
        self._fire(said.who, said.at)
        for reason in said.reasons:
            ladder = LADDER_OF.get(reason.rule)
            if reason.held or ladder is None:
                continue
            key = (said.who, reason.rule, reason.key)
            known = [a for a in self.alerts[said.who] if (a.rule, a.key) == key[1:]]
            standing = [a for a in known if a.open]
            clock = min(reason.clock, said.at)
            if standing:
                standing[0].stands, standing[0].since = "true", reason.since
                self._earlier(standing[0], clock, said.at)
            elif all(a.since != reason.since for a in known):
                self._open(key, ladder, said.at, clock, reason.since, "assessed")
        for rule, instance, how in said.ended:
            for alert in self._open_of(said.who):
                if (alert.rule, alert.key) == (rule, instance) and alert.stands not in (
                    how,
                    "withdrawn",
                ):
                    alert.stands = how
                    self._write(alert, how, said.at, how)
                    says = alert.ladder.on_ended if how == "ended" else alert.ladder.on_withdrawn
                    if says == "close":
                        self._reach(alert, "closed", said.at, how)

    def passed(self, who: str, role: str, rules: tuple[str, ...], key: str | None, at: int) -> None:
        """A fact acknowledges, handles or closes."""
        self._fire(who, at)
        for alert in self._open_of(who):
            if (not rules or alert.rule in rules) and key in (None, alert.key):
                self._reach(alert, role, at, "fact")

    def unreadable(self, who: str, item: str, at: int) -> None:
        """An item that may have been a cry for help could not be read."""
        self._fire(who, at)
        self._open((who, "unreadable", item), "emergency", at, at, at, "unreadable")

    def repaired(self, who: str, item: str, at: int) -> None:
        """The item was mended and taken in."""
        self._fire(who, at)
        for alert in self._open_of(who):
            if (alert.rule, alert.key) == ("unreadable", item):
                self._reach(alert, "closed", at, "repaired")

    def moved(self, was: str, became: str, at: int) -> None:
        """A name became another one: its alerts go along; of two of one kind one goes on."""
        self._fire(was, at)
        self._fire(became, at)
        if was == became:
            return
        for old in self._open_of(was):
            twins = [a for a in self._open_of(became) if (a.rule, a.key) == (old.rule, old.key)]
            if twins:
                new = twins[0]
                first = (old.clock, old.opened) <= (new.clock, new.opened)
                loser, winner = (new, old) if first else (old, new)
                if new.stands == "true" and winner.stands != "true":
                    winner.stands, winner.since = "true", new.since
                self._write(loser, "merged", at, "merged")
                self._reach(loser, "closed", at, "merged")
        for alert in self.alerts[was]:
            alert.who = became
        self.alerts[became] += self.alerts.pop(was)

    def end(self, until: int) -> None:
        """Let time run out."""
        for who in list(self.alerts):
            self._fire(who, until + 1)

    def counts(self, until: int) -> Counts:
        """Return how the emergencies went; a merged alert's promise is carried by the other."""
        every = [alert for alerts in self.alerts.values() for alert in alerts]
        promised = [a for a in every if a.ladder.emergency and a.stands != "merged"]
        in_time = late = never = 0
        for alert in promised:
            deadline = alert.clock + (alert.ladder.emergency or 0)
            handled = min(
                (alert.reached[m] for m in ("handled", "closed") if m in alert.reached),
                default=None,
            )
            in_time += handled is not None and handled <= deadline
            late += handled is not None and handled > deadline
            never += handled is None and deadline <= until
        return Counts(len(every), in_time, late + never, late, never)

    # -- what follows --------------------------------------------------------------------------

    def _open_of(self, who: str) -> list[Alert]:
        return [a for a in self.alerts[who] if a.open]

    def _open(
        self, key: tuple[str, str, str], ladder: str, at: int, clock: int, since: int, why: str
    ) -> None:
        found = LADDERS[ladder]
        alert = Alert(*key, found, at, min(clock, at), since, list(found.dues))
        self.alerts[alert.who].append(alert)
        self._write(alert, "opened", at, why)
        self._overdue(alert, at)

    def _earlier(self, alert: Alert, clock: int, at: int) -> None:
        if clock < alert.clock:
            alert.clock = clock
            self._overdue(alert, at)

    def _overdue(self, alert: Alert, at: int) -> None:
        """Fire at once what is due by now; a deadline is missed only once it has passed."""
        for step in list(alert.waits):
            passed = alert.due(step) < at or not step.name.startswith("deadline:")
            if alert.due(step) <= at and passed:
                self._went(alert, step)

    def _fire(self, who: str, before: int) -> None:
        for alert in self._open_of(who):
            for step in list(alert.waits):
                if alert.due(step) < before:
                    self._went(alert, step)

    def _went(self, alert: Alert, step: Due) -> None:
        alert.waits.remove(step)
        missed = step.name.startswith("deadline:")
        if not missed:
            self.pages += [(_label(alert), step.name, target) for target in step.to]
        self._write(alert, step.name, alert.due(step), "missed" if missed else "due")

    def _reach(self, alert: Alert, milestone: str, at: int, why: str) -> None:
        if milestone in alert.reached:
            return
        alert.reached[milestone] = at
        if why == "merged":
            alert.stands = "merged"
        alert.waits = [d for d in alert.waits if d.until not in REACHES[milestone]]
        self._write(alert, milestone, at, why)

    def _write(self, alert: Alert, step: str, at: int, why: str) -> None:
        self.lines.append(f"{alert.who}|{_label(alert)}|{step}|{text_of(at)}|{why}")


def _label(alert: Alert) -> str:
    return f"{alert.rule}#{alert.key}" if alert.key else alert.rule
