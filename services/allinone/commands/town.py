"""`hearthwatch town`: the synthetic town as a file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from services.allinone.console import show
from services.allinone.words import say


def add(app: typer.Typer) -> None:
    """Put the subcommand into the command."""
    town = typer.Typer(help=say("help.town"), no_args_is_help=True)
    town.command("make", help=say("help.town.make"))(_make)
    town.command("table", help=say("help.town.table"))(_table)
    app.add_typer(town, name="town")


def _table(
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help=say("town.to.table"))],
    people: Annotated[int, typer.Option(min=100, max=100_000, help=say("town.people"))] = 2155,
    seed: Annotated[int, typer.Option(help=say("demo.seed"))] = 7,
    days: Annotated[int, typer.Option(min=12, max=3660, help=say("town.days"))] = 365,
    pack: Annotated[Path | None, typer.Option(metavar="PACK", help=say("replay.pack"))] = None,
) -> None:
    from services.allinone.demo.run import PACK
    from services.allinone.town.plan import Plan
    from services.allinone.town.stream import build
    from services.allinone.town.table import write_table
    from services.risk.packs.loader import load

    town = build(Plan(people=people, seed=seed, days=days))
    count = write_table(town, load(pack or PACK), to)
    show(say("town.table", path=to, rows=count))


def _make(
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help=say("town.to"))],
    people: Annotated[int, typer.Option(min=100, max=100_000, help=say("town.people"))] = 2155,
    seed: Annotated[int, typer.Option(help=say("demo.seed"))] = 7,
    days: Annotated[int, typer.Option(min=12, max=3660, help=say("town.days"))] = 365,
    date: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help=say("town.date"))
    ] = None,
    received: Annotated[bool, typer.Option("--received", help=say("town.received"))] = False,  # noqa: FBT002
) -> None:
    from services.allinone.progress import Progress
    from services.allinone.town.people import CATEGORIES
    from services.allinone.town.plan import LAST, Plan
    from services.allinone.town.stream import build
    from services.allinone.town.writing import write

    last = date.date() if date is not None else LAST
    plan = Plan(people=people, seed=seed, days=days, last=last)
    town = build(plan)
    with Progress() as bar:
        count = write(town, to, bar.fed, received=received)
    show(
        say(
            "town.made",
            path=to,
            people=town.people,
            households=len(town.households),
            scenes=len(town.scenes),
            items=count,
            first=plan.first,
            last=plan.last,
            seed=seed,
        )
    )
    language = say("language")
    names = {name: name if language == "en" else zh for name, (zh, _) in CATEGORIES.items()}
    found = "　".join(f"{names[name]} {count}" for name, count in town.categories.items())
    show(say("town.categories") + " " + found)
