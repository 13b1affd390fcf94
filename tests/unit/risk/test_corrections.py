"""Facts that replace or take back others, in whatever order they come."""

from __future__ import annotations

from itertools import permutations
from typing import Any, Final

import pytest

from services.kernel.clock import HOUR, NEVER
from services.kernel.contracts.assessments import Passed
from services.risk.domain.state import FALSE, UNKNOWN
from tests.support.risk_world import HOME, LADDERS, MEMBER, START, World, rule, shape

COUNT: Final = {"ge": [{"count": "seen"}, 1]}
PASSES: Final = {**LADDERS, "passes": [{"type": "other", "role": "handled", "rules": ["R"]}]}


def known(world: World) -> list[str]:
    """Return the ids of the member's facts."""
    facts = world.state.subjects[MEMBER].facts
    return sorted(fact.id for kind in facts.values() for fact in kind)


def test_a_correction_takes_the_place_of_its_original() -> None:
    world = World(rule(when={"ge": [{"sum": "seen.n"}, 10]}))
    first = world.tell("seen", START, {"n": 10})
    world.tell("seen", START, {"n": 3}, received=START + HOUR, supersedes=first.id, id="second")
    assert world.truth() == "false"
    assert known(world) == ["second"]


def test_a_correction_may_move_a_fact_to_another_person() -> None:
    world = World(rule(when=COUNT))
    first = world.tell("seen", START)
    world.tell("seen", START, received=START + HOUR, supersedes=first.id, who="second")
    assert world.truth() == "false"
    assert world.truth(who="second") == "true"


def test_a_correction_may_change_the_type() -> None:
    world = World(rule(when=COUNT))
    first = world.tell("seen", START)
    world.tell("other", START, {"kind": "a"}, received=START + HOUR, supersedes=first.id)
    assert world.truth() == "false"


def test_a_correction_of_a_type_that_no_rule_reads_takes_its_original_out() -> None:
    world = World(rule(when=COUNT))
    first = world.tell("seen", START)
    world.tell("meter", START, {"n": 1}, received=START + HOUR, supersedes=first.id)
    assert known(world) == []


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_original_correction_and_correction_of_it_leave_the_last_one(order: Any) -> None:
    world = World(rule(when={"ge": [{"sum": "seen.n"}, 10]}))
    changes = [
        world.fact("seen", START, {"n": 10}, id="first", received=START),
        world.fact("seen", START, {"n": 1}, id="second", received=START, supersedes="first"),
        world.fact("seen", START, {"n": 20}, id="third", received=START, supersedes="second"),
    ]
    world.take(*(changes[n] for n in order))
    assert known(world) == ["third"]
    assert world.truth() == "true"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_retracted_fact_never_was_whichever_comes_first(order: Any) -> None:
    world = World(rule(when=COUNT))
    changes = [world.fact("seen", START, id="first"), world.retraction("first", START)]
    world.take(*(changes[n] for n in order))
    assert known(world) == []
    assert shape(world.state) == {}


def test_the_same_fact_twice_counts_once() -> None:
    world = World(rule(when={"ge": [{"count": "seen"}, 2]}))
    world.tell("seen", START, id="same")
    world.tell("other", START + 1, {"kind": "a"})
    world.tell("seen", START, received=START + HOUR, id="same")
    assert known(world) == ["same"]
    assert world.truth() == "false"


def test_a_fact_that_handles_is_passed_on() -> None:
    world = World(rule(when=COUNT), alerts=PASSES)
    world.tell("other", START, {"kind": "a"})
    assert [(m.role, m.rules) for m in world.messages if isinstance(m, Passed)] == [
        ("handled", ["R"])
    ]


@pytest.mark.parametrize("how", ["retracted", "corrected"])
def test_a_fact_that_was_taken_back_before_it_came_handles_nothing(how: str) -> None:
    world = World(rule(when=COUNT), alerts=PASSES)
    if how == "retracted":
        world.take(world.retraction("late", START))
    else:
        world.tell("seen", START, supersedes="late")
    world.tell("other", START, {"kind": "a"}, received=START + HOUR, id="late")
    assert world.messages == []


def test_a_copy_for_a_tied_household_handles_nothing() -> None:
    world = World(rule(when=COUNT), alerts=PASSES)
    world.tell("other", START, {"kind": "a"}, who="tied", tie="parent")
    assert world.messages == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_who_came_later_was_not_there_when_a_correction_looks_back(order: Any) -> None:
    read_just_now = {"lt": [{"since": "meter", "where": {"lt": [".n", 0]}}, "6h"]}
    nobody = {"not": {"any_member": read_just_now}}
    world = World(rule(subject="household", level=1, when=nobody))
    world.tell("meter", START, id="first")  # nobody lives there yet: it is true
    held = world.state.subjects[HOME].instances["R"].floor
    at = START + HOUR
    together = [
        world.fact("other", at, {"kind": "a"}),  # somebody moves in: nobody can tell
        world.fact("meter", START, id="second", received=at, supersedes="first"),
    ]
    world.take(*(together[n] for n in order))
    instance = world.state.subjects[HOME].instances["R"]
    assert (held, instance.floor, instance.truth) == (1, 1, UNKNOWN)
    assert at < instance.falls_at < NEVER


def test_a_truth_that_began_with_somebody_who_came_later_is_not_taken_back_for_that() -> None:
    seen = {"any_member": {"lt": [{"since": "seen"}, "6h"]}}
    either = {"any": [{"lt": [{"since": "meter"}, "2h"]}, seen]}
    world = World(rule(subject="household", level=1, when=either))
    world.tell("meter", START, {"n": 1}, id="first")
    world.tell("seen", START - HOUR, received=START + HOUR)  # somebody comes; it stays true by them
    world.wake(START + 5 * HOUR)
    held = world.state.subjects[HOME].instances["R"]
    assert (held.floor, held.truth) == (1, FALSE)
    world.take(world.retraction("first", START + 5 * HOUR + 1, who=HOME))
    assert world.state.subjects[HOME].instances["R"].floor == 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_who_moves_in_was_not_there_before_either(order: Any) -> None:
    read_just_now = {"lt": [{"since": "meter", "where": {"lt": [".n", 0]}}, "6h"]}
    world = World(rule(subject="household", level=1, when={"not": {"any_member": read_just_now}}))
    world.tell("meter", START, id="first")
    at = START + HOUR
    past = world.envelope("other", START - HOUR, {"kind": "a"})
    together = [
        world.moved_in(at, [past]),
        world.fact("meter", START, id="second", received=at, supersedes="first"),
    ]
    world.take(*(together[n] for n in order))
    instance = world.state.subjects[HOME].instances["R"]
    assert (instance.floor, instance.truth) == (1, UNKNOWN)
    assert at < instance.falls_at < NEVER
