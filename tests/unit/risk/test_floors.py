"""What a rule holds up after it was true: falls, lifts, false alarms, what is taken back."""

from __future__ import annotations

from typing import Any, Final

import pytest

from services.kernel.clock import DAY, HOUR, MINUTE, NEVER
from tests.support.risk_world import HOME, START, World, rule

HIGH: Final = {"exists": {"type": "seen", "within": "1d", "where": {"ge": [".n", 10]}}}


def levels(world: World) -> list[tuple[int, int]]:
    """Return the published levels of the member with their instants, counted from the start."""
    return [
        (int((found.at.timestamp() * 1_000_000 - START) // HOUR), found.level)
        for found in world.assessments
    ]


def test_an_ended_floor_falls_one_level_at_a_time_after_its_cadence() -> None:
    world = World(rule(when=HIGH, level=3))
    world.tell("seen", START, {"n": 10})
    world.wake(START + 30 * DAY)
    # Ends after a day; red stays 1 d, yellow 2 d, blue 3 d.
    assert levels(world) == [(0, 3), (24, 3), (48, 2), (96, 1), (168, 0)]


def test_a_fall_happens_exactly_at_its_instant() -> None:
    world = World(rule(when=HIGH, level=3))
    world.tell("seen", START, {"n": 10})
    world.wake(START + 2 * DAY - 1)
    assert world.level() == 3
    world.wake(START + 2 * DAY)
    assert world.level() == 2


def test_a_rule_that_falls_at_once_holds_nothing_up() -> None:
    world = World(rule(when=HIGH, level=3, fall="at_once"))
    world.tell("seen", START, {"n": 10})
    world.wake(START + DAY)
    assert levels(world) == [(0, 3), (24, 0)]


def test_a_truth_that_comes_back_holds_its_full_level_again() -> None:
    world = World(rule(when=HIGH, level=3))
    world.tell("seen", START, {"n": 10})
    world.tell("seen", START + 60 * HOUR, {"n": 10})
    assert world.level() == 3
    assert world.instance().falls_at == NEVER
    world.wake(START + 84 * HOUR)
    assert world.instance().falls_at == START + 84 * HOUR + DAY


def test_the_household_level_is_the_highest_of_its_people() -> None:
    world = World(rule(when=HIGH, level=2))
    world.tell("seen", START, {"n": 10})
    world.tell("seen", START, {"n": 10}, who="second")
    world.wake(START + 2 * DAY)
    assert world.last("second").household_level == 2
    assert world.last(HOME.replace("home", "member")).household_level == 2


def test_a_retracted_fact_lifts_its_floor_at_once() -> None:
    world = World(rule(when=HIGH, level=3))
    fact = world.tell("seen", START, {"n": 10})
    world.take(world.retraction(fact.id, START + HOUR))
    assert world.level() == 0
    assert [(e.rule, e.how) for e in world.last().ended] == [("R", "withdrawn")]


def test_a_fact_retracted_after_its_truth_had_ended_lifts_the_held_floor() -> None:
    world = World(rule(when=HIGH, level=3))
    fact = world.tell("seen", START, {"n": 10})
    world.take(world.retraction(fact.id, START + 30 * HOUR))
    assert world.level() == 0


def test_retracting_what_the_truth_did_not_stand_on_lifts_no_held_floor() -> None:
    world = World(rule(when=HIGH, level=3))
    world.tell("seen", START, {"n": 10})
    harmless = world.tell("seen", START + HOUR, {"n": 1})
    world.take(world.retraction(harmless.id, START + 30 * HOUR))
    assert world.instance().floor == 3
    assert world.instance().falls_at == START + 2 * DAY


def test_correcting_what_the_truth_did_not_stand_on_lifts_no_held_floor() -> None:
    world = World(rule(when=HIGH, level=3))
    world.tell("seen", START, {"n": 10})
    typo = world.tell("seen", START + HOUR, {"n": 1})
    world.tell("seen", START + HOUR, {"n": 2}, received=START + 30 * HOUR, supersedes=typo.id)
    assert world.level() == 3


def test_a_truth_that_another_fact_had_carried_too_ends_but_is_not_withdrawn() -> None:
    world = World(rule(when=HIGH, level=3))
    world.tell("seen", START, {"n": 10})
    slip = world.tell("seen", START + 20 * HOUR, {"n": 10})
    world.take(world.retraction(slip.id, START + 30 * HOUR))
    assert [(e.rule, e.how) for e in world.last().ended] == [("R", "ended")]
    assert world.level() == 3


def test_a_withdrawn_truth_leaves_the_floor_that_an_earlier_one_still_held() -> None:
    world = World(rule(when=HIGH, level=3))
    world.tell("seen", START, {"n": 10})
    slip = world.tell("seen", START + 60 * HOUR, {"n": 10})
    world.take(world.retraction(slip.id, START + 61 * HOUR))
    assert world.instance().floor == 2
    assert world.instance().falls_at == START + 96 * HOUR


def test_a_floor_falls_on_while_a_truth_that_never_was_covers_it() -> None:
    world = World(rule(when=HIGH, level=3))
    world.tell("seen", START, {"n": 10})
    slip = world.tell("seen", START + 90 * HOUR, {"n": 10})
    world.take(world.retraction(slip.id, START + 100 * HOUR))
    assert world.instance().floor == 1
    assert world.instance().falls_at == START + 168 * HOUR


def test_a_truth_of_no_time_at_all_holds_nothing_up() -> None:
    newest = {"ge": [{"latest": "seen.n"}, 10]}
    world = World(rule(when=newest, level=3))
    world.take(world.fact("seen", START, {"n": 10}, received=START + HOUR))
    world.take(world.fact("seen", START + 1, {"n": 1}, received=START + HOUR))
    assert world.level() == 0
    assert [(e.rule, e.how) for e in world.last().ended] == [("R", "ended")]


def test_a_truth_of_no_time_at_all_leaves_an_earlier_floor_alone() -> None:
    newest = {"ge": [{"latest": "seen.n"}, 10]}
    world = World(rule(when=newest, level=3))
    world.tell("seen", START, {"n": 10})
    world.tell("seen", START + HOUR, {"n": 1})
    at = START + 2 * HOUR
    world.take(world.fact("seen", START + HOUR + 1, {"n": 10}, received=at))
    world.take(world.fact("seen", START + HOUR + 2, {"n": 1}, received=at))
    assert world.instance().floor == 3
    assert world.instance().falls_at == START + HOUR + DAY


LIFTED: Final = {
    "all": [
        {"exists": {"type": "seen", "within": "3d"}},
        {"not": {"exists": {"type": "other", "within": "3d"}}},
    ]
}


def test_a_false_alarm_lifts_the_floor_at_once() -> None:
    world = World(rule(when=LIFTED, level=3, lifted_by=["other"]))
    world.tell("seen", START)
    world.tell("other", START + HOUR, {"kind": "a"})
    assert world.level() == 0
    assert [(e.rule, e.how) for e in world.last().ended] == [("R", "withdrawn")]


def test_a_false_alarm_lifts_a_floor_that_is_only_held() -> None:
    world = World(rule(when=HIGH, level=3, lifted_by=["other"]))
    world.tell("seen", START, {"n": 10})
    world.tell("other", START + 30 * HOUR, {"kind": "a"})
    assert world.level() == 0


def test_a_false_alarm_does_not_make_false_what_still_stands() -> None:
    world = World(rule(when=HIGH, level=3, lifted_by=["other"]))
    world.tell("seen", START, {"n": 10})
    world.tell("other", START + HOUR, {"kind": "a"})
    assert world.level() == 3


def test_a_correction_leaves_a_floor_that_was_true_between_two_windows_ends() -> None:
    low = {"all": [{"exists": {"type": "seen", "within": "1d"}},
                   {"le": [{"sum": "seen.n", "within": "1d"}, 5]}]}  # fmt: skip
    world = World(rule(when=low))
    first = world.tell("seen", START, {"n": 3})
    world.tell("seen", START - 21 * HOUR, {"n": 40}, received=START + 9 * HOUR)  # out of the window
    world.wake(START + DAY)
    assert (world.truth(), world.instance().floor) == ("false", 2)
    again = START + 2 * DAY
    world.tell("seen", START, {"n": 3}, received=again, supersedes=first.id)
    assert world.instance().floor == 2, "from the third hour on it had been true all the same"


def test_after_a_false_alarm_nothing_earlier_is_held_either() -> None:
    world = World(rule(when=LIFTED, level=3, lifted_by=["other"]))
    world.tell("seen", START)
    world.tell("seen", START + 4 * DAY)
    world.tell("other", START + 4 * DAY + HOUR, {"kind": "a"})
    assert world.level() == 0


def test_a_member_s_false_alarm_lifts_the_floor_of_a_household_rule() -> None:
    around = {"any_member": HIGH}
    world = World(rule(when=around, level=2, subject="household", lifted_by=["other"]))
    world.tell("seen", START, {"n": 10})
    world.tell("other", START + 30 * HOUR, {"kind": "a"})
    assert world.level(HOME) == 0


@pytest.mark.parametrize(
    ("observed", "expected"), [(None, START), (START - 5 * MINUTE, START - 5 * MINUTE)]
)
def test_a_life_clock_starts_where_the_fact_that_made_it_true_was_observed(
    observed: int | None, expected: int
) -> None:
    world = World(rule(when=HIGH, level=3))
    world.tell("seen", START, {"n": 10}, clock=observed)
    assert world.instance().clock == expected


def test_a_life_clock_started_by_time_starts_at_the_due_instant() -> None:
    absent = {"absent": {"type": "seen", "within": "1d", "armed_by": {"type": "other"}}}
    world = World(rule(when=absent, level=3))
    world.tell("other", START, {"kind": "a"}, clock=START - HOUR)
    world.wake(START + 2 * DAY)
    assert world.instance().clock == world.instance().since == START + DAY


@pytest.mark.parametrize(
    "body",
    [
        {"when": {"absent": {"type": "seen", "within": "1d", "armed_by": {"type": "other"}}}},
        {
            "expect": {
                "armed_by": {"type": "other"},
                "due": {"after": "1d"},
                "by": {"type": "seen"},
            }
        },
    ],
)
def test_a_life_clock_does_not_start_before_what_armed_it_was_received(
    body: dict[str, Any],
) -> None:
    world = World(rule(**body, level=3))
    received = START + 3 * DAY
    world.tell("other", START, {"kind": "a"}, received=received, clock=received - 2 * HOUR)
    assert world.truth() == "true"
    assert world.instance().clock == received


def test_the_original_of_what_armed_it_starts_no_clock_before_that() -> None:
    expect = {"armed_by": {"type": "other"}, "due": {"after": "1d"}, "by": {"type": "seen"}}
    world = World(rule(expect=expect, level=3))
    received, kind = START + 3 * DAY, {"kind": "a"}
    world.tell("other", START, kind, received=received, supersedes="original")
    assert world.truth() == "true"
    late = received + HOUR
    world.tell("other", START, kind, received=late, clock=START + HOUR, id="original")
    assert world.instance().clock == received


def test_a_correction_keeps_the_earlier_clock_of_the_two() -> None:
    world = World(rule(when=HIGH, level=3))
    first = world.tell("seen", START, {"n": 10}, clock=START - HOUR)
    world.tell("seen", START, {"n": 11}, received=START + HOUR, supersedes=first.id)
    assert world.instance().clock == START - HOUR


def test_a_correction_with_an_earlier_clock_moves_the_life_clock() -> None:
    world = World(rule(when=HIGH, level=3))
    first = world.tell("seen", START, {"n": 10})
    late = START + HOUR
    world.tell("seen", START, {"n": 11}, received=late, clock=START - HOUR, supersedes=first.id)
    assert world.instance().clock == START - HOUR
    assert world.last().reasons[0].clock_start.timestamp() * 1_000_000 == START - HOUR


def test_an_original_that_comes_after_its_correction_moves_the_life_clock() -> None:
    world = World(rule(when=HIGH, level=3))
    world.tell("seen", START, {"n": 11}, received=START + HOUR, supersedes="original")
    world.tell("seen", START, {"n": 10}, received=START + 2 * HOUR, clock=START, id="original")
    assert world.instance().clock == START
    assert len(world.state.subjects["member"].facts["seen"]) == 1


@pytest.mark.parametrize("first", ["red", "green"])
def test_an_original_moves_no_life_clock_that_another_fact_of_the_same_instant_started(
    first: str,
) -> None:
    world = World(rule(when=HIGH, level=3))
    for what in (first, "green" if first == "red" else "red"):
        if what == "red":
            world.tell("seen", START, {"n": 11})
        else:
            world.tell("seen", START, {"n": 1}, supersedes="original")
    late = START + 5 * MINUTE
    world.tell("seen", START, {"n": 12}, received=late, clock=START - 50 * MINUTE, id="original")
    assert world.instance().clock == START


def test_a_correction_that_comes_last_of_three_ties_them_all_to_the_life_clock() -> None:
    world = World(rule(when=HIGH, level=3))
    world.tell("seen", START, {"n": 11}, id="first")
    world.tell("seen", START, {"n": 12}, received=START + HOUR, supersedes="second")
    late = START + 2 * HOUR
    world.tell(
        "seen", START, {"n": 1}, received=late, clock=START - HOUR, id="second", supersedes="first"
    )
    assert world.truth() == "true"
    assert world.instance().clock == START - HOUR


def test_an_original_moves_the_life_clock_through_a_chain_of_corrections() -> None:
    world = World(rule(when=HIGH, level=3))
    world.tell("seen", START, {"n": 11}, received=START + HOUR, supersedes="original", id="second")
    world.tell("seen", START, {"n": 12}, received=START + 2 * HOUR, supersedes="second")
    world.tell("seen", START, {"n": 10}, received=START + 3 * HOUR, clock=START, id="original")
    assert world.instance().clock == START


def test_a_later_fact_does_not_move_the_life_clock_of_a_standing_truth() -> None:
    world = World(rule(when=HIGH, level=3))
    world.tell("seen", START, {"n": 10})
    world.tell("seen", START, {"n": 10}, received=START + HOUR, clock=START - HOUR)
    assert world.instance().clock == START
