"""The process around an app: settings, logs, signals, exit code."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence

from services.kernel import logging
from services.kernel.errors import Faults, Retryable, WrongUse
from services.kernel.runtime.app import App
from services.kernel.runtime.service import Build
from services.kernel.runtime.signals import told_to_end
from services.kernel.runtime.waiting import open_patiently
from services.kernel.settings import Settings, described, load

DONE = 0
FAILED = 1
WRONG_USE = 2


def run(
    builds: Sequence[Build],
    environ: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
) -> int:
    """Host the services until SIGTERM or SIGINT; return the process's exit code.

    With `--help` among the arguments the settings are told instead; there are no others.

    0: stopped as told. 1: embedded, the disk refuses at the start. 2: wrong use, said which on
    stderr. A second signal ends the process at once. Deployed, what is out of reach is waited for.
    """
    if arguments:
        return _answer(arguments)
    try:
        settings = load(environ)
        logging.configure(settings.log_form, settings.log_level)
        app = open_patiently(settings, builds)
        serve(app, settings)
    except (WrongUse, Faults) as exc:
        sys.stderr.write(f"{exc}\n")
        return WRONG_USE
    except Retryable as exc:
        sys.stderr.write(f"{exc}; start again when it can be reached\n")
        return FAILED
    return DONE


def _answer(arguments: Sequence[str]) -> int:
    if not {"-h", "--help"} & set(arguments):
        sys.stderr.write(f"unknown argument {arguments[0]!r}: settings are variables, see --help\n")
        return WRONG_USE
    sys.stdout.write(
        "Runs one service until SIGTERM. It takes no arguments; these variables are its settings:\n"
        f"\n{described()}\n\n"
        "example: HEARTHWATCH_PACK=packs/cn-town python -m services.risk\n"
    )
    return DONE


def serve(app: App, settings: Settings) -> None:
    """Start the app, wait for a signal, stop it; only from the main thread."""
    told = threading.Event()
    log = logging.get_logger(__name__)
    with told_to_end(told.set):
        try:
            app.start()
            log.info("serving", url=app.address, data_dir=settings.data_dir.name)
            told.wait()
            log.info("stopping")
        finally:
            app.stop()
    log.info("stopped")
