"""`hearthwatch import`: files through the door."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from services.allinone.console import FOUND, show, show_json, tell
from services.allinone.words import say
from services.kernel.errors import Fault, WrongUse

_FILE: dict[str, Any] = {"exists": True, "dir_okay": False, "readable": True}


def add(app: typer.Typer) -> None:
    """Put the subcommand into the command."""
    app.command("import", help=say("help.import"))(_import)


def _import(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help=say("import.files"), **_FILE)
    ],
    map_: Annotated[
        Path | None, typer.Option("--map", metavar="MAP", help=say("import.map"), **_FILE)
    ] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help=say("option.data"))] = None,
    url: Annotated[str | None, typer.Option(metavar="URL", help=say("option.url"))] = None,
    pack: Annotated[Path | None, typer.Option(metavar="PACK", help=say("option.pack"))] = None,
    batch: Annotated[int, typer.Option(min=1, max=5000, help=say("import.batch"))] = 500,
    as_json: Annotated[bool, typer.Option("--json", help=say("option.json"))] = False,  # noqa: FBT002
) -> None:
    import msgspec

    from services.allinone.access import reached
    from services.allinone.doors import HttpDoor
    from services.allinone.progress import Imported, Progress
    from services.intake.importing import bring_in

    with reached(data, url, pack, make=True) as found, Progress() as bar:
        if found.replaying:
            raise WrongUse(
                Fault("--data", "a data folder of its own", "the folder of a replay",
                      "give another folder")
            )  # fmt: skip
        counts = bring_in(files, map_, HttpDoor(found.apis), Imported(bar), size=batch)
    if as_json:
        show_json(msgspec.to_builtins(counts))
    else:
        for fault in counts.faults:
            tell(
                say(
                    "error.fault",
                    where=f"{fault['origin']} {fault['where']}",
                    found=fault["found"],
                    expected=fault["expected"],
                    remedy=fault["remedy"],
                )
            )
        show(
            say(
                "import.summary",
                read=counts.read,
                accepted=counts.accepted,
                duplicate=counts.duplicate,
                rejected=counts.rejected,
            )
        )
    if counts.rejected:
        raise typer.Exit(FOUND)
