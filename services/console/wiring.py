"""The only file that picks the adapters of the console."""

from __future__ import annotations

from typing import Final

from pwdlib import PasswordHash

from services.console.auth import Auth
from services.console.gateway import Gateway, remote
from services.console.gauges import measuring
from services.console.pages.acts import act_routes
from services.console.pages.case import case_routes
from services.console.pages.entry import entry_routes
from services.console.pages.feeds import feed_routes
from services.console.pages.glass import glass_routes
from services.console.pages.looks import look_routes
from services.console.pages.ops import ops_routes
from services.console.pages.queue import queue_routes
from services.console.pages.report import report_routes
from services.console.pages.reviews import review_routes
from services.console.pages.visits import visit_routes
from services.console.storage.tables import TABLES
from services.console.stream import Hub, Tail
from services.console.web.app import make_pages
from services.console.web.render import Pages
from services.console.web.visit import Console
from services.console.web.zone import zone_of
from services.kernel.clock import Clock, SystemClock
from services.kernel.ids import uuid7
from services.kernel.runtime import Context, Service

NAME: Final = "console"
_ROUTES: Final = (
    entry_routes,
    queue_routes,
    case_routes,
    act_routes,
    report_routes,
    visit_routes,
    glass_routes,
    review_routes,
    ops_routes,
    look_routes,
    feed_routes,
)


def build(ctx: Context) -> Service:
    """Return the console of a process of its own: the other services are at their addresses."""
    return assemble(ctx, Gateway(remote(ctx.urls, ctx.token), ctx.clock))


def assemble(
    ctx: Context,
    gateway: Gateway,
    *,
    wall: Clock | None = None,
    hasher: PasswordHash | None = None,
) -> Service:
    """Return the console over a gateway.

    Args:
        ctx: Of the process.
        gateway: The way to the other services.
        wall: Wall-clock time for sessions; the demo's clock runs faster.
        hasher: Of passwords.
    """
    db = ctx.open_db(NAME, TABLES)
    db.migrate("services.console.migrations")
    ctx.metrics.on_scrape(measuring(db, ctx.clock, ctx.metrics))
    wall = wall or SystemClock()
    hub = Hub(ctx.clock)
    console = Console(
        db=db,
        auth=Auth(db, wall, hasher),
        gateway=gateway,
        hub=hub,
        pages=Pages(zone_of(ctx.settings.pack)),
        clock=ctx.clock,
        wall=wall,
    )
    routes = [each(console) for each in _ROUTES]
    api = make_pages(console, routes, metrics=ctx.metrics, monotonic=ctx.monotonic)
    group = f"{NAME}-{uuid7(wall.now())}"
    tail = Tail(ctx.bus, hub, ctx.monotonic, group, ctx.settings.partitions)
    return Service(name=NAME, api=api, workers=[tail], leave=[hub.close])
