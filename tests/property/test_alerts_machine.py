"""Whatever people, records and time do to an alert in whatever order: the promises hold."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.alerts.domain.acts import Act, act
from services.alerts.domain.alert import ATTEMPTS, MOVES, OUTCOMES, STATES
from services.alerts.domain.course import end_reason, fire_due, pass_fact, report_again
from services.alerts.domain.ladder import RANK
from services.alerts.domain.timeline import chained
from services.kernel.clock import HOUR, MINUTE
from services.kernel.errors import Refused
from tests.support.alerts import alert

PEOPLE = st.sampled_from(["li", "wang", "zhao"])
ACTIONS = st.sampled_from(sorted(MOVES))
FINDINGS = st.sampled_from(sorted(OUTCOMES | ATTEMPTS | {"", "nonsense"}))


class AlertMachine(RuleBasedStateMachine):
    """One alert; the engine may lag behind the clock, but every act first fires what is due."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 10 * HOUR
        self.alert = alert(self.now)
        self.seen_version = self.alert.version
        self.closed_lines: int | None = None
        self.floor = self.alert.clock_start

    @rule(minutes=st.integers(0, 90))
    def time_passes(self, minutes: int) -> None:
        self.now += minutes * MINUTE

    @rule()
    def the_engine_turns(self) -> None:
        fire_due(self.alert, self.now, inclusive=True, told_at=self.now)

    @rule(action=ACTIONS, by=PEOPLE, to=PEOPLE, outcome=FINDINGS)
    def somebody_acts(self, action: str, by: str, to: str, outcome: str) -> None:
        fire_due(self.alert, self.now, inclusive=False, told_at=self.now)
        before = (self.alert.state, self.alert.proposed_by, self.alert.closed_at)
        try:
            act(
                self.alert,
                Act(action=action, by=by, name=by, at=self.now, to=to, outcome=outcome),  # type: ignore[arg-type]
            )
        except Refused:
            return
        if self.alert.closed_at is not None and before[2] is None:
            assert before[0] == "review", "a red is closed out of a review"
            assert before[1] not in ("", by), "by somebody else than who proposed it"

    @rule(role=st.sampled_from(["acknowledged", "handled", "closed"]), outcome=FINDINGS)
    def a_fact_is_passed_on(self, role: str, outcome: str) -> None:
        if not self.alert.open:
            return
        fire_due(self.alert, self.now, inclusive=False, told_at=self.now)
        pass_fact(self.alert, role, self.now, fact="f", type_="t", outcome=outcome)  # type: ignore[arg-type]

    @precondition(lambda self: self.alert.open)
    @rule(how=st.sampled_from(["ended", "withdrawn"]))
    def the_reason_ends(self, how: str) -> None:
        fire_due(self.alert, self.now, inclusive=False, told_at=self.now)
        end_reason(self.alert, how, self.now)  # type: ignore[arg-type]
        assert self.alert.open, "an emergency is closed by people or by a passed fact"

    @precondition(lambda self: self.alert.open)
    @rule(earlier=st.integers(0, 120), level=st.integers(0, 3))
    def the_reason_is_reported_again(self, earlier: int, level: int) -> None:
        fire_due(self.alert, self.now, inclusive=False, told_at=self.now)
        start = self.now - earlier * MINUTE
        self.floor = min(self.floor, start)
        report_again(self.alert, level=level, since=self.now, clock_start=start, at=self.now)

    @invariant()
    def the_state_is_known_and_versions_only_grow(self) -> None:
        assert self.alert.state in STATES
        assert self.alert.version >= self.seen_version
        self.seen_version = self.alert.version

    @invariant()
    def the_clock_only_moves_earlier(self) -> None:
        assert self.alert.clock_start == self.floor

    @invariant()
    def nothing_fires_before_it_is_due_or_twice(self) -> None:
        fired = [e.what for e in self.alert.fresh if e.counted and e.reason in ("due", "manual")]
        assert len(fired) == len(set(fired))
        for step in self.alert.steps:
            if step.state == "fired" and step.fired_at is not None and step.kind != "ladder":
                assert step.due_at <= step.fired_at

    @invariant()
    def one_page_for_each_step_and_target(self) -> None:
        pages = [(p.step, p.target) for p in self.alert.pages]
        assert len(pages) == len(set(pages))
        fired = {s.name for s in self.alert.steps if s.kind == "ladder" and s.state == "fired"}
        assert {step for step, _ in pages} == fired

    @invariant()
    def what_waits_for_a_milestone_stops_when_it_is_reached(self) -> None:
        highest = max((RANK[m] for m in self.alert.reached()), default=0)
        for step in self.alert.steps:
            if step.state == "pending":
                assert RANK[step.until] > highest

    @invariant()
    def a_closed_alert_stays_closed_and_waits_for_nothing(self) -> None:
        if self.alert.open:
            return
        assert self.alert.state == "closed"
        assert all(step.state != "pending" for step in self.alert.steps)
        assert all(task.state not in ("open", "overdue") for task in self.alert.tasks)
        counted = sum(e.counted for e in self.alert.fresh)
        assert self.closed_lines in (None, counted), "nothing that counts follows the closing"
        self.closed_lines = counted

    @invariant()
    def lines_are_numbered_and_chain(self) -> None:
        assert [e.n for e in self.alert.fresh] == list(range(1, self.alert.lines + 1))
        head = ""
        for entry in self.alert.fresh[-3:]:
            head = chained(head, self.alert.id, entry)
        assert len(head) == 64


AlertMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestAlertMachine = AlertMachine.TestCase
