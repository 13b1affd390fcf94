"""The only file that picks risk's adapters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from services.kernel.bus.settling import OnDeadLetter
from services.kernel.bus.worker import Worker
from services.kernel.clock import SECOND, Clock
from services.kernel.contracts.records import Record
from services.kernel.contracts.topics import ASSESSMENTS, CHANGES
from services.kernel.db.engine import Database
from services.kernel.db.outbox import Relay
from services.kernel.errors import Fault, Retryable, WrongUse
from services.kernel.http import make_app
from services.kernel.logging import get_logger
from services.kernel.metrics import Metrics
from services.kernel.runtime import Context, Service, WorkerLike
from services.risk import storage
from services.risk.adapters.trained import load_trained
from services.risk.api import add_routes
from services.risk.domain.compiled import compile_pack
from services.risk.domain.pack import Pack
from services.risk.domain.score import Linear
from services.risk.handlers import Changes, dead_letter
from services.risk.packs.loader import load
from services.risk.ports import Scorer
from services.risk.stream import StreamWorker

_log: Final = get_logger(__name__)


def build(ctx: Context) -> Service:
    """Return the risk service of a process.

    Raises:
        WrongUse: no pack is set, or the trained model does not fit it. Faults: the pack is wrong.
    """
    folder = ctx.settings.pack
    if folder is None:
        raise WrongUse(
            Fault("HEARTHWATCH_PACK", "the folder of a pack", "nothing", "set it, or give --pack")
        )
    pack, scorer = with_model(load(folder), ctx.settings.model)
    store = storage.SqlStore()
    db = ctx.open_db("risk", storage.TABLES)
    db.migrate("services.risk.migrations")
    with db.begin() as conn:
        storage.activate(conn, _decides(pack))
    ctx.bus.create_topic(CHANGES.name, ctx.settings.partitions)
    ctx.bus.create_topic(ASSESSMENTS.name, ctx.settings.partitions)

    def on_dead_letter(conn: Connection, record: Record, fault: Fault) -> None:
        if pack.unreadable is not None:
            dead_letter(store, conn, record, fault, ctx.clock.now())

    changes = Changes(compile_pack(pack), store, scorer, metrics=ctx.metrics)
    worker = _worker(ctx, db, changes, on_dead_letter)
    ctx.metrics.on_scrape(lambda: _measure(db, ctx.clock, ctx.metrics, ctx.settings.partitions))
    api = make_app(
        service="risk", title="Hearthwatch risk", ready=[], metrics=ctx.metrics, token=ctx.token
    )
    add_routes(api, db, ctx.clock, pack)
    return Service(
        name="risk", api=api, workers=[worker], relays=[Relay(db, storage.OUTBOX, ctx.bus)]
    )


def _worker(
    ctx: Context, db: Database, handler: Changes, on_dead_letter: OnDeadLetter
) -> WorkerLike:
    """Return what reads the changes: the plain worker, or Faust, over the same rows."""
    if ctx.settings.risk_engine == "faust":
        return StreamWorker(
            settings=ctx.settings,
            folder=ctx.data_dir,
            bus=ctx.bus,
            db=db,
            positions=storage.POSITIONS,
            inbox=storage.INBOX,
            outbox=storage.OUTBOX,
            handler=handler,
            monotonic=ctx.monotonic,
            clock=ctx.clock,
            metrics=ctx.metrics,
            on_dead_letter=on_dead_letter,
        )
    return Worker(
        name="risk",
        bus=ctx.bus,
        db=db,
        positions=storage.POSITIONS,
        inbox=storage.INBOX,
        outbox=storage.OUTBOX,
        group="risk",
        topic=CHANGES.name,
        handler=handler,
        monotonic=ctx.monotonic,
        clock=ctx.clock,
        metrics=ctx.metrics,
        on_dead_letter=on_dead_letter,
    )


def _measure(db: Database, clock: Clock, metrics: Metrics, partitions: int) -> None:
    """Set the age of the last mark; a database out of reach leaves the last value."""
    try:
        with db.read() as conn:
            marks = storage.SqlStore().marks(conn)
    except Retryable:  # readiness says so already
        return
    if len(marks) == partitions:
        behind_s = max(0, clock.now() - min(marks.values())) / SECOND
        metrics.set("hearthwatch_risk_mark_age_seconds", behind_s, service="risk")


def with_model(pack: Pack, folder: Path | None) -> tuple[Pack, Scorer | None]:
    """Return the pack as it is run, and who scores: a trained model, else the pack's weights.

    Without either the features are left out, as reading what nobody scores costs time.

    Raises:
        WrongUse: the trained model cannot be loaded, or does not fit the pack.
    """
    if folder is not None:
        scorer = load_trained(folder, pack.model)
        _log.info("model.loaded", model=scorer.name, caution=scorer.caution)
        return replace(pack, model=scorer.slot), scorer
    if pack.model is None or pack.model.intercept is None:
        return replace(pack, model=None), None
    return pack, Linear(pack.model)


def _decides(pack: Pack) -> str:
    """Return what is told apart from what decided before: pack, its files, its trained model."""
    trained = pack.model.trained if pack.model is not None else ""
    return f"{pack.name}@{pack.version} {pack.digest}" + (f" {trained}" if trained else "")
