"""Sampling weights: figures for the people a sample stands for, beside those of the sample."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, roc_auc_score
from typer.testing import CliRunner

from services.kernel.errors import WrongUse
from services.risk.adapters.sklearn_model import load_model
from services.risk.training.cli import app
from services.risk.training.evaluate import Question, evaluate
from services.risk.training.metrics import (
    Ranking,
    at_capacity,
    auc,
    average_precision,
    brier,
    calibration_error,
    calibration_line,
    effective,
    macro_f1,
)
from services.risk.training.prepare import Request, prepare, settled
from services.risk.training.report import write_report
from services.risk.training.spec import load_spec
from services.risk.training.train import train
from tests.support.model_tables import Table, households, write


def scored(rows: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    score = rng.integers(1, 20, rows) / 20
    return rng.random(rows) < score, score, rng.integers(0, 5, rows).astype(float)


def surveyed(rows: int = 600) -> Table:
    """Return households of which those living alone were asked four times as often."""
    table = households(rows, seed=12)
    table["wt_person"] = [
        "812.5" if alone == "yes" else f"{3250 + k % 89}.25"
        for k, alone in enumerate(table["lives_alone"])
    ]
    return table


class TestFigures:
    def test_weighted_figures_equal_scikit_learn_also_with_ties(self) -> None:
        truth, score, weight = scored()
        assert auc(truth, score, weight) == pytest.approx(
            roc_auc_score(truth, score, sample_weight=weight), abs=1e-12
        )
        assert average_precision(truth, score, weight) == pytest.approx(
            average_precision_score(truth, score, sample_weight=weight)
        )
        assert brier(truth, score, weight) == pytest.approx(
            brier_score_loss(truth, score, sample_weight=weight)
        )
        chosen = (score > 0.5).astype(int)
        assert macro_f1(truth.astype(int), chosen, 2, weight) == pytest.approx(
            f1_score(truth, chosen, average="macro", sample_weight=weight)
        )

    def test_a_row_that_counts_three_times_is_as_good_as_three_rows(self) -> None:
        truth, score, weight = scored()
        times = weight.astype(int)
        many, same = np.repeat(truth, times), np.repeat(score, times)
        assert auc(truth, score, weight) == pytest.approx(auc(many, same), abs=1e-12)
        assert calibration_line(truth, score, weight) == pytest.approx(calibration_line(many, same))
        share = 0.25
        ours, theirs = at_capacity(truth, score, share, weight), at_capacity(many, same, share)
        assert ours["recall"] == pytest.approx(theirs["recall"], abs=0.004)
        assert ours["precision"] == pytest.approx(theirs["precision"], abs=0.004)

    def test_weights_of_one_change_nothing(self) -> None:
        truth, score, _ = scored()
        ones = np.ones(len(truth))
        assert auc(truth, score, ones) == auc(truth, score)
        assert calibration_error(truth, score, weight=ones) == pytest.approx(
            calibration_error(truth, score), abs=1e-9
        )
        assert Ranking.of(truth, score).recalls(ones, [0.1, 0.3]) == pytest.approx(
            [at_capacity(truth, score, share)["recall"] for share in (0.1, 0.3)]
        )
        assert effective(ones) == len(ones)

    def test_unequal_weights_tell_less_than_equal_ones(self) -> None:
        assert effective(np.asarray([1.0, 1.0, 2.0])) == pytest.approx(16 / 6)


class TestColumns:
    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("WTMEC2YR", [f"{9000 + 37.3 * k:.2f}" for k in range(300)]),
            ("wt", [f"{2000.5 + k}" for k in range(300)]),
            ("weight", [f"{0.4 + 1.2 * k / 299:.4f}" for k in range(300)]),
            ("抽样权重", [f"{1.5 + k / 10}" for k in range(300)]),
        ],
    )
    def test_a_column_like_a_sampling_weight_is_no_feature_and_suggested(
        self, tmp_path: Path, name: str, values: list[str]
    ) -> None:
        found = prepare(
            Request(write(tmp_path / "t.csv", households(300) | {name: values}), "harm")
        )
        assert name not in found.kinds
        assert found.weighting is None, "a weight is never used unless somebody says so"
        left = next(item for item in found.roles.left_out if item.column == name)
        assert f"--weight {name}" in left.en

    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("weight", [f"{45 + k / 7:.1f}" for k in range(300)]),
            ("weight_kg", [f"{45 + k / 7:.1f}" for k in range(300)]),
            ("weight_class", [str(k % 5) for k in range(300)]),
            ("体重", [f"{45 + k / 7:.1f}" for k in range(300)]),
        ],
    )
    def test_a_body_weight_stays_a_feature(
        self, tmp_path: Path, name: str, values: list[str]
    ) -> None:
        found = prepare(
            Request(write(tmp_path / "t.csv", households(300) | {name: values}), "harm")
        )
        assert name in found.kinds

    def test_a_measurement_that_looks_like_one_is_kept_when_the_features_file_says_so(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "f.yaml").write_text(
            "target: {column: harm}\nfeatures:\n"
            "  load_weight: {allowed: true, reason: kilograms carried up the stairs}\n"
        )
        table = households(300) | {"load_weight": [f"{900.5 + k}" for k in range(300)]}
        data = write(tmp_path / "t.csv", table)
        found = prepare(settled(Request(data, "", spec=load_spec(tmp_path / "f.yaml"))))
        assert "load_weight" in found.kinds

    @pytest.mark.parametrize("wrong", ["", "-1", "many"])
    def test_a_row_without_a_usable_weight_is_refused_with_their_number(
        self, tmp_path: Path, wrong: str
    ) -> None:
        table = surveyed(120)
        table["wt_person"][7] = wrong
        with pytest.raises(WrongUse, match="1 rows without a number"):
            prepare(Request(write(tmp_path / "t.csv", table), "harm", weight="wt_person"))

    def test_a_typing_mistake_in_the_weight_names_the_nearest(self, tmp_path: Path) -> None:
        data = write(tmp_path / "t.csv", surveyed(120))
        with pytest.raises(WrongUse, match="did you mean wt_person"):
            prepare(Request(data, "harm", weight="wt_persn"))


@pytest.mark.slow
class TestModel:
    def test_both_figures_stand_in_the_card_the_page_and_the_answer(self, tmp_path: Path) -> None:
        (tmp_path / "f.yaml").write_text("target: {column: harm}\nweight: wt_person\n")
        data = write(tmp_path / "t.csv", surveyed())
        card = train(
            Request(data, "", folds=2, spec=load_spec(tmp_path / "f.yaml")), tmp_path / "m"
        ).card
        model = load_model(tmp_path / "m")
        assert "wt_person" not in model.features
        people, sample = card["results"]["population"], card["results"]["per_class"]["1"]
        one = people["per_class"]["1"]
        assert one["auc_interval"][0] < one["auc"] < one["auc_interval"][1]
        assert one["share"] < sample["share"], "who lives alone was asked more often than others"
        assert people["effective_rows"] < people["rows"] == 600
        assert "wt_person" in (tmp_path / "m/card.md").read_text()
        found = evaluate(model, tmp_path / "m", Question(data, by=("lives_alone",)))
        again = found["results"]["population"]
        assert again["per_class"]["1"]["auc"] == pytest.approx(one["auc"])
        groups = {row["group"]: row for row in again["subgroups"]["lives_alone"]}
        shares = {name: table_share(name) for name in ("yes", "no")}
        assert groups["yes"]["share"] == pytest.approx(shares["yes"])
        low, high = groups["no"]["rates"]["tpr"][1:]
        assert low <= groups["no"]["rates"]["tpr"][0] <= high
        write_report(found, tmp_path / "r.html")
        page = (tmp_path / "r.html").read_text()
        assert "折算到全体" in page
        assert "For the population" in page

    def test_probabilities_of_a_weighted_model_are_right_for_the_population(
        self, tmp_path: Path
    ) -> None:
        data = write(tmp_path / "t.csv", surveyed(900))
        train(Request(data, "harm", folds=2, weight="wt_person"), tmp_path / "m")
        found = evaluate(load_model(tmp_path / "m"), tmp_path / "m", Question(data))
        people = found["results"]["population"]["per_class"]["1"]
        assert people["slope"] == pytest.approx(1, abs=0.1)
        assert people["intercept"] == pytest.approx(0, abs=0.1)

    def test_a_table_without_the_weight_gives_the_samples_figures_and_says_so(
        self, tmp_path: Path
    ) -> None:
        data = write(tmp_path / "t.csv", surveyed(300))
        train(Request(data, "harm", folds=2, weight="wt_person"), tmp_path / "m")
        later = write(tmp_path / "l.csv", households(200, seed=77))
        found = evaluate(load_model(tmp_path / "m"), tmp_path / "m", Question(later))
        assert "population" not in found["results"]
        assert any("sample only" in note for note in found["notes"])

    def test_the_commands_print_both_figures_by_name(self, tmp_path: Path) -> None:
        data, model = str(write(tmp_path / "t.csv", surveyed(300))), str(tmp_path / "m")
        asked = ["--target", "harm", "--weight", "wt_person", "--folds", "2", "--out", model]
        trained = CliRunner().invoke(app, ["train", "--data", data, *asked])
        assert trained.exit_code == 0, trained.output
        assert "population (weighted by wt_person" in trained.output
        judged = CliRunner().invoke(app, ["evaluate", "--model", model, "--data", data, "--json"])
        assert json.loads(judged.output)["results"]["population"]["weight"] == "wt_person"


def table_share(alone: str) -> float:
    """Return which share of the population `surveyed` gives to those who live so."""
    table = surveyed()
    weight = np.asarray(table["wt_person"], float)
    return float(weight[np.asarray(table["lives_alone"]) == alone].sum() / weight.sum())
