"""What is written out as source answers as the plain closures do, on the whole grammar."""

from __future__ import annotations

from typing import Any

from hypothesis import given, note
from hypothesis import strategies as st

from services.risk.domain.compiled import Compiled, CompiledRule, compile_pack
from services.risk.domain.conditions import Compiler
from services.risk.domain.looking import View
from tests.support.conditions import (
    STEPS,
    WHO,
    Told,
    at_step,
    bodies,
    counted,
    facts,
    message,
)
from tests.support.effort import examples
from tests.support.risk_world import HOME, World, rule

lives = st.lists(facts(), min_size=3, max_size=12)


def seen(compiled: Compiled, world: World, name: str, now: int) -> list[Any]:
    """Return all that a rule says of a subject at an instant: truth, next change, values."""
    one = compiled.rules["R"]
    said: list[Any] = []
    for key in _keys(one, world, name):
        view = _view(world, name, now)
        if one.expect is None:
            truth = one.decide(view)
        else:
            truth = one.decide_key(view, compiled.at_home, key)
        said.append((truth, view.changes_at, view.armed))
    for named, read in one.reads:
        view = _view(world, name, now)
        said.append((named, read(view), view.changes_at))
    return said


def _view(world: World, name: str, now: int) -> View:
    view = View(world.state, now)
    view.facts = world.state.subjects[name].facts
    return view


def _keys(one: CompiledRule, world: World, name: str) -> list[str]:
    if one.expect is None:
        return [""]
    armed = world.state.subjects[name].facts.get(one.expect.armed_type, [])
    return sorted({key for f in armed for key in one.expect.keys_of(one.expect.armed_type, f)})


@examples(60)
@given(body=bodies(), life=lives)
def test_written_and_plain_conditions_say_the_same_at_every_instant(
    body: dict[str, Any], life: list[Told]
) -> None:
    same(body, life)


@examples(100)
@given(rule_and_life=counted())
def test_written_counts_say_the_same_of_many_facts_of_a_kind(
    rule_and_life: tuple[dict[str, Any], list[Told]],
) -> None:
    same(*rule_and_life)


def same(body: dict[str, Any], life: list[Told]) -> None:
    """Hold the two against each other, on every step of a life and some beyond."""
    world = World(rule(**body))
    plain = compile_pack(world.compiled.pack, Compiler)
    changes = [world.reader.change(message(world, fact, received=at_step(0))) for fact in life]
    world.take(*changes)
    for name in (HOME, *WHO):
        if name in world.state.subjects:
            for step in range(STEPS + 8):
                now = at_step(step)
                note(f"{name} on step {step}")
                assert seen(world.compiled, world, name, now) == seen(plain, world, name, now)
