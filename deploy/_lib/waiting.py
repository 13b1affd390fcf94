"""The only place here that waits; everything else asks a question and is asked again."""

import time
from collections.abc import Callable

from .errors import DeployError

# Often enough that a start of half a second is not rounded up, seldom enough to leave two cores
# alone.
_PAUSE_S = 0.1


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def elapsed_s(self) -> float:
        """Return seconds since the start, never negative."""
        return time.monotonic() - self._started


def wait_until(missing: Callable[[], str | None], timeout_s: float) -> str | None:
    """Ask until nothing is missing; return None, or what was still missing when the time was up.

    Args:
        missing: Returns None when all is well, else the reason why not. Asked at least once.
        timeout_s: Seconds to keep asking; the last question may run past it.
    """
    watch = Stopwatch()
    while (reason := missing()) is not None:
        if watch.elapsed_s() >= timeout_s:
            return reason
        time.sleep(_PAUSE_S)
    return None


def require(missing: Callable[[], str | None], timeout_s: float, what: str) -> None:
    """Ask until nothing is missing.

    Raises:
        DeployError: `what` was not so within `timeout_s`; the message carries the last reason.
    """
    reason = wait_until(missing, timeout_s)
    if reason is not None:
        raise DeployError(f"{what} within {timeout_s:.0f} s: {reason}")
