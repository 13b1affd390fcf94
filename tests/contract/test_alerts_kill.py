"""Kill -9 at every named point of alerts, and at random ones: same digest, one row, told again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from services.kernel.clock import MINUTE, VirtualClock
from services.kernel.crash import POINTS, VARIABLE
from tests.support.alerts_process import PEOPLE
from tests.support.scenario import START, World

OURS = [point for point in POINTS if point.startswith("alerts.")]
HANDLED = len(range(0, PEOPLE, 3))
ROWS = PEOPLE * 2 + (PEOPLE - HANDLED) * 3
"""notify and second for all; head and twice escalate for those nobody helped in time."""


def live(folder: Path, crash: str = "") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.alerts_process", str(folder), str(folder / "sent")],
        env={**os.environ, VARIABLE: crash},
    )


@contextmanager
def afterwards(folder: Path) -> Iterator[World]:
    world = World(folder, clock=VirtualClock(START + 90 * MINUTE), settings={"partitions": 2})
    try:
        yield world
    finally:
        world.close()


def outcome(folder: Path) -> dict[str, Any]:
    with afterwards(folder) as world:
        deliveries = world.get("/v1/deliveries", limit=1000)["items"]
        assert world.get("/v1/audit") == {"ok": True, "findings": []}
        return {
            "digest": world.get("/v1/digest"),
            "report": world.get("/v1/report"),
            "states": Counter(d["state"] for d in deliveries),
            "rows": len({(d["alert"], d["step"], d["target"]) for d in deliveries}),
            "repeats": sum(d["repeats"] for d in deliveries),
        }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert live(folder).wait(50) == 0
    found = outcome(folder)
    assert found["states"] == {"delivered": found["rows"]}
    assert (found["rows"], found["repeats"]) == (ROWS, 0)
    return found


@pytest.mark.parametrize("point", OURS)
def test_a_kill_at_a_named_point_changes_no_outcome(
    tmp_path: Path, undisturbed: dict[str, Any], point: str
) -> None:
    for passing in (1, 2):
        assert live(tmp_path, f"{point}:{passing}").wait(50) == -signal.SIGKILL, point
    assert live(tmp_path).wait(50) == 0
    found = outcome(tmp_path)
    repeats = found.pop("repeats")
    assert found == {k: v for k, v in undisturbed.items() if k != "repeats"}
    sent = Counter((tmp_path / "sent").read_text(encoding="utf-8").splitlines())
    assert len(sent) == found["rows"], "everything was told, under one key each"
    assert sum(sent.values()) - len(sent) <= repeats, "what was told twice was counted"
    if point == "alerts.deliver.after_send_before_record":
        assert repeats > 0


def killed_at_random(folder: Path, dice: random.Random, latest_s: float) -> int:
    """Kill a process again and again until one is through; return how many were killed."""
    for killed in range(20):
        process = live(folder)
        try:
            process.wait(dice.uniform(latest_s / 5, latest_s))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        else:
            return killed
    return 20


@pytest.mark.slow
def test_random_kills_change_no_outcome(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    dice, folder, killed = random.Random(7), tmp_path, 0
    for attempt in range(1, 11):  # who is through before the first kill begins anew, and is hurried
        folder = tmp_path / str(attempt)
        folder.mkdir()
        killed = killed_at_random(folder, dice, 3.0 / attempt)
        if killed:
            break
    assert live(folder).wait(50) == 0
    found = outcome(folder)
    repeats = found.pop("repeats")
    assert killed > 0
    assert found == {k: v for k, v in undisturbed.items() if k != "repeats"}
    sent = Counter((folder / "sent").read_text(encoding="utf-8").splitlines())
    assert len(sent) == found["rows"]
    assert sum(sent.values()) - len(sent) <= repeats
