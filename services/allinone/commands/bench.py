"""`hearthwatch bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.allinone.console import out, tell
from services.allinone.words import say


def add(app: typer.Typer) -> None:
    """Put the subcommand into the command."""
    app.command("bench", help=say("help.bench"))(_bench)


def _bench(
    only: Annotated[str | None, typer.Option(metavar="GROUP", help=say("bench.only"))] = None,
    quick: Annotated[bool, typer.Option("--quick", help=say("bench.quick"))] = False,  # noqa: FBT002
    file: Annotated[Path, typer.Option("--out", metavar="FILE", help=say("bench.out"))] = Path(
        "build/bench.json"
    ),
) -> None:
    from services.allinone.bench import collect

    results = collect.run(only, quick=quick, tell=tell)
    out().print(collect.table(results))
    collect.write(file, results)
    tell(say("bench.wrote", path=file))
