"""A model is asked only when it may say something new, and explains only what is told.

No answer differs from asking always and explaining all.
"""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.kernel.contracts import assessments as a
from services.risk.domain.change import Change
from services.risk.domain.drafts import Draft, Output
from services.risk.domain.looking import View
from services.risk.scoring import says_of
from tests.support.conditions import STEP, Told, at_step, bodies, facts, features, message
from tests.support.effort import examples
from tests.support.risk_world import World, rule

lives = st.lists(facts(last=20), min_size=2, max_size=14)


def modelled(body: dict[str, Any], operands: list[dict[str, Any]]) -> World:
    names = [f"f{n}" for n in range(len(operands))]
    return World(
        rule(**body),
        model={
            "features": [
                {"name": name, "value": value, "direction": "0"}
                for name, value in zip(names, operands, strict=True)
            ],
            "levels": [0.4, 0.6],
            "cap": 2,
            "linear": {"intercept": -0.5, "weights": dict.fromkeys(names, 0.3)},
        },
    )


def record(world: World, life: list[Told]) -> list[Change]:
    """Return the changes of a life in order of its steps; some are taken back, one person moves."""
    changes, moved = [], False
    for n, fact in enumerate(sorted(life, key=lambda told: told.step)):
        changes.append(world.reader.change(message(world, fact)))
        if n % 4 == 2:
            changes.append(world.retraction(changes[-2].id, at_step(fact.step)))
        if n == 6 and not moved:
            moved = True
            changes.append(world.moved_out(at_step(fact.step)))
    return changes


@examples(40)
@given(body=bodies(), operands=features(), life=lives)
def test_features_read_again_where_they_may_have_changed_are_those_read_afresh(
    body: dict[str, Any], operands: list[dict[str, Any]], life: list[Told]
) -> None:
    world = modelled(body, operands)
    for change in record(world, life):
        world.take(change)
        for ahead in (0, 1, STEP, 4 * STEP, 28 * STEP):
            for subject in world.state.subjects.values():
                view = View(world.state, world.state.now + ahead)
                view.facts = subject.facts
                kept = copy.deepcopy(subject.read)
                found = world.compiled.features.row(view, subject)
                assert found == world.compiled.features.afresh(view)
                if ahead:
                    subject.read = kept  # the household itself has not come so far


@examples(40)
@given(body=bodies(), operands=features(), life=lives, size=st.integers(2, 9))
def test_a_batch_is_told_as_its_changes_one_by_one_with_everything_asked(
    body: dict[str, Any], operands: list[dict[str, Any]], life: list[Told], size: int
) -> None:
    world, batched = modelled(body, operands), modelled(body, operands)
    changes = record(world, life)
    asked_always(world, changes)
    for start in range(0, len(changes), size):
        outputs: list[Output] = []
        for change in changes[start : start + size]:
            if change.moved_out is not None:  # as the service does: what is open is settled first
                batched.assessments += settled(batched, outputs)
                outputs = []
            now = max(change.received, batched.state.now)
            outputs += batched.fold.fold(batched.state, change, now)
        batched.assessments += settled(batched, outputs)
    assert batched.assessments == world.assessments


def settled(world: World, outputs: list[Output]) -> list[a.Assessment]:
    """Settle as the service does: levels of all, reasons of those that are told."""
    assert world.scorer is not None
    says = says_of(world.scorer, outputs)
    found = [
        world.fold.settle(world.state, output, says.get(n))
        for n, output in enumerate(outputs)
        if isinstance(output, Draft)
    ]
    return [each for each in found if each is not None]


def asked_always(world: World, changes: list[Change]) -> None:
    """Take changes one by one, nothing remembered of what the model read or said."""
    for change in changes:
        for subject in world.state.subjects.values():
            subject.read = subject.scored = None
        world.take(change)
