"""Builds the door from what the runtime gives: the only place that picks adapters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.intake.api import make_api
from services.intake.catalogue import load
from services.intake.domain.types import Catalogue
from services.intake.handlers.accept import Door
from services.intake.handlers.marks import Marker
from services.intake.storage import TABLES, SqlStore
from services.intake.storage.reading import count_kept
from services.intake.storage.tables import KEYS, OUTBOX
from services.kernel.clock import DAY, Monotonic
from services.kernel.contracts.topics import CHANGES, dead_letters
from services.kernel.db.engine import Database
from services.kernel.db.outbox import Relay
from services.kernel.errors import Fault, Retryable, WrongUse
from services.kernel.http import make_app
from services.kernel.metrics import Metrics
from services.kernel.runtime import Context, Service, Tick

NAME: Final = "intake"
KEEP_ANSWERS: Final = 7 * DAY
"""How long a request may be repeated under its idempotency key."""
MOST_COUNTED: Final = 10_000


@dataclass(kw_only=True)
class Intake(Service):
    """The door as a service; a replay's feeder uses `door` and `marker` directly."""

    door: Door
    marker: Marker
    store: SqlStore


class Metered:
    """Counts batches into the process's metrics."""

    def __init__(self, metrics: Metrics, monotonic: Monotonic) -> None:
        self._metrics = metrics
        self._monotonic = monotonic

    def start(self) -> float:
        """Return the moment a batch began."""
        return self._monotonic.seconds()

    def batch(self, started: float, outcomes: Sequence[str]) -> None:
        """Count what became of a batch's items, and how long it took."""
        took = self._monotonic.seconds() - started
        self._metrics.observe("hearthwatch_intake_accept_duration_seconds", took)
        for outcome, count in Counter(outcomes).items():
            self._metrics.count("hearthwatch_intake_changes_total", count, outcome=outcome)


def build(ctx: Context) -> Intake:
    """Return the door as a service.

    Raises:
        WrongUse: no pack or keyring is set, or the topic has another partition count.
        Faults: the pack's catalogue is wrong.
    """
    catalogue = _catalogue(ctx)
    db = ctx.open_db(NAME, TABLES)
    db.migrate("services.intake.migrations")
    partitions = ctx.settings.partitions
    ctx.bus.create_topic(CHANGES.name, partitions)
    ctx.bus.create_topic(dead_letters(CHANGES.name), partitions)
    store = SqlStore(db)
    door = Door(
        store,
        catalogue,
        ctx.clock,
        ctx.keyring(),
        replay=ctx.settings.replay,
        meter=Metered(ctx.metrics, ctx.monotonic),
    )
    marker = Marker(store, ctx.clock, partitions)
    api = make_app(
        service=NAME, title="Hearthwatch intake", ready=[], metrics=ctx.metrics, token=ctx.token
    )

    def forget_answers() -> None:
        with db.begin() as conn:
            KEYS.forget(conn, ctx.clock.now() - KEEP_ANSWERS)

    ctx.metrics.on_scrape(lambda: _measure(db, ctx.metrics))
    ticks = [Tick("intake.answers", 3600, forget_answers)]
    if not ctx.settings.replay:
        ticks.append(Tick("intake.marks", ctx.settings.mark_every_s, marker.tick))
    return Intake(
        name=NAME,
        api=make_api(api, door, marker, store),
        relays=[Relay(db, OUTBOX, ctx.bus)],
        ticks=ticks,
        door=door,
        marker=marker,
        store=store,
    )


def _measure(db: Database, metrics: Metrics) -> None:
    """Set the gauge of what nobody has mended; a database out of reach leaves the last value."""
    try:
        with db.read() as conn:
            found = {
                label: count_kept(conn, grave=label == "yes", most=MOST_COUNTED)
                for label in ("yes", "no")
            }
    except Retryable:  # the relay's loop says so in readiness
        return
    for label, count in found.items():
        metrics.set("hearthwatch_intake_kept_items", count, grave=label)


def _catalogue(ctx: Context) -> Catalogue:
    if ctx.settings.pack is None:
        raise WrongUse(
            Fault(
                where="HEARTHWATCH_PACK",
                expected="the folder of a pack, whose event catalogue the door checks against",
                found="nothing",
                remedy="set it, for example to packs/cn-town",
                code="setting",
            )
        )
    return load(ctx.settings.pack)
