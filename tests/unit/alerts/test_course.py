from __future__ import annotations

import msgspec
import pytest

from services.alerts.domain.course import (
    end_reason,
    fire_due,
    pass_fact,
    reach,
    rebase,
    report_again,
)
from services.alerts.domain.ladder import Ladder, NamedDeadline, Rung, due_at
from services.kernel.clock import HOUR, MINUTE, NEVER
from tests.support.alerts import EMERGENCY, alert, lines, states


class TestOpening:
    def test_the_step_without_delay_fires_when_the_alert_opens(self) -> None:
        opened = alert(5)
        assert lines(opened) == [("opened", 5, "assessed"), ("notify", 5, "due")]
        assert [(p.step, p.target) for p in opened.pages] == [("notify", "duty")]
        assert opened.next_due_at == 5 + 10 * MINUTE

    def test_a_step_of_an_old_clock_is_due_when_the_alert_opens_and_a_promise_when_it_was_made(
        self,
    ) -> None:
        opened = alert(2 * HOUR, clock_start=0)
        assert lines(opened) == [
            ("opened", 2 * HOUR, "assessed"),
            ("deadline:on_site", HOUR, "missed"),
            ("notify", 2 * HOUR, "due"),
            ("second", 2 * HOUR, "due"),
            ("head", 2 * HOUR, "due"),
            ("escalate", 2 * HOUR, "due"),
        ]
        assert opened.escalated_at == HOUR

    def test_a_promise_due_at_the_very_opening_can_still_be_kept(self) -> None:
        opened = alert(HOUR, clock_start=0)
        assert opened.escalated_at is None
        reach(opened, "handled", HOUR, "person", actor="li")
        assert states(opened)["emergency:emergency"] == "met"

    def test_the_clock_never_starts_after_the_opening(self) -> None:
        assert alert(5, clock_start=9).clock_start == 5

    def test_a_rung_waits_for_the_opening_and_a_promise_does_not(self) -> None:
        assert due_at("ladder", 0, 5, 9) == 9
        assert due_at("task", 0, 5, 9) == 9
        assert due_at("deadline", 0, 5, 9) == 5
        assert due_at("emergency", 0, 5, 9) == 5


class TestTime:
    def test_what_is_due_at_the_instant_waits_for_records_of_that_instant(self) -> None:
        opened = alert(0)
        assert fire_due(opened, 10 * MINUTE, inclusive=False, told_at=0) == []
        fired = fire_due(opened, 10 * MINUTE, inclusive=True, told_at=77)
        assert [(s.name, s.fired_at) for s in fired] == [("second", 77), ("warning", 77)]

    def test_how_late_it_is_called_does_not_change_the_lines(self) -> None:
        late, punctual = alert(0), alert(0)
        fire_due(late, 3 * HOUR, inclusive=True, told_at=3 * HOUR)
        for minute in range(181):
            fire_due(punctual, minute * MINUTE, inclusive=True, told_at=minute * MINUTE)
        assert lines(late) == lines(punctual)
        assert [s.due_at for s in late.steps] == [s.due_at for s in punctual.steps]

    def test_nothing_fires_twice(self) -> None:
        opened = alert(0)
        fire_due(opened, 72 * HOUR, inclusive=True, told_at=0)
        assert fire_due(opened, 72 * HOUR, inclusive=True, told_at=0) == []
        assert opened.next_due_at == NEVER


class TestMilestones:
    @pytest.mark.parametrize(
        ("milestone", "cancelled"),
        [
            ("acknowledged", {"ladder:second", "task:warning"}),
            (
                "handled",
                {
                    "ladder:second",
                    "ladder:head",
                    "ladder:escalate",
                    "deadline:on_site",
                    "emergency:emergency",
                    "task:warning",
                    "task:visit",
                },
            ),
            (
                "closed",
                {
                    "ladder:second",
                    "ladder:head",
                    "ladder:escalate",
                    "deadline:on_site",
                    "emergency:emergency",
                    "task:warning",
                    "task:visit",
                    "task:handling",
                },
            ),
        ],
    )
    def test_a_milestone_ends_what_waits_for_it_and_for_less(
        self, milestone: str, cancelled: set[str]
    ) -> None:
        opened = alert(0)
        assert reach(opened, milestone, 9, "fact", actor="x")  # type: ignore[arg-type]
        ended = {name for name, state in states(opened).items() if state in ("cancelled", "met")}
        assert ended == cancelled

    def test_a_milestone_is_reached_once(self) -> None:
        opened = alert(0)
        assert reach(opened, "handled", 5, "fact", actor="x")
        assert not reach(opened, "handled", 6, "fact", actor="y")
        assert opened.handled_at == 5
        assert lines(opened)[-1] == ("handled", 5, "fact")

    def test_handled_after_the_deadline_is_on_record_as_late(self) -> None:
        opened = alert(0)
        fire_due(opened, HOUR, inclusive=True, told_at=HOUR)
        reach(opened, "handled", HOUR + 1, "fact", actor="x")
        emergency = next(s for s in opened.steps if s.kind == "emergency")
        assert (emergency.state, emergency.due_at, emergency.reached_at) == (
            "fired",
            HOUR,
            HOUR + 1,
        )

    def test_a_fact_with_an_outcome_ends_the_handling_task_too(self) -> None:
        opened = alert(0)
        assert pass_fact(opened, "handled", 5, fact="f", type_="care.given", outcome="hospital")
        assert opened.state == "outcome_recorded"
        assert {t.stage: t.state for t in opened.tasks} == dict.fromkeys(
            ("warning", "visit", "handling"), "done"
        )
        assert [each.detail for each in opened.fresh if each.what == "handled"] == [{"fact": "f"}]

    def test_a_fact_that_acknowledges_twice_changes_nothing(self) -> None:
        opened = alert(0)
        assert pass_fact(opened, "acknowledged", 5, fact="f", type_="t", outcome="")
        assert not pass_fact(opened, "acknowledged", 6, fact="g", type_="t", outcome="")
        assert [what for what, _, _ in lines(opened)].count("acknowledged") == 1

    def test_a_repaired_report_closes_as_repaired(self) -> None:
        opened = alert(0)
        pass_fact(opened, "closed", 5, fact="f", type_="t", outcome="repaired")
        assert opened.closed_because == "repaired"


