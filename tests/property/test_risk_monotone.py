"""Worse news never lowers a level: rules that only count, add up and take the most."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import given, note
from hypothesis import strategies as st

from services.kernel.clock import HOUR
from tests.support.effort import examples
from tests.support.risk_world import HOME, MEMBER, START, World, rule

WORST: Final = {"n": 100, "yes": True}
TYPES: Final = ("seen", "other")
_lengths = st.sampled_from(["6h", "1d", "3d"])
_limits = st.sampled_from([1, 5, 40, 100])
_harmful = st.one_of(
    _limits.map(lambda n: {"ge": [".n", n]}),
    _limits.map(lambda n: {"gt": [".n", n - 1]}),
    st.just({"eq": [".yes", True]}),
)


@st.composite
def _operands(draw: st.DrawFn) -> dict[str, Any]:
    kind, name = draw(st.sampled_from(TYPES)), draw(st.sampled_from(["sum", "max", "min"]))
    windows = [{}, {"within": draw(_lengths)}]
    return draw(
        st.sampled_from(
            [
                {name: f"{kind}.n", **draw(st.sampled_from(windows))},
                {"count": kind, "within": draw(_lengths), "where": draw(_harmful)},
                {"latest": f"{kind}.n"},
                {"streak": kind, "where": draw(_harmful)},
            ]
        )
    )


_compared = st.builds(
    lambda op, a, n: {op: [a, n]}, st.sampled_from(["ge", "gt"]), _operands(), _limits
)
_monotone = st.recursive(
    _compared,
    lambda inner: st.builds(
        lambda name, parts: {name: parts},
        st.sampled_from(["all", "any"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=3,
)
_data = st.fixed_dictionaries(
    {
        "n": st.sampled_from([None, 0, 1, 4, 39, 99, 100]),
        "yes": st.sampled_from([None, False, True]),
    }
)
_told = st.tuples(st.sampled_from(TYPES), st.integers(0, 40), st.integers(0, 8), _data)
_rules = st.tuples(
    _monotone.map(lambda c: rule("A", when=c, level=3)),
    _monotone.map(lambda c: rule("B", when={"any_member": c}, level=2, subject="household")),
)

Told = tuple[str, int, int, dict[str, Any]]


def levels(rules: tuple[dict[str, Any], ...], life: list[Told]) -> list[tuple[int, int]]:
    """Return the member's and the household's level every three hours."""
    world, found = World(*rules), []
    changes = [
        world.fact(kind, START + at * HOUR, {"kind": "a", **data} if kind == "other" else data,
                   received=START + (at + late) * HOUR, id=f"c{n}")
        for n, (kind, at, late, data) in enumerate(life)
    ]  # fmt: skip
    changes.sort(key=lambda change: (change.received, change.id))
    for step in range(0, 400, 3):
        until = START + step * HOUR
        while changes and changes[0].received <= until:
            world.take(changes.pop(0))
        world.wake(until)
        found.append((world.level(MEMBER), world.level(HOME)))
    return found


def never_lower(worse: list[tuple[int, int]], better: list[tuple[int, int]]) -> None:
    note(f"worse {worse}\nbetter {better}")
    for bad, good in zip(worse, better, strict=True):
        assert bad[0] >= good[0]
        assert bad[1] >= good[1]


@examples(15)
@given(rules=_rules, life=st.lists(_told, min_size=1, max_size=6), which=st.integers(0, 5))
def test_a_worse_value_never_lowers_a_level(
    rules: tuple[dict[str, Any], ...], life: list[Told], which: int
) -> None:
    which %= len(life)
    kind, at, late, data = life[which]
    worse = [*life[:which], (kind, at, late, data | WORST), *life[which + 1 :]]
    never_lower(levels(rules, worse), levels(rules, life))


@examples(15)
@given(rules=_rules, life=st.lists(_told, min_size=1, max_size=6), more=_told)
def test_a_harmful_fact_more_never_lowers_a_level(
    rules: tuple[dict[str, Any], ...], life: list[Told], more: Told
) -> None:
    kind, at, late, _ = more
    # Known as the last of its instant, so that the ids of the others stay as they are.
    never_lower(levels(rules, [*life, (kind, at, late, WORST)]), levels(rules, life))
