"""A replay on Kafka or PostgreSQL, in this process or in one per service, under a name of its own.

Topics, groups, schemas and roles of a run begin with the run's name, which is new for each folder;
those of a run that is not kept are removed at its end. The chain runs by itself, as in production;
it is through when nothing waits anywhere, seen from outside.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import msgspec

from services.allinone import deployed
from services.allinone.apis import Apis, Local, Remote
from services.allinone.embedded import BUILDS
from services.allinone.processes import LONGEST_PAUSE_S, Supervisor, free_ports
from services.allinone.replay import kept as kept_module
from services.allinone.replay.feeder import Door, Marker, Sent
from services.allinone.replay.target import Run, settings_for
from services.intake.domain.item import Broken
from services.intake.wiring import Intake
from services.kernel.bus.port import Bus
from services.kernel.clock import Monotonic, SystemClock, SystemMonotonic, VirtualClock, rfc3339
from services.kernel.db import roles
from services.kernel.errors import Fault, Refused, Retryable, WrongUse
from services.kernel.protect import ensure_text
from services.kernel.runtime import App, open_app
from services.kernel.runtime.opening import open_bus
from services.kernel.settings import Settings, ensure_token

LOG: Final = "services.log"
PATIENCE_S: Final = 120.0
"""How long a service may be away while rows are fed, or at the start."""
_AGAIN_S: Final = 0.2
_UNAVAILABLE: Final = 503


@dataclass(frozen=True, kw_only=True)
class Engines:
    """What a replay runs on. Addresses are an administrator's; the run makes its own names there.

    risk_workers: processes that read for risk. crash: crash points by process, for its first start.
    watch: is shown the supervisor once all is ready. longest_pause_s: before a new start.
    """

    bus: Literal["sqlite", "kafka"] = "sqlite"
    db: Literal["sqlite", "postgres"] = "sqlite"
    risk: Literal["plain", "faust"] = "plain"
    processes: Literal["one", "each"] = "one"
    bus_url: str = ""
    db_url: str = ""
    risk_workers: int = 1
    crash: Mapping[str, str] = field(default_factory=dict)
    watch: Callable[[Supervisor], None] | None = None
    longest_pause_s: float = LONGEST_PAUSE_S

    @property
    def embedded(self) -> bool:
        """Return whether the run is stepped in this process, with nothing outside it."""
        return self.bus == "sqlite" and self.db == "sqlite"

    @property
    def mode(self) -> dict[str, str]:
        """Return the engines' names, as the report tells them."""
        return {"bus": self.bus, "db": self.db, "risk": self.risk, "processes": self.processes}


def engines_of(
    bus: Literal["sqlite", "kafka"],
    db: Literal["sqlite", "postgres"],
    risk: Literal["plain", "faust"],
    processes: Literal["one", "each"],
    environ: Mapping[str, str],
) -> Engines:
    """Return the engines of a command line, with the addresses of the environment.

    Raises:
        WrongUse: they do not go together, or an address is missing.
    """
    if bus == "sqlite" and (processes == "each" or risk == "faust"):
        option = "--processes each" if processes == "each" else "--risk faust"
        raise WrongUse(
            Fault(
                where=option,
                expected="--bus kafka beside it",
                found="--bus sqlite, which is one process's",
                remedy=f"leave {option.split(maxsplit=1)[0]} out, or use --bus kafka",
            )
        )
    bus_url, db_url = environ.get("HEARTHWATCH_BUS_URL", ""), environ.get("HEARTHWATCH_DB_URL", "")
    if bus == "kafka" and not bus_url.startswith("kafka://"):
        raise WrongUse(_no_address("--bus kafka", "HEARTHWATCH_BUS_URL", "kafka://host:port"))
    if db == "postgres" and not db_url.startswith("postgresql"):
        raise WrongUse(
            _no_address("--db postgres", "HEARTHWATCH_DB_URL", "postgresql://user@host:port/name")
        )
    return Engines(bus=bus, db=db, risk=risk, processes=processes, bus_url=bus_url, db_url=db_url)


