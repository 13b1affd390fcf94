from __future__ import annotations

from pathlib import Path

import pytest

from tests.arch.links import anchors, dead_links
from tests.arch.tree import ROOT, files


def test_relative_links_lead_somewhere() -> None:
    pages = [path for path in files() if path.suffix == ".md"]
    assert pages
    found = [f"{page}: {link}" for page in pages for link in dead_links(ROOT / page, ROOT)]
    assert found == []


@pytest.mark.parametrize(
    "link",
    [
        "[a](missing.md)",
        "[a](docs/missing.md 'title')",
        "![a](picture.svg)",
        "[a](other.md#missing)",
        "[a](#missing)",
        "[a](../outside.md)",
        "[a][1]\n\n[1]: missing.md",
        '<img src="picture.png">',
    ],
)
def test_a_link_that_leads_nowhere_is_found(tmp_path: Path, link: str) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (tmp_path / "outside.md").touch()
    (root / "other.md").write_text("# Other\n", encoding="utf-8")
    (root / "page.md").write_text(f"# Page\n\n{link}\n", encoding="utf-8")
    assert len(list(dead_links(root / "page.md", root))) == 1


@pytest.mark.parametrize(
    "link",
    [
        "[a](other.md)",
        "[a](other.md#the-other-1)",
        "[a](#page)",
        "[a](https://example.org/missing.md)",
        "[a](mailto:ann@example.org)",
        "`[a](missing.md)`",
        "```\n[a](missing.md)\n```",
    ],
)
def test_a_link_that_leads_somewhere_or_is_code_is_let_through(tmp_path: Path, link: str) -> None:
    (tmp_path / "other.md").write_text("# The other\n\n## The other\n", encoding="utf-8")
    (tmp_path / "page.md").write_text(f"# Page\n\n{link}\n", encoding="utf-8")
    assert list(dead_links(tmp_path / "page.md", tmp_path)) == []


def test_a_heading_in_chinese_has_its_anchor(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("# 守望:开始 `make demo`\n", encoding="utf-8")
    assert anchors(tmp_path / "page.md") == {"守望开始-make-demo"}
