"""Ways to the services' APIs: a process that runs, addresses that were given, or the files here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from services.allinone import deployed
from services.allinone.apis import Apis, Local, Remote
from services.allinone.embedded import opened, settings_of
from services.allinone.replay import kept
from services.allinone.replay.target import run_of, settings_for
from services.kernel import settings as kernel_settings
from services.kernel.clock import SystemClock, SystemMonotonic, VirtualClock
from services.kernel.errors import Fault, WrongUse
from services.kernel.runtime import App, running
from services.kernel.runtime.opening import open_bus
from services.kernel.settings import SERVICES, Settings, ensure_token


class Reached(NamedTuple):
    """The APIs; how to let everything pass when the chain is in this process, and stands still.

    replaying: the data folder is a replay's.
    """

    apis: Apis
    drain: Callable[[], object] | None = None
    replaying: bool = False


@contextmanager
def reached(
    data: Path | None, url: str | None, pack: Path | None = None, *, make: bool = False
) -> Iterator[Reached]:
    """Reach the services.

    Args:
        data: Data folder; a process that has it open is asked, else it is opened here. Default: as
            the settings say.
        url: Base address of an embedded process elsewhere; then `data` is not looked at.
        pack: For a data folder that no process has open and that is no replay's.
        make: Whether a folder that is not there is made.

    Raises:
        WrongUse: nothing is there, or the folder cannot be opened.
    """
    given: dict[str, object] = {} if data is None else {"data_dir": data}
    settings = kernel_settings.load(None, **given)
    urls = settings.service_urls()
    if url is None and data is None and urls:
        yield from _remote(urls, settings)
        return
    if url is not None:
        yield from _remote(_under(url), settings)
        return
    folder = settings.data_dir
    if not make and not folder.is_dir():
        raise WrongUse(
            Fault(str(folder), "a data folder", "no folder", "name it with --data, or give --url")
        )
    other = running(folder)
    if other is None:
        yield from _local(folder, pack)
    elif other.url:
        yield from _remote(_under(other.url), settings)
    else:
        raise WrongUse(
            Fault(
                where=str(folder),
                expected="a process that serves HTTP, or none",
                found=f"process {other.pid}, which serves none",
                remedy="wait until it is done",
                code="in_use",
            )
        )


def _remote(urls: dict[str, str], settings: Settings) -> Iterator[Reached]:
    with Apis(Remote(urls, ensure_token(settings))) as apis:
        yield Reached(apis)


def _local(folder: Path, pack: Path | None) -> Iterator[Reached]:
    run = run_of(folder)
    if run is None:
        yield from _opened(settings_of(folder, pack), replaying=False)
        return
    stands = kept.kept_of(folder)
    if stands is None:
        yield from _opened(settings_for(folder, run), replaying=True)
    else:
        yield from _opened(kept.settings_of(folder, run, stands), replaying=True)


def _opened(settings: Settings, *, replaying: bool) -> Iterator[Reached]:
    clock = VirtualClock() if replaying else None
    with (
        opened(settings, clock=clock) as app,
        Apis(Local(app, ensure_token(settings))) as apis,
    ):
        drain = app.step if settings.bus_url == "sqlite" else partial(_run, app, settings)
        yield Reached(apis, drain, replaying)


def _run(app: App, settings: Settings) -> None:
    """Let a chain on Kafka run until everything has passed."""
    monotonic = SystemMonotonic()
    bus = open_bus(settings, SystemClock(), monotonic)
    try:
        waiter = deployed.Waiter(bus, deployed.unsent_in(app), monotonic)
        app.start()
        waiter.wait()
    finally:
        bus.close()


def _under(url: str) -> dict[str, str]:
    base = url.rstrip("/")
    return {name: f"{base}/{name}" for name in (*SERVICES, "dead")}
