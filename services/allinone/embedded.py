"""All services in one process over SQLite: what `up`, `replay` and the other commands open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pwdlib import PasswordHash
from starlette.types import ASGIApp

from services.alerts import wiring as alerts
from services.allinone import dead
from services.console import gateway
from services.console import wiring as console
from services.intake import wiring as intake
from services.kernel import settings as kernel_settings
from services.kernel.clock import Clock
from services.kernel.errors import Fault, WrongUse
from services.kernel.runtime import App, Build, Context, Service, open_app
from services.kernel.settings import Settings
from services.registry import wiring as registry
from services.risk import wiring as risk

BUILDS: Final[tuple[Build, ...]] = (
    intake.build,
    registry.build,
    risk.build,
    alerts.build,
    dead.build,
)
"""In the order in which a change passes them."""


def settings_of(data: Path | None, pack: Path | None, port: int | None = None) -> Settings:
    """Return the settings of the environment with what the command line says before them."""
    given: dict[str, object] = {"data_dir": data, "pack": pack, "http_port": port}
    found = kernel_settings.load(
        None, **{name: value for name, value in given.items() if value is not None}
    )
    if found.pack is None:
        raise WrongUse(
            Fault(
                where="HEARTHWATCH_PACK",
                expected="the folder of the pack that decides",
                found="nothing",
                remedy="give --pack FOLDER, or set the variable",
            )
        )
    return found


@contextmanager
def opened(
    settings: Settings, *, clock: Clock | None = None, more: Sequence[Build] = ()
) -> Iterator[App]:
    """Open all services, and `more`, without HTTP and without threads; close them at the end."""
    app = open_app(settings, (*BUILDS, *more), clock=clock, serve=False)
    try:
        yield app
    finally:
        app.stop()


def with_console(
    builds: Sequence[Build] = BUILDS,
    *,
    wall: Clock | None = None,
    hasher: PasswordHash | None = None,
) -> tuple[Build, ...]:
    """Return the services and the console over them, which asks them without a port.

    Args:
        builds: Of the services.
        wall: Time of sessions; the wall clock by default.
        hasher: Of passwords; argon2 by default.
    """
    made: dict[str, ASGIApp] = {}

    def kept(build: Build) -> Build:
        def call(ctx: Context) -> Service:
            service = build(ctx)
            if service.api is not None:
                made[service.name] = service.api
            return service

        return call

    def pages(ctx: Context) -> Service:
        clients = gateway.inside(made, ctx.token)
        return console.assemble(ctx, gateway.Gateway(clients, ctx.clock), wall=wall, hasher=hasher)

    return (*map(kept, builds), pages)
