"""A process of the deployed form whose database is away at the start: it waits, and says so.

`/readyz` tells the reason meanwhile; nothing restarts it (`/healthz`), nothing sends it traffic.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from starlette.routing import Router

from services.kernel.bus.pause import Pause
from services.kernel.clock import Monotonic, SystemMonotonic
from services.kernel.errors import Retryable
from services.kernel.http.app import add_health
from services.kernel.logging import get_logger
from services.kernel.metrics import Metrics
from services.kernel.runtime.app import App
from services.kernel.runtime.opening import open_app
from services.kernel.runtime.server import Server
from services.kernel.runtime.service import Build
from services.kernel.settings import Settings

_log: Final = get_logger(__name__)


def open_patiently(
    settings: Settings, builds: Sequence[Build], monotonic: Monotonic | None = None
) -> App:
    """Return the app as `open_app` does; deployed, wait until what it needs can be reached.

    Raises:
        WrongUse: as `open_app`. Retryable: embedded, where somebody sits before it.
    """
    while True:
        try:
            return open_app(settings, builds)
        except Retryable as exc:
            if settings.mode == "embedded":
                raise
            _wait(settings, builds, str(exc), monotonic or SystemMonotonic())


def _wait(settings: Settings, builds: Sequence[Build], reason: str, monotonic: Monotonic) -> None:
    """Serve the reason until the services can be opened; what a look opens it closes again."""
    never = threading.Event()
    pause = Pause(monotonic, never)
    with _room(settings) as told:
        while True:
            told[0] = f"is starting: {reason}"
            pause.lengthen(reason)
            _log.warning("waits", reason=reason, pause_s=pause.length_s)
            monotonic.wait(never, pause.length_s)
            try:
                open_app(settings, builds, serve=False).stop()
            except Retryable as exc:
                reason = str(exc)
            else:
                return


@contextmanager
def _room(settings: Settings) -> Iterator[list[str]]:
    """Answer health, readiness and metrics; the reason is the one element of what it gives."""
    told = [""]
    routes = Router()
    add_health(routes, lambda: [lambda: told[0]], list, Metrics(process=True))
    server = Server(settings.http_host, settings.http_port)
    try:
        server.start(routes)
        yield told
    finally:
        server.stop()
