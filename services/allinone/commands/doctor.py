"""`hearthwatch doctor`: what went in against what came out, by id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.allinone.console import FOUND, show, show_json, tell
from services.allinone.words import say

if TYPE_CHECKING:
    from services.allinone.access import Reached
    from services.allinone.doctor import Diagnosis


def add(app: typer.Typer) -> None:
    """Put the subcommand into the command."""
    app.command("doctor", help=say("help.doctor"))(_doctor)


def _doctor(
    data: Annotated[Path | None, typer.Option(metavar="DIR", help=say("option.data"))] = None,
    url: Annotated[str | None, typer.Option(metavar="URL", help=say("option.url"))] = None,
    pack: Annotated[Path | None, typer.Option(metavar="PACK", help=say("option.pack"))] = None,
    repair: Annotated[bool, typer.Option("--repair", help=say("doctor.repair"))] = False,  # noqa: FBT002
    as_json: Annotated[bool, typer.Option("--json", help=say("option.json"))] = False,  # noqa: FBT002
) -> None:
    from services.allinone.access import reached

    with reached(data, url, pack) as found:
        diagnosis = _settled(found)
        if repair and diagnosis.lost:
            diagnosis = _repaired(found, diagnosis)
    if as_json:
        show_json(diagnosis.as_json())
    else:
        _tell(diagnosis)
    if not diagnosis.ok:
        raise typer.Exit(FOUND)


def _settled(found: Reached) -> Diagnosis:
    """Examine; a running process for a few seconds, because something may be under way."""
    from services.allinone import doctor
    from services.kernel.clock import SystemMonotonic

    if found.drain is None:
        return doctor.settle(found.apis, SystemMonotonic())
    return doctor.examine(found.apis)


def _repaired(found: Reached, diagnosis: Diagnosis) -> Diagnosis:
    from services.allinone import doctor

    count = doctor.repair(found.apis, diagnosis.lost)
    tell(say("doctor.repaired", count=count))
    if found.drain is not None:
        found.drain()
    return _settled(found)


def _tell(diagnosis: Diagnosis) -> None:
    for finding in diagnosis.findings:
        show(
            say(
                "doctor.finding",
                service=finding.service,
                table=finding.table,
                id=finding.id,
                problem=finding.problem,
            )
        )
    show(
        say(
            "doctor.ok" if diagnosis.ok else "doctor.not_ok",
            accepted=diagnosis.accepted,
            assessed=diagnosis.assessed,
            accounted=diagnosis.accounted,
            difference=diagnosis.difference,
            findings=len(diagnosis.findings),
        )
    )