class Chain(Protocol):
    """A chain that runs by itself."""

    apis: Apis
    door: Door
    marker: Marker

    def wait(self) -> None:
        """Wait until everything that was fed has passed."""
        ...


@dataclass(frozen=True)
class _Chain:
    apis: Apis
    door: Door
    marker: Marker
    wait: Callable[[], None]


@contextmanager
def opened(
    engines: Engines, folder: Path, run: Run, clock: VirtualClock, *, kept: bool
) -> Iterator[_Chain]:
    """Start the chain of a run; stop it at the end, and remove what it made unless it is kept.

    Raises:
        WrongUse: an engine refuses the run. Retryable: an engine is out of reach.
    """
    name = kept_module.begin(folder, engines.bus, engines.db, engines.bus_url).name
    with ExitStack() as stack:
        if not kept:
            stack.callback(remove, engines, folder)
        databases: dict[str, str] = {}
        if engines.db == "postgres":
            databases = roles.provision(engines.db_url, run=name)
        start = _each if engines.processes == "each" else _one
        yield stack.enter_context(start(engines, name, folder, run, clock, databases))


@contextmanager
def _one(
    engines: Engines,
    name: str,
    folder: Path,
    run: Run,
    clock: VirtualClock,
    databases: Mapping[str, str],
) -> Iterator[_Chain]:
    """Run all services on threads of this process."""
    del databases  # one process has one address: the administrator's, for every schema
    settings = settings_for(
        folder,
        run,
        run=name,
        bus_url=engines.bus_url if engines.bus == "kafka" else "sqlite",
        db_url=engines.db_url if engines.db == "postgres" else "sqlite",
        risk_engine=engines.risk,
    )
    app = open_app(settings, BUILDS, clock=clock, serve=False)
    try:
        intake = next(service for service in app.services if isinstance(service, Intake))
        with Apis(Local(app, ensure_token(settings))) as apis:
            if engines.bus == "sqlite":
                yield _Chain(apis, intake.door, intake.marker, lambda: _stepped(app))
                return
            with _looking(settings) as bus:
                waiter = deployed.Waiter(bus, deployed.unsent_in(app), SystemMonotonic())
                app.start()
                yield _Chain(apis, intake.door, intake.marker, waiter.wait)
    finally:
        app.stop()


def _stepped(app: App) -> None:
    app.step()


@contextmanager
def _each(
    engines: Engines,
    name: str,
    folder: Path,
    run: Run,
    clock: VirtualClock,
    databases: Mapping[str, str],
) -> Iterator[_Chain]:
    """Run every service in a process of its own, supervised; feed them over HTTP."""
    del clock  # each process has its own; what is told carries its time
    settings = settings_for(folder, run, run=name, bus_url=engines.bus_url)
    token, wanted = ensure_token(settings), deployed.names(engines.risk_workers)
    plan = deployed.Plan(
        common=_environment(settings, token, engines.risk),
        own={service: {"HEARTHWATCH_DB_URL": url} for service, url in databases.items()},
        ports=dict(zip(wanted, free_ports(len(wanted)), strict=True)),
        keyring=ensure_text(settings),
        crash=engines.crash,
    )
    with (
        (folder / LOG).open("a", encoding="utf-8") as log,
        Apis(Remote(deployed.addresses(plan.ports), token)) as apis,
        _looking(settings) as bus,
    ):
        supervisor = Supervisor(
            deployed.programs(plan), log, longest_pause_s=engines.longest_pause_s
        )
        supervisor.start()
        try:
            door = HttpDoor(apis, SystemMonotonic(), supervisor.check)
            door.patiently(lambda: _all_ready(apis, wanted))
            if engines.watch is not None:
                engines.watch(supervisor)
            waiter = deployed.Waiter(
                bus,
                lambda service: deployed.unsent_of(apis, service),
                SystemMonotonic(),
                supervisor.check,
            )
            yield _Chain(apis, door, door, waiter.wait)
        finally:
            supervisor.stop()


