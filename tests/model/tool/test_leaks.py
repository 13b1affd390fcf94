"""Each of the six leaks is found when planted, and synthetic clean people raise none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.kernel.errors import WrongUse
from services.risk.training.prepare import Prepared, Request, prepare
from services.risk.training.spec import FeatureSpec, Spec
from tests.support.model_tables import Table, households, write


def prepared(tmp_path: Path, table: Table, **options: object) -> Prepared:
    request = Request(write(tmp_path / "t.csv", table), "harm", **options)  # type: ignore[arg-type]
    return prepare(request)


def kinds(found: Prepared) -> dict[str, str]:
    return {f.column: f.kind for f in found.findings}


def test_clean_people_raise_no_finding(tmp_path: Path) -> None:
    found = prepared(tmp_path, households(800))
    assert found.findings == ()
    assert set(found.kinds) == {"age", "falls_12m", "lives_alone", "closest_tie", "systolic"}
    assert [i.kind for i in found.roles.left_out] == ["id"]


def test_a_column_that_predicts_alone_is_left_out(tmp_path: Path) -> None:
    table = households(600)
    rng = np.random.default_rng(0)
    table["ward"] = [("7" if (h == "1") != (rng.random() < 0.03) else "2") for h in table["harm"]]
    found = prepared(tmp_path, table)
    assert kinds(found) == {"ward": "alone"}
    assert "ward" not in found.kinds
    assert "AUC" in found.findings[0].en
    assert "AUC" in found.findings[0].zh


def test_an_id_given_out_after_the_outcome_is_named(tmp_path: Path) -> None:
    table = households(600)
    order = np.argsort([-int(h) for h in table["harm"]], kind="stable")
    numbers = np.empty(600, int)
    numbers[order] = 50_000 + 3 * np.arange(600)
    table["file_no"] = [str(n) for n in numbers]
    assert kinds(prepared(tmp_path, table)) == {"file_no": "id"}


def test_a_column_filled_for_one_outcome_only_is_left_out(tmp_path: Path) -> None:
    table = households(600)
    rng = np.random.default_rng(0)
    table["ambulance_km"] = [
        str(rng.integers(1, 30)) if h == "1" and rng.random() < 0.6 else "" for h in table["harm"]
    ]
    found = prepared(tmp_path, table)
    assert kinds(found) == {"ambulance_km": "filled"}


def test_a_column_empty_for_one_outcome_only_is_left_out(tmp_path: Path) -> None:
    table = households(600)
    rng = np.random.default_rng(0)
    table["next_check_km"] = [
        "" if h == "1" and rng.random() < 0.7 else str(rng.integers(1, 30)) for h in table["harm"]
    ]
    assert kinds(prepared(tmp_path, table)) == {"next_check_km": "filled"}


def test_a_date_later_than_the_moment_of_prediction_is_left_out(tmp_path: Path) -> None:
    table = households(600)
    table["seen_on"] = [f"2025-{k % 9 + 1:02d}-{k % 27 + 1:02d}" for k in range(600)]
    table["paper_on"] = [
        f"2025-{k % 9 + 1 + (k % 5 == 0):02d}-{k % 27 + 1:02d}" for k in range(600)
    ]
    found = prepared(tmp_path, table, time="seen_on")
    assert kinds(found) == {"paper_on": "after"}


def test_a_column_declared_as_known_after_is_left_out(tmp_path: Path) -> None:
    spec = Spec(features={"systolic": FeatureSpec(known="after")})
    found = prepared(tmp_path, households(), spec=spec)
    assert "systolic" not in found.kinds
    assert ("systolic", "known after") in {(i.column, i.kind) for i in found.roles.left_out}


def test_a_repeating_home_is_grouped_by_although_nobody_said_so(tmp_path: Path) -> None:
    table = households(600)
    table["home_id"] = [str(1000 + k // 3) for k in range(600)]
    found = prepared(tmp_path, table)
    assert kinds(found) == {"home_id": "group"}
    assert found.group == "home_id"
    assert len(np.unique(found.groups)) == 200
    assert "home_id" not in found.kinds


@pytest.mark.parametrize("declared", ["", "home_id"])
def test_a_random_split_over_a_repeating_home_is_refused(tmp_path: Path, declared: str) -> None:
    table = households(600)
    table["home_id"] = [str(1000 + k // 3) for k in range(600)]
    with pytest.raises(WrongUse, match="both sides"):
        prepared(tmp_path, table, split="random", group=declared)


def test_a_row_standing_twice_is_left_out_once(tmp_path: Path) -> None:
    table = households(600)
    for name, values in table.items():
        table[name] = values + (values[:60] if name != "ref" else [f"X{k:05d}" for k in range(60)])
    found = prepared(tmp_path, table)
    assert kinds(found) == {"": "twice"}
    assert 595 <= len(found.y) <= 600


def test_equal_rows_by_chance_in_a_coarse_table_are_no_leak(tmp_path: Path) -> None:
    table = households(800)
    coarse = {n: table[n] for n in ("lives_alone", "closest_tie", "falls_12m", "harm")}
    assert prepared(tmp_path, coarse).findings == ()


def test_the_spec_can_keep_a_suspected_column(tmp_path: Path) -> None:
    table = households(600)
    table["ward"] = ["7" if h == "1" else "2" for h in table["harm"]]
    spec = Spec(features={"ward": FeatureSpec(known="before")})
    assert prepared(tmp_path, table, spec=spec).findings == ()
