"""Laws of the condition language, on random conditions of the whole grammar."""

from __future__ import annotations

from typing import Any

from hypothesis import given, note
from hypothesis import strategies as st

from services.risk.domain.looking import View
from services.risk.domain.pack import SEPARATOR
from services.risk.domain.state import FALSE, TRUE, UNKNOWN
from tests.support.conditions import (
    STEP,
    STEPS,
    WHO,
    Told,
    at_step,
    bodies,
    facts,
    message,
    value_of,
)
from tests.support.effort import examples
from tests.support.risk_world import HOME, World, rule

lives = st.lists(facts(), min_size=1, max_size=8)


def told(body: dict[str, Any], life: list[Told]) -> World:
    """Return a world in which all the facts are known from the start on."""
    world = World(rule(**body))
    changes = [world.reader.change(message(world, fact, received=at_step(0))) for fact in life]
    world.take(*changes)
    return world


def truths(world: World, now: int) -> dict[tuple[str, str], tuple[int, int]]:
    """Return truth and next change of every instance, decided afresh at an instant."""
    compiled = world.compiled
    one, found = compiled.rules["R"], {}
    names = [HOME] if one.rule.subject == "household" else list(WHO[:2])
    for name in names:
        subject = world.state.subjects.get(name)
        if subject is None:
            continue
        for key in sorted(_keys(world, name)):
            view = View(world.state, now)
            view.facts = subject.facts
            truth = (
                one.decide(view)
                if one.expect is None
                else one.decide_key(view, compiled.at_home, key)
            )
            found[name, key] = truth, view.changes_at
    return found


def _keys(world: World, name: str) -> set[str]:
    expect = world.compiled.rules["R"].expect
    if expect is None:
        return {""}
    subject = world.state.subjects[name]
    armed = subject.facts.get(expect.armed_type, [])
    return {key for fact in armed for key in expect.keys_of(expect.armed_type, fact)}


def _nulls(life: list[Told]) -> list[tuple[int, str]]:
    """Return which nulls mean unknown: in a profile null means that nothing new is said."""
    return [
        (n, name)
        for n, fact in enumerate(life)
        for name, value in fact.data.items()
        if value is None and not fact.type.startswith("registry.")
    ]


@examples(20)
@given(body=bodies(), life=lives, data=st.data())
def test_making_an_unknown_known_contradicts_nothing(
    body: dict[str, Any], life: list[Told], data: st.DataObject
) -> None:
    nulls = _nulls(life)
    chosen = data.draw(st.lists(st.sampled_from(nulls), unique=True)) if nulls else []
    known = [fact._replace(data=dict(fact.data)) for fact in life]
    for n, name in chosen:
        known[n].data[name] = data.draw(value_of(known[n].type, name))
    before, after = told(body, life), told(body, known)
    for step in range(0, STEPS + 1, 5):
        now = at_step(step)
        better = truths(after, now)
        for key, (truth, _) in truths(before, now).items():
            if truth != UNKNOWN:
                note(f"{key} on step {step}: {truth} became {better[key][0]}")
                assert better[key][0] == truth


@examples(20)
@given(body=bodies(), life=lives, offset=st.integers(0, STEP - 1))
def test_between_two_dues_no_truth_changes(
    body: dict[str, Any], life: list[Told], offset: int
) -> None:
    world = told(body, life)
    steps = range(0, STEPS * 2, 3)
    known = {at_step(step): truths(world, at_step(step)) for step in steps}
    for step in steps:
        for ahead in (at_step(step) + offset, at_step(step + 1), at_step(step + 3) - 1):
            for key, (truth, _) in truths(world, ahead).items():
                before, changes_at = known[at_step(step)][key]
                if ahead < changes_at:
                    note(f"{key} from step {step}: {before} until {changes_at}, {truth} at {ahead}")
                    assert truth == before


@examples(20)
@given(body=bodies(), life=lives)
def test_a_next_change_always_lies_ahead(body: dict[str, Any], life: list[Told]) -> None:
    world = told(body, life)
    for step in range(0, STEPS, 7):
        for truth, changes_at in truths(world, at_step(step)).values():
            assert truth in (FALSE, TRUE, UNKNOWN)
            assert changes_at > at_step(step)


def test_a_truth_of_an_expectation_is_looked_up_by_its_key() -> None:
    expect = {"armed_by": {"type": "task"}, "due": {"after": "1d"}, "key": ".name"}
    body = {
        "expect": expect | {"by": {"type": "task", "key": ".name", "where": {"eq": [".yes", True]}}}
    }
    life = [
        Told("task", WHO[0], 0, {"name": name, "yes": name == "one"}) for name in ("one", "two")
    ]
    found = truths(told(body, life), at_step(8))
    assert {key.split(SEPARATOR)[-1]: truth for (_, key), (truth, _) in found.items()} == {
        "one": FALSE,
        "two": TRUE,
    }
