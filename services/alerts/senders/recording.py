"""The sink of replays and tests: it reaches nobody and remembers what it was given."""

from __future__ import annotations

from collections import deque

from services.alerts.senders.port import Outbound, Result

KEPT = 10_000


class RecordingSender:
    """Says `delivered` to everything; `sent` holds the last messages, the rows hold all."""

    name = "record"
    instant = True

    def __init__(self) -> None:
        self.sent: deque[Outbound] = deque(maxlen=KEPT)

    def send(self, message: Outbound) -> Result:
        """See `Sender`."""
        self.sent.append(message)
        return Result("delivered")

    def close(self) -> None:
        """See `Sender`."""
