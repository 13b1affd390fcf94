from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.arch.adr import faults
from tests.arch.tree import ROOT

RECORDS = ROOT / "docs" / "adr"


def test_records_are_numbered_without_a_gap_and_indexed() -> None:
    assert (RECORDS / "0001-records.md").is_file()
    assert list(faults(RECORDS)) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a template, two records and their index, all as they should be."""
    for name in ("0000-template.md", "0001-records.md"):
        shutil.copyfile(RECORDS / name, tmp_path / name)
    text = (tmp_path / "0001-records.md").read_text(encoding="utf-8")
    (tmp_path / "0002-more.md").write_text(
        text.replace("# 0001: Keep", "# 0002: Keep more"), encoding="utf-8"
    )
    lines = [
        "| [0001: Keep architecture decisions as records](0001-records.md) | build | Accepted |",
        "| [0002: Keep more architecture decisions as records](0002-more.md) | build | Accepted |",
    ]
    (tmp_path / "index.md").write_text("\n".join(["# Decisions", "", *lines]), encoding="utf-8")
    assert list(faults(tmp_path)) == []
    return tmp_path


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        ("0002-more.md", "- Status: Accepted", "- Status: Maybe", "Status 'Maybe'"),
        ("0002-more.md", "- Status: Accepted", "- Status: Superseded by 0009", "Superseded by"),
        ("0002-more.md", "- Area: build\n", "", "no area"),
        ("0002-more.md", "# 0002: ", "# 0003: ", "no title"),
        ("0002-more.md", "## Alternatives", "## Others", "expected the headings"),
        ("0002-more.md", "## Context", "\n" * 120 + "## Context", "over 120 lines"),
        ("index.md", "| build | Accepted |\n", "| risk | Accepted |\n", "index.md: add"),
        ("index.md", "| [0001", "| [0000", "index.md: remove"),
    ],
)
def test_a_planted_fault_is_named(folder: Path, file: str, old: str, new: str, fault: str) -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert any(fault in found for found in faults(folder))


def test_a_gap_in_the_numbers_is_named(folder: Path) -> None:
    (folder / "0002-more.md").rename(folder / "0003-more.md")
    assert any("expected number 0002" in found for found in faults(folder))


def test_lines_out_of_order_are_named(folder: Path) -> None:
    head, blank, first, second = (folder / "index.md").read_text(encoding="utf-8").splitlines()
    (folder / "index.md").write_text(f"{head}\n{blank}\n{second}\n{first}", encoding="utf-8")
    assert list(faults(folder)) == ["index.md: put the lines in the order of their numbers"]
