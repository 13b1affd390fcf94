"""One small model for all tests of the tool: few rounds, few folds, trained once."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="the model tool needs the extra `ml`")

from services.risk.adapters.sklearn_model import Model, load_model
from services.risk.training import recipe
from services.risk.training.prepare import Request
from services.risk.training.spec import FeatureSpec, Spec
from services.risk.training.train import train
from tests.support.model_tables import households, write

ROUNDS = 10
"""Makes training quick: the laws do not depend on the number of rounds."""


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "ROUNDS", ROUNDS)


@pytest.fixture(scope="session")
def table_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("table") / "homes.csv", households())


@pytest.fixture(scope="session")
def model_dir(table_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "m"
    spec = Spec(
        features={
            "age": FeatureSpec(direction="+", unit="岁", zh="年龄", en="Age"),
            "falls_12m": FeatureSpec(direction="+", zh="一年跌倒次数", en="Falls in a year"),
        }
    )
    with pytest.MonkeyPatch.context() as patch:  # once for all, whichever test comes first
        patch.setattr(recipe, "ROUNDS", ROUNDS)
        train(Request(table_file, "harm", folds=2, spec=spec), out)
    return out


@pytest.fixture(scope="session")
def model(model_dir: Path) -> Model:
    return load_model(model_dir)
