"""The deployed chain for measurements: a process per service under a name of its own, looked at."""

from __future__ import annotations

import http.client
import os
import secrets
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from services.allinone import deployed
from services.allinone.apis import Apis, Remote
from services.allinone.bench.embedded import PACK, post
from services.allinone.processes import Supervisor, free_ports
from services.allinone.replay.engines import LOG, PATIENCE_S
from services.kernel.bus.kafka import KafkaBus
from services.kernel.bus.port import Bus
from services.kernel.bus.prefixed import PrefixedBus
from services.kernel.clock import Monotonic, SystemMonotonic
from services.kernel.db import roles
from services.kernel.errors import Fault, Retryable, WrongUse
from services.kernel.protect import ensure_text
from services.kernel.settings import load

ROOT: Final = Path(__file__).parents[3]
PARTITIONS: Final = 8
_TOKEN_BYTES: Final = 24
_TICK_HZ: Final = os.sysconf("SC_CLK_TCK")
_PAGE_MB: Final = os.sysconf("SC_PAGE_SIZE") / 1e6
_LOOK_S: Final = 0.2
_REPLAY: Final = {"HEARTHWATCH_REPLAY": "true", "HEARTHWATCH_ALERTS_DRIVE": "marks"}


class Servers(NamedTuple):
    """Addresses of the two servers; the database's is an administrator's."""

    bus_url: str
    db_url: str


@dataclass(frozen=True)
class Running:
    """A chain that runs; `pids` are those of its processes now."""

    apis: Apis
    bus: Bus
    supervisor: Supervisor
    token: str
    door: int
    """Port of intake."""

    def feed(self, batches: Iterable[Sequence[bytes]], name: str = "bench") -> int:
        """Send batches to the door one after the other; return how many changes they had."""
        client, count = http.client.HTTPConnection("127.0.0.1", self.door), 0
        for number, batch in enumerate(batches):
            body = b"[" + b",".join(batch) + b"]"
            post(client, "", self.token, f"{name}/{number}", body)
            count += len(batch)
        client.close()
        return count

    def wait(self, monotonic: Monotonic) -> None:
        """Wait until everything has passed the chain, seen from outside."""
        unsent = lambda service: deployed.unsent_of(self.apis, service)  # noqa: E731 - given on
        deployed.Waiter(self.bus, unsent, monotonic, self.supervisor.check).wait()

    def cpu_s(self) -> dict[str, float]:
        """Return the processor seconds that each process has used."""
        found = {}
        for name, pid in self._pids().items():
            fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
            found[name] = (int(fields[11]) + int(fields[12])) / _TICK_HZ
        return found

    def memory_mb(self) -> dict[str, float]:
        """Return the resident memory of each process, in MB."""
        return {
            name: int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * _PAGE_MB
            for name, pid in self._pids().items()
        }

    def _pids(self) -> dict[str, int]:
        children = self.supervisor.children.items()
        return {name: child.pid for name, child in children if child.pid}


@contextmanager
def servers(environ: Mapping[str, str] = os.environ) -> Iterator[Servers]:
    """Give the servers of the environment; else bring up some for the measurement alone.

    Raises:
        WrongUse: neither is there.
    """
    bus_url, db_url = environ.get("HEARTHWATCH_BUS_URL", ""), environ.get("HEARTHWATCH_DB_URL", "")
    if bus_url.startswith("kafka://") and db_url.startswith("postgresql"):
        yield Servers(bus_url, db_url)
        return
    with ExitStack() as stack:
        found = {}
        for name in ("kafka", "postgres"):
            found[name] = _command(name, "up")
            stack.callback(_command, name, "down", "--wipe")
        yield Servers(f"kafka://{found['kafka']}", found["postgres"])


def _command(name: str, *words: str) -> str:
    command = [sys.executable, str(ROOT / "deploy" / name), *words, "--instance", "bench"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    except (OSError, subprocess.CalledProcessError) as exc:
        said = exc.stderr.strip() if isinstance(exc, subprocess.CalledProcessError) else str(exc)
        raise WrongUse(
            Fault(
                where=f"deploy/{name}",
                expected="a server for the measurement",
                found=said[-300:],
                remedy="mend it, or set HEARTHWATCH_BUS_URL and HEARTHWATCH_DB_URL",
            )
        ) from exc
    return done.stdout.strip()


@contextmanager
def started(
    on: Servers,
    *,
    risk: str = "plain",
    risk_workers: int = 1,
    replay: bool = False,
) -> Iterator[Running]:
    """Start the chain on PostgreSQL and Kafka, a process per service; leave nothing behind.

    Args:
        on: The servers.
        risk: What reads for risk.
        risk_workers: How many processes do.
        replay: Move by marks, as a replay does; nobody can be told.

    Raises:
        Retryable: it did not become ready, or a server is out of reach.
    """
    run, token = f"r{secrets.token_hex(5)}", secrets.token_urlsafe(_TOKEN_BYTES)
    wanted = deployed.names(risk_workers)
    ports = dict(zip(wanted, free_ports(len(wanted)), strict=True))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="hearthwatch-bench-")))
        bus = KafkaBus(on.bus_url)
        stack.callback(bus.close)
        stack.callback(bus.remove, f"{run}.")
        databases = roles.provision(on.db_url, run=run)
        stack.callback(roles.remove, on.db_url, run=run)
        plan = deployed.Plan(
            common={
                **_environment(on, run, token, folder),
                "HEARTHWATCH_PACK": str(PACK),
                "HEARTHWATCH_RISK_ENGINE": risk,
                **(_REPLAY if replay else {}),
            },
            own={service: {"HEARTHWATCH_DB_URL": url} for service, url in databases.items()},
            ports=ports,
            keyring=ensure_text(load({}, data_dir=folder)),
        )
        log = stack.enter_context((folder / LOG).open("a", encoding="utf-8"))
        apis = stack.enter_context(Apis(Remote(deployed.addresses(ports), token)))
        supervisor = Supervisor(deployed.programs(plan), log)
        stack.callback(supervisor.stop)
        supervisor.start()
        found = Running(apis, PrefixedBus(bus, f"{run}."), supervisor, token, ports["intake"])
        _until_ready(found, wanted, SystemMonotonic())
        yield found


def _environment(on: Servers, run: str, token: str, folder: Path) -> dict[str, str]:
    outer = {k: v for k, v in os.environ.items() if not k.startswith("HEARTHWATCH_")}
    return {
        **outer,
        "HEARTHWATCH_DATA_DIR": str(folder),
        "HEARTHWATCH_PARTITIONS": str(PARTITIONS),
        "HEARTHWATCH_BUS_URL": on.bus_url,
        "HEARTHWATCH_RUN": run,
        "HEARTHWATCH_TOKEN": token,
        "HEARTHWATCH_LOG_LEVEL": "WARNING",
        "OMP_NUM_THREADS": "1",
    }


def _until_ready(chain: Running, names: Sequence[str], monotonic: Monotonic) -> None:
    end_s = monotonic.seconds() + PATIENCE_S
    while (reason := deployed.ready(chain.apis, names)) is not None:
        chain.supervisor.check()
        if monotonic.seconds() > end_s:
            raise Retryable(f"the chain did not become ready: {reason}")
        monotonic.wait(chain.supervisor.gave_up, _LOOK_S)
