"""A batch is scored after it was folded; what is told of a change is what was known then."""

from __future__ import annotations

from services.kernel.clock import DAY, HOUR
from services.kernel.contracts import assessments as a
from services.risk.domain.change import Change
from services.risk.domain.drafts import Draft, Output
from services.risk.scoring import says_of
from tests.support.risk_world import START, World, rule

MODEL = {
    "features": [{"name": "others", "value": {"count": "other"}, "direction": "+"}],
    "levels": [0.5, 0.9],
    "cap": 2,
    "linear": {"intercept": -1.0, "weights": {"others": 2.0}},
}
SEEN = {"exists": {"type": "seen", "within": "2d"}}


def world() -> World:
    return World(rule(subject="person", level=1, when=SEEN), model=MODEL)


def life(at: World) -> list[Change]:
    """Return a change that makes the rule true, one that moves the model, and one after it."""
    other = {"kind": "a"}
    return [
        at.fact("seen", START),
        at.fact("other", START + HOUR, other),
        at.fact("seen", START + 2 * HOUR),
        at.fact("other", START + 3 * DAY, other),
    ]


def batch(at: World, changes: list[Change]) -> list[a.Assessment]:
    outputs: list[Output] = []
    for change in changes:
        outputs += at.fold.fold(at.state, change, change.received)
    assert at.scorer is not None
    says = says_of(at.scorer, outputs)
    found = [
        at.fold.settle(at.state, output, says.get(n))
        for n, output in enumerate(outputs)
        if isinstance(output, Draft)
    ]
    return [each for each in found if each is not None]


def test_a_reason_shows_what_was_known_at_its_change_not_at_the_end_of_the_batch() -> None:
    one_by_one, together = world(), world()
    one_by_one.take(*life(one_by_one))
    assert batch(together, life(together)) == one_by_one.assessments
    raised = one_by_one.assessments[1]
    assert raised.model is not None
    assert raised.model.level == 1
    assert raised.reasons
    assert raised.reasons[0].values == {"count seen": 1}


def test_nothing_is_asked_of_the_model_where_features_and_rules_stay() -> None:
    at = world()
    at.take(*life(at))
    outputs = at.fold.fold(at.state, at.fact("seen", START + 4 * DAY), START + 4 * DAY)
    again = at.fold.fold(at.state, at.fact("seen", START + 4 * DAY + 1), START + 4 * DAY + 1)
    assert [o.news for o in outputs if isinstance(o, Draft)] == [True]
    assert again == []
    assert at.state.open == []


def test_only_what_is_told_is_explained_by_the_model() -> None:
    at = world()
    outputs: list[Output] = []
    for n in range(3):
        change = at.fact("other", START + n, {"kind": "a"})
        outputs += at.fold.fold(at.state, change, change.received)
    assert at.scorer is not None
    says = says_of(at.scorer, outputs)
    assert [says[n].level for n in sorted(says)] == [1, 2]
    assert [o.quiet for o in outputs if isinstance(o, Draft)] == [False, False, True]