def _environment(settings: Settings, token: str, risk: str) -> dict[str, str]:
    """Return the environment of the processes: of our own settings nothing that was not meant."""
    outer = {k: v for k, v in os.environ.items() if not k.startswith("HEARTHWATCH_")}
    return {
        **outer,
        "HEARTHWATCH_DATA_DIR": str(settings.data_dir),
        "HEARTHWATCH_PACK": str(settings.pack),
        "HEARTHWATCH_PARTITIONS": str(settings.partitions),
        "HEARTHWATCH_REPLAY": "true",
        "HEARTHWATCH_ALERTS_DRIVE": "marks",
        "HEARTHWATCH_BUS_URL": settings.bus_url,
        "HEARTHWATCH_RUN": settings.run,
        "HEARTHWATCH_RISK_ENGINE": risk,
        "HEARTHWATCH_TOKEN": token,
        "HEARTHWATCH_LOG_LEVEL": "WARNING",
    }


def _all_ready(apis: Apis, services: Sequence[str]) -> None:
    reason = deployed.ready(apis, services)
    if reason is not None:
        raise Retryable(reason)


class _Answer(msgspec.Struct):
    status: str


class _Answers(msgspec.Struct):
    items: list[_Answer]


class HttpDoor:
    """Intake's door and marker over HTTP; what is out of reach is waited for and tried again.

    A repeated batch has the key of the first time, so it is taken once.
    """

    def __init__(self, apis: Apis, monotonic: Monotonic, check: Callable[[], None]) -> None:
        self._apis = apis
        self._monotonic = monotonic
        self._check = check
        self._answers = msgspec.json.Decoder(_Answers)

    def accept(self, batch: Sequence[Sent], *, idempotency_key: str) -> Sequence[_Answer]:
        """Take a batch; durable when it returns."""
        body = b"[" + b",".join(map(_wrapped, batch)) + b"]"

        def send() -> bytes:
            return self._apis.send_raw("intake", "/v1/changes:batch", body, idempotency_key)

        return self._answers.decode(self.patiently(send)).items

    def mark(self, at: int) -> bool:
        """Mark an instant in every partition; one that is not above the last is ignored."""

        def send() -> Any:  # noqa: ANN401 - JSON
            return self._apis.send("POST", "intake", "/v1/marks", {"at": rfc3339(at)})

        return bool(self.patiently(send)["marked"])

    def patiently(self, call: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever it returns
        """Call until it answers; give up after two minutes without one."""
        never, started_s = threading.Event(), self._monotonic.seconds()
        while True:
            self._check()
            try:
                return call()
            except Refused as exc:
                if exc.status != _UNAVAILABLE or self._late(started_s):
                    raise
            except Retryable:
                if self._late(started_s):
                    raise
            self._monotonic.wait(never, _AGAIN_S)

    def _late(self, started_s: float) -> bool:
        return self._monotonic.seconds() - started_s > PATIENCE_S


def _wrapped(sent: Sent) -> bytes:
    if isinstance(sent, Broken):
        return b'{"broken":' + msgspec.json.encode(sent) + b"}"
    return sent


@contextmanager
def _looking(settings: Settings) -> Iterator[Bus]:
    """Open a connection of our own to the run's bus."""
    bus = open_bus(settings, SystemClock(), SystemMonotonic())
    try:
        yield bus
    finally:
        bus.close()


def remove(engines: Engines, folder: Path) -> None:
    """Remove what the folder's run made on its engines: topics, groups, schemas and roles.

    Raises:
        Retryable: an engine is out of reach; then what it holds stays.
    """
    found = kept_module.kept_of(folder)
    if found is None:
        return
    name = found.name
    with ExitStack() as stack:
        if engines.db == "postgres":
            stack.callback(roles.remove, engines.db_url, run=name)
        if engines.bus == "kafka":
            from services.kernel.bus.kafka import KafkaBus

            bus = KafkaBus(engines.bus_url)
            stack.callback(bus.close)
            bus.remove(f"{name}.")


def _no_address(option: str, variable: str, form: str) -> Fault:
    return Fault(
        where=option,
        expected=f"the address in {variable}, {form}",
        found="none",
        remedy="set it; deploy/kafka up and deploy/postgres up print theirs",
        code="no_address",
    )