class TestReason:
    def test_an_ended_emergency_waits_for_a_person(self) -> None:
        opened = alert(0)
        end_reason(opened, "ended", 5)
        end_reason(opened, "ended", 6)
        assert opened.open
        assert lines(opened)[-1] == ("ended", 5, "ended")

    def test_an_emergency_is_kept_when_its_fact_is_withdrawn(self) -> None:
        opened = alert(0)
        end_reason(opened, "withdrawn", 5)
        assert opened.open
        assert lines(opened)[-1] == ("withdrawn", 5, "withdrawn")

    def test_other_ladders_close_when_the_fact_is_withdrawn(self) -> None:
        opened = alert(0, ladder=Ladder("visit"))
        end_reason(opened, "withdrawn", 5)
        assert lines(opened)[-2:] == [("withdrawn", 5, "withdrawn"), ("closed", 5, "withdrawn")]

    def test_a_reason_may_end_and_then_be_withdrawn_but_not_the_other_way(self) -> None:
        opened = alert(0)
        end_reason(opened, "ended", 5)
        end_reason(opened, "withdrawn", 6)
        end_reason(opened, "ended", 7)
        assert [what for what, _, _ in lines(opened)[-2:]] == ["ended", "withdrawn"]

    def test_a_reason_that_comes_again_while_open_goes_on_under_the_same_alert(self) -> None:
        opened = alert(0)
        end_reason(opened, "ended", 5)
        report_again(opened, level=3, since=9, clock_start=9, at=9)
        assert (opened.standing, opened.since, opened.clock_start) == ("true", 9, 0)
        end_reason(opened, "ended", 11)
        assert [what for what, _, _ in lines(opened)].count("ended") == 2

    def test_a_higher_level_is_taken_and_a_lower_one_is_not(self) -> None:
        opened = alert(0, level=2)
        report_again(opened, level=3, since=0, clock_start=0, at=1)
        report_again(opened, level=1, since=0, clock_start=0, at=2)
        assert opened.level == 3


class TestRebase:
    def test_pending_steps_move_earlier_and_what_is_then_due_fires_at_once(self) -> None:
        opened = alert(50 * MINUTE)
        rebase(opened, 20 * MINUTE, 55 * MINUTE)
        assert lines(opened)[2:] == [
            ("second", 50 * MINUTE, "due"),
            ("head", 50 * MINUTE, "due"),
        ]
        assert opened.deadline_at == 80 * MINUTE
        assert opened.next_due_at == 80 * MINUTE
        assert {t.stage: t.due_at for t in opened.tasks}["visit"] == 80 * MINUTE

    def test_a_stale_claim_finds_another_token(self) -> None:
        opened = alert(50 * MINUTE)
        before = {s.name: s.token for s in opened.steps if s.state == "pending"}
        rebase(opened, 40 * MINUTE, 51 * MINUTE)
        after = {s.name: s.token for s in opened.steps if s.name in before}
        assert all(after[name] > before[name] for name in before)

    def test_what_was_met_stays_met(self) -> None:
        opened = alert(50 * MINUTE)
        reach(opened, "handled", 100 * MINUTE, "fact", actor="x")
        rebase(opened, 20 * MINUTE, 101 * MINUTE)
        assert states(opened)["emergency:emergency"] == "met"
        assert opened.escalated_at is None

    def test_a_promise_that_the_earlier_clock_breaks_is_missed_at_once(self) -> None:
        opened = alert(50 * MINUTE)
        rebase(opened, -20 * MINUTE, 55 * MINUTE)
        assert ("deadline:on_site", 40 * MINUTE, "missed") in lines(opened)
        assert opened.escalated_at == 40 * MINUTE


def test_the_ladder_of_an_alert_does_not_change_with_the_pack() -> None:
    opened = alert(0)
    edited = msgspec.structs.replace(
        EMERGENCY, rungs=(Rung("notify", 0, ("nobody",)),), deadlines=(NamedDeadline("x", 1),)
    )
    assert opened.ladder is not edited
    assert {s.name for s in opened.steps if s.kind == "ladder"} == {
        "notify",
        "second",
        "head",
        "escalate",
    }
