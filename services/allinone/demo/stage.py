"""The chain of a demo: one folder, a clock of its own, told nothing by the environment.

It runs as a replay does: receipt is what the log says, marks drive the alerts, and whoever would be
told is only recorded, so a demo can page nobody. Set-up steps it on one thread; the day runs it as
`up` does, with threads and HTTP, and waits after each mark until it has passed every service.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.allinone.apis import Apis, Local
from services.allinone.demo.notes import Notes
from services.allinone.embedded import BUILDS, with_console
from services.allinone.replay.feeder import Feeder
from services.intake.wiring import Intake
from services.kernel import settings as kernel_settings
from services.kernel.clock import Monotonic, SystemClock, VirtualClock, parse_rfc3339
from services.kernel.errors import Retryable
from services.kernel.ids import uuid7
from services.kernel.runtime import App, Build, open_app
from services.kernel.settings import Settings, ensure_token

PARTITIONS: Final = 1
"""A town needs no more; each costs a synced transaction in every service at every mark."""
_LOOK_S: Final = 0.01
_PATIENCE_S: Final = 120.0


@dataclass
class Stage:
    """An open chain. `drain` returns once everything fed and marked has passed it."""

    app: App
    apis: Apis
    feeder: Feeder
    clock: VirtualClock
    notes: Notes
    drain: Callable[[], object]


def settings_of(folder: Path, pack: Path, port: int = 0, model: Path | None = None) -> Settings:
    """Return the settings of a demo; nothing of the environment is asked."""
    return kernel_settings.load(
        {},
        data_dir=folder,
        pack=pack,
        model=model,
        partitions=PARTITIONS,
        replay=True,
        alerts_drive="marks",
        http_port=port,
        log_level="WARNING",
    )


@contextmanager
def stepped(folder: Path, pack: Path, model: Path | None = None) -> Iterator[Stage]:
    """Open the chain without threads and HTTP; it moves when it is drained."""
    with _opened(settings_of(folder, pack, model=model), BUILDS, serve=False) as stage:
        yield stage


@contextmanager
def served(settings: Settings, monotonic: Monotonic) -> Iterator[Stage]:
    """Open the chain and the console with threads and HTTP, started and ready.

    Raises:
        Retryable: it is not ready within two minutes.
    """
    with _opened(settings, with_console(), serve=True) as stage:
        waiter = _Waiter(stage, monotonic)
        stage.drain = waiter.passed
        stage.app.start()
        waiter.until(lambda: not stage.app.reasons(), "to be ready")
        yield stage


@contextmanager
def _opened(settings: Settings, builds: Sequence[Build], *, serve: bool) -> Iterator[Stage]:
    clock, notes = VirtualClock(), Notes(PARTITIONS)
    app = open_app(settings, (*builds, notes.build), clock=clock, serve=serve)
    try:
        intake = next(service for service in app.services if isinstance(service, Intake))
        feeder = Feeder(f"demo-{uuid7(SystemClock().now())}", intake.door, intake.marker, clock)
        with Apis(Local(app, ensure_token(settings))) as apis:
            yield Stage(app, apis, feeder, clock, notes, app.step)
    finally:
        app.stop()


class _Waiter:
    """Waits until the newest mark has passed risk, alerts and the notes."""

    def __init__(self, stage: Stage, monotonic: Monotonic) -> None:
        self._stage = stage
        self._monotonic = monotonic

    def passed(self) -> None:
        """Wait for the mark of the clock's present."""
        now = self._stage.clock.now()
        self.until(lambda: self._marked() >= now, "to let a mark pass")

    def until(self, true: Callable[[], bool], what: str) -> None:
        never, until_s = threading.Event(), self._monotonic.seconds() + _PATIENCE_S
        while not true():
            if self._monotonic.seconds() > until_s:
                reasons = "; ".join(self._stage.app.reasons())
                raise Retryable(f"the chain took over {_PATIENCE_S:.0f} s {what}: {reasons}")
            self._monotonic.wait(never, _LOOK_S)

    def _marked(self) -> int:
        if self._stage.notes.marked < self._stage.clock.now():
            return 0
        report = self._stage.apis.get("alerts", "/v1/report")
        return parse_rfc3339(report["at"])
