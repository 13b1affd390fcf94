"""The containers of compose as processes: its commands, variables and health checks, unchanged.

Only names of hosts and folders are this machine's; Kafka and PostgreSQL are real ones of the test.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx2
import pytest

from services.allinone.apis import Apis, Remote
from services.kernel.clock import SystemClock, rfc3339
from tests.arch.tree import ROOT
from tests.deploy.conftest import Command, own_instance
from tests.ops.conftest import until
from tests.ops.test_compose import HOSTED, PORTS, SERVICES, environment_of

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(300)]
TOKEN: Final = "a-secret-of-its-own"
PATIENCE_S: Final = 120.0


@pytest.fixture
def kafka() -> Iterator[Command]:
    yield from own_instance(ROOT, "kafka")


@pytest.fixture
def postgres() -> Iterator[Command]:
    yield from own_instance(ROOT, "postgres")


class Machine:
    """Runs what compose would, here."""

    def __init__(self, kafka: str, postgres: str, folder: Path) -> None:
        self._postgres = postgres
        self._folder = folder
        (folder / "data").mkdir()
        self._here = {
            "kafka:9092": kafka,
            "/srv/hearthwatch/pack": str(ROOT / "examples" / "town-day" / "pack"),
            "/srv/hearthwatch": str(folder),
            "0.0.0.0": "127.0.0.1",  # noqa: S104 - inside of a container
            **{f"//{name}:{port}": f"//127.0.0.1:{port}" for name, port in PORTS.items()},
        }

    def _local(self, text: str) -> str:
        for there, here in self._here.items():
            text = text.replace(there, here)
        return text

    def environ(self, name: str) -> dict[str, str]:
        given = {key: self._local(value) for key, value in environment_of(name).items()}
        if name == "roles":
            given["HEARTHWATCH_DB_URL"] = self._postgres
        return {"PATH": os.environ["PATH"], **given}

    def words(self, words: Sequence[str]) -> list[str]:
        return [sys.executable if word == "python" else self._local(word) for word in words]

    def make_roles(self) -> None:
        command = self.words(SERVICES["roles"]["command"])
        subprocess.run(command, env=self.environ("roles"), cwd=ROOT, check=True)

    @contextmanager
    def running(self, *names: str) -> Iterator[None]:
        """Run these containers until they are healthy; they must end well when told to."""
        with (self._folder / "log").open("a") as log:
            processes = {
                name: subprocess.Popen(
                    self.words(SERVICES[name]["command"]),
                    env=self.environ(name), cwd=ROOT, stdout=log, stderr=log,
                )
                for name in names
            }  # fmt: skip
        try:
            until(lambda: all(map(self._ready, names)), self._told, PATIENCE_S)
            assert [name for name in names if not self._healthy(name)] == []
            yield
        finally:
            for process in processes.values():
                process.terminate()
            codes = {name: process.wait(30) for name, process in processes.items()}
        assert set(codes.values()) == {0}, codes

    def _ready(self, name: str) -> bool:
        port = PORTS[name.removesuffix("-stream")]
        try:
            found = httpx2.get(f"http://127.0.0.1:{port}/readyz", trust_env=False)
        except httpx2.HTTPError:
            return False
        return found.status_code == 200

    def _healthy(self, name: str) -> bool:
        """Run the very health check of the container."""
        command = self.words(SERVICES[name]["healthcheck"]["test"][1:])
        done = subprocess.run(command, env=self.environ(name), capture_output=True, check=False)
        return done.returncode == 0

    def _told(self) -> str:
        return (self._folder / "log").read_text("utf-8")[-3000:]


def emergency(number: int) -> dict[str, object]:
    now = rfc3339(SystemClock().now())
    return {
        "type": "health.vitals", "source": "test", "sourceid": str(number), "time": now,
        "person": f"elder-{number}", "household": f"home-{number}", "data": {"systolic": 192},
    }  # fmt: skip


def test_what_compose_starts_becomes_healthy_works_and_stops(
    kafka: Command, postgres: Command, tmp_path: Path
) -> None:
    machine = Machine(kafka.succeed("up"), postgres.succeed("up"), tmp_path)
    machine.make_roles()
    urls = {name: f"http://127.0.0.1:{PORTS[name]}" for name in ("intake", "alerts")}
    with Apis(Remote(urls, TOKEN)) as apis:
        with machine.running(*(name for name in HOSTED if name != "risk-stream")):
            apis.send("POST", "intake", "/v1/changes", emergency(1))
            until(lambda: bool(apis.get("alerts", "/v1/alerts")["items"]), lambda: "no alert")
        with machine.running("risk-stream"):
            pass
