"""What a command says on the terminal: text in the chosen language, tables, one clear error.

Results that scripts read (JSON) go to stdout, everything for people beside a result to stderr.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from services.allinone.words import say
from services.kernel.errors import (
    Fault,
    Faults,
    HearthwatchError,
    InvalidMessage,
    Refused,
    WrongUse,
)

DONE: Final = 0
FOUND: Final = 1
WRONG_USE: Final = 2
_MOST_TOLD: Final = 50


def out() -> Console:
    """Return the console of stdout; made anew so that a redirected stream is honoured."""
    return Console(highlight=False, soft_wrap=True)


def err() -> Console:
    """Return the console of stderr."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def tell(text: str) -> None:
    """Print one line for people to stderr."""
    err().print(escape(text))


def show(text: str) -> None:
    """Print one line to stdout."""
    out().print(escape(text))


def show_json(value: Any) -> None:  # noqa: ANN401 - any JSON-able value
    """Print a result for scripts: JSON alone on stdout, without colour."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def tell_error(exc: HearthwatchError) -> int:
    """Print an error as one clear text on stderr; return the exit code it stands for."""
    match exc:
        case WrongUse():
            _tell_faults(say("error.wrong_use"), [exc.fault])
            return WRONG_USE
        case Faults():
            _tell_faults(say("error.faults", what=exc.what, count=len(exc.faults)), exc.faults)
            return WRONG_USE
        case Refused() | InvalidMessage():
            _tell_faults(say("error.refused"), [exc.fault])
            return FOUND
        case _:
            tell(say("error.other", text=str(exc)))
            return FOUND


def _tell_faults(title: str, faults: list[Fault]) -> None:
    tell(title)
    for fault in faults[:_MOST_TOLD]:
        tell(
            say(
                "error.fault",
                where=fault.where,
                found=fault.found,
                expected=fault.expected,
                remedy=fault.remedy,
            )
        )
    if len(faults) > _MOST_TOLD:
        tell(say("error.more", count=len(faults) - _MOST_TOLD))
