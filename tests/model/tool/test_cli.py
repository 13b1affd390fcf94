"""The commands: names, options, exit codes and what they print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.risk.training.cli import app
from tests.support.model_tables import households, write

RUN = CliRunner()


@pytest.mark.slow
def test_train_score_evaluate_and_explain_work_together(tmp_path: Path) -> None:
    data, model = str(write(tmp_path / "t.csv", households(300))), str(tmp_path / "m")
    trained = RUN.invoke(
        app, ["train", "--data", data, "--target", "harm", "--folds", "2", "--out", model]
    )
    assert trained.exit_code == 0, trained.output
    assert "left out ref (id)" in trained.output
    assert "class 1: AUC" in trained.output
    scored = RUN.invoke(
        app, ["score", "--model", model, "--data", data, "--out", str(tmp_path / "s.csv"), "--json"]
    )
    assert json.loads(scored.output)["rows"] == 300
    judged = RUN.invoke(app, ["evaluate", "--model", model, "--data", data, "--json"])
    assert json.loads(judged.output)["results"]["rows"] == 300
    assert (tmp_path / "m/report.html").is_file()
    told = RUN.invoke(app, ["explain", "--model", model, "--data", data, "--row", "1,3", "--json"])
    assert [item["row"] for item in json.loads(told.output)] == [1, 3]
    again = RUN.invoke(
        app, ["score", "--model", model, "--data", data, "--out", str(tmp_path / "s2.csv")]
    )
    assert again.exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--target", "hram"],
        ["--target", "harm", "--split", "sideways"],
        ["--target", "harm", "--capacity", "7"],
        ["--target", "harm", "--group", "nobody"],
        ["--target", "harm", "--folds", "1"],
        ["--target", "harm", "--seed", "-1"],
        ["--target", "harm", "--max-rows", "0"],
        ["--target", "harm", "--cost", "-1"],
        ["--target", "harm", "--spec", "."],
    ],
)
def test_wrong_use_exits_with_2_and_says_why(tmp_path: Path, arguments: list[str]) -> None:
    data = str(write(tmp_path / "t.csv", households(80)))
    done = RUN.invoke(app, ["train", "--data", data, "--out", str(tmp_path / "m"), *arguments])
    assert done.exit_code == 2
    assert "refused: " in done.output
    assert not (tmp_path / "m/manifest.json").exists()


@pytest.mark.parametrize("command", ["train", "evaluate", "score", "explain"])
def test_each_command_has_help_with_an_example(command: str) -> None:
    done = RUN.invoke(app, [command, "--help"])
    assert done.exit_code == 0
    assert "Example: hearthwatch model" in done.output
