"""What the deployed form does with wrong settings, foreign records and a disk that is full."""

from __future__ import annotations

import resource
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.allinone.processes import Supervisor
from services.allinone.replay.engines import Engines
from services.allinone.replay.kept import kept_of
from services.kernel.bus.kafka import KafkaBus
from services.kernel.clock import SystemMonotonic
from services.kernel.contracts.records import Outgoing
from services.kernel.contracts.topics import ASSESSMENTS, CHANGES
from tests.support.deployed import Live, assert_same, passed, sepsis, short_log, truth
from tests.support.replay import toy

pytestmark = [
    pytest.mark.connected,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("deployed"),
]
FOREIGN = [b"\xff\xfe no text", b'{"hello": "world"}', b"[]", None, b""]


@pytest.fixture
def kafka(server_address: Callable[[str], str]) -> str:
    return server_address("kafka")


@pytest.fixture
def bus(kafka: str) -> Iterator[KafkaBus]:
    found = KafkaBus(f"kafka://{kafka}")
    yield found
    found.close()


def ended(live: Live, name: str) -> tuple[int, str]:
    """Run a service's process until it ends by itself; return exit code and what it said."""
    program = live.programs[name]
    done = subprocess.run(
        [sys.executable, "-m", program.module],
        env=dict(program.environ), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_wrong_credentials_are_told_without_them(
    tmp_path: Path, kafka: str, server_address: Callable[[str], str]
) -> None:
    there = server_address("postgres").rpartition("@")[2]
    url = f"postgresql://nobody-here:not-the-password@{there}"
    pack = toy(tmp_path).pack
    with Live(tmp_path / "data", pack, kafka, HEARTHWATCH_DB_URL=url) as live:
        code, said = ended(live, "intake")
        assert code == 2
        assert "HEARTHWATCH_DB_URL" in said
        assert "it refuses name or password" in said
        assert "not-the-password" not in said
        supervisor = live.start("alerts")
        assert supervisor.gave_up.wait(60), "who is told something wrong is not started again"
        assert supervisor.fault == "alerts"


def test_a_topic_with_another_partition_count_is_refused_and_named(
    tmp_path: Path, kafka: str, bus: KafkaBus
) -> None:
    run = f"r{secrets.token_hex(5)}"
    bus.create_topic(f"{run}.{CHANGES.name}", 3)
    with Live(tmp_path / "data", toy(tmp_path).pack, kafka, HEARTHWATCH_RUN=run) as live:
        code, said = ended(live, "intake")
    bus.remove(f"{run}.")
    assert code == 2
    assert f"topic {run}.{CHANGES.name}: found 3 partitions, expected 2 partitions" in said
    assert "HEARTHWATCH_PARTITIONS=3" in said


def test_foreign_records_are_dead_lettered_and_the_rest_goes_on(
    tmp_path: Path, kafka: str, bus: KafkaBus
) -> None:
    def slip_in(read: int) -> None:
        kept = kept_of(tmp_path / "run")
        assert kept is not None
        if not slipped:
            for topic in (CHANGES, ASSESSMENTS):
                slipped.extend(Outgoing(f"{kept.name}.{topic.name}", "k", v) for v in FOREIGN)
            bus.publish(slipped)

    slipped: list[Outgoing] = []
    log = toy(tmp_path)
    engines = Engines(bus="kafka", bus_url=f"kafka://{kafka}")
    found = passed(log.plan(keep=tmp_path / "run", batch=5, engines=engines), slip_in)
    assert_same(found, truth(log.plan()))
    kept = kept_of(tmp_path / "run")
    assert kept is not None
    died = sum(sum(bus.ends(f"{kept.name}.{t.name}.dlq").values()) for t in (CHANGES, ASSESSMENTS))
    bus.remove(f"{kept.name}.")
    # Changes are read by registry and by risk, assessments by alerts.
    assert died == 3 * len(FOREIGN)


@pytest.mark.data
def test_a_full_disk_stops_nothing_for_ever_and_loses_nothing(
    tmp_path: Path, kafka: str, data_dir: Path
) -> None:
    """The largest file that intake, risk and alerts may write is made too small for two seconds."""
    names, monotonic = ("intake", "risk", "alerts"), SystemMonotonic()
    whole = resource.getrlimit(resource.RLIMIT_FSIZE)
    running: list[Supervisor] = []
    said: dict[str, Any] = {}
    acts: list[threading.Thread] = []

    def limit(size: int) -> None:
        for name in names:
            pid = running[0].children[name].pid
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, whole[1]))

    def fill() -> None:
        limit(4096)
        end_s = monotonic.seconds() + 2.0
        while monotonic.seconds() < end_s or "intake" not in said:
            for name in names:
                port = running[0].children[name].program.environ["HEARTHWATCH_HTTP_PORT"]
                answer = httpx2.get(f"http://127.0.0.1:{port}/readyz", trust_env=False, timeout=20)
                if answer.status_code != httpx2.codes.OK:
                    said[name] = answer.json()["reasons"]
            if monotonic.seconds() > end_s + 60:
                break
        limit(whole[0])

    def between(read: int) -> None:
        if read >= 300 and not acts:
            acts.append(threading.Thread(target=fill))
            acts[0].start()

    log = short_log(data_dir, tmp_path, 700)
    engines = Engines(
        bus="kafka", bus_url=f"kafka://{kafka}", processes="each", watch=running.append
    )
    found = passed(sepsis(log, batch=25, engines=engines), between)
    acts[0].join()
    assert_same(found, truth(sepsis(log)))
    assert {child.starts for child in running[0].children.values()} == {1}
    assert "intake" in said, "while nothing could be written it was not ready"
    assert all("database of" in str(reasons) for reasons in said.values()), said
