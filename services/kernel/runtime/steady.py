"""Notices that somebody set the machine's clock back, which puts every promise off by as much.

A deadline is an instant (a row), so that it outlives the process. When the wall clock goes back by
an hour, an alert that was due in five minutes is due in sixty-five, and nothing else would say so.
"""

from __future__ import annotations

from typing import Final

from services.kernel.clock import SECOND, Clock, Monotonic, rfc3339
from services.kernel.logging import get_logger

LOOK_S: Final = 5.0
NOTED_US: Final = 5 * SECOND
"""What a time service corrects at once without anybody's promise suffering."""
TOLD_S: Final = 600.0
"""How long it is a reason not to be ready: long enough to page, too short to keep people out."""
_AT_ONCE_S: Final = 1.0
_log: Final = get_logger(__name__)


class Steady:
    """Compares the wall clock with the machine's own time. Thread-safe enough: a look is cheap.

    Args:
        clock: The wall clock; a virtual one stands still as it likes and is not to be looked at.
        monotonic: The machine's own time.
    """

    def __init__(self, clock: Clock, monotonic: Monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._ahead = self._apart() or clock.now() - int(monotonic.seconds() * SECOND)
        self._told: tuple[float, str] | None = None

    def look(self) -> None:
        """Take note of how far the two are apart now."""
        apart = self._apart()
        if apart is None:
            return
        back, self._ahead = self._ahead - apart, apart
        if back >= NOTED_US:
            now = rfc3339(self._clock.now() // SECOND * SECOND)
            reason = (
                f"the machine's clock was set back by {back // SECOND} s (it says {now}): what was "
                "promised before is late by as much; see the runbook, The clock"
            )
            self._told = self._monotonic.seconds(), reason
            _log.error("clock set back", seconds=back // SECOND)
        elif back <= -NOTED_US:
            _log.warning("clock set forward", seconds=-back // SECOND)

    def ready(self) -> str | None:
        """Return that the clock was set back lately, or None."""
        if self._told is None or self._monotonic.seconds() - self._told[0] > TOLD_S:
            return None
        return self._told[1]

    def _apart(self) -> int | None:
        """Return how far; None where the process stood still between the readings."""
        before_s = self._monotonic.seconds()
        wall = self._clock.now()
        if self._monotonic.seconds() - before_s > _AT_ONCE_S:
            return None
        return wall - int(before_s * SECOND)
