"""Workers that wait for a bus which was away when the process started.

Alerts must come up without the bus: open alerts escalate, people act. What it reads begins when the
bus can be reached and the topics are there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from services.kernel.clock import Monotonic
from services.kernel.errors import Retryable
from services.kernel.runtime import WorkerLike


class TopicsFirst:
    """A worker that does not turn before `make_topics` has gone through once."""

    def __init__(
        self, worker: WorkerLike, make_topics: Callable[[], None], monotonic: Monotonic
    ) -> None:
        self.name = worker.name
        self._worker = worker
        self._make_topics = make_topics
        self._monotonic = monotonic
        self._stopping = threading.Event()
        self._missing: str | None = "the bus has not been reached yet"

    def run_once(self, timeout_s: float) -> int:
        """Make the topics if need be, then turn the worker."""
        if self._missing is not None:
            try:
                self._make_topics()
            except Retryable as exc:
                self._missing = str(exc)
                self._monotonic.wait(self._stopping, timeout_s)
                return 0
            self._missing = None
        return self._worker.run_once(timeout_s)

    def stop(self) -> None:
        """End the waiting, and the worker."""
        self._stopping.set()
        self._worker.stop()

    def ready(self) -> str | None:
        """Return what is missing, or why the worker does not work."""
        return f"{self.name}: {self._missing}" if self._missing else self._worker.ready()
