"""Builds the book from what the runtime gives: the only place that picks adapters."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.kernel.bus.worker import Worker
from services.kernel.clock import fixed_zone
from services.kernel.contracts.topics import CHANGES, DUTY, HOUSEHOLDS, dead_letters
from services.kernel.db.outbox import Relay
from services.kernel.errors import Fault, Faults
from services.kernel.http import make_app
from services.kernel.runtime import Context, Service
from services.kernel.yamlfile import Node, read
from services.registry.api import Api, add_routes
from services.registry.handlers import Keeper
from services.registry.storage import TABLES, SqlStore
from services.registry.storage.tables import INBOX, OUTBOX, POSITIONS

NAME: Final = "registry"


def build(ctx: Context) -> Service:
    """Return the book as a service.

    Raises:
        WrongUse: a topic has another partition count, or no keyring is set. Faults: the pack's
            zone is wrong.
    """
    zone, keyring = _zone(ctx), ctx.keyring()
    db = ctx.open_db(NAME, TABLES)
    db.migrate("services.registry.migrations")
    partitions = ctx.settings.partitions
    ctx.bus.create_topic(CHANGES.name, partitions)
    ctx.bus.create_topic(dead_letters(CHANGES.name), partitions)
    for topic in (HOUSEHOLDS, DUTY):
        ctx.bus.create_topic(topic.name, partitions, compacted=topic.compacted)
    worker = Worker(
        name=NAME,
        bus=ctx.bus,
        db=db,
        positions=POSITIONS,
        inbox=INBOX,
        outbox=OUTBOX,
        group=NAME,
        topic=CHANGES.name,
        handler=Keeper(SqlStore(db), zone),
        monotonic=ctx.monotonic,
        clock=ctx.clock,
        metrics=ctx.metrics,
    )
    api = make_app(
        service=NAME, title="Hearthwatch registry", ready=[], metrics=ctx.metrics, token=ctx.token
    )
    on = Api(
        db=db,
        clock=ctx.clock,
        zone=zone,
        intake_url=ctx.urls.get("intake", ""),
        keyring=keyring,
    )
    return Service(
        name=NAME, api=add_routes(api, on), workers=[worker], relays=[Relay(db, OUTBOX, ctx.bus)]
    )


def _zone(ctx: Context) -> tzinfo:
    """Return the pack's zone, in which dates are read; UTC without a pack."""
    if ctx.settings.pack is None:
        return UTC
    faults: list[Fault] = []
    header = read(ctx.settings.pack / "pack.yaml", faults)
    node = header.child("zone") if header is not None else None
    zone = _named(node) if node is not None else UTC
    if faults:
        raise Faults(f"pack {ctx.settings.pack.name}", faults)
    return zone


def _named(node: Node) -> tzinfo:
    name = node.text()
    try:
        return fixed_zone(name) if name[:1] in "+-" else ZoneInfo(name)
    except (ValueError, ZoneInfoNotFoundError):
        node.fail("an offset such as +08:00, or an IANA zone name", "correct the zone")
        return UTC
