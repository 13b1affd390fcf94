"""One line in a hundred is broken on purpose; repaired by command, it is as if it never was."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from services.allinone.replay.run import replay
from tests.support.replay import FILES, Rows, command, plan_of, rows_of, write_csv

pytestmark = [pytest.mark.data, pytest.mark.slow, pytest.mark.timeout(900)]
TAKEN = 2_000


def broken(rows: Rows, seed: int) -> tuple[list[str], set[int]]:
    """Return the lines of a CSV with one in a hundred broken, and the numbers of those rows."""
    pick = random.Random(seed)
    chosen = set(pick.sample(range(len(rows)), len(rows) // 100))
    columns = list(rows[0])
    lines = [",".join(columns)]
    for number, row in enumerate(rows):
        cells = [_cell(row[name]) for name in columns]
        if number in chosen:
            _break(cells, columns, pick)
        lines.append(",".join(cells))
    return lines, chosen


def _cell(text: str) -> str:
    return f'"{text}"' if "," in text else text


def _break(cells: list[str], columns: list[str], pick: random.Random) -> None:
    match pick.randrange(5):
        case 0:
            cells[columns.index("created_date")] = "yesterday"
        case 1:
            cells[columns.index("latitude")] = "north"
        case 2:
            del cells[-1]
        case 3:
            cells[columns.index("complaint_type")] = ""
        case _:
            cells[columns.index("borough")] = '"BRONX'


def test_broken_lines_are_kept_fixed_replayed_and_leave_no_trace(
    data_dir: Path, tmp_path: Path
) -> None:
    rows = rows_of(data_dir / FILES["nyc311"][0])[:TAKEN]
    whole = write_csv(tmp_path / "whole.csv", rows)
    lines, chosen = broken(rows, seed=1)
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join(lines) + "\n", encoding="utf-8")
    plan = plan_of("nyc311", data_dir)
    expected = replay(plan_of("nyc311", data_dir, logs=[whole])).report
    kept, report = tmp_path / "kept", tmp_path / "report.json"
    run: list[str | Path] = ["replay", bad, "--map", plan.map, "--pack", plan.pack, "--keep", kept,
           "--hold-rejected", "--report", report]  # fmt: skip

    held = command(*run)
    assert held.code == 1
    assert "dlq fix" in held.err
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["changes"]["accepted"] == TAKEN - len(chosen)
    assert found["changes"]["rejected"] == len(chosen)

    listed = json.loads(command("dlq", "list", "--data", kept, "--json").out)["items"]
    assert {int(item["origin"].split(":")[1].split()[0]) - 2 for item in listed} == chosen
    assert all(item["fault"]["remedy"] and item["fault"]["expected"] for item in listed)
    assert len({item["code"] for item in listed}) >= 4

    fixed = command("dlq", "fix", "--from", whole, "--map", plan.map, "--data", kept)
    assert (fixed.code, fixed.err.split()[1]) == (0, str(len(chosen)))
    assert command("dlq", "replay", "--all", "--data", kept).code == 0
    assert json.loads(command("dlq", "list", "--data", kept, "--json").out)["items"] == []

    assert command(*run, "--resume").code == 0
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["digest"] == expected["digest"]
    assert found["alerts"] == expected["alerts"]
    assert found["changes"] == expected["changes"] | {"repaired": len(chosen)}
    assert command("doctor", "--data", kept).code == 0
