"""The host of a list of services."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

from starlette.routing import Mount, Router
from starlette.types import ASGIApp

from services.kernel.clock import Monotonic
from services.kernel.db.outbox import Relay
from services.kernel.errors import Retryable
from services.kernel.http.app import Reason, add_health, reasons_of
from services.kernel.logging import get_logger
from services.kernel.metrics import Metrics
from services.kernel.runtime.loops import STOP_S, Loop, RelayTurn, TickTurn, WorkerTurn
from services.kernel.runtime.server import Server
from services.kernel.runtime.service import Service, Tick

PROCESS: Final = "process"
_log = get_logger(__name__)


class App:
    """Starts services in order and stops them in reverse; `start` and `stop` are idempotent.

    Args:
        services: In the order in which changes pass them.
        monotonic: For pauses and for what counts as stuck.
        metrics: Of the process.
        server: Bound already; None hosts without HTTP (replay, tests).
        mounted: Each API under `/<service>`; False puts the only one at the root.
        close: Called last, in reverse: bus, databases, the data folder's lock.
        ticks: Of the process itself. They only measure: in trouble they are no reason not to be
            ready.
    """

    def __init__(
        self,
        services: Sequence[Service],
        *,
        monotonic: Monotonic,
        metrics: Metrics,
        server: Server | None = None,
        mounted: bool = True,
        close: Sequence[Callable[[], None]] = (),
        ticks: Sequence[Tick] = (),
    ) -> None:
        self.services = tuple(services)
        self.metrics = metrics
        self.ticks = tuple(ticks)
        self._monotonic = monotonic
        self._server = server
        self._mounted = mounted
        self._loops: dict[str, list[Loop]] = {service.name: [] for service in services}
        own = [TickTurn(PROCESS, list(ticks), monotonic, metrics)] if ticks else []
        self._own = [self._loop(turn) for turn in own]
        self._closing = ExitStack()
        for call in close:
            self._closing.callback(call)
        self._running = ExitStack()
        self._lock = threading.RLock()
        self._state = "starting"
        metrics.on_scrape(self._measure)

    @property
    def address(self) -> str:
        """Base URL of the HTTP server, without a slash at the end; empty without one."""
        return self._server.address if self._server else ""

    def url(self, service: str) -> str:
        """Return the base URL of a service's API."""
        return f"{self.address}/{service}" if self._mounted else self.address

    def start(self) -> None:
        """Start every service, then serve HTTP; a failure stops what had started."""
        with self._lock:
            if self._state != "starting":
                return
            try:
                for service in self.services:
                    self._start(service)
                self._running.callback(self._halt, PROCESS, self._own)
                for loop in self._own:
                    loop.start()
                if self._server is not None:
                    self._running.callback(self._server.stop)
                    for service in self.services:
                        for call in service.leave:
                            self._running.callback(call)
                    self._server.start(self._root())
            except BaseException:
                self.stop()
                raise
            self._state = "running"

    def stop(self) -> None:
        """Stop HTTP, then the services in reverse, then close what was opened.

        Everything is tried, also when a part of it fails; then the failure is raised.
        """
        with self._lock:
            if self._state == "stopped":
                return
            self._state = "stopped"
            with self._closing, ExitStack() as closes:
                for service in self.services:
                    for call in service.close:
                        closes.callback(call)
                    for relay in service.relays:
                        closes.callback(relay.close)
                    for worker in service.workers:
                        closes.callback(worker.stop)
                self._running.close()

    def step(self) -> int:
        """Turn every relay and worker on this thread, in order, until a whole round moved nothing.

        For replay and tests: no threads, so the same input always takes the same way.

        Returns:
            How many records were published or settled.

        Raises:
            Retryable: a worker does not get on, or database or bus is out of reach.
            RuntimeError: the app was started; its threads do this then.
        """
        if self._state != "starting":
            raise RuntimeError("step() on an app that was started: its threads turn the loops")
        total = 0
        while moved := self._round():
            total += moved
        reasons = [
            reason
            for service in self.services
            for worker in service.workers
            if (reason := worker.ready()) is not None
        ]
        if reasons:
            raise Retryable("; ".join(reasons))
        return total

    def reasons(self) -> list[str]:
        """Return why the app is not ready, over all services; empty when it is."""
        calls = [call for service in self.services for call in self._reasons(service)]
        return [*([] if self._state == "running" else [f"is {self._state}"]), *reasons_of(calls)]

    def _round(self) -> int:
        moved = 0
        for service in self.services:
            for worker in service.workers:
                while settled := worker.run_once(0):
                    moved += settled
            for relay in service.relays:
                while published := relay.run_once():
                    moved += published
        return moved

    def _start(self, service: Service) -> None:
        loops = self._loops[service.name]
        for relay in service.relays:
            loops.append(self._loop(RelayTurn(relay, self._monotonic, self.metrics)))
        for worker in service.workers:
            loops.append(self._loop(WorkerTurn(worker)))
        if service.ticks:
            turn = TickTurn(service.name, service.ticks, self._monotonic, self.metrics)
            loops.append(self._loop(turn))
        self._running.callback(self._halt, service.name, loops)
        for loop in loops:
            loop.start()
        if service.api is not None:
            service.api.state.ready.extend(self._reasons(service))
            service.api.state.stuck.extend(loop.stuck for loop in loops)
        _log.info("started", service=service.name, loops=len(loops))

    def _reasons(self, service: Service) -> list[Reason]:
        loops = self._loops[service.name]
        return [
            *service.ready,
            *(worker.ready for worker in service.workers),
            *(loop.ready for loop in loops),
        ]

    def _loop(self, turn: RelayTurn | WorkerTurn | TickTurn) -> Loop:
        return Loop(turn, self._monotonic, self.metrics)

    def _halt(self, name: str, loops: Sequence[Loop]) -> None:
        for loop in loops:
            loop.ask_to_stop()
        for loop in loops:
            if not loop.join():
                _log.error("loop did not end", loop=loop.name, waited_s=STOP_S)
        _log.info("stopped", service=name)

    def _root(self) -> ASGIApp:
        apis = [(service.name, service.api) for service in self.services if service.api]
        if not self._mounted and len(apis) == 1:
            return apis[0][1]
        root = Router([Mount(f"/{name}", api) for name, api in apis])
        add_health(
            root, lambda: [lambda: "; ".join(self.reasons()) or None], self._stuck, self.metrics
        )
        return root

    def _stuck(self) -> list[Reason]:
        return [loop.stuck for loops in self._loops.values() for loop in loops]

    def _measure(self) -> None:
        for loop in self._own:
            loop.measure()
        for service in self.services:
            ready = not reasons_of(self._reasons(service))
            self.metrics.set("hearthwatch_ready", float(ready), service=service.name)
            for loop in self._loops[service.name]:
                loop.measure()
            for relay in service.relays:
                if isinstance(relay, Relay):
                    self._measure_outbox(service.name, relay)

    def _measure_outbox(self, service: str, relay: Relay) -> None:
        try:
            unsent = relay.unsent()
        except Retryable:  # the relay's loop says so in readiness; the gauge keeps its value
            return
        self.metrics.set("hearthwatch_outbox_unsent_records", unsent, service=service)
