"""`hearthwatch model`: the commands of training, which need the extra `ml`."""

from __future__ import annotations

import importlib

import typer

from services.allinone.words import say
from services.kernel.errors import Fault, WrongUse

_TRAINING = "services.risk.training.cli"
_OF_EXTRA = frozenset({"numpy", "pandas", "pyarrow", "sklearn", "scipy", "skops", "matplotlib"})


def add(app: typer.Typer) -> None:
    """Put the subcommand into the command."""
    app.command(
        "model",
        help=say("help.model"),
        add_help_option=False,
        context_settings={
            "allow_extra_args": True,
            "ignore_unknown_options": True,
            "allow_interspersed_args": False,
        },
    )(_model)


def _model(ctx: typer.Context) -> None:
    # By name: training is no part of the running service, and no import statement may reach it.
    try:
        training = importlib.import_module(_TRAINING)
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] not in _OF_EXTRA:
            raise
        raise WrongUse(
            Fault(
                where="hearthwatch model",
                expected="the packages of the extra `ml`",
                found=f"no {exc.name}",
                remedy="install them: pip install 'hearthwatch[ml]'",
                code="extra",
            )
        ) from exc
    training.app(args=ctx.args, prog_name="hearthwatch model")
