from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from requirements import licences


def test_the_page_says_what_the_lock_files_hold() -> None:
    written = licences.PAGE.read_text(encoding="utf-8")
    assert written.startswith(licences.HEAD), "stale: run make licences"
    lines = written.removeprefix(licences.HEAD).splitlines()
    for item, line in zip(licences.locked(), lines, strict=True):
        assert line.startswith(licences.row(item)), "stale: run make licences"
        if version(item.name) == item.versions[0]:
            assert line == f"{licences.row(item)}{licences.licence(item.name)} |"


def test_the_product_depends_on_no_licence_that_would_bind_it() -> None:
    binding = [
        (item.name, licence)
        for item in licences.locked()
        for licence in [licences.licence(item.name)]
        if "GPL" in licence.replace("LGPL", "")
    ]
    assert binding == []


def test_a_version_that_moves_in_the_lock_changes_the_page(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("one==1.0 \\\n    --hash=sha256:0\n", encoding="utf-8")
    (tmp_path / "dev.txt").write_text(
        "one==1.0 \\\n    --hash=sha256:0\n"
        "two==2.0 ; python_full_version < '3.12' \\\n    --hash=sha256:0\n"
        "two==2.1 ; python_full_version >= '3.12' \\\n    --hash=sha256:0\n",
        encoding="utf-8",
    )
    assert licences.locked(tmp_path) == [
        licences.Dependency("one", ("1.0",), "product"),
        licences.Dependency("two", ("2.0", "2.1"), "extras and tools"),
    ]


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(LookupError, match="'no-such-package' is locked but not installed"):
        licences.licence("no-such-package")
