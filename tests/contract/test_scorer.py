"""What risk asks of whoever scores: one set of laws for weights in the pack and trained models."""

from __future__ import annotations

import json
import math
import random
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import pytest

pytest.importorskip("sklearn", reason="training needs the extra `ml`")

from services.kernel.errors import WrongUse
from services.risk.adapters.trained import Trained, load_trained
from services.risk.domain import terms as t
from services.risk.domain.pack import Feature, ModelSlot
from services.risk.domain.score import Linear
from services.risk.ports import Row, Scorer
from services.risk.training import recipe
from services.risk.training.prepare import Request
from services.risk.training.spec import FeatureSpec, Spec
from services.risk.training.storage import seal
from services.risk.training.train import train
from services.risk.wiring import with_model
from tests.support.model_tables import households, write
from tests.support.risk_world import small_pack

Kind = Literal["linear", "plain", "trees"]
DIRECTIONS = {"age": "+", "falls_12m": "+", "lives_alone": "0", "systolic": "0", "never_told": "0"}
SPEC = Spec(
    features={n: FeatureSpec(type="number", direction=d) for n, d in DIRECTIONS.items()},
    caution="synthetic",
)


def slot(**more: Any) -> ModelSlot:
    """Return the pack's place for the model, with weights that agree with the table."""
    features = tuple(Feature(n, t.Const(0, "number"), d) for n, d in DIRECTIONS.items())  # type: ignore[arg-type]
    weights = {"age": 0.08, "falls_12m": 0.9, "lives_alone": 0.8}
    made = ModelSlot(features, (0.2, 0.5), 2, intercept=-7.5, weights=weights)
    return replace(made, **more)


