"""`hearthwatch why SUBJECT`: the level in force then, with its reasons."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from services.allinone.console import show, show_json
from services.allinone.words import say


def add(app: typer.Typer) -> None:
    """Put the subcommand into the command."""
    app.command("why", help=say("help.why"))(_why)


def _why(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help=say("why.subject"))],
    at: Annotated[str | None, typer.Option(metavar="TIME", help=say("why.at"))] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help=say("option.data"))] = None,
    url: Annotated[str | None, typer.Option(metavar="URL", help=say("option.url"))] = None,
    pack: Annotated[Path | None, typer.Option(metavar="PACK", help=say("option.pack"))] = None,
    as_json: Annotated[bool, typer.Option("--json", help=say("option.json"))] = False,  # noqa: FBT002
) -> None:
    from services.allinone import why
    from services.allinone.access import reached

    with reached(data, url, pack) as found:
        answer = why.explain(found.apis, subject, at)
    if as_json:
        show_json(answer)
    else:
        _tell(answer)


def _tell(answer: dict[str, Any]) -> None:
    show(say("why.level", subject=answer["subject"], level=answer["level"], at=answer["at"]))
    for reason in answer["reasons"]:
        title = answer["rules"].get(reason["rule"], "")
        held = say("why.held") if reason.get("held") else ""
        show(
            say(
                "why.reason",
                rule=reason["rule"],
                instance=reason.get("instance", ""),
                title=title,
                level=reason["level"],
                since=reason["since"],
                held=held,
            )
        )
        for name, value in reason.get("values", {}).items():
            show(say("why.value", name=name, value=value))
    for unknown in answer.get("unknowns", []):
        missing = ", ".join(unknown["missing"])
        show(say("why.unknown", rule=unknown["rule"], missing=missing))
    if not answer["reasons"]:
        show(say("why.none"))
    if answer.get("model"):
        _tell_model(answer["model"])


def _tell_model(said: dict[str, Any]) -> None:
    show(say("why.model", level=said["level"], percent=f"{said['probability']:.1%}"))
    for name, weight in said.get("contributions", []):
        show(say("why.pushes", name=name, weight=f"{weight:+.2f}"))
    if said.get("missing"):
        show(say("why.lacks", missing=", ".join(said["missing"])))
