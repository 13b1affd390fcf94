"""A million rows: memory stays bounded, the bar moves to its end, whole groups are kept."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from services.risk.training import cli

ROWS, GROUP, KEPT, MOST_MB = 1_000_000, 5, 20_000, 200
CHILD = """
import json, sys
from pathlib import Path
import numpy as np
from services.risk.training.table import read_chunks, read_table
from services.risk.training.bench import peak_mb as peak
before, seen = peak(), []
path = Path(sys.argv[1])
table = read_table(path, keep_by="home", max_rows=int(sys.argv[2]), progress=lambda *at: seen.append(at))
rows = sum(chunk.rows for chunk in read_chunks(path))
print(json.dumps({"grown_mb": peak() - before, "rows": table.rows, "in_file": table.rows_in_file,
  "whole": sorted(set(table["home"].counts.tolist())), "chunked": rows, "steps": len(seen),
  "rising": seen == sorted(seen), "end": seen[-1]}))
"""  # noqa: E501


@pytest.mark.slow
def test_a_million_rows_are_read_in_bounded_memory_and_thinned_by_whole_groups(
    tmp_path: Path,
) -> None:
    path = tmp_path / "million.csv"
    rng = np.random.default_rng(1)
    values = rng.integers(0, 10_000, ROWS).astype(str).tolist()
    homes = np.repeat(np.arange(ROWS // GROUP), GROUP).tolist()
    with path.open("w") as stream:
        stream.write("home,age,value,harm\n")
        stream.writelines(
            f"H{home:07d},{k % 90},{value},{k % 7 == 0:d}\n"
            for k, (home, value) in enumerate(zip(homes, values, strict=True))
        )
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), str(KEPT)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["in_file"] == found["chunked"] == ROWS
    assert 0.8 * KEPT < found["rows"] <= KEPT
    assert found["whole"] == [GROUP]
    assert found["grown_mb"] < MOST_MB, found
    assert found["steps"] > 5
    assert found["rising"]
    assert found["end"] == [path.stat().st_size] * 2


def test_a_bar_is_drawn_on_a_terminal_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal in (True, False):
        out = io.StringIO()
        console = Console(file=out, force_terminal=terminal, width=80)
        monkeypatch.setattr(cli, "console", console)
        with cli.bars(steps=2) as (read, tick):
            read(500, 1000)
            tick("logistic")
        assert ("reading" in out.getvalue()) is terminal
        assert ("50%" in out.getvalue() or "fitting" in out.getvalue()) is terminal
