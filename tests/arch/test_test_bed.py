from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_socket import SocketConnectBlockedError

from tests.arch.tree import ROOT
from tests.support.spreading import group_of

USES = """
def test_data(data_dir):
    assert data_dir.is_dir()

def test_server(server_address):
    assert server_address("kafka") == "127.0.0.1:9"
"""
PYTEST = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-rfEs"]


@pytest.mark.parametrize(
    ("environment", "outcome"),
    [
        ({}, "2 skipped"),
        ({"CI": "true", "REQUIRE_CONNECTED": "1"}, "1 failed, 1 error"),
        ({"CI": "true", "REQUIRE_CONNECTED": "1", "HEARTHWATCH_TEST_KAFKA": "127.0.0.1:9"}, None),
    ],
)
def test_what_is_missing_skips_here_and_fails_in_ci(
    tmp_path: Path, environment: dict[str, str], outcome: str | None
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    if outcome is None:
        (data / "README.md").touch()
    (tmp_path / "test_uses.py").write_text(USES, encoding="utf-8")
    ours = ("CI", "REQUIRE_CONNECTED", "HEARTHWATCH_", "PYTEST_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    said = subprocess.run(
        [*PYTEST, "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=ROOT,
        env=kept | environment | {"HEARTHWATCH_DATA": str(data)},
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert (outcome or "2 passed") in said.splitlines()[-1], said
    for variable in ("HEARTHWATCH_DATA", "HEARTHWATCH_TEST_KAFKA"):
        assert (variable in said) == (outcome is not None), "a missing thing says what to set"


SHARES = """
import os, pathlib, pytest

@pytest.fixture(scope="module")
def world(request):
    pathlib.Path(request.path.parent, f"{request.path.stem}-{os.getpid()}.made").touch()

@pytest.mark.parametrize("n", range(6))
def test_it(world, n):
    pass
"""
MARKED = """
import os, pathlib, pytest

pytestmark = pytest.mark.xdist_group("one")

@pytest.mark.parametrize("n", range(3))
def test_it(request, n):
    pathlib.Path(request.path.parent, f"marked-{os.getpid()}.made").touch()
"""


def test_a_shared_world_is_made_once_and_a_group_stays_on_one_worker(tmp_path: Path) -> None:
    for name, text in {"a": SHARES, "b": SHARES, "c": MARKED, "d": MARKED}.items():
        (tmp_path / f"test_{name}.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [*PYTEST, "-n", "2", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path),
         str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
    )  # fmt: skip
    assert "18 passed" in done.stdout, done.stdout
    made = sorted(path.name.partition("-")[0] for path in tmp_path.glob("*.made"))
    assert made == ["marked", "test_a", "test_b"]


def test_whatever_has_servers_of_its_own_is_one_group(root: Path) -> None:
    groups = {group_of(path) for path in (root / "tests" / "connected").glob("test_*.py")}
    assert groups == {"deployed"}


def test_only_loopback_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    with pytest.warns(UserWarning, match="192.0.2.1"), pytest.raises(SocketConnectBlockedError):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
