"""What survives kill -9: a process dies for good at any instant, and nothing accepted is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.kernel.bus.sqlite import SqliteBus
from services.kernel.clock import SystemClock
from services.kernel.contracts.envelope import HEADERS, encode
from services.kernel.contracts.records import Outgoing, Record
from services.kernel.crash import VARIABLE
from tests.support import bus_publisher, worker_process
from tests.support.patience import collect, place
from tests.support.worker_world import envelope


def start(module: str, *arguments: str, crash: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, VARIABLE: crash},
    )


def everything(path: Path, topic: str) -> list[Record]:
    """Return all records of a topic in a bus file that nobody has open."""
    bus = SqliteBus(path, SystemClock())
    count = sum(bus.ends(topic).values())
    records = collect(bus.consumer(f"check {count}", [topic]), count)
    bus.close()
    return records


def test_acknowledged_records_survive_kill_9_and_no_offset_is_used_twice(tmp_path: Path) -> None:
    path = tmp_path / "bus.db"
    dice = random.Random(31)
    acknowledged, kept = 0, dict[tuple[str, int, int], bytes | None]()
    for _ in range(6):
        process = start("tests.support.bus_publisher", str(path), str(acknowledged))
        assert process.stdout
        for _ in range(dice.randrange(1, 25)):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].splitlines()  # told before it died
        acknowledged = max([acknowledged, *(int(line) for line in rest if line)])
        records = everything(path, bus_publisher.TOPIC)
        found = {place(record): record.value for record in records}
        assert len(found) == len(records)
        assert kept.items() <= found.items()
        kept = found
        numbers = {int(record.value or b"-1") for record in records}
        assert set(range(acknowledged)) <= numbers
        assert len(numbers) <= acknowledged + max(bus_publisher.SIZES)
    assert acknowledged > 0


@pytest.mark.parametrize(
    "point",
    [
        "risk.worker.before_commit",
        "risk.worker.after_commit_before_offset",
        "risk.relay.before_publish",
        "risk.relay.after_publish_before_mark",
        "bus.rebalance",
    ],
)
def test_a_kill_at_a_named_point_leaves_one_effect_for_each_message(
    tmp_path: Path, point: str
) -> None:
    bus = SqliteBus(tmp_path / "bus.db", SystemClock())
    bus.create_topic(worker_process.INPUT, worker_process.PARTITIONS)
    messages = [envelope(number) for number in range(200)]
    bus.publish(
        [
            Outgoing(worker_process.INPUT, message.partitionkey, encode(message), HEADERS)
            for message in messages
        ]
    )
    bus.close()
    passing = 1 if point == "bus.rebalance" else 2
    killed = start("tests.support.worker_process", str(tmp_path), crash=f"{point}:{passing}")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    again = start("tests.support.worker_process", str(tmp_path))
    assert again.communicate()[0] == "200\n"
    assert again.returncode == 0
    assert worker_process.counted(tmp_path) == (200, 200)
    sent = everything(tmp_path / "bus.db", worker_process.OUTPUT)
    assert {(record.value or b"").decode() for record in sent} == {m.id for m in messages}
    doubles = len(sent) - 200
    assert doubles == (30 if point.endswith("after_publish_before_mark") else 0)
