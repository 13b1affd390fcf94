"""On the public sets: each of six planted leaks is found, and the sets themselves raise none."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the model tool needs the extra `ml`")

from services.risk.training.prepare import Prepared, Request, prepare, settled
from services.risk.training.spec import load_spec
from tests.support.model_tables import Table, households, write

pytestmark = [pytest.mark.slow, pytest.mark.data, pytest.mark.timeout(300)]

SETS = {
    "nhanes": ("nhanes_2003_2004_elder_mortality.csv.gz", "died5y", "1"),
    "uci697": ("uci697_dropout_train.csv.gz", "Status", "Dropout"),
    "chicago": ("chicago_food_inspections_train.csv.gz", "criticalFound", "1.0"),
}
AFTER_VISIT = ("criticalCount", "seriousCount", "minorCount", "pass_flag", "fail_flag")


def rows_of(data_dir: Path, name: str) -> Table:
    with gzip.open(data_dir / SETS[name][0], "rt", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {c: [row[c] for row in rows] for c in rows[0] if c not in AFTER_VISIT}


def alone(table: Table, positive: list[bool], rng: np.random.Generator) -> str:
    table["ward_seen"] = ["7" if hit != (rng.random() < 0.02) else "2" for hit in positive]
    return "ward_seen"


def telling_id(table: Table, positive: list[bool], rng: np.random.Generator) -> str:
    order = np.argsort([-hit for hit in positive], kind="stable")
    numbers = np.empty(len(positive), int)
    numbers[order] = 40_000 + 3 * np.arange(len(positive))
    table["dossier_no"] = [str(n) for n in numbers]
    return "dossier_no"


def filled(table: Table, positive: list[bool], rng: np.random.Generator) -> str:
    table["ambulance_km"] = [
        str(rng.integers(1, 40)) if hit and rng.random() < 0.5 else "" for hit in positive
    ]
    return "ambulance_km"


def after(table: Table, positive: list[bool], rng: np.random.Generator) -> str:
    table.pop("Inspection_Date", None)
    table["asked_on"] = [f"2012-{k % 12 + 1:02d}-{k % 27 + 1:02d}" for k in range(len(positive))]
    table["paper_on"] = [
        f"{2012 + (k % 4 == 0)}-{k % 12 + 1:02d}-{k % 27 + 1:02d}" for k in range(len(positive))
    ]
    return "paper_on"


def group(table: Table, positive: list[bool], rng: np.random.Generator) -> str:
    if "License" in table:
        return "License"  # repeats already, and nobody declares it
    table["household_id"] = [str(100_000 + k // 2) for k in range(len(positive))]
    return "household_id"


def twice(table: Table, positive: list[bool], rng: np.random.Generator) -> str:
    picked = rng.choice(len(positive), len(positive) // 50, replace=False)
    for name, values in table.items():
        unique = name in {"SEQN", "row_id", "Inspection_ID"}
        values += [str(9_000_000 + int(k)) if unique else values[int(k)] for k in picked]
    return ""


PLANTS: dict[str, Callable[[Table, list[bool], np.random.Generator], str]] = {
    "alone": alone,
    "id": telling_id,
    "filled": filled,
    "after": after,
    "group": group,
    "twice": twice,
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("kind", PLANTS)
def test_a_planted_leak_is_found_named_and_left_out(
    data_dir: Path, tmp_path: Path, name: str, kind: str
) -> None:
    table = rows_of(data_dir, name)
    positive = [value == SETS[name][2] for value in table[SETS[name][1]]]
    column = PLANTS[kind](table, positive, np.random.default_rng(5))
    own_group = "License" if name == "chicago" and kind != "group" else ""
    own_time = "asked_on" if kind == "after" else ""
    found = prepare(
        Request(write(tmp_path / "t.csv", table), SETS[name][1], group=own_group, time=own_time)
    )
    assert [(f.kind, f.column) for f in found.findings] == [(kind, column)]
    assert column not in found.kinds
    assert found.findings[0].zh
    assert found.findings[0].en


def clean(request: Request) -> Prepared:
    return prepare(settled(request))


@pytest.mark.parametrize(
    ("file", "options", "spec"),
    [
        ("nhanes_2003_2004_elder_mortality.csv.gz", {"target": "died5y"}, ""),
        ("uci697_dropout_train.csv.gz", {"target": "Status"}, ""),
        (
            "diabetes130_train.csv.gz",
            {"target": "readmitted", "positive": "<30", "group": "patient_nbr"},
            "",
        ),
        ("chicago_food_inspections_train.csv.gz", {"target": ""}, "chicago/features.yaml"),
    ],
)
def test_a_clean_set_raises_no_finding(
    data_dir: Path, root: Path, file: str, options: dict[str, str], spec: str
) -> None:
    features = load_spec(root / "examples/model" / spec if spec else None)
    found = clean(Request(data_dir / file, spec=features, **options))  # type: ignore[arg-type]
    assert found.findings == ()


def test_clean_synthetic_households_raise_no_finding(tmp_path: Path) -> None:
    assert clean(Request(write(tmp_path / "t.csv", households(3000)), "harm")).findings == ()


def test_clean_person_weeks_raise_no_finding(oulad: Path, root: Path) -> None:
    spec = load_spec(root / "examples/model/oulad/features.yaml")
    assert clean(Request(oulad / "train.csv.gz", "", spec=spec)).findings == ()


def test_the_result_of_the_same_visit_is_found_without_a_features_file(data_dir: Path) -> None:
    found = clean(Request(data_dir / SETS["chicago"][0], "criticalFound", group="License"))
    assert {f.column for f in found.findings} == {"criticalCount", "pass_flag"}
    assert any("seriousCount" in note and "fail_flag" in note for note in found.notes)
