"""What a service is to the runtime, and what it is given."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from fastapi import FastAPI
from sqlalchemy import MetaData

from services.kernel.bus.port import Bus
from services.kernel.clock import Clock, Monotonic
from services.kernel.db.engine import Database
from services.kernel.metrics import Metrics
from services.kernel.protect import Keyring
from services.kernel.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Context:
    """What `build` may use. Nothing in it belongs to one service alone.

    open_db: opens the database of the named service and has the runtime close it at the end.
    urls: base addresses of the services' APIs, without a slash at the end.
    token: bearer token of all of them.
    keyring: returns the keys of protected fields; WrongUse when a deployed process has none.
    """

    data_dir: Path
    bus: Bus
    clock: Clock
    monotonic: Monotonic
    settings: Settings
    metrics: Metrics
    open_db: Callable[[str, MetaData], Database]
    urls: Mapping[str, str]
    token: str
    keyring: Callable[[], Keyring]


class WorkerLike(Protocol):
    """Something that reads a topic: `services.kernel.bus.worker.Worker`."""

    name: str

    def run_once(self, timeout_s: float) -> int:
        """Wait at most `timeout_s`, settle what came, return how many; raises nothing."""
        ...

    def stop(self) -> None:
        """Leave the group and make `run_once` return soon; from any thread, idempotent."""
        ...

    def ready(self) -> str | None:
        """Return why it does not work, None when it does."""
        ...


class RelayLike(Protocol):
    """Something that empties an outbox: `services.kernel.db.outbox.Relay`."""

    name: str
    event: threading.Event

    def run_once(self) -> int:
        """Publish one batch; return how many records it had."""
        ...

    def close(self) -> None:
        """Give back what it holds; idempotent."""
        ...


class Tick(NamedTuple):
    """A call every so many seconds of machine time; it takes domain time from its own clock."""

    name: str
    every_s: float
    call: Callable[[], object]


@dataclass(kw_only=True)
class Service:
    """A service as a value. The runtime calls everything in it; the service starts nothing.

    ready: each gives a reason why the service is not ready, or None.
    leave: called first at a stop, from any thread: ends what would hold requests open (streams).
    close: called in reverse order once nothing of the service runs any more.
    """

    name: str
    api: FastAPI | None = None
    workers: list[WorkerLike] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
    relays: list[RelayLike] = field(default_factory=list)
    ready: list[Callable[[], str | None]] = field(default_factory=list)
    leave: list[Callable[[], None]] = field(default_factory=list)
    close: list[Callable[[], None]] = field(default_factory=list)


Build = Callable[[Context], Service]
