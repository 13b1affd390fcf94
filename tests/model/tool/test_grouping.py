"""The rows of a household become one example, and everybody in it gets its answer."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from services.risk.adapters.sklearn_model import load_model
from services.risk.training.evaluate import Question, evaluate
from services.risk.training.grouping import fold_table, group_index, make_plan
from services.risk.training.prepare import Request
from services.risk.training.scoring import score_file
from services.risk.training.spec import FeatureSpec, Spec
from services.risk.training.table import read_table
from services.risk.training.train import train
from tests.support.model_tables import people, write

KINDS = {
    "head": "number",
    "age": "number",
    "works": "number",
    "school": "category",
    "rooms": "number",
}


def test_the_inferred_recipe_has_counts_extremes_the_heads_values_and_ratios(
    tmp_path: Path,
) -> None:
    table = read_table(write(tmp_path / "t.csv", people(80)))
    plan = make_plan(table, KINDS, "home", Spec())
    names = {fold.name for fold in plan.folds}
    assert plan.head == "head"
    assert {
        "members",
        "age|head",
        "age|mean",
        "age|max",
        "age|min",
        "works|sum",
        "works|mean",
        "school|head",
        "school|share none",
        "rooms|own",
        "rooms|per_member",
    } <= names
    folded, _ = fold_table(table, plan, group_index(table, "home"))
    assert folded.rows == 80
    ages, index = table["age"].numbers(), group_index(table, "home")
    for home in range(0, 80, 9):
        inside = index == home
        assert folded["members"].numbers()[home] == inside.sum()
        assert folded["age|max"].numbers()[home] == ages[inside].max()
        assert folded["age|mean"].numbers()[home] == np.mean(ages[inside])
        assert (
            folded["age|head"].numbers()[home] == ages[inside & (table["head"].numbers() == 1)][0]
        )


def test_a_declared_recipe_goes_before_the_inferred_one(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.csv", people(60)))
    spec = Spec(features={"age": FeatureSpec(fold=("max",))})
    plan = make_plan(table, KINDS, "home", spec)
    assert [f.name for f in plan.folds if f.source == "age"] == ["age|max"]


@pytest.mark.slow
def test_every_member_gets_the_households_answer_in_file_order(tmp_path: Path) -> None:
    data = write(tmp_path / "t.csv", people())
    done = train(Request(data, "poor", group="home", per_group=True, folds=2), tmp_path / "m")
    model = load_model(tmp_path / "m")
    summary = score_file(model, data, tmp_path / "s.csv")
    table = read_table(data)
    with (tmp_path / "s.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert summary.rows == table.rows == len(rows)
    answers: dict[int, set[str]] = {}
    for home, row in zip(group_index(table, "home"), rows, strict=True):
        answers.setdefault(int(home), set()).add(row["p_1"])
    assert {len(found) for found in answers.values()} == {1}
    assert done.card["results"]["rows"] == 260
    assert done.card["results"]["per_class"]["1"]["auc"] > 0.8


@pytest.mark.slow
def test_a_group_file_in_another_order_gives_the_same_answers(tmp_path: Path) -> None:
    table = people(120)
    data = write(tmp_path / "t.csv", table)
    train(Request(data, "poor", group="home", per_group=True, folds=2), tmp_path / "m")
    order = np.random.default_rng(0).permutation(len(table["home"]))
    other = write(tmp_path / "o.csv", {n: [v[k] for k in order] for n, v in table.items()})
    model = load_model(tmp_path / "m")
    for name, path in (("a", data), ("b", other)):
        score_file(model, path, tmp_path / f"{name}.csv")
    first = (tmp_path / "a.csv").read_text().splitlines()[1:]
    second = (tmp_path / "b.csv").read_text().splitlines()[1:]
    assert [first[k] for k in order] == second


@pytest.mark.slow
def test_a_per_group_model_is_judged_by_household_out_of_fold(tmp_path: Path) -> None:
    data = write(tmp_path / "t.csv", people())
    done = train(Request(data, "poor", group="home", per_group=True, folds=2), tmp_path / "m")
    found = evaluate(load_model(tmp_path / "m"), tmp_path / "m", Question(data))
    assert found["results"]["rows"] == 260
    assert found["results"]["log_loss"] == pytest.approx(
        done.card["results"]["log_loss"], abs=1e-12
    )
