"""Tables and options that cannot give a model are refused with a reason; odd ones still run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.kernel.errors import Faults, WrongUse
from services.risk.training.prepare import Request, prepare, settled
from services.risk.training.spec import FeatureSpec, Spec, load_spec
from services.risk.training.train import train
from tests.support.model_tables import Table, households, levels, write


def message(tmp_path: Path, table: Table, **options: object) -> str:
    request = Request(**{"data": write(tmp_path / "t.csv", table), "target": "harm"} | options)  # type: ignore[arg-type]
    with pytest.raises(WrongUse) as caught:
        prepare(settled(request))
    return str(caught.value)


class TestRefused:
    def test_ten_rows(self, tmp_path: Path) -> None:
        assert "10 usable rows" in message(tmp_path, households(10))

    def test_one_class(self, tmp_path: Path) -> None:
        table = households(100)
        table["harm"] = ["0"] * 100
        assert "one class only" in message(tmp_path, table)

    def test_a_class_of_three_rows(self, tmp_path: Path) -> None:
        table = households(100)
        table["harm"] = ["1"] * 3 + ["0"] * 97
        assert "3 rows" in message(tmp_path, table)

    def test_a_typing_mistake_in_the_target_names_the_nearest(self, tmp_path: Path) -> None:
        assert "did you mean harm" in message(tmp_path, households(), target="hram")

    def test_a_typing_mistake_in_the_group_names_the_nearest(self, tmp_path: Path) -> None:
        assert "did you mean closest_tie" in message(tmp_path, households(), group="closesttie")

    @pytest.mark.parametrize("role", ["group", "time", "weight"])
    def test_the_outcome_in_a_second_role(self, tmp_path: Path, role: str) -> None:
        said = message(tmp_path, households(), **{role: "harm"})
        assert f"--{role} 'harm'" in said
        assert "the outcome column" in said

    def test_a_target_that_is_two_columns(self, tmp_path: Path) -> None:
        path = write(tmp_path / "t.csv", households())
        path.write_text(path.read_text().replace("systolic", "harm", 1))
        with pytest.raises(WrongUse, match="two columns of this name"):
            prepare(Request(path, "harm"))

    def test_a_group_that_is_all_the_same(self, tmp_path: Path) -> None:
        table = households() | {"home": ["A"] * 400}
        assert "one group only" in message(tmp_path, table, group="home")

    def test_a_direction_for_words(self, tmp_path: Path) -> None:
        spec = Spec(features={"closest_tie": FeatureSpec(direction="+")})
        assert "direction '+'" in message(tmp_path, households(), spec=spec)

    def test_a_measurement_as_target(self, tmp_path: Path) -> None:
        assert "distinct values" in message(tmp_path, households(), target="systolic")

    def test_a_positive_value_that_nobody_has(self, tmp_path: Path) -> None:
        assert "'0', '1'" in message(tmp_path, households(), positive="yes")

    def test_an_order_that_lacks_a_class(self, tmp_path: Path) -> None:
        assert "--order" in message(tmp_path, levels(), target="level_seen", order=("green", "red"))

    def test_one_example_a_group_without_a_group(self, tmp_path: Path) -> None:
        assert "--per-group" in message(tmp_path, households(), per_group=True)

    def test_nothing_usable(self, tmp_path: Path) -> None:
        table = households(100)
        assert "no usable column" in message(
            tmp_path, {"harm": table["harm"], "race": table["closest_tie"], "ref": table["ref"]}
        )

    def test_a_features_file_with_faults_tells_all_of_them(self, tmp_path: Path) -> None:
        path = tmp_path / "f.yaml"
        path.write_text(
            "target: {column: harm}\nfeatures:\n  age: {type: nummer, directon: '+'}\n"
            "  x: {allowed: false}\n  y: {direction: up}\n"
        )
        with pytest.raises(Faults) as caught:
            load_spec(path)
        assert len(caught.value.faults) == 4
        assert "did you mean direction" in str(caught.value)


class TestRuns:
    def test_rows_without_an_outcome_are_left_out_and_noted(self, tmp_path: Path) -> None:
        table = households(300)
        table["harm"][:40] = [""] * 40
        found = prepare(Request(write(tmp_path / "t.csv", table), "harm"))
        assert len(found.y) == 260
        assert any("40 rows without a value" in n for n in found.notes)

    @pytest.mark.slow
    def test_all_missing_columns_and_mixed_types_and_three_hundred_columns_train(
        self, tmp_path: Path
    ) -> None:
        table = households(220)
        rng = np.random.default_rng(0)
        table["empty"] = [""] * 220
        table["mixed"] = [
            str(rng.integers(0, 50)) if rng.random() < 0.7 else "unknown" for _ in range(220)
        ]
        table["nearly_empty"] = ["5" if k == 7 else "" for k in range(220)]
        for k in range(290):
            table[f"extra{k}"] = [f"{v:.2f}" for v in rng.normal(size=220)]
        done = train(Request(write(tmp_path / "t.csv", table), "harm", folds=2), tmp_path / "m")
        assert done.card["data"]["columns_used"] >= 290
        assert {"column": "empty", "kind": "empty"}.items() <= done.card["left_out"][1].items()

    @pytest.mark.slow
    def test_a_column_missing_throughout_one_fold_trains(self, tmp_path: Path) -> None:
        table = households(240)
        table["home_id"] = [str(1000 + k // 2) for k in range(240)]
        table["meter"] = [str(k % 17) if k < 2 else "" for k in range(240)]
        done = train(
            Request(write(tmp_path / "t.csv", table), "harm", group="home_id", folds=3),
            tmp_path / "m",
        )
        assert done.card["validation"]["rows_judged"] == 240

    def test_codes_with_a_declared_direction_are_amounts(self, tmp_path: Path) -> None:
        table = households(300)
        table["stage_code"] = [str((1, 4, 9, 30, 90)[k % 5]) for k in range(300)]
        path = write(tmp_path / "t.csv", table)
        assert prepare(Request(path, "harm")).kinds["stage_code"] == "category"
        spec = Spec(features={"stage_code": FeatureSpec(direction="+")})
        assert prepare(Request(path, "harm", spec=spec)).kinds["stage_code"] == "number"

    def test_the_positive_value_may_be_written_as_another_number(self, tmp_path: Path) -> None:
        table = households(200)
        table["harm"] = [f"{int(h)}.0" for h in table["harm"]]
        found = prepare(Request(write(tmp_path / "t.csv", table), "harm", positive="1"))
        assert found.task.classes == ("0.0", "1")

    def test_a_population_leaves_rows_out_with_the_reason(self, tmp_path: Path) -> None:
        path = tmp_path / "f.yaml"
        path.write_text(
            "target: {column: harm}\npopulation:\n"
            "  - {column: closest_tie, exclude: [friend], reason: moved away}\n"
        )
        table = households(300)
        found = prepare(
            settled(Request(write(tmp_path / "t.csv", table), "", spec=load_spec(path)))
        )
        assert len(found.y) == 300 - table["closest_tie"].count("friend")
        assert "moved away" in found.notes[0]
