"""Named crash points: `HEARTHWATCH_CRASH=name[:n]` kills the process at the nth passing of a name.

A promise such as "accepted means durable" is only worth what survives a kill between two of its
steps. Each step of that kind passes a named point; without the variable a point does nothing.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Final, NamedTuple

from services.kernel.errors import Fault, WrongUse

VARIABLE: Final = "HEARTHWATCH_CRASH"

_WORKERS: Final = ("registry", "risk", "alerts")
_RELAYS: Final = ("intake", "registry", "risk", "alerts")

POINTS: Final[tuple[str, ...]] = (
    *(
        f"{service}.worker.{step}"
        for service in _WORKERS
        for step in ("before_commit", "after_commit_before_offset")
    ),
    *(
        f"{service}.relay.{step}"
        for service in _RELAYS
        for step in ("before_publish", "after_publish_before_mark")
    ),
    "intake.accept.before_commit",
    "intake.accept.after_commit",
    "alerts.engine.before_commit",
    "alerts.engine.after_commit",
    "alerts.deliver.before_send",
    "alerts.deliver.after_send_before_record",
    "bus.rebalance",
    "feeder.mid_batch",
)
"""Every name there is; `tests/unit/kernel/test_crash.py` proves that the source passes each."""


class Plan(NamedTuple):
    """Where to die: at the `at`-th passing (1 is the first) of the point `name`."""

    name: str
    at: int


def parse(text: str) -> Plan | None:
    """Return the plan that the variable's text asks for, None for an empty text.

    Raises:
        WrongUse: the name is not one of POINTS, or the count is not a whole number from 1.
    """
    if not text:
        return None
    name, _, count = text.partition(":")
    if name not in POINTS:
        raise WrongUse(
            Fault(VARIABLE, "one of " + ", ".join(POINTS), repr(name), "correct the name")
        )
    if count and (not count.isdecimal() or int(count) < 1):
        raise WrongUse(
            Fault(VARIABLE, "name[:n], n a whole number from 1", repr(count), "correct n")
        )
    return Plan(name, int(count or 1))


_plan: Final = parse(os.environ.get(VARIABLE, ""))
_lock: Final = threading.Lock()
_passed = 0


def crashpoint(name: str) -> None:
    """Pass the point `name`: nothing happens unless this process was told to die here."""
    if _plan is None or name != _plan.name:
        return
    global _passed  # noqa: PLW0603 - the count of one process, kept for its whole life
    with _lock:
        _passed += 1
        if _passed == _plan.at:
            os.kill(os.getpid(), signal.SIGKILL)
