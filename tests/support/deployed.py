"""The chain over real engines in tests: servers of their own, short logs, what became of them."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self

import httpx2

from services.allinone import deployed, doctor
from services.allinone.apis import Apis, Remote
from services.allinone.deployed import MODULES
from services.allinone.processes import Supervisor, free_ports
from services.allinone.replay.reporting import report
from services.allinone.replay.run import Plan, Unwatched, begun_on, feed, replay, run_for
from services.allinone.replay.target import target
from services.intake.mapping import load as load_map
from services.kernel.clock import SystemMonotonic
from tests.support import keys
from tests.support.replay import EXAMPLES, FILES, write_csv

ROOT: Final = Path(__file__).parents[2]
TOKEN: Final = "a-token-of-the-tests"
_LIMIT_S: Final = 60.0


class Server:
    """A server that belongs to one test: it may be killed."""

    def __init__(self, name: Literal["kafka", "postgres"], instance: str, *options: str) -> None:
        self._name = name
        self._instance = instance
        self.address: str = self._do("up", *options)["address"]

    def kill(self, node: int = 1) -> None:
        """Kill it, or one node of it, with SIGKILL."""
        self._do("kill", *self._node(node))

    def start(self, node: int = 1) -> None:
        """Start what was killed; returns when it can be used."""
        self._do("start", *self._node(node))

    def wipe(self) -> None:
        """Stop it and forget what it holds."""
        self._do("down", "--wipe")
        shutil.rmtree(ROOT / "build" / f"{self._name}-{self._instance}", ignore_errors=True)

    def _node(self, node: int) -> tuple[str, ...]:
        return ("--node", str(node)) if self._name == "kafka" else ()

    def _do(self, verb: str, *options: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, ROOT / "deploy" / self._name, verb, "--json",
             "--instance", self._instance, *options],
            capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@contextmanager
def server(name: Literal["kafka", "postgres"], instance: str, *options: str) -> Iterator[Server]:
    """Bring up a server of a test's own; wipe it at the end."""
    found = Server(name, instance, *options)
    try:
        yield found
    finally:
        found.wipe()


def short_log(data: Path, folder: Path, rows: int) -> Path:
    """Write the first rows of the sepsis log: whole cases but the last one."""
    with gzip.open(data / FILES["sepsis"][0], "rt", encoding="utf-8") as file:
        return write_csv(folder / "short.csv", islice(csv.DictReader(file), rows))


def sepsis(log: Path, **given: Any) -> Plan:
    """Return the plan that replays such a log."""
    example = EXAMPLES / "sepsis"
    return Plan(logs=[log], map=example / "map.yaml", pack=example / "pack", **given)


class Live:
    """Processes as `up --processes each` starts them, on the wall clock; each may be looked at.

    only: the services to run. own: a service's own environment. The others give the shared one.
    """

    def __init__(
        self,
        folder: Path,
        pack: Path,
        bus: str,
        *,
        only: Sequence[str] = tuple(MODULES),
        own: Mapping[str, Mapping[str, str]] | None = None,
        **environ: str,
    ) -> None:
        outer = {k: v for k, v in os.environ.items() if not k.startswith("HEARTHWATCH_")}
        self.ports = dict(zip(MODULES, free_ports(len(MODULES)), strict=True))
        plan = deployed.Plan(
            common={
                **outer,
                "HEARTHWATCH_DATA_DIR": str(folder),
                "HEARTHWATCH_PACK": str(pack),
                "HEARTHWATCH_BUS_URL": f"kafka://{bus}",
                "HEARTHWATCH_PARTITIONS": "2",
                "HEARTHWATCH_TOKEN": TOKEN,
                "HEARTHWATCH_LOG_LEVEL": "WARNING",
                "HEARTHWATCH_MARK_EVERY_S": "1",
                **environ,
            },
            own=own or {},
            ports=self.ports,
            keyring=keys.TEXT,
        )
        folder.mkdir(parents=True, exist_ok=True)
        self.programs = {p.name: p for p in deployed.programs(plan) if p.name in only}
        self.apis = Apis(Remote(deployed.addresses(self.ports), TOKEN))
        self._log = (folder / "services.log").open("a", encoding="utf-8")
        self._supervisors: list[Supervisor] = []

    def start(self, *names: str) -> Supervisor:
        """Start these services, or all, under a supervisor of their own."""
        programs = [p for name, p in self.programs.items() if not names or name in names]
        found = Supervisor(programs, self._log, grace_s=5.0, longest_pause_s=1.0)
        found.start()
        self._supervisors.append(found)
        return found

    def reasons(self, name: str) -> list[str] | None:
        """Return why a service is not ready; empty when it is, None when it does not answer."""
        url = f"http://127.0.0.1:{self.ports[name]}/readyz"
        try:
            found: list[str] = httpx2.get(url, timeout=10, trust_env=False).json()["reasons"]
        except httpx2.TransportError:
            return None
        return found

    def ready(self) -> bool:
        """Return whether all are ready."""
        return all(self.reasons(name) == [] for name in self.programs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for supervisor in self._supervisors:
            supervisor.stop()
        self.apis.close()
        self._log.close()


class Passed(NamedTuple):
    """What came of a run: its report, and the doctor's diagnosis of the chain as it stood."""

    report: dict[str, Any]
    diagnosis: dict[str, Any]


def truth(plan: Plan) -> dict[str, Any]:
    """Return the report of the same plan in one process over SQLite."""
    return replay(plan).report


def passed(plan: Plan, between: Callable[[int], None] = lambda _: None) -> Passed:
    """Run a plan on its engines; `between` is told after each batch how many items were read."""

    class Watch(Unwatched):
        def fed(self, read: int, at: int) -> None:
            between(read)

    run, whole = run_for(plan), load_map(plan.map)
    with (
        target(run, plan.keep, resume=False) as folder,
        begun_on(plan.engines, plan.keep, folder, run) as going,
    ):
        end = feed(plan, whole, going, Watch())
        going.feeder.mark(end)
        going.drain()
        found = report(going.apis, going.feeder.counts, end, plan.engines.mode)
        return Passed(found, doctor.settle(going.apis, SystemMonotonic()).as_json())


def assert_same(found: Passed, expected: dict[str, Any]) -> None:
    """Demand that a run told the same as the one process did, and that the doctor finds nothing."""
    for name in ("changes", "alerts", "deadlines", "assessments", "digest"):
        assert found.report[name] == expected[name], name
    assert found.diagnosis["ok"], found.diagnosis


def wait_until(so: Callable[[], object], what: str, limit_s: float = _LIMIT_S) -> float:
    """Wait until it is so; return the seconds that it took, or fail."""
    monotonic, never = SystemMonotonic(), threading.Event()
    began_s = monotonic.seconds()
    while not so():
        assert monotonic.seconds() - began_s < limit_s, f"not within {limit_s:.0f} s: {what}"
        monotonic.wait(never, 0.05)
    return monotonic.seconds() - began_s
