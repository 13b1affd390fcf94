"""A service as a process of its own: signals, exit codes, the data folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx2
import pytest

from services.kernel.runtime import Running, running
from tests.support.patience import eventually

SERVICE: Final = """
import sys
from services.kernel.http import make_app
from services.kernel.runtime import Service, run


def build(ctx):
    api = make_app(service="risk", title="Risk", ready=[], metrics=ctx.metrics, token=ctx.token)
    return Service(name="risk", api=api, close=[lambda: print("closed", flush=True)])


sys.exit(run([build]))
"""


def environment(folder: Path, **given: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("HEARTHWATCH_")}
    return own | {"HEARTHWATCH_DATA_DIR": str(folder), "HEARTHWATCH_HTTP_PORT": "0"} | given


@contextmanager
def process(root: Path, folder: Path, **given: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVICE],
        cwd=root,
        env=environment(folder, **given),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def serving(folder: Path, started: subprocess.Popen[str]) -> Running:
    found: list[Running] = []

    def look() -> None:
        assert started.poll() is None, started.stderr.read() if started.stderr else ""
        now = running(folder)
        if now is None or not now.url:
            return
        with suppress(httpx2.ConnectError):  # the note of the one before may still lie there
            if httpx2.get(f"{now.url}/readyz").status_code == 200:
                found.append(now)

    eventually(look, lambda: bool(found), "the process serves")
    return found[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(root: Path, tmp_path: Path, number: signal.Signals) -> None:
    with process(root, tmp_path) as started:
        assert serving(tmp_path, started).pid == started.pid
        started.send_signal(number)
        out, err = started.communicate(timeout=20)
    assert started.returncode == 0, err
    assert out == "closed\n"
    assert "Traceback" not in err
    assert running(tmp_path) is None


def test_a_second_one_on_the_folder_exits_2_and_names_the_first(root: Path, tmp_path: Path) -> None:
    with process(root, tmp_path) as first:
        url = serving(tmp_path, first).url
        with process(root, tmp_path) as second:
            _, err = second.communicate(timeout=20)
        assert second.returncode == 2
        assert f"found process {first.pid}, which serves {url}" in err
        assert "Traceback" not in err
        assert httpx2.get(f"{url}/healthz").status_code == 200


def test_a_killed_one_leaves_a_folder_that_the_next_can_take(root: Path, tmp_path: Path) -> None:
    with process(root, tmp_path) as first:
        serving(tmp_path, first)
        first.kill()
        first.wait(20)
    with process(root, tmp_path) as second:
        assert serving(tmp_path, second).pid == second.pid


def test_a_wrong_setting_exits_2_and_is_named(root: Path, tmp_path: Path) -> None:
    with process(root, tmp_path, HEARTHWATCH_PARTITIONS="many") as started:
        _, err = started.communicate(timeout=20)
    assert started.returncode == 2
    assert "HEARTHWATCH_PARTITIONS: found text of length 4, expected a whole number" in err
    assert "Traceback" not in err
