"""The alert: one (subject, rule, instance), its states, and the moves between them as a table."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import msgspec

from services.alerts.domain.ladder import Ladder, Milestone, Step, urgent
from services.kernel.clock import NEVER

State = Literal[
    "new", "acknowledged", "assigned", "on_site", "handling", "outcome_recorded", "review", "closed"
]
Standing = Literal["true", "ended", "withdrawn"]
Action = Literal[
    "acknowledge", "take", "handover", "on_site", "outcome", "note", "close", "escalate"
]
TaskState = Literal["open", "overdue", "done", "cancelled"]
DeliveryState = Literal["queued", "sending", "delivered", "failed", "unconfirmed"]

STATES: Final[tuple[State, ...]] = (
    "new", "acknowledged", "assigned", "on_site", "handling", "outcome_recorded", "review", "closed"
)  # fmt: skip
_RUNNING: Final[frozenset[State]] = frozenset(STATES[:-1])

MOVES: Final[dict[Action, dict[State, State]]] = {
    "acknowledge": {"new": "acknowledged"},
    "take": {"new": "assigned", "acknowledged": "assigned", "assigned": "assigned"},
    "handover": {
        "new": "assigned",
        "acknowledged": "assigned",
        "assigned": "assigned",
        "on_site": "on_site",
        "handling": "handling",
        "outcome_recorded": "outcome_recorded",
    },
    "on_site": {"new": "on_site", "acknowledged": "on_site", "assigned": "on_site"},
    "outcome": dict.fromkeys(_RUNNING, "outcome_recorded"),
    "note": {state: state for state in STATES},
    "close": dict.fromkeys(_RUNNING, "closed"),
    "escalate": {
        "new": "new",
        "acknowledged": "new",
        "assigned": "new",
        "on_site": "on_site",
        "handling": "handling",
        "outcome_recorded": "outcome_recorded",
    },
}
"""From which state an act may be done, and the state it leads to (`close` of level 3: see acts)."""

OUTCOMES: Final = frozenset(
    {
        "confirmed_need", "no_need", "hazard_removed", "relief_granted", "police_case", "hospital",
        "referred", "moved", "died", "duplicate", "false_alarm_benign_absence",
        "false_alarm_device", "false_alarm_data_error", "false_alarm_already_known",
    }
)  # fmt: skip
"""Outcomes that handle an alert (the task states of the service levels)."""
ATTEMPTS: Final = frozenset({"no_answer", "refused_visit"})
"""What a visit may find without handling anything: it is recorded and the clock runs on."""

FACT: Final = "fact:"
"""Begins the name of an actor that is a fact and not a person."""

TWO_PERSON_LEVEL: Final = 3
"""From this level on, closing needs a second person."""


class Entry(msgspec.Struct, frozen=True):
    """One line of the timeline. `counted` lines make the digest; `at` as docs/semantics.md says."""

    n: int
    subject: str
    at: int
    what: str
    reason: str
    counted: bool
    actor: str = ""
    detail: dict[str, Any] = {}


class Task(msgspec.Struct, gc=False):
    """Work for people: warning (reach them), visit (stand at the door), handling (an outcome)."""

    stage: str
    due_at: int
    state: TaskState = "open"
    done_at: int | None = None
    done_by: str = ""
    changed: bool = True


class Page(NamedTuple):
    """A fired step to be told to one target (a role); at most one for each step and target."""

    step: str
    target: str
    at: int


class Alert(msgspec.Struct, kw_only=True):
    """One alert with its deadlines and tasks; `fresh` and `pages` wait to be stored.

    Instants in microseconds since 1970. `memory` is the subject under whose name this alert answers
    for its (rule, instance): a reason with the same `since` does not open another one. It is None
    once a newer alert answers. `evidence` is JSON text of what the rule saw. `version` grows with
    what a person may decide on, `lines` with every line of the timeline.
    """

    id: str
    subject: str
    household: str
    kind: str
    rule: str
    instance: str
    level: int
    ladder: Ladder
    clock_start: int
    opened_at: int
    since: int
    cause: str
    pack: str
    memory: str | None
    state: State = "new"
    standing: Standing = "true"
    evidence: str = "{}"
    acknowledged_at: int | None = None
    acknowledged_by: str = ""
    acknowledged_name: str = ""
    handled_at: int | None = None
    handled_by: str = ""
    outcome: str = ""
    outcome_at: int | None = None
    owner: str = ""
    owner_name: str = ""
    closed_at: int | None = None
    closed_by: str = ""
    closed_because: str = ""
    proposed_by: str = ""
    escalated_at: int | None = None
    version: int = 0
    lines: int = 0
    head: str = ""
    steps: list[Step] = []
    tasks: list[Task] = []
    fresh: list[Entry] = []
    pages: list[Page] = []
    changed: bool = False
    published: int = 0
    ladder_id: str = ""
    stored_due: int | None = None
    stored_urgent: int | None = None

    @property
    def open(self) -> bool:
        """Return whether somebody still has to do something."""
        return self.closed_at is None

    @property
    def label(self) -> str:
        """Return `rule` or `rule#instance`, as timeline lines write it."""
        return f"{self.rule}#{self.instance}" if self.instance else self.rule

    @property
    def deadline_at(self) -> int | None:
        """Return the emergency deadline, or None where the ladder makes no promise."""
        emergency = self.ladder.emergency
        return None if emergency is None else self.clock_start + emergency

    @property
    def next_due_at(self) -> int:
        """Return the next pending deadline of any kind, or NEVER."""
        if self.stored_due is not None:  # read without its steps
            return self.stored_due
        return min((s.due_at for s in self.steps if s.state == "pending"), default=NEVER)

    @property
    def urgent_at(self) -> int:
        """Return what the queue sorts a level by (see `urgent`)."""
        if self.stored_urgent is not None:  # read without its steps
            return self.stored_urgent
        return urgent(self.steps, handled=self.handled_at is not None)

    def reached(self) -> set[Milestone]:
        """Return the milestones reached so far."""
        at: dict[Milestone, int | None] = {
            "acknowledged": self.acknowledged_at,
            "handled": self.handled_at,
            "outcome": self.outcome_at,
            "closed": self.closed_at,
        }
        return {milestone for milestone, when in at.items() if when is not None}

    def write(
        self,
        what: str,
        at: int,
        reason: str,
        *,
        counted: bool = False,
        actor: str = "",
        detail: dict[str, Any] | None = None,
    ) -> None:
        """Append a line to the timeline."""
        self.lines += 1
        self.changed = True
        self.fresh.append(
            Entry(self.lines, self.subject, at, what, reason, counted, actor, detail or {})
        )

    def in_order(self) -> list[Step]:
        """Return the ladder's rungs in the order of the ladder."""
        return sorted((s for s in self.steps if s.kind == "ladder"), key=lambda s: s.position)
