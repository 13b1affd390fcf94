"""kill -9 at every named point of the embedded chain, and at fifty random instants."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest

from services.allinone import doctor
from services.allinone.access import reached
from services.kernel.clock import SystemMonotonic
from services.kernel.crash import POINTS, VARIABLE
from tests.support.replay import (
    FILES,
    Progress,
    Toy,
    command,
    command_line,
    plan_of,
    rows_of,
    toy,
    write_csv,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
LIVE = {point for point in POINTS if point.startswith(("alerts.engine.", "alerts.deliver."))}
"""Passed only on the wall clock and with a real channel: tests/e2e/test_up.py has them."""
KILLS = 50
LOOK_S = 0.01
CUT = ("--batch", "10", "--mark-every", "60", "--repeat", "20", "--partitions", "3")


def run(log: Toy, *words: str | Path, crash: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command_line("replay", *log.words(), *CUT, *words),
        env={**os.environ, VARIABLE: crash},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def sound(kept: Path) -> None:
    """Assert that everything is accounted for, and one delivery row a step and target."""
    with reached(kept, None) as found:
        diagnosis = doctor.examine(found.apis)
        rows = Counter(
            (row["alert"], row["step"], row["target"])
            for row in found.apis.items("alerts", "/v1/deliveries")
        )
    assert diagnosis.ok, diagnosis.as_json()
    assert diagnosis.accepted > 0
    assert set(rows.values()) == {1}


@pytest.fixture(scope="module")
def bell_log(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return toy(tmp_path_factory.mktemp("bells"))


@pytest.fixture(scope="module")
def expected(bell_log: Toy) -> dict[str, object]:
    found = run(bell_log)
    assert found.returncode == 0, found.stderr
    report: dict[str, object] = json.loads(found.stdout)
    del report["elapsed_s"]
    return report


@pytest.mark.parametrize("point", sorted(set(POINTS) - LIVE))
def test_a_kill_at_a_named_point_leaves_no_trace(
    bell_log: Toy, expected: dict[str, object], tmp_path: Path, point: str
) -> None:
    kept = tmp_path / "kept"
    died = run(bell_log, "--keep", kept, crash=f"{point}:2")  # the first time nothing is there yet
    assert died.returncode == -signal.SIGKILL, f"{point} was not passed twice"
    resumed = run(bell_log, "--keep", kept, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    report = json.loads(resumed.stdout)
    del report["elapsed_s"]
    assert report == expected
    sound(kept)


@pytest.mark.data
def test_fifty_random_kills_change_nothing(data_dir: Path, tmp_path: Path) -> None:
    plan = plan_of("sepsis", data_dir)
    rows = rows_of(data_dir / FILES["sepsis"][0])
    some = set(sorted({row["case_id"] for row in rows})[::5])
    log = write_csv(tmp_path / "log.csv", [row for row in rows if row["case_id"] in some])
    whole = [str(log), "--map", str(plan.map), "--pack", str(plan.pack), "--repeat", "3",
             "--batch", "100", "--mark-every", "500"]  # fmt: skip
    plain = command("replay", *whole, "--keep", tmp_path / "plain")
    assert plain.code == 0, plain.err
    kept, progress = tmp_path / "kept", Progress(tmp_path / "kept")
    end = Progress(tmp_path / "plain").whole()
    dice = random.Random(50)
    flying = []
    for number, goal in enumerate(sorted(dice.sample(range(1, end * 95 // 100), KILLS + 5))):
        resume = ["--resume"] if number else []
        alive = subprocess.Popen(
            command_line("replay", *whole, "--keep", kept, *resume), stdout=subprocess.DEVNULL
        )
        _wait_for(progress, goal, alive)
        alive.send_signal(signal.SIGKILL)
        assert alive.wait() == -signal.SIGKILL, "it ended before it could be killed"
        flying.append(progress.in_flight())
    print(f"records in flight at each of {len(flying)} kills: {flying}")  # noqa: T201 - asked for
    assert sum(count > 0 for count in flying) >= KILLS
    last = command("replay", *whole, "--keep", kept, "--resume")
    assert last.code == 0, last.err
    reports = [json.loads(found.out) for found in (plain, last)]
    for report in reports:
        del report["elapsed_s"]
    assert reports[0] == reports[1]
    sound(kept)


def _wait_for(progress: Progress, goal: int, alive: subprocess.Popen[bytes]) -> None:
    monotonic, never = SystemMonotonic(), threading.Event()
    while progress.whole() < goal or progress.in_flight() == 0:
        assert alive.poll() is None, "it ended before it could be killed"
        monotonic.wait(never, LOOK_S)


def test_every_acknowledged_batch_was_synced(bell_log: Toy, tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        assert os.environ.get("CI") != "true", "strace is missing: .ci/run installs it"
        pytest.skip("strace is not installed")
    trace, kept = tmp_path / "trace", tmp_path / "kept"
    words = command_line("replay", *bell_log.words(), *CUT, "--keep", kept)
    found = subprocess.run(
        [strace, "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", trace, *words],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    synced = re.findall(r"(?:fsync|fdatasync)\(\d+<[^>]*/intake\.db-wal>", trace.read_text())
    read = json.loads(found.stdout)["changes"]["read"]
    assert read >= 500
    assert len(synced) >= read // 10
