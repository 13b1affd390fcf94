from __future__ import annotations

import pytest

from services.alerts.domain.alert import Alert
from services.alerts.domain.course import reach
from services.alerts.domain.merge import carry_over
from tests.support.alerts import alert, lines


def carried(old: list[Alert], new: list[Alert]) -> None:
    carry_over(old, new, became="p2", household="h2", at=9)


def pair(
    old_clock: int, new_clock: int, *, old_at: int = 5, new_at: int = 5
) -> tuple[Alert, Alert]:
    old = alert(old_at, clock_start=old_clock, subject="p1", id="old")
    new = alert(new_at, clock_start=new_clock, subject="p2", household="h2", id="new")
    return old, new


def test_an_open_alert_goes_on_under_the_new_name_and_household() -> None:
    old = alert(5, subject="p1")
    carried([old], [])
    assert (old.subject, old.memory, old.household) == ("p2", "p2", "h2")
    assert lines(old)[-1][0] != "merged"


def test_a_move_without_a_new_name_only_changes_the_household() -> None:
    old = alert(5, subject="p1")
    carry_over([old], [old], became="p1", household="h2", at=9)
    assert (old.subject, old.memory, old.household) == ("p1", "p1", "h2")


def test_the_earlier_clock_goes_on_and_the_other_closes_as_merged() -> None:
    old, new = pair(1, 2)
    carried([old], [new])
    assert (old.subject, old.open, old.memory) == ("p2", True, "p2")
    assert lines(new)[-2:] == [("merged", 9, "merged"), ("closed", 9, "merged")]
    assert new.memory is None

    old, new = pair(2, 1)
    carried([old], [new])
    assert (new.open, new.memory, old.open, old.memory) == (True, "p2", False, None)
    assert old.subject == "p1", "what is closed keeps the name it was closed under"


def test_with_equal_clocks_the_one_opened_first_goes_on_then_the_old_names() -> None:
    old, new = pair(1, 1, old_at=6, new_at=5)
    carried([old], [new])
    assert (old.open, new.open) == (False, True)

    old, new = pair(1, 1)
    carried([old], [new])
    assert (old.open, new.open) == (True, False)


def test_different_instances_are_not_merged() -> None:
    old, new = pair(1, 2)
    new.instance = "essay"
    carried([old], [new])
    assert old.open
    assert new.open


def test_a_closed_alert_answers_on_for_its_reason_under_the_new_name() -> None:
    old = alert(5, subject="p1")
    reach(old, "closed", 6, "fact", actor="x")
    carried([old], [])
    assert (old.memory, old.subject) == ("p2", "p1")


@pytest.mark.parametrize("since", [(1, 2), (2, 1)])
def test_of_two_closed_ones_the_old_names_answers_on_and_the_other_keeps_its_name(
    since: tuple[int, int],
) -> None:
    old, new = pair(1, 2)
    old.since, new.since = since
    for each in (old, new):
        reach(each, "closed", 6, "fact", actor="x")
    carried([old], [new])
    assert (old.memory, new.memory, new.subject) == ("p2", None, "p2")


def test_an_open_alert_answers_before_a_closed_one() -> None:
    old, new = pair(1, 2)
    reach(old, "closed", 6, "fact", actor="x")
    carried([old], [new])
    assert (old.memory, new.memory) == (None, "p2")

    old, new = pair(1, 2)
    reach(new, "closed", 6, "fact", actor="x")
    carried([old], [new])
    assert (old.memory, old.subject, new.memory) == ("p2", "p2", None)
