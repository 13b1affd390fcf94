"""A process that runs the alerts service over one evening under a virtual clock.

`python -m tests.support.alerts_process FOLDER SENT`. It may be killed at any point, also by itself
(HEARTHWATCH_CRASH), and started again: it then lives through the same evening from its beginning.
Each sending is appended to the file SENT, line by line, as a provider would see it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from services.alerts.senders.port import Outbound, Result
from services.kernel.clock import MINUTE, VirtualClock
from tests.support.scenario import START, FakeSender, World

PEOPLE: Final = 6


class FileSender(FakeSender):
    """A channel of its own process: what it takes is written to a file and synced."""

    def __init__(self, path: Path) -> None:
        super().__init__(instant=False)
        self._path = path

    def send(self, message: Outbound) -> Result:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{message.key} {message.step} {message.role}\n")
            file.flush()
            os.fsync(file.fileno())
        return Result("delivered")


class KeptClock(VirtualClock):
    """A clock that goes on where it stood when the process died, as the wall's does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(int(path.read_text("ascii")) if path.exists() else START)

    def advance_to(self, instant: int) -> None:
        super().advance_to(instant)
        rest = self._path.with_suffix(".new")
        rest.write_text(str(self.now()), "ascii")
        rest.replace(self._path)


def live(folder: Path, sent: Path) -> None:
    """Live through the evening: people are reported, some are helped, the rest escalate."""
    clock = KeptClock(folder / "now")
    world = World(folder, sender=FileSender(sent), settings={"partitions": 2}, clock=clock)
    for n in range(PEOPLE):
        world.clock.advance_to(START + n * MINUTE)
        world.raise_alert(f"p{n}", id=f"raised-{n}")
        settle(world)
    for n in range(0, PEOPLE, 3):
        world.clock.advance_to(START + 25 * MINUTE)
        world.pass_fact(f"p{n}", "handled", id=f"helped-{n}")
        settle(world)
    for minutes in (33, 61, 63, 90):
        world.clock.advance_to(START + minutes * MINUTE)
        world.turn()
        settle(world)
    world.close()


def settle(world: World) -> None:
    """Wait until everything sent has come back."""
    while world.deliverer.run_once(1 if world.deliverer.in_flight() else 0):
        pass
    world.app.step()


if __name__ == "__main__":
    live(Path(sys.argv[1]), Path(sys.argv[2]))
