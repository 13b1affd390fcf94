from __future__ import annotations

from typing import get_args

import pytest

from services.alerts.domain.acts import act
from services.alerts.domain.alert import (
    ATTEMPTS,
    MOVES,
    OUTCOMES,
    STATES,
    Action,
    Alert,
    State,
)
from services.alerts.domain.course import fire_due, pass_fact
from services.kernel.clock import HOUR, MINUTE
from services.kernel.errors import Refused
from tests.support.alerts import alert, deed, lines, states


def refusal(of: Alert, action: Action, **given: str) -> Refused:
    with pytest.raises(Refused) as caught:
        act(of, deed(action, **given))  # type: ignore[arg-type]
    return caught.value


def in_state(state: State) -> Alert:
    """Return an alert brought to a state by people."""
    found = alert(0)
    ways: dict[State, list[tuple[Action, dict[str, str]]]] = {
        "new": [],
        "acknowledged": [("acknowledge", {})],
        "assigned": [("take", {})],
        "on_site": [("on_site", {})],
        "handling": [],
        "outcome_recorded": [("outcome", {"outcome": "hospital"})],
        "review": [("close", {"outcome": "hospital"})],
        "closed": [("close", {"outcome": "hospital"}), ("close", {"by": "wang"})],
    }
    for action, given in ways[state]:
        act(found, deed(action, **given))  # type: ignore[arg-type]
    if state == "handling":
        found.state = state
    assert found.state == state
    return found


class TestTable:
    def test_it_names_every_act_and_only_known_states(self) -> None:
        assert set(MOVES) == set(get_args(Action))
        for moves in MOVES.values():
            assert set(moves) | set(moves.values()) <= set(STATES)

    @pytest.mark.parametrize(
        ("state", "action"),
        [(s, a) for s in STATES for a in get_args(Action) if s not in MOVES[a]],
    )
    def test_what_the_table_does_not_allow_is_refused_and_changes_nothing(
        self, state: State, action: Action
    ) -> None:
        found = in_state(state)
        before = (found.version, found.lines, found.state)
        assert refusal(found, action, outcome="hospital").status == 409
        assert (found.version, found.lines, found.state) == before


class TestAcknowledge:
    def test_a_second_person_is_told_the_name_of_the_first(self) -> None:
        found = alert(0)
        act(found, deed("acknowledge", by="li"))
        assert "Li" in refusal(found, "acknowledge", by="wang").fault.found

    def test_a_taken_alert_names_who_has_it(self) -> None:
        found = alert(0)
        act(found, deed("take", by="li"))
        assert "Li" in refusal(found, "take", by="wang").fault.found
        act(found, deed("take", by="li"))

    def test_a_handover_changes_the_owner(self) -> None:
        found = alert(0)
        act(found, deed("take", by="li"))
        act(found, deed("handover", by="li", to="wang", to_name="Wang"))
        assert (found.owner, found.owner_name, found.state) == ("wang", "Wang", "assigned")


class TestOutcome:
    @pytest.mark.parametrize("outcome", sorted(OUTCOMES))
    def test_an_outcome_handles(self, outcome: str) -> None:
        found = alert(0)
        act(found, deed("outcome", outcome=outcome))
        assert (found.handled_at, found.state) == (MINUTE, "outcome_recorded")
        assert states(found)["task:handling"] == "met"

    @pytest.mark.parametrize("outcome", sorted(ATTEMPTS))
    def test_an_attempt_leaves_the_clock_running(self, outcome: str) -> None:
        found = alert(0)
        act(found, deed("outcome", outcome=outcome))
        assert (found.handled_at, found.state) == (None, "acknowledged")
        assert states(found)["emergency:emergency"] == "pending"

    def test_an_unknown_outcome_is_refused_with_the_list(self) -> None:
        refused = refusal(alert(0), "outcome", outcome="fine")
        assert refused.status == 422
        assert "hospital" in refused.fault.remedy

    def test_standing_at_the_door_keeps_the_promise_but_is_no_outcome(self) -> None:
        found = alert(0)
        act(found, deed("on_site"))
        assert states(found)["emergency:emergency"] == "met"
        assert states(found)["task:handling"] == "pending"

    def test_who_records_it_answers_for_it_even_where_the_visit_s_fact_was_faster(self) -> None:
        found = alert(0)
        pass_fact(found, "handled", 5, fact="f", type_="visit.recorded", outcome="")
        act(found, deed("outcome", outcome="no_need"))
        assert (found.handled_by, found.handled_at) == ("li", 5)
        act(found, deed("outcome", by="wang", outcome="hospital"))
        assert found.handled_by == "li"


