"""The threads of a service: workers, relays and ticks turn until told to stop.

A loop outlives whatever its work raises: infrastructure out of reach is waited out (0.1 to 5 s), a
bug is logged and counted and waited out too. Both are a reason not to be ready. A loop that has not
come round for `STUCK_S` is a reason to restart the process.
"""

from __future__ import annotations

import threading
from typing import Final, Protocol

from services.kernel.clock import Monotonic
from services.kernel.errors import Retryable
from services.kernel.logging import get_logger
from services.kernel.metrics import Metrics
from services.kernel.runtime.service import RelayLike, Tick, WorkerLike

STUCK_S: Final = 60.0
STOP_S: Final = 10.0
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
POLL_S: Final = 0.5
RELAY_IDLE_S: Final = 0.25
"""A relay is woken by its service's commits; this is for rows that another process wrote."""
_log = get_logger(__name__)


class Turn(Protocol):
    """The work of one loop."""

    name: str

    def run(self, stopping: threading.Event) -> None:
        """Do the work once, or wait for it a short while."""
        ...

    def wake(self) -> None:
        """Make a waiting `run` return; called once, when the loop shall stop."""
        ...


class Loop:
    """Turns one piece of work in a thread of its own. `start` once, `stop` from any thread."""

    def __init__(self, turn: Turn, monotonic: Monotonic, metrics: Metrics) -> None:
        self.name = turn.name
        self._turn = turn
        self._monotonic = monotonic
        self._metrics = metrics
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=turn.name, daemon=True)
        self._turned_s = monotonic.seconds()
        self._progress_s = monotonic.seconds()
        self._pause_s = 0.0
        self._trouble: str | None = None
        self._started = False
        for kind in ("retryable", "bug"):
            metrics.count("hearthwatch_loop_errors_total", 0, loop=self.name, kind=kind)

    def start(self) -> None:
        """Start the thread."""
        self._turned_s = self._progress_s = self._monotonic.seconds()
        self._started = True
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Make the loop end after its present turn; do not wait."""
        self._stopping.set()
        self._turn.wake()

    def join(self, timeout_s: float = STOP_S) -> bool:
        """Wait for the thread to end; return whether it did."""
        if self._started:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def ready(self) -> str | None:
        """Return why the loop's work does not get on, or None."""
        if self._started and not self._thread.is_alive() and not self._stopping.is_set():
            return f"loop {self.name} has died"
        return self._trouble or self.stuck()

    def stuck(self) -> str | None:
        """Return a reason when the loop has not come round for too long, or None."""
        still_s = self._monotonic.seconds() - self._turned_s
        if not self._started or self._stopping.is_set() or still_s <= STUCK_S:
            return None
        return f"loop {self.name} has not come round for {still_s:.0f} s: restart the process"

    def measure(self) -> None:
        """Set the gauge of the loop's progress."""
        age_s = self._monotonic.seconds() - self._progress_s
        self._metrics.set("hearthwatch_loop_progress_age_seconds", age_s, loop=self.name)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.turn()
            if self._pause_s:
                self._monotonic.wait(self._stopping, self._pause_s)

    def turn(self) -> None:
        """Do the work once and take note of how it went."""
        try:
            self._turn.run(self._stopping)
        except Retryable as exc:
            self._failed("retryable", str(exc))
            _log.warning("waits", loop=self.name, pause_s=self._pause_s, reason=str(exc))
        except Exception as exc:  # noqa: BLE001 - a loop must outlive any bug of what it calls
            self._failed("bug", f"bug, {type(exc).__name__}")
            _log.exception("failed", loop=self.name, pause_s=self._pause_s)
        else:
            self._trouble, self._pause_s = None, 0.0
            self._progress_s = self._monotonic.seconds()
        self._turned_s = self._monotonic.seconds()
        self._metrics.count("hearthwatch_loop_turns_total", loop=self.name)

    def _failed(self, kind: str, reason: str) -> None:
        self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2 or FIRST_PAUSE_S)
        self._trouble = f"loop {self.name}: {reason}"
        self._metrics.count("hearthwatch_loop_errors_total", loop=self.name, kind=kind)


class WorkerTurn:
    """Polls for records and settles them; the worker counts them and deals with its troubles."""

    def __init__(self, worker: WorkerLike) -> None:
        self.name = f"{worker.name}.worker"
        self._worker = worker

    def run(self, stopping: threading.Event) -> None:  # noqa: ARG002 - `wake` ends the poll
        """Poll once."""
        self._worker.run_once(POLL_S)

    def wake(self) -> None:
        """Leave the group."""
        self._worker.stop()


class RelayTurn:
    """Empties an outbox as long as there is something in it, then waits to be woken."""

    def __init__(self, relay: RelayLike, monotonic: Monotonic, metrics: Metrics) -> None:
        self.name = relay.name
        self._relay = relay
        self._monotonic = monotonic
        self._metrics = metrics
        self._service = relay.name.partition(".")[0]

    def run(self, stopping: threading.Event) -> None:
        """Publish one batch, or wait for one."""
        published = self._relay.run_once()
        if published:
            self._metrics.count("hearthwatch_relay_records_total", published, service=self._service)
        elif not stopping.is_set():
            self._monotonic.wait(self._relay.event, RELAY_IDLE_S)

    def wake(self) -> None:
        """End the waiting."""
        self._relay.event.set()


class TickTurn:
    """Calls each tick of a service when its time has come. One that fails delays no other."""

    def __init__(
        self, service: str, ticks: list[Tick], monotonic: Monotonic, metrics: Metrics
    ) -> None:
        self.name = f"{service}.ticks"
        self._ticks = ticks
        self._monotonic = monotonic
        self._metrics = metrics
        self._due_s = [monotonic.seconds()] * len(ticks)
        self._waiting = threading.Event()

    def run(self, stopping: threading.Event) -> None:
        """Wait for the next due time, a short while at most, and call what is due."""
        wait_s = min(self._due_s) - self._monotonic.seconds()
        if wait_s > 0:
            self._monotonic.wait(self._waiting, min(wait_s, POLL_S))
        first: Exception | None = None
        for index, tick in enumerate(self._ticks):
            if stopping.is_set() or self._due_s[index] > self._monotonic.seconds():
                continue
            try:
                self._call(tick)
            except Exception as exc:  # noqa: BLE001 - the loop's edge sees it once all were called
                first = first or exc
            # From the end of the call: a slow tick is called less often, never in bursts.
            self._due_s[index] = self._monotonic.seconds() + tick.every_s
        if first is not None:
            raise first

    def wake(self) -> None:
        """End the waiting."""
        self._waiting.set()

    def _call(self, tick: Tick) -> None:
        started_s = self._monotonic.seconds()
        tick.call()
        self._metrics.observe(
            "hearthwatch_tick_duration_seconds",
            self._monotonic.seconds() - started_s,
            tick=tick.name,
        )