def trained(folder: Path, *, plain: bool) -> Path:
    """Train on a synthetic table whose last column nobody filled."""
    found = households(300)
    alone = ["1" if each == "yes" else "0" for each in found["lives_alone"]]
    kept = {n: found[n] for n in ("age", "falls_12m")} | {"lives_alone": alone}
    kept |= {"systolic": found["systolic"], "never_told": [""] * 300, "harm": found["harm"]}
    folder.mkdir()
    request = Request(write(folder / "table.csv", kept), "harm", folds=2, plain=plain, spec=SPEC)
    train(request, folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("scorers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "ROUNDS", 10)
        plain = trained(base / "plain", plain=True)
        patch.setattr(recipe, "CANDIDATES", (("logistic", "boosting", "additive"),))
        return {"plain": plain, "trees": trained(base / "trees", plain=False)}


@dataclass(frozen=True)
class Case:
    """How to make one scorer, and what it says of the average row (log-odds)."""

    make: Callable[[ModelSlot], Scorer]
    base: float
    used: frozenset[str]


@pytest.fixture(params=get_args(Kind))
def case(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Case:
    if request.param == "linear":
        return Case(Linear, -7.5, frozenset(DIRECTIONS))
    folder = folders[request.param]
    base = load_trained(folder, slot()).base
    return Case(
        lambda made: load_trained(folder, made), base, frozenset(DIRECTIONS) - {"never_told"}
    )


def some_rows(count: int, seed: int = 4) -> list[Row]:
    pick = random.Random(seed)

    def maybe(value: float) -> float | None:
        return None if pick.random() < 0.2 else value

    return [
        (
            maybe(pick.randint(50, 95)), maybe(pick.randint(0, 4)), maybe(pick.randint(0, 1)),
            maybe(round(pick.gauss(135, 18), 1)), None,
        )
        for _ in range(count)
    ]  # fmt: skip


class TestLaws:
    def test_the_level_is_how_many_thresholds_are_reached_and_at_most_the_cap(
        self, case: Case
    ) -> None:
        rows = some_rows(200)
        says = case.make(slot()).score(rows)
        assert len(says) == len(rows)
        assert {each.level for each in says} == {0, 1, 2}
        for each in says:
            assert each.level == (each.probability >= 0.2) + (each.probability >= 0.5)
        capped = case.make(slot(cap=1)).score(rows)
        assert [each.level for each in capped] == [min(each.level, 1) for each in says]

    def test_alone_it_never_says_red_whatever_the_pack_asks(self, case: Case) -> None:
        greedy = case.make(slot(thresholds=(0.0, 0.0, 0.0), cap=3))
        assert {each.level for each in greedy.score(some_rows(50))} == {2}

    def test_a_cap_of_nought_speaks_and_decides_nothing(self, case: Case) -> None:
        shadow = case.make(slot(cap=0)).score(some_rows(50))
        assert {each.level for each in shadow} == {0}
        assert len({each.probability for each in shadow}) > 10

    def test_contributions_add_up_to_the_log_odds_largest_first(self, case: Case) -> None:
        for each in case.make(slot()).score(some_rows(200)):
            weights = [weight for _, weight in each.contributions]
            odds = math.log(each.probability / (1 - each.probability))
            assert case.base + sum(weights) == pytest.approx(odds, abs=1e-9)
            assert weights == sorted(weights, key=abs, reverse=True)
            assert 0.0 not in weights

    def test_a_row_gets_the_same_answer_in_every_batch(self, case: Case) -> None:
        scorer, rows = case.make(slot()), some_rows(600)
        whole = scorer.score(rows)
        assert [scorer.score([row])[0] for row in rows[:60]] == list(whole[:60])
        assert [each for k in range(0, 600, 30) for each in scorer.score(rows[k : k + 30])] == whole
        assert list(reversed(scorer.score(rows[::-1]))) == whole
        assert case.make(slot()).score(rows) == whole

    def test_levels_alone_are_those_of_the_whole_answer(self, case: Case) -> None:
        scorer, rows = case.make(slot()), some_rows(600)
        assert list(scorer.levels(rows)) == [each.level for each in scorer.score(rows)]

    def test_no_rows_give_no_answers(self, case: Case) -> None:
        assert list(case.make(slot()).score([])) == []
        assert list(case.make(slot()).levels([])) == []

    def test_unknown_values_are_taken_and_listed_where_the_model_uses_them(
        self, case: Case
    ) -> None:
        nothing, age_only = case.make(slot()).score([(None,) * 5, (70.0, None, None, None, None)])
        assert set(nothing.missing) == case.used
        assert set(age_only.missing) == case.used - {"age"}
        assert 0 < nothing.probability < 1

    def test_more_of_what_raises_the_risk_never_lowers_it(self, case: Case) -> None:
        scorer = case.make(slot())
        steps: Sequence[Row] = [(age, 1.0, 0.0, 130.0, None) for age in range(50, 96)]
        found = [each.probability for each in scorer.score(steps)]
        assert found == sorted(found)
        assert found[0] < found[-1]


class TestLoading:
    def test_the_answer_names_the_whole_hash_of_the_model(self, folders: dict[str, Path]) -> None:
        scorer = load_trained(folders["plain"], slot())
        stored = json.loads((folders["plain"] / "manifest.json").read_text("utf-8"))["hash"]
        assert scorer.score(some_rows(1))[0].model == stored == scorer.slot.trained
        assert scorer.caution == "synthetic"
        assert "> **synthetic**" in (folders["plain"] / "card.md").read_text("utf-8")

    def test_a_file_changed_after_training_is_refused(
        self, folders: dict[str, Path], tmp_path: Path
    ) -> None:
        folder = shutil.copytree(folders["plain"], tmp_path / "m")
        about = (folder / "model.json").read_text("utf-8")
        (folder / "model.json").write_text(about.replace("0.", "1.", 1), "utf-8")
        with pytest.raises(WrongUse, match=r"model\.json.*restore it, or train"):
            load_trained(folder, slot())

    def test_a_folder_that_holds_no_model_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(WrongUse, match=r"no manifest\.json"):
            load_trained(tmp_path, slot())

    def test_a_pack_without_features_is_refused(self, folders: dict[str, Path]) -> None:
        with pytest.raises(WrongUse, match=r"HEARTHWATCH_MODEL.*model\.yaml"):
            load_trained(folders["plain"], None)

    @pytest.mark.parametrize(
        ("features", "told"),
        [
            (lambda f: (replace(f[0], name="aged"), *f[1:]), r"'age' \(did you mean aged\?\)"),
            (lambda f: (f[1], f[0], *f[2:]), "the pack's order, 'falls_12m' as feature 0"),
            (lambda f: (*f, replace(f[0], name="grown_old")), "had the pack's 'grown_old'"),
            (lambda f: f[1:], "'age'"),
            (lambda f: (replace(f[0], direction="-"), *f[1:]), "direction '-' of 'age'"),
        ],
    )
    def test_features_other_than_the_pack_s_are_refused(
        self, folders: dict[str, Path], features: Callable[[Any], Any], told: str
    ) -> None:
        other = slot(features=features(slot().features))
        with pytest.raises(WrongUse, match=told):
            load_trained(folders["plain"], other)

    def test_a_feature_that_training_left_out_as_empty_may_be_missing(
        self, folders: dict[str, Path]
    ) -> None:
        without = slot(features=slot().features[:-1])
        rows = [row[:-1] for row in some_rows(20)]
        found = load_trained(folders["plain"], without).score(rows)
        assert found == load_trained(folders["plain"], slot()).score(some_rows(20))

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda a: a["columns"][0].update(name="past_visits"), "own behaviour"),
            (lambda a: a["columns"][0].update(kind="category"), "'age' as category"),
            (lambda a: a["task"].update(kind="nominal"), "a nominal target"),
            (lambda a: a.update(per_group={"head": "x"}), "one of groups"),
            (lambda a: a.update(format=99), "format 99"),
        ],
    )
    def test_a_model_of_something_else_is_refused(
        self,
        folders: dict[str, Path],
        tmp_path: Path,
        change: Callable[[Any], None],
        told: str,
    ) -> None:
        folder = shutil.copytree(folders["plain"], tmp_path / "m")
        about = json.loads((folder / "model.json").read_text("utf-8"))
        change(about)
        (folder / "model.json").write_text(json.dumps(about), "utf-8")
        seal(folder)
        with pytest.raises(WrongUse, match=told):
            load_trained(folder, slot())

    def test_without_the_extra_the_refusal_says_what_to_install(
        self, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(sys.modules, "services.risk.adapters.sklearn_model")
        monkeypatch.setitem(sys.modules, "numpy", None)
        with pytest.raises(WrongUse, match=r"no numpy.*hearthwatch\[ml\]"):
            load_trained(folders["plain"], slot())


FEATURES = {
    "features": [
        {"name": n, "value": {"count": "seen"}, "direction": d} for n, d in DIRECTIONS.items()
    ],
    "levels": [0.2, 0.5],
}


class TestService:
    def test_without_the_setting_a_pack_runs_as_ever(self) -> None:
        bare, nobody = with_model(small_pack(model=FEATURES), None)
        assert (bare.model, nobody) == (None, None)
        weighted = FEATURES | {"linear": {"intercept": -1.0, "weights": {"age": 0.1}}}
        pack, scorer = with_model(small_pack(model=weighted), None)
        assert isinstance(scorer, Linear)
        assert pack.model is not None
        assert pack.model.trained == ""

    def test_with_the_setting_the_trained_model_takes_the_weights_place(
        self, folders: dict[str, Path]
    ) -> None:
        weighted = FEATURES | {"linear": {"intercept": -1.0, "weights": {"age": 0.1}}}
        pack, scorer = with_model(small_pack(model=weighted), folders["plain"])
        assert isinstance(scorer, Trained)
        assert pack.model is not None
        assert pack.model.trained == scorer.name
