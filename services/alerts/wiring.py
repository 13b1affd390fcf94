"""The only file that picks the adapters of alerts."""

from __future__ import annotations

from typing import Final

from services.alerts.adapters.contacts import address_reader
from services.alerts.adapters.topics_first import TopicsFirst
from services.alerts.api import Api, acting_routes, reading_routes
from services.alerts.domain.policy import Policy
from services.alerts.engine.auditing import Auditor
from services.alerts.engine.delivering import Deliverer
from services.alerts.engine.firing import TICK_S, Engine
from services.alerts.handlers.cards import duty_cards, household_cards
from services.alerts.handlers.consume import Consumer
from services.alerts.policy_file import load_policy
from services.alerts.senders.port import Sender
from services.alerts.senders.recording import RecordingSender
from services.alerts.senders.webhook import WebhookSender
from services.alerts.storage import tables
from services.alerts.storage.deliveries import Deliveries
from services.alerts.storage.moves import Moves
from services.alerts.storage.overdue import overdue_steps
from services.alerts.storage.progress import Marks
from services.alerts.storage.roster import Cards, Roster
from services.alerts.storage.store import Store
from services.alerts.views.gauges import Gauges
from services.kernel.bus.settling import OnDeadLetter
from services.kernel.bus.worker import Handler, Worker
from services.kernel.contracts.topics import ALERTS, ASSESSMENTS, DUTY, HOUSEHOLDS, TASKS, Topic
from services.kernel.db.engine import Database
from services.kernel.db.outbox import Relay
from services.kernel.errors import Fault, Retryable, WrongUse
from services.kernel.http import make_app
from services.kernel.ids import uuid7
from services.kernel.logging import get_logger
from services.kernel.runtime import Context, Service, Tick, WorkerLike

_log: Final = get_logger(__name__)


def build(ctx: Context) -> Service:
    """Return the alerts service of a process.

    Raises:
        WrongUse: no pack or keyring is set. Faults: its ladders are wrong.
    """
    return assemble(ctx, _sender(ctx))


def assemble(ctx: Context, sender: Sender) -> Service:
    """Return the service over a given channel; raises as `build` does."""
    settings = ctx.settings
    policy = _policy(ctx)
    db = ctx.open_db("alerts", tables.TABLES)
    db.migrate("services.alerts.migrations")
    store = Store(db.name)
    engine = Engine(db, store, ctx.clock, ctx.metrics)
    deliverer = _deliverer(ctx, db, store, policy, sender)
    db.after_commit.append(lambda _: deliverer.wake())
    workers = _readers(ctx, db, store, policy)
    by_clock = settings.alerts_drive == "clock"
    auditor = Auditor(db, overdue_steps, engine, ctx.clock, ctx.monotonic, ctx.metrics)
    api = make_app(
        service="alerts", title="Hearthwatch alerts", ready=[], metrics=ctx.metrics, token=ctx.token
    )
    base = Api(
        db=db,
        store=store,
        policy=policy,
        clock=ctx.clock,
        metrics=ctx.metrics,
        drive=settings.alerts_drive,
        topic=ASSESSMENTS.name,
        partitions=settings.partitions,
    )
    api.include_router(acting_routes(base))
    api.include_router(reading_routes(base))
    gauges = Gauges(
        db, ctx.clock, ctx.metrics, roles=policy.roles(), partitions=settings.partitions
    )
    ctx.metrics.on_scrape(gauges.measure)
    return Service(
        name="alerts",
        api=api,
        workers=[*workers, deliverer, *([auditor] if by_clock else [])],
        ticks=[Tick("alerts.fire", TICK_S, engine.tick)] if by_clock else [],
        relays=[Relay(db, tables.OUTBOX, ctx.bus)],
        close=[sender.close],
    )


def _policy(ctx: Context) -> Policy:
    folder = ctx.settings.pack
    if folder is None:
        raise WrongUse(
            Fault("HEARTHWATCH_PACK", "the folder of a pack", "nothing", "set it, or give --pack")
        )
    return load_policy(folder)


def _sender(ctx: Context) -> Sender:
    """Return the channel; a replay can reach nobody, whatever else is set."""
    if ctx.settings.replay or not ctx.settings.webhook_url:
        return RecordingSender()
    return WebhookSender(ctx.settings.webhook_url)


def _deliverer(
    ctx: Context, db: Database, store: Store, policy: Policy, sender: Sender
) -> Deliverer:
    return Deliverer(
        db=db,
        store=store,
        deliveries=Deliveries(),
        duty=Roster(address_reader(ctx.keyring())),
        policy=policy,
        sender=sender,
        clock=ctx.clock,
        monotonic=ctx.monotonic,
        metrics=ctx.metrics,
        process=uuid7(ctx.clock.now()),
        alone=db.name == "sqlite",
        link=ctx.urls.get("console", ""),
    )


def _readers(ctx: Context, db: Database, store: Store, policy: Policy) -> list[WorkerLike]:
    """Return the workers; with the bus away they begin when it can be reached."""
    cards = Cards()
    workers: list[WorkerLike] = [
        _worker(ctx, db, "alerts.places", HOUSEHOLDS, household_cards(cards.put_places)),
        _worker(ctx, db, "alerts.duty", DUTY, duty_cards(cards.put_duties)),
        _assessments(ctx, db, store, policy),
    ]
    try:
        _make_topics(ctx)
    except Retryable as exc:
        _log.warning("starting without the bus", reason=str(exc))
        return [TopicsFirst(w, lambda: _make_topics(ctx), ctx.monotonic) for w in workers]
    return workers


def _make_topics(ctx: Context) -> None:
    for topic in (ASSESSMENTS, HOUSEHOLDS, DUTY, ALERTS, TASKS):
        ctx.bus.create_topic(topic.name, ctx.settings.partitions, compacted=topic.compacted)


def _assessments(ctx: Context, db: Database, store: Store, policy: Policy) -> Worker:
    consumer = Consumer(
        store=store,
        moves=Moves(),
        marks=Marks(tables.POSITIONS),
        db=db,
        policy=policy,
        topic=ASSESSMENTS.name,
        partitions=ctx.settings.partitions,
        drive=ctx.settings.alerts_drive,
        clock=ctx.clock,
        metrics=ctx.metrics,
    )
    return _worker(ctx, db, "alerts", ASSESSMENTS, consumer, consumer.on_dead_letter)


def _worker(
    ctx: Context,
    db: Database,
    name: str,
    topic: Topic,
    handler: Handler,
    on_dead_letter: OnDeadLetter | None = None,
) -> Worker:
    return Worker(
        name=name,
        bus=ctx.bus,
        db=db,
        positions=tables.POSITIONS,
        inbox=tables.INBOX,
        outbox=tables.OUTBOX,
        group=name,
        topic=topic.name,
        handler=handler,
        monotonic=ctx.monotonic,
        clock=ctx.clock,
        metrics=ctx.metrics,
        on_dead_letter=on_dead_letter,
        compacted=topic.compacted,
    )
