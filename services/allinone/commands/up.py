"""`hearthwatch up`: everything, in one process or one per service, until it is told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from services.allinone.console import show
from services.allinone.words import say

if TYPE_CHECKING:
    from services.kernel.settings import Settings


def add(app: typer.Typer) -> None:
    """Put the subcommand into the command."""
    app.command("up", help=say("help.up"))(_up)


def _up(
    data: Annotated[Path | None, typer.Option(metavar="DIR", help=say("up.data"))] = None,
    pack: Annotated[Path | None, typer.Option(metavar="PACK", help=say("up.pack"))] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help=say("up.port"))] = None,
    processes: Annotated[
        Literal["one", "each"], typer.Option("--processes", help=say("up.processes"))
    ] = "one",
) -> None:
    from services.allinone.embedded import settings_of, with_console
    from services.allinone.replay.target import refuse_replay
    from services.kernel import logging
    from services.kernel.runtime import open_app
    from services.kernel.runtime.process import serve

    settings = settings_of(data, pack, port)
    refuse_replay(settings.data_dir)
    logging.configure(settings.log_form, settings.log_level)
    if processes == "each":
        _each(settings)
        return
    app = open_app(settings, with_console())
    show(say("up.serving", url=app.address, data=settings.data_dir))
    serve(app, settings)
    show(say("up.stopped"))


def _each(settings: Settings) -> None:
    """Run a process per service until told to stop."""
    import os
    import sys

    from services.allinone import deployed
    from services.allinone.processes import Supervisor
    from services.kernel.runtime.signals import told_to_end

    plan = deployed.live(settings, os.environ)
    supervisor = Supervisor(deployed.programs(plan), sys.stdout)
    for name, address in deployed.addresses(plan.ports).items():
        show(say("up.serving", url=address, data=name))
    with told_to_end(supervisor.gave_up.set):
        supervisor.start()
        try:
            supervisor.gave_up.wait()
        finally:
            supervisor.stop()
    if supervisor.fault is not None:
        supervisor.check()
    show(say("up.stopped"))
