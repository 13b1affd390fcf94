"""Hosts services: one in a container, all of them embedded; a service cannot tell which.

`build(ctx) -> Service` makes a service as a value; `App` starts and stops a list of them, serves
their HTTP, turns their loops in threads, or drains them on the calling thread (`step`).
"""

from services.kernel.runtime.app import App
from services.kernel.runtime.guard import Running, running
from services.kernel.runtime.opening import open_app
from services.kernel.runtime.process import run
from services.kernel.runtime.service import Build, Context, RelayLike, Service, Tick, WorkerLike

__all__ = [
    "App",
    "Build",
    "Context",
    "RelayLike",
    "Running",
    "Service",
    "Tick",
    "WorkerLike",
    "open_app",
    "run",
    "running",
]
