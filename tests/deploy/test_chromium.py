from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy._lib import chromium
from deploy._lib.errors import DeployError
from deploy._lib.home import Home
from tests.deploy.conftest import Command

SHOWS = "echo '<p>守望</p>at42'"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Make shell scripts the only programs of that machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(name: str, body: str) -> Path:
        script = folder / name
        script.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        script.chmod(0o755)
        return script

    return write


@pytest.mark.parametrize("verb", ["fetch", "status", "wipe"])
def test_help_of_a_verb_shows_an_example(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    with pytest.raises(SystemExit) as left:
        chromium.main([verb, "--help"])
    assert left.value.code == 0
    assert f"deploy/chromium {verb}" in capsys.readouterr().out.partition("example:")[2]


def test_the_executable_starts_with_any_python(root: Path) -> None:
    answer = Command(root / "deploy/chromium")("--help")
    assert (answer.code, "example:" in answer.out) == (0, True)
    assert os.access(root / "deploy/chromium", os.X_OK)


def test_an_installed_browser_that_shows_a_page_is_taken(
    program: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    program("fc-list", "echo 'Noto Sans CJK SC'")
    script = program("chromium", SHOWS)
    assert chromium.main(["fetch"]) == 0
    assert capsys.readouterr().out == f"{script}\n"


def test_a_browser_without_a_chinese_font_is_not_taken(
    program: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    program("fc-list", "exit 0")
    program("chromium", SHOWS)
    assert chromium.main(["status", "--instance", "never-fetched"]) == 1
    assert "no Chromium with a Chinese font" in capsys.readouterr().out


def test_a_browser_that_shows_nothing_says_why(program: Callable[[str, str], Path]) -> None:
    script = program("chromium", "echo 'libnss3.so: cannot open shared object file' >&2; exit 127")
    reason = chromium.fault(script)
    assert reason is not None
    assert "libnss3.so" in reason
    missing = chromium.fault(script.parent / "none")
    assert missing is not None
    assert "No such file" in missing


def test_a_machine_without_apt_is_told_what_to_install(
    program: Callable[[str, str], Path], tmp_path: Path
) -> None:
    home = Home("chromium", build=tmp_path)
    home.path.mkdir()
    with pytest.raises(DeployError, match="without apt-get it cannot be fetched: install it"):
        chromium.unpacked(home, 1)


@pytest.mark.connected
def test_the_browser_of_this_run_shows_chinese() -> None:
    found = os.environ.get("HEARTHWATCH_TEST_CHROMIUM")
    if not found:
        if os.environ.get("REQUIRE_CONNECTED") == "1":
            pytest.fail("expected a path in HEARTHWATCH_TEST_CHROMIUM: run deploy/chromium fetch")
        pytest.skip("no browser: run deploy/chromium fetch, which prints its path")
    assert chromium.fault(Path(found)) is None
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    assert "Chrom" in version.stdout
