"""One replay from its first row to its report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, Protocol

from services.allinone.apis import Apis, Local
from services.allinone.embedded import opened
from services.allinone.replay import engines as engines_module
from services.allinone.replay import kept, reporting
from services.allinone.replay.engines import Engines
from services.allinone.replay.feeder import Feeder, Piece, course, packed
from services.allinone.replay.sorting import Row, by_receipt
from services.allinone.replay.target import Run, make_run, settings_for, target
from services.intake.files import mapped
from services.intake.mapping import Map
from services.intake.mapping import load as load_map
from services.intake.wiring import Intake
from services.kernel.clock import Monotonic, SystemMonotonic, VirtualClock
from services.kernel.runtime import App, Build
from services.kernel.settings import ensure_token
from services.risk.packs.loader import digest as pack_digest
from services.risk.packs.loader import load as load_pack

AHEAD: Final = 32
"""Batches fed before they are let through: the chain then commits by hundreds, not by dozens."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to replay and how. Times in microseconds since 1970.

    keep: folder of the run, kept; None for a temporary one. batch: items a request. marks: instants
    to mark, every: rows between marks. until: end of the run, rows received later are not fed; None
    as the map says. hold: no mark past the first rejected item until it is repaired. repeat: how
    many times the log is fed, each time under other names.
    """

    logs: Sequence[Path]
    map: Path
    pack: Path
    keep: Path | None = None
    resume: bool = False
    batch: int = 500
    marks: Sequence[int] = ()
    every: int = 0
    partitions: int = 4
    until: int | None = None
    hold: bool = False
    repeat: int = 1
    timeline: Path | None = None
    engines: Engines = field(default_factory=Engines)


class Watch(Protocol):
    """Whoever is shown how a replay gets on."""

    def fed(self, read: int, at: int) -> None:
        """Told after each batch: items read so far, and the virtual time."""
        ...

    def ended(self) -> None:
        """Told when nothing more is fed."""
        ...


class Unwatched:
    """Shows nothing."""

    def fed(self, read: int, at: int) -> None:
        """Show nothing."""

    def ended(self) -> None:
        """Show nothing."""


@dataclass(frozen=True)
class Result:
    """The report, and whether the run was brought to its end (False: held for rejected items)."""

    report: dict[str, Any]
    finished: bool


@dataclass
class Replay:
    """A run that is under way: its door, its clock; the app when it is stepped."""

    apis: Apis
    feeder: Feeder
    clock: VirtualClock
    drain: Callable[[], object]
    """Lets everything that was fed pass through the whole chain."""
    app: App | None = None
    held: bool = field(default=False)

    def kept_open(self) -> int:
        """Return how many refused items wait to be repaired; a conflict is no such item."""
        found = self.apis.items("intake", "/v1/kept", state="open")
        return sum(1 for item in found if item["code"] != "conflict")


def replay(plan: Plan, watch: Watch | None = None, monotonic: Monotonic | None = None) -> Result:
    """Run a log through the whole pipeline and report.

    Raises:
        WrongUse: log, folder or options are unusable. Faults: map or pack is wrong.
        Retryable: the disk refuses.
    """
    watch, monotonic = watch or Unwatched(), monotonic or SystemMonotonic()
    started_s = monotonic.seconds()
    whole = load_map(plan.map)
    load_pack(plan.pack)  # refused before a folder is made
    run = run_for(plan)
    begin = begun if plan.engines.embedded else partial(begun_on, plan.engines, plan.keep)
    with target(run, plan.keep, resume=plan.resume) as folder, begin(folder, run) as going:
        end = feed(plan, whole, going, watch)
        finished = not (plan.hold and going.held and going.kept_open())
        if finished:
            going.feeder.mark(end)
        going.drain()
        watch.ended()
        report = reporting.report(going.apis, going.feeder.counts, end, plan.engines.mode)
        if plan.timeline is not None:
            reporting.write_timeline(going.apis, plan.timeline)
    report["elapsed_s"] = round(monotonic.seconds() - started_s, 3)
    return Result(report, finished)


def run_for(plan: Plan) -> Run:
    """Return what the plan is a run of."""
    return make_run(
        logs=list(plan.logs),
        map_=plan.map,
        pack=plan.pack,
        pack_digest=pack_digest(plan.pack),
        partitions=plan.partitions,
        batch=plan.batch,
        repeat=plan.repeat,
        marks=[*plan.marks, *([-plan.every] if plan.every else [])],
    )


@contextmanager
def begun(folder: Path, run: Run, more: Sequence[Build] = ()) -> Iterator[Replay]:
    """Open the run's folder with all services, and `more`, on a virtual clock."""
    kept.refuse_other(folder, "sqlite", "sqlite")
    settings, clock = settings_for(folder, run), VirtualClock()
    with opened(settings, clock=clock, more=more) as app:
        intake = next(service for service in app.services if isinstance(service, Intake))
        feeder = Feeder(run.name, intake.door, intake.marker, clock)
        with Apis(Local(app, ensure_token(settings))) as apis:
            yield Replay(apis, feeder, clock, app.step, app)


@contextmanager
def begun_on(engines: Engines, keep: Path | None, folder: Path, run: Run) -> Iterator[Replay]:
    """Open the run on other engines, in this process or in one per service."""
    clock = VirtualClock()
    with engines_module.opened(engines, folder, run, clock, kept=keep is not None) as chain:
        feeder = Feeder(run.name, chain.door, chain.marker, clock)
        yield Replay(chain.apis, feeder, clock, chain.wait)


def feed(plan: Plan, whole: Map, going: Replay, watch: Watch) -> int:
    """Feed every row of the plan's logs; return the instant at which the run ends."""
    rows: Iterator[Row] = by_receipt(packed(mapped(whole, plan.logs, replay=True), plan.repeat))
    until = plan.until
    if until is not None:
        rows = takewhile(lambda row: row[0] <= until, rows)
    marks = [at for at in plan.marks if until is None or at <= until]
    waiting = 0
    for part in course(rows, size=plan.batch, marks=marks, every=plan.every):
        if isinstance(part, Piece):
            rejected = going.feeder.send(part)
            going.held = going.held or rejected > 0
        elif not (plan.hold and going.held):
            going.feeder.mark(part)
        waiting += 1
        if waiting >= AHEAD and going.app is not None:
            going.drain()
            waiting = 0
        watch.fed(going.feeder.counts.read, going.clock.now())
    return until if until is not None else whole.end(going.feeder.last)