class TestClose:
    def test_a_red_needs_two_different_persons(self) -> None:
        found = alert(0)
        act(found, deed("close", by="li", outcome="no_need"))
        assert (found.state, found.closed_at) == ("review", None)
        assert "second person" in refusal(found, "close", by="li").fault.remedy
        act(found, deed("close", by="wang", at=2 * MINUTE))
        assert (found.state, found.closed_by, found.closed_at) == ("closed", "wang", 2 * MINUTE)

    def test_another_outcome_must_be_confirmed_anew(self) -> None:
        found = alert(0)
        act(found, deed("close", by="li", outcome="no_need"))
        act(found, deed("close", by="wang", outcome="hospital"))
        assert (found.state, found.proposed_by, found.outcome) == ("review", "wang", "hospital")

    def test_below_red_one_person_is_enough(self) -> None:
        found = alert(0, level=2)
        act(found, deed("close", outcome="no_need"))
        assert found.state == "closed"

    def test_without_an_outcome_it_stays_open(self) -> None:
        assert "outcome" in refusal(alert(0), "close").fault.found

    def test_a_review_may_be_turned_down_by_another_outcome(self) -> None:
        found = in_state("review")
        act(found, deed("outcome", by="wang", outcome="confirmed_need"))
        assert (found.state, found.proposed_by) == ("outcome_recorded", "")

    def test_a_note_may_still_be_added_after_closing(self) -> None:
        found = in_state("closed")
        act(found, deed("note", note="phoned the family"))
        assert found.fresh[-1].detail["note"] == "phoned the family"
        assert found.state == "closed"


class TestEscalate:
    def test_it_tells_the_next_rung_and_takes_the_acknowledgement_back(self) -> None:
        found = alert(0)
        act(found, deed("acknowledge"))
        assert states(found)["ladder:second"] == "cancelled"
        act(found, deed("escalate", at=2 * MINUTE))
        assert ("second", 2 * MINUTE, "manual") in lines(found)
        assert (found.acknowledged_at, found.state) == (None, "new")

    def test_what_the_acknowledgement_had_stopped_is_planned_anew_and_not_in_the_past(self) -> None:
        ladder = alert(0).ladder
        rungs = (*ladder.rungs[:2], ladder.rungs[1].__class__("third", 20 * MINUTE, ("x",),
                 "acknowledged"))  # fmt: skip
        found = alert(0, ladder=ladder.__class__("l", rungs=rungs))
        act(found, deed("acknowledge", at=MINUTE))
        act(found, deed("escalate", at=25 * MINUTE))
        third = next(s for s in found.steps if s.name == "third")
        assert (third.state, third.due_at) == ("pending", 25 * MINUTE)
        assert [s.name for s in fire_due(found, HOUR, inclusive=True, told_at=0)] == ["third"]

    def test_a_climbed_ladder_is_refused(self) -> None:
        found = alert(0)
        fire_due(found, HOUR, inclusive=True, told_at=0)
        assert "climbed" in refusal(found, "escalate").fault.found

    def test_a_handled_alert_keeps_its_acknowledgement(self) -> None:
        found = alert(0)
        act(found, deed("on_site"))
        act(found, deed("escalate", at=2 * MINUTE))
        assert found.acknowledged_at == MINUTE
        assert found.state == "on_site"
