"""`hearthwatch demo`."""

from __future__ import annotations

import os
import sys
import webbrowser
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from services.allinone.console import out, show
from services.allinone.options import command
from services.allinone.words import say

if TYPE_CHECKING:
    from services.allinone.demo.run import Demo, Outcome, Watch

DAY_S: Final = 60.0
"""How long the day takes on a terminal."""


def add(app: typer.Typer) -> None:
    """Put the subcommand into the command."""
    app.command("demo", help=say("help.demo"))(command(Options)(_demo))


@dataclass(frozen=True)
class Options:
    """What may be chosen."""

    people: Annotated[int, typer.Option(min=100, max=100_000, help=say("town.people"))] = 2155
    seed: Annotated[int, typer.Option(help=say("demo.seed"))] = 7
    days: Annotated[int, typer.Option(min=12, max=3660, help=say("town.days"))] = 21
    date: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help=say("town.date"))] = (
        None
    )
    seconds: Annotated[float | None, typer.Option(min=0, help=say("demo.seconds"))] = None
    port: Annotated[int, typer.Option(min=0, max=65535, help=say("up.port"))] = 0
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help=say("demo.out"))] = Path(
        "build/demo"
    )
    pack: Annotated[Path | None, typer.Option(metavar="PACK", help=say("replay.pack"))] = None
    model: Annotated[Path | None, typer.Option(metavar="DIR", help=say("demo.model"))] = None


def _demo(options: Options) -> None:
    from services.allinone.demo.run import PACK, Demo, run
    from services.allinone.demo.town_day import Pace
    from services.allinone.town.plan import LAST
    from services.kernel import logging
    from services.kernel.clock import SystemMonotonic
    from services.kernel.runtime.signals import told_to_end

    logging.configure("console", "WARNING")
    ends = bool(os.environ.get("DEMO_EXIT")) or not sys.stdout.isatty()
    demo = Demo(
        people=options.people,
        seed=options.seed,
        days=options.days,
        last=options.date.date() if options.date else LAST,
        pack=options.pack or PACK,
        model=options.model,
        out=options.folder,
        day_s=_seconds(options.seconds, ends=ends),
        port=options.port,
        stay=not ends,
    )
    pace = Pace(demo.day_s, SystemMonotonic())
    show(say("demo.title", people=demo.people, days=demo.days, date=demo.last, seed=demo.seed))
    with ExitStack() as bars, told_to_end(pace.stopping.set):
        run(demo, _watch(demo, bars), pace)
    show(say("up.stopped"))


def _seconds(wanted: float | None, *, ends: bool) -> float:
    """Return how long the day takes: a minute where somebody looks on."""
    if wanted is not None:
        return wanted
    return 0.0 if ends else DAY_S


def _watch(demo: Demo, bars: ExitStack) -> Watch:
    from services.allinone.demo.run import Watch
    from services.allinone.progress import Days
    from services.allinone.town.plan import Plan, midnight

    begins = midnight(Plan(days=demo.days, last=demo.last).first)
    bar = bars.enter_context(Days(begins, demo.days))

    def address(url: str) -> None:
        bars.close()
        _welcome(f"{url}/console/")

    def done(outcome: Outcome) -> None:
        _summary(outcome)
        if demo.stay:
            show(say("demo.stays"))

    return Watch(tell=show, fed=bar.fed, address=address, done=done)


def _welcome(url: str) -> None:
    from services.allinone.demo.logins import LOGINS, PASSWORD
    from services.allinone.demo.naming import word

    show(say("demo.console", url=url))
    for login in LOGINS:
        about = {"name": login.name, "display": login.display, "password": PASSWORD}
        show(say("demo.login", **about, role=word("role", login.role)))
    if sys.stdout.isatty() and not os.environ.get("DEMO_EXIT"):
        webbrowser.open(url)


def _summary(outcome: Outcome) -> None:
    from services.allinone.demo.summary import tables

    for table in tables(outcome):
        out().print(table)
