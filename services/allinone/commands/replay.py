"""`hearthwatch replay`: a log through the whole pipeline, under a virtual clock."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from services.allinone.console import FOUND, show_json, tell
from services.allinone.options import command
from services.allinone.words import say
from services.kernel.errors import Fault, WrongUse

if TYPE_CHECKING:
    from services.allinone.replay.run import Plan

_FILE: dict[str, Any] = {"exists": True, "dir_okay": False, "readable": True}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line may say."""

    logs: Annotated[list[Path], typer.Argument(metavar="LOG...", help=say("replay.logs"), **_FILE)]
    map: Annotated[Path, typer.Option("--map", metavar="MAP", help=say("replay.map"), **_FILE)]
    pack: Annotated[Path, typer.Option("--pack", metavar="PACK", help=say("replay.pack"))]
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help=say("replay.report"))
    ] = None
    bus: Annotated[Literal["sqlite", "kafka"], typer.Option("--bus", help=say("replay.bus"))] = (
        "sqlite"
    )
    db: Annotated[Literal["sqlite", "postgres"], typer.Option("--db", help=say("replay.db"))] = (
        "sqlite"
    )
    risk: Annotated[Literal["plain", "faust"], typer.Option("--risk", help=say("replay.risk"))] = (
        "plain"
    )
    processes: Annotated[
        Literal["one", "each"], typer.Option("--processes", help=say("replay.processes"))
    ] = "one"
    keep: Annotated[Path | None, typer.Option("--keep", metavar="DIR", help=say("replay.keep"))] = (
        None
    )
    resume: Annotated[bool, typer.Option("--resume", help=say("replay.resume"))] = False
    hold_rejected: Annotated[bool, typer.Option("--hold-rejected", help=say("replay.hold"))] = False
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help=say("replay.until"))
    ] = None
    mark_every: Annotated[
        str, typer.Option("--mark-every", metavar="ROWS|TIMES", help=say("replay.mark_every"))
    ] = ""
    batch: Annotated[int, typer.Option("--batch", min=1, max=5000, help=say("replay.batch"))] = 500
    partitions: Annotated[
        int, typer.Option("--partitions", min=1, max=512, help=say("replay.partitions"))
    ] = 4
    repeat: Annotated[
        int, typer.Option("--repeat", min=1, max=10_000, help=say("replay.repeat"))
    ] = 1
    timeline: Annotated[
        Path | None, typer.Option("--timeline", metavar="FILE", help=say("replay.timeline"))
    ] = None


def add(app: typer.Typer) -> None:
    """Put the subcommand into the command."""
    app.command("replay")(command(Options, doc=say("help.replay"))(_replay))


def _replay(options: Options) -> None:
    from services.allinone.progress import Progress
    from services.allinone.replay.run import replay

    plan = _plan(options)
    with Progress() as watch:
        result = replay(plan, watch)
    show_json(result.report)
    if options.report is not None:
        _write(options.report, result.report)
    if not result.finished:
        tell(say("replay.held", count=result.report["changes"]["rejected"]))
        raise typer.Exit(FOUND)


def _plan(options: Options) -> Plan:
    from services.allinone.replay.engines import engines_of
    from services.allinone.replay.run import Plan

    marks, every = _marks(options.mark_every)
    return Plan(
        logs=options.logs,
        map=options.map,
        pack=options.pack,
        keep=options.keep,
        resume=options.resume,
        batch=options.batch,
        marks=marks,
        every=every,
        partitions=options.partitions,
        until=None if options.until is None else _instant("--until", options.until),
        hold=options.hold_rejected,
        repeat=options.repeat,
        timeline=options.timeline,
        engines=engines_of(options.bus, options.db, options.risk, options.processes, os.environ),
    )


def _marks(text: str) -> tuple[list[int], int]:
    """Return instants to mark, or the number of rows between marks."""
    if not text:
        return [], 0
    if text.isdecimal():
        return [], int(text)
    return [_instant("--mark-every", word.strip()) for word in text.split(",")], 0


def _instant(option: str, text: str) -> int:
    from services.kernel.clock import parse_rfc3339

    try:
        return parse_rfc3339(text)
    except ValueError as exc:
        raise WrongUse(
            Fault(option, "RFC 3339 with offset, such as 2026-11-22T08:00:00+08:00", repr(text),
                  "correct the time")
        ) from exc  # fmt: skip


def _write(path: Path, report: dict[str, Any]) -> None:
    import json

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    except OSError as exc:
        raise WrongUse(
            Fault("--report", "a file that can be written", type(exc).__name__, "correct the path")
        ) from exc
