"""Laws that hold for every model that can be written, whatever the table and the target."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("sklearn", reason="the model tool needs the extra `ml`")

from services.risk.adapters.sklearn_model import Model, load_model
from services.risk.training import recipe
from services.risk.training.metrics import calibration_error
from services.risk.training.prepare import Request
from services.risk.training.recipe import KINDS
from services.risk.training.scoring import raw_of, score_table
from services.risk.training.spec import FeatureSpec, Spec
from services.risk.training.table import Table, read_table
from services.risk.training.train import train
from tests.support.model_tables import households, levels, write

pytestmark = pytest.mark.slow

TARGETS = ("binary", "nominal", "ordinal")
LEVELS = ("green", "blue", "yellow", "red")


class World:
    """One model of each target with each set of parts, trained once on small synthetic tables."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="laws-"))
        self.models: dict[tuple[str, tuple[str, ...]], Model] = {}
        self.tables: dict[str, Table] = {}

    def table(self, target: str) -> Table:
        if target not in self.tables:
            made = households(300) if target == "binary" else levels(360)
            self.tables[target] = read_table(write(self.folder / f"{target}.csv", made))
        return self.tables[target]

    def model(self, target: str, parts: tuple[str, ...]) -> Model:
        key = (target, parts)
        if key not in self.models:
            self.table(target)
            out = self.folder / "-".join((target, *parts))
            request = Request(
                self.folder / f"{target}.csv",
                "harm" if target == "binary" else "level_seen",
                folds=2,
                order=LEVELS if target == "ordinal" else (),
                spec=Spec(
                    features={
                        "age": FeatureSpec(direction="+"),
                        "falls_12m": FeatureSpec(direction="+"),
                        "systolic": FeatureSpec(direction="-"),
                    }
                ),
            )
            self.models[key] = load_model(_trained(request, out, parts))
        return self.models[key]


def _trained(request: Request, out: Path, parts: tuple[str, ...]) -> Path:
    """Train with these parts whatever cross-validation would prefer."""
    old_rounds, old_candidates = recipe.ROUNDS, recipe.CANDIDATES
    recipe.ROUNDS = 10
    recipe.CANDIDATES = (parts,)
    try:
        train(request, out)
    finally:
        recipe.ROUNDS, recipe.CANDIDATES = old_rounds, old_candidates
    return out


WORLD = World()
PARTS = st.lists(st.sampled_from(KINDS), min_size=1, max_size=3, unique=True).map(
    lambda p: tuple(k for k in KINDS if k in p)
)
MODELS = st.tuples(st.sampled_from(TARGETS), PARTS)
QUICK = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])


def model_and_rows(key: tuple[str, tuple[str, ...]]) -> tuple[Model, Any]:
    model = WORLD.model(*key)
    return model, raw_of(model, WORLD.table(key[0]))[0]


def risk(model: Model, raw: Any) -> Any:
    """Return the probability of harm, or of each level and above (ordinal)."""
    p = model.score(raw, explain=False).probability
    return p[:, [1]] if model.kind == "binary" else np.cumsum(p[:, ::-1], axis=1)[:, ::-1][:, 1:]


@QUICK
@given(
    MODELS,
    st.sampled_from(["age", "falls_12m", "systolic"]),
    st.floats(0.1, 60),
    st.integers(0, 299),
)
def test_a_declared_direction_is_never_broken(
    key: tuple[str, tuple[str, ...]], name: str, step: float, row: int
) -> None:
    if key[0] == "nominal":
        key = ("ordinal", key[1])
    model, raw = model_and_rows(key)
    column = next(j for j, c in enumerate(model.columns) if c.name == name)
    higher = raw[[row]].copy()
    higher[:, column] += step
    sign = -1 if name == "systolic" else 1
    assert np.all(sign * (risk(model, higher) - risk(model, raw[[row]])) >= -1e-12)


@QUICK
@given(MODELS, st.integers(0, 2**32 - 1))
def test_rows_in_another_order_get_the_same_answers(
    key: tuple[str, tuple[str, ...]], seed: int
) -> None:
    model, raw = model_and_rows(key)
    order = np.random.default_rng(seed).permutation(len(raw))
    whole = model.score(raw).probability
    assert np.abs(model.score(raw[order]).probability - whole[order]).max() < 1e-12


