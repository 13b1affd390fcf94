from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.kernel.clock import SystemMonotonic, VirtualClock
from services.kernel.metrics import Metrics
from services.kernel.settings import load
from services.risk.stream import StreamWorker


class FakeStream:
    """A stream that is told to stop while it runs."""

    def __init__(self, worker: list[StreamWorker]) -> None:
        self.worker = worker
        self.assigned = True
        self.stopped = 0

    def run_for(self, timeout_s: float) -> int:
        self.worker[0].stop()
        return 7

    def stop(self) -> None:
        self.stopped += 1


def test_a_worker_that_is_told_to_stop_leaves_no_thread_of_faust_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none: Any = None
    worker = StreamWorker(
        settings=load({}), folder=tmp_path, bus=none, db=none, positions=none, inbox=none,
        outbox=none, handler=none, monotonic=SystemMonotonic(), clock=VirtualClock(),
        metrics=Metrics(), on_dead_letter=none,
    )  # fmt: skip
    stream = FakeStream([worker])
    monkeypatch.setattr(worker, "_stream", stream)
    assert worker.ready() is None
    assert worker.run_once(0.5) == 7
    assert stream.stopped == 1
    assert worker.run_once(0) == 0
    assert stream.stopped == 1
