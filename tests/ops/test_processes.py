from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services.allinone.deployed import LIVE
from services.kernel.runtime import run
from services.kernel.settings import Settings


@pytest.mark.slow
def test_every_process_tells_its_settings_and_starts_nothing(root: Path) -> None:
    """All at once: most of it is waiting for imports."""
    asked = {
        module: subprocess.Popen(
            [sys.executable, "-m", module, "--help"],
            cwd=root, env={}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for module in LIVE.values()
    }  # fmt: skip
    known = {f"HEARTHWATCH_{name}".upper() for name in Settings.model_fields}
    for module, process in asked.items():
        out, err = process.communicate(timeout=50)
        assert (process.returncode, err) == (0, ""), module
        told = {line.split("[")[0].split()[0] for line in out.splitlines() if line[:2] == "  "}
        assert told == known, module
        assert "example:" in out


def test_an_argument_it_does_not_know_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([], environ={}, arguments=["--port"]) == 2
    assert "unknown argument '--port'" in capsys.readouterr().err
