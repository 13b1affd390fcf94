"""`hearthwatch dlq list|show|fix|replay`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from services.allinone.console import FOUND, show, show_json, tell
from services.allinone.words import say
from services.kernel.errors import Fault, WrongUse

Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help=say("option.data"))]
Url = Annotated[str | None, typer.Option("--url", metavar="URL", help=say("option.url"))]
Pack = Annotated[Path | None, typer.Option("--pack", metavar="PACK", help=say("option.pack"))]
AsJson = Annotated[bool, typer.Option("--json", help=say("option.json"))]
Id = Annotated[str, typer.Argument(metavar="ID", help=say("dlq.id"))]


def add(app: typer.Typer) -> None:
    """Put the subcommand into the command."""
    group = typer.Typer(help=say("help.dlq"), no_args_is_help=True)
    group.command("list", help=say("help.dlq.list"))(_list)
    group.command("show", help=say("help.dlq.show"))(_show)
    group.command("fix", help=say("help.dlq.fix"))(_fix)
    group.command("replay", help=say("help.dlq.replay"))(_replay)
    app.add_typer(group, name="dlq")


def _list(
    data: Data = None,
    url: Url = None,
    pack: Pack = None,
    everything: Annotated[bool, typer.Option("--all", help=say("dlq.all"))] = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    from services.allinone import dlq
    from services.allinone.access import reached

    with reached(data, url, pack) as found:
        items = list(dlq.listed(found.apis, everything=everything))
    if as_json:
        show_json({"items": items})
        return
    for item in items:
        fault = item["fault"]
        show(
            say(
                "dlq.line",
                id=item["id"],
                state=item["state"],
                code=item["code"],
                origin=item.get("origin") or item.get("topic") or "",
                where=fault["where"],
                expected=fault["expected"],
                found=fault["found"],
            )
        )
    tell(say("dlq.count", count=len(items)))


def _show(
    identity: Id,
    data: Data = None,
    url: Url = None,
    pack: Pack = None,
) -> None:
    from services.allinone import dlq
    from services.allinone.access import reached

    with reached(data, url, pack) as found:
        show_json(dlq.shown(found.apis, identity))


def _fix(
    identity: Annotated[str, typer.Argument(metavar="[ID]", help=say("dlq.fix.id"))] = "",
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help=say("dlq.set"))
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="JSON", help=say("dlq.file"))
    ] = None,
    log: Annotated[Path | None, typer.Option("--from", metavar="LOG", help=say("dlq.from"))] = None,
    map_: Annotated[Path | None, typer.Option("--map", metavar="MAP", help=say("dlq.map"))] = None,
    data: Data = None,
    url: Url = None,
    pack: Pack = None,
) -> None:
    from services.allinone import dlq
    from services.allinone.access import reached

    if log is not None and map_ is not None and not identity:
        with reached(data, url, pack) as found:
            fixed = dlq.fix_from(found.apis, log, map_, replaying=found.replaying)
        tell(say("dlq.fixed", count=len(fixed)))
        return
    if not identity or bool(assignments) == (file is not None) or log is not None:
        raise WrongUse(
            Fault("dlq fix", "ID with --set or --file, or --from LOG with --map MAP",
                  "another combination", "see `hearthwatch dlq fix --help`")
        )  # fmt: skip
    correction = dlq.parts(assignments) if assignments else _read(file)
    with reached(data, url, pack) as found:
        dlq.fix(found.apis, identity, correction)
    tell(say("dlq.fixed", count=1))


def _replay(
    identities: Annotated[
        list[str] | None, typer.Argument(metavar="[ID...]", help=say("dlq.replay.ids"))
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help=say("dlq.replay.all"))] = False,  # noqa: FBT002
    data: Data = None,
    url: Url = None,
    pack: Pack = None,
) -> None:
    from services.allinone import dlq
    from services.allinone.access import reached

    if bool(identities) == everything:
        raise WrongUse(
            Fault("dlq replay", "ids, or --all", "both or neither", "say which to send again")
        )
    with reached(data, url, pack) as found:
        wanted = identities or [
            item["id"]
            for item in dlq.listed(found.apis, everything=False)
            if item["code"] != dlq.CONFLICT
        ]
        taken, refused = dlq.replay(found.apis, wanted)
    for identity, fault in refused.items():
        tell(say("dlq.refused", id=identity, text=fault.sentence()))
    tell(say("dlq.replayed", count=taken, refused=len(refused)))
    if refused:
        raise typer.Exit(FOUND)


def _read(path: Path | None) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path else None
    except (OSError, ValueError) as exc:
        raise WrongUse(
            Fault("--file", "a readable JSON file", type(exc).__name__, "correct the file")
        ) from exc
    if not isinstance(found, dict):
        raise WrongUse(Fault("--file", "a JSON object", "another value", "write {...}"))
    return found