@QUICK
@given(MODELS, st.integers(0, 2**32 - 1))
def test_columns_in_another_order_get_the_same_answers(
    key: tuple[str, tuple[str, ...]], seed: int
) -> None:
    model, table = WORLD.model(*key), WORLD.table(key[0])
    names = list(table.columns)
    np.random.default_rng(seed).shuffle(names)
    turned = Table({n: table.columns[n] for n in names}, table.rows, table.rows)
    assert np.array_equal(
        score_table(model, turned).probability, score_table(model, table).probability
    )


@QUICK
@given(MODELS, st.integers(1, 64))
def test_a_batch_of_one_equals_a_batch_of_4096(key: tuple[str, tuple[str, ...]], size: int) -> None:
    model, raw = model_and_rows(key)
    many = np.resize(raw, (4096, raw.shape[1]))
    whole = model.score(many)
    for start in (0, 1000, 4096 - size):
        part = model.score(many[start : start + size])
        assert np.abs(part.probability - whole.probability[start : start + size]).max() < 1e-12
        assert part.contribution is not None
        assert whole.contribution is not None
        assert np.abs(part.contribution - whole.contribution[start : start + size]).max() < 1e-12
        assert np.array_equal(part.level, whole.level[start : start + size])


@QUICK
@given(MODELS)
def test_contributions_add_up_to_the_score(key: tuple[str, tuple[str, ...]]) -> None:
    model, raw = model_and_rows(key)
    scores = model.score(raw)
    assert scores.contribution is not None
    total = scores.base + scores.contribution.sum(axis=2)
    assert np.abs(total - scores.margin).max() < 1e-9
    assert np.abs(scores.probability.sum(axis=1) - 1).max() < 1e-12
    assert np.all(scores.probability >= -1e-15)
    quick = model.score(raw, explain=False)
    assert np.abs(quick.probability - scores.probability).max() < 1e-12


@QUICK
@given(MODELS, st.text(min_size=1, max_size=12), st.integers(0, 299))
def test_an_unknown_category_is_answered_and_counts_as_unknown(
    key: tuple[str, tuple[str, ...]], word: str, row: int
) -> None:
    model = WORLD.model(*key)
    told = {n: WORLD.table(key[0])[n].text_rows()[row] for n in model.features}
    first, second = (
        model.score(model.raw([told | {"closest_tie": w}])).probability
        for w in (f"{word}!", "a word nobody used")
    )
    assert np.isfinite(first).all()
    assert np.array_equal(first, second)


@QUICK
@given(MODELS)
def test_an_all_missing_row_is_answered(key: tuple[str, tuple[str, ...]]) -> None:
    model = WORLD.model(*key)
    scores = model.score(model.raw([{}, dict.fromkeys(model.features, "")]))
    assert np.isfinite(scores.probability).all()
    assert np.array_equal(scores.probability[0], scores.probability[1])
    assert 0 < scores.probability.max() < 1


@QUICK
@given(MODELS)
def test_a_model_read_again_gives_the_same_answers(key: tuple[str, tuple[str, ...]]) -> None:
    model, raw = model_and_rows(key)
    again = load_model(WORLD.folder / "-".join((key[0], *key[1])), expect_hash=model.hash)
    assert np.array_equal(again.score(raw).probability, model.score(raw).probability)


@QUICK
@given(
    MODELS,
    st.sampled_from(["race", "Inspector", "reporter_id", "past_alerts", "benefits_count"]),
    st.sampled_from(["1", "2", "x", ""]),
)
def test_a_forbidden_feature_changes_nothing(
    key: tuple[str, tuple[str, ...]], name: str, value: str
) -> None:
    model, table = WORLD.model(*key), WORLD.table(key[0])
    told = {n: table[n].text_rows()[0] for n in model.features}
    assert name not in model.features
    plain, with_it = model.score(model.raw([told])), model.score(model.raw([told | {name: value}]))
    assert np.array_equal(plain.probability, with_it.probability)


@settings(max_examples=4, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 3), PARTS)
def test_said_probabilities_are_near_what_happens(seed: int, parts: tuple[str, ...]) -> None:
    old = recipe.ROUNDS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = write(folder / "t.csv", households(1500, seed=50 + seed))
        out = _trained(Request(data, "harm", folds=2), folder / "m", parts)
        fresh = read_table(write(folder / "n.csv", households(3000, seed=90 + seed)))
        probability = score_table(load_model(out), fresh).probability[:, 1]
    assert old == recipe.ROUNDS
    truth = np.asarray([text == "1" for text in fresh["harm"].text_rows()])
    # Ten bins of 300 rows wander by about .02 even when every probability is exact.
    assert calibration_error(truth, probability) < 0.06
    assert abs(probability.mean() - truth.mean()) < 0.05
