"""`hearthwatch backup` and `hearthwatch restore`: the data folder of an embedded process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.allinone.console import show
from services.allinone.words import say


def add(app: typer.Typer) -> None:
    """Put the subcommands into the command."""
    app.command("backup", help=say("help.backup"))(_backup)
    app.command("restore", help=say("help.restore"))(_restore)


def _backup(
    to: Annotated[Path, typer.Argument(metavar="FOLDER", help=say("backup.to"))],
    data: Annotated[Path | None, typer.Option(metavar="DIR", help=say("option.data"))] = None,
    keyring: Annotated[bool, typer.Option("--with-keyring", help=say("backup.keyring"))] = False,  # noqa: FBT002
) -> None:
    from services.allinone.copies import backup
    from services.kernel.clock import SystemClock
    from services.kernel.protect import FILE

    folder = _data(data)
    note = backup(folder, to, SystemClock(), keyring=keyring)
    size = sum(file.bytes for file in note.files.values()) // 1000
    show(say("backup.done", folder=to, files=len(note.files), size=size, at=note.made_at))
    if FILE not in note.files:
        show(say("backup.without", file=folder / FILE))


def _restore(
    source: Annotated[Path, typer.Argument(metavar="FOLDER", help=say("restore.source"))],
    data: Annotated[Path | None, typer.Option(metavar="DIR", help=say("option.data"))] = None,
) -> None:
    from services.allinone.copies import restore
    from services.kernel.protect import FILE

    to = _data(data)
    note = restore(source, to)
    show(say("restore.done", folder=to, files=len(note.files), at=note.made_at))
    if FILE not in note.files:
        show(say("restore.without", file=to / FILE))


def _data(data: Path | None) -> Path:
    from services.kernel import settings

    given: dict[str, object] = {} if data is None else {"data_dir": data}
    return settings.load(None, **given).data_dir
