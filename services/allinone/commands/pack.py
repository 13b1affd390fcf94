"""`hearthwatch pack check|test|book|source`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.allinone.console import FOUND, show, show_json, tell
from services.allinone.words import language, say

if TYPE_CHECKING:
    from services.allinone.packs import Verdict

Folder = Annotated[Path, typer.Argument(metavar="PACK", help=say("pack.folder"))]
RuleId = Annotated[str, typer.Argument(metavar="RULE", help=say("pack.rule"))]
Out = Annotated[Path | None, typer.Option("--out", help=say("pack.out"))]
AsJson = Annotated[bool, typer.Option("--json", help=say("option.json"))]


def add(app: typer.Typer) -> None:
    """Put the subcommand into the command."""
    group = typer.Typer(help=say("help.pack"), no_args_is_help=True)
    group.command("check", help=say("help.pack.check"))(_check)
    group.command("test", help=say("help.pack.test"))(_test)
    group.command("book", help=say("help.pack.book"))(_book)
    group.command("source", help=say("help.pack.source"))(_source)
    app.add_typer(group, name="pack")


def _check(pack: Folder, as_json: AsJson = False) -> None:  # noqa: FBT002 - an option
    from services.allinone import packs

    _tell(lambda: packs.check(pack), "pack.checked", as_json=as_json)


def _test(pack: Folder, as_json: AsJson = False) -> None:  # noqa: FBT002 - an option
    from services.allinone import packs

    _tell(lambda: packs.test(pack), "pack.summary", as_json=as_json)


def _book(pack: Folder, out: Out = None) -> None:
    from services.allinone.pack_book import book

    page = book(pack)
    if out is None:
        show(page)
        return
    out.write_text(page, encoding="utf-8")
    tell(say("pack.wrote", path=out))


def _source(pack: Folder, rule: RuleId) -> None:
    from services.risk.packs.loader import load
    from services.risk.packs.source import written_for

    show(written_for(load(pack), rule))


def _tell(look: Callable[[], Verdict], summary: str, *, as_json: bool) -> None:
    verdict = look()
    answer = verdict.as_json()
    if as_json:
        show_json(answer)
    else:
        for fault in verdict.faults:
            tell(
                say(
                    "error.fault",
                    where=fault.where,
                    found=fault.found,
                    expected=fault.expected,
                    remedy=fault.remedy,
                )
            )
        show(
            say(
                summary if verdict.rules else "pack.broken",
                rules=verdict.rules,
                groups=verdict.groups,
                types=verdict.types,
                levels=" ".join(f"{name[language()]} {n}" for name, n in verdict.levels),
                passed=verdict.passed,
                examples=verdict.examples,
                faults=len(verdict.faults),
            )
        )
    if verdict.faults:
        raise typer.Exit(FOUND)
