"""Opens what services stand on, as the settings say, and builds them into an app."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import MetaData

from services.kernel.bus.port import Bus
from services.kernel.bus.prefixed import PrefixedBus
from services.kernel.bus.sqlite import UPKEEP_S, SqliteBus
from services.kernel.bus.topics_later import TopicsLater
from services.kernel.clock import Clock, Monotonic, SystemClock, SystemMonotonic
from services.kernel.db.engine import Database
from services.kernel.db.roles import schema_of
from services.kernel.errors import Fault, WrongUse
from services.kernel.metrics import Metrics
from services.kernel.protect import keyring_of
from services.kernel.runtime.app import App
from services.kernel.runtime.guard import Guard
from services.kernel.runtime.server import Server
from services.kernel.runtime.service import Build, Context, Service, Tick
from services.kernel.runtime.steady import LOOK_S, Steady
from services.kernel.runtime.watch import watch
from services.kernel.settings import SERVICES, Settings, ensure_token

TRY_S: Final = 2.0
"""How often a database that took no write is tried again."""


def open_app(
    settings: Settings,
    builds: Sequence[Build],
    *,
    clock: Clock | None = None,
    monotonic: Monotonic | None = None,
    metrics: Metrics | None = None,
    serve: bool = True,
) -> App:
    """Return the app of these services, built and not started.

    Args:
        settings: Checked.
        builds: One in a container, all of them embedded, in the order in which changes pass them.
        clock: Domain time; the wall clock by default.
        monotonic: Machine time.
        metrics: A new set with the process's own figures by default.
        serve: Listen on the settings' port; False hosts without HTTP.

    Raises:
        WrongUse: the data folder or the port is taken, a database is not durable, ...
        Retryable: database or bus is out of reach.
    """
    clock = clock or SystemClock()
    monotonic = monotonic or SystemMonotonic()
    metrics = metrics or Metrics(process=True)
    embedded = settings.mode == "embedded"
    opened = ExitStack()  # stays open with the app: a service may open a database later, too
    try:
        guard = Guard(settings.data_dir) if embedded else None
        if guard is not None:
            opened.callback(guard.close)
        server = Server(settings.http_host, settings.http_port) if serve else None
        if server is not None:
            opened.callback(server.stop)
        bus = open_bus(settings, clock, monotonic)
        opened.callback(bus.close)

        databases = _Databases(settings, opened)
        context = Context(
            data_dir=settings.data_dir,
            bus=bus,
            clock=clock,
            monotonic=monotonic,
            settings=settings,
            metrics=metrics,
            open_db=databases.open,
            urls=_urls(settings, server, embedded=embedded),
            token=ensure_token(settings),
            keyring=partial(keyring_of, settings),
        )
        services = _build(builds, context)
        for service in services:
            look_after(service, databases.of(service.name))
        if guard is not None and server is not None:
            guard.tell(server.address)
        measured = watch(bus, services, clock, metrics, settings.data_dir)
        ticks = [measured, *upkeep_of(bus, clock), *steadied(services, clock, monotonic)]
        return App(
            services,
            monotonic=monotonic,
            metrics=metrics,
            server=server,
            mounted=embedded,
            close=[opened.close],
            ticks=ticks,
        )
    except BaseException:
        opened.close()
        raise


class _Databases:
    """Opens the databases of services by their names, and closes them with the app."""

    def __init__(self, settings: Settings, opened: ExitStack) -> None:
        self._settings = settings
        self._opened = opened
        self._open: dict[str, list[Database]] = {}

    def open(self, name: str, metadata: MetaData) -> Database:
        """Return the database of a service, proved to let us in."""
        url = self._settings.database_url(name)
        schema = None if url.startswith("sqlite") else schema_of(name, self._settings.run)
        db = Database(url, metadata, schema=schema, service=name)
        self._opened.callback(db.close)
        self._open.setdefault(name, []).append(db)
        if schema is not None:
            db.prove_entry()
        return db

    def of(self, name: str) -> list[Database]:
        """Return those that a service has opened so far."""
        return self._open.get(name, [])


def look_after(service: Service, databases: Sequence[Database]) -> None:
    """Make the service say when nothing can be written, and find out when that has passed."""
    for db in databases:
        service.ready.append(db.ready)
        service.ticks.append(Tick(f"{service.name}.database", TRY_S, db.try_again))


def steadied(services: Sequence[Service], clock: Clock, monotonic: Monotonic) -> list[Tick]:
    """Make every service say when the machine's clock was set back; a virtual one is let be."""
    if not isinstance(clock, SystemClock):
        return []
    steady = Steady(clock, monotonic)
    for service in services:
        service.ready.append(steady.ready)
    return [Tick("process.clock", LOOK_S, steady.look)]


def upkeep_of(bus: Bus, clock: Clock) -> list[Tick]:
    """Return the upkeep of a bus of our own; Kafka does its own."""
    if not isinstance(bus, SqliteBus):
        return []
    return [Tick("bus.upkeep", UPKEEP_S, lambda: bus.upkeep(clock.now()))]


def _build(builds: Sequence[Build], context: Context) -> list[Service]:
    """Build the services; if one cannot be, close those that were."""
    services: list[Service] = []
    with ExitStack() as built:
        for build in builds:
            services.append(build(context))
            for call in services[-1].close:
                built.callback(call)
        built.pop_all()
    return services


def open_bus(settings: Settings, clock: Clock, monotonic: Monotonic) -> Bus:
    """Return the bus that the settings name.

    Raises:
        WrongUse: the bus's file is taken, or it names a bus that this version does not have.
    """
    if settings.bus_url == "sqlite":
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        return SqliteBus(Path(settings.data_dir) / "bus.db", clock, monotonic)
    try:
        from services.kernel.bus.kafka import KafkaBus  # noqa: PLC0415 - an optional extra
    except ImportError as exc:
        raise WrongUse(
            Fault(
                where="HEARTHWATCH_BUS_URL",
                found="kafka://..., and kafka-python is not installed",
                expected="the extra `kafka`",
                remedy="pip install 'hearthwatch[kafka]', or leave the variable out",
            )
        ) from exc
    bus = TopicsLater(KafkaBus(settings.bus_url))
    return PrefixedBus(bus, f"{settings.run}.") if settings.run else bus


def _urls(settings: Settings, server: Server | None, *, embedded: bool) -> dict[str, str]:
    own = {name: f"{server.address}/{name}" for name in SERVICES} if embedded and server else {}
    return own | settings.service_urls()
