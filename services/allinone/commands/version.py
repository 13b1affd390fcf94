"""`hearthwatch version`."""

from __future__ import annotations

import platform
from importlib import metadata

import typer

from services.allinone.console import show
from services.allinone.words import say


def add(app: typer.Typer) -> None:
    """Put the subcommand into the command."""
    app.command("version", help=say("help.version"))(_version)


def _version() -> None:
    show(f"hearthwatch {metadata.version('hearthwatch')} (Python {platform.python_version()})")
