"""`hearthwatch keys new|list`: the keyring of protected fields."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.allinone.console import show, show_json, tell
from services.allinone.words import say

Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help=say("option.data"))]
File = Annotated[Path | None, typer.Option("--file", metavar="FILE", help=say("keys.file"))]
AsJson = Annotated[bool, typer.Option("--json", help=say("option.json"))]


def add(app: typer.Typer) -> None:
    """Put the subcommand into the command."""
    group = typer.Typer(help=say("help.keys"), no_args_is_help=True)
    group.command("new", help=say("help.keys.new"))(_new)
    group.command("list", help=say("help.keys.list"))(_list)
    app.add_typer(group, name="keys")


def _new(data: Data = None, file: File = None) -> None:
    from services.kernel.protect import add_key

    path = _path(data, file)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    show(say("keys.made", name=add_key(path), file=path))
    tell(say("keys.keep"))


def _list(data: Data = None, file: File = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    from services.kernel.protect import load

    path = _path(data, file)
    ids = load(path).ids
    if as_json:
        show_json({"file": str(path), "encrypts": ids[0], "keys": list(ids)})
        return
    for place, key in enumerate(ids):
        show(say("keys.first" if place == 0 else "keys.other", name=key))


def _path(data: Path | None, file: Path | None) -> Path:
    from services.kernel.protect import FILE
    from services.kernel.settings import load

    if file is not None:
        return file
    given: dict[str, object] = {} if data is None else {"data_dir": data}
    return load(None, **given).data_dir / FILE
