"""Waiting out trouble: pauses that double from 0.1 to 5 s and can be cut short."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from services.kernel.clock import Monotonic

FIRST_S: Final = 0.1
LONGEST_S: Final = 5.0


@dataclass(eq=False)
class Pause:
    """The pauses of one loop. `reason` says why it is waiting, None when it is not."""

    monotonic: Monotonic
    stopping: threading.Event
    reason: str | None = None
    length_s: float = 0.0
    _until: float = 0.0

    def lengthen(self, reason: str) -> None:
        """Begin a pause, twice as long as the one before."""
        self.reason = reason
        self.length_s = min(LONGEST_S, self.length_s * 2 or FIRST_S)
        self._until = self.monotonic.seconds() + self.length_s

    def end(self) -> None:
        """Forget the trouble: the next pause is short again."""
        self.reason, self.length_s, self._until = None, 0.0, 0.0

    def over(self, timeout_s: float) -> bool:
        """Wait for the end of the pause, at most `timeout_s`; return whether it is reached."""
        left_s = self._until - self.monotonic.seconds()
        if self.reason is None or left_s <= 0:
            return True
        stopped = self.monotonic.wait(self.stopping, min(left_s, timeout_s))
        return not stopped and left_s <= timeout_s
