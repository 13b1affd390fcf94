"""Brings a town to its present day, then runs that day: one driver for the demo and its tests."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

import msgspec

from services.allinone.demo.stage import Stage
from services.allinone.demo.station import Station
from services.allinone.replay.feeder import Piece, course
from services.allinone.replay.run import AHEAD
from services.allinone.replay.sorting import Row
from services.allinone.town.plan import midnight
from services.allinone.town.stream import Received, Town, items
from services.kernel.clock import DAY, HOUR, MINUTE, Monotonic

BATCH: Final = 500
STRIDE: Final = 5 * MINUTE
_ROUNDS: Final = 12 * HOUR
"""In the history the station looks at its queue this often."""

ALARMING: Final = frozenset(
    {
        "child.harm_suspected", "child.unattended", "device.alarm", "elder.care_risk_event",
        "family.violence_reported", "health.vitals",
    }
)  # fmt: skip
"""Types after which the day stops at once, so that whoever answers does so in minutes."""

Alert = dict[str, Any]
Tell = Callable[[list[Alert]], None]
"""Told after each stride: the alerts that changed, whole."""


@dataclass
class Pace:
    """How fast the day goes: seconds for the whole of it, 0 for as fast as it can."""

    day_s: float
    monotonic: Monotonic
    stopping: threading.Event = field(default_factory=threading.Event)
    _started_s: float | None = None

    def wait(self, gone: int) -> None:
        """Wait until so much (microseconds) of the day may have gone."""
        now_s = self.monotonic.seconds()
        if self._started_s is None:
            self._started_s = now_s
        left_s = self._started_s + self.day_s * gone / DAY - now_s
        if left_s > 0:
            self.monotonic.wait(self.stopping, left_s)


class Course:
    """The town's log, cut in two: the history, and the present day."""

    def __init__(self, town: Town) -> None:
        self.begins = midnight(town.plan.first)
        self.today = midnight(town.plan.last)
        self.ends = self.today + DAY
        self._items = items(town)
        self._first: list[Received] = []

    def history(self) -> Iterator[Row]:
        """Yield everything received before the present day."""
        for number, (at, item) in enumerate(self._items):
            if at >= self.today:
                self._first.append((at, item))
                return
            yield at, number, msgspec.json.encode(item)

    def day(self) -> Iterator[Received]:
        """Yield what the present day brings; after `history`."""
        return chain(self._first, self._items)


def bring(stage: Stage, log: Course, station: Station, tell: Callable[[int, int], None]) -> None:
    """Feed the history; the station answers what it brings, some hours later than in life.

    Args:
        stage: Stepped.
        log: Of the town.
        station: Its people.
        tell: Told the items read so far and the instant reached.
    """
    marks = list(range(log.begins + _ROUNDS, log.today + 1, _ROUNDS))
    waiting = 0
    for part in course(log.history(), size=BATCH, marks=marks):
        if isinstance(part, Piece):
            stage.feeder.send(part)
            waiting += 1
            if waiting >= AHEAD:
                stage.drain()
                waiting = 0
        else:
            stage.feeder.mark(part)
            stage.drain()
            waiting = 0
            station.look(stage.apis.items("alerts", "/v1/alerts", state="open"))
            station.act(part)
        tell(stage.feeder.counts.read, stage.clock.now())


class Day:
    """The present day under way: feeds, marks, lets the station act, tells."""

    def __init__(self, stage: Stage, log: Course, station: Station) -> None:
        self._stage = stage
        self._log = log
        self._station = station
        self._rows = deque(log.day())
        self._versions: dict[str, int] = {}

    def begin(self) -> None:
        """Look at what is open as the day begins, so that only news is told later."""
        stage = self._stage
        stage.clock.advance_to(self._log.today)
        opened = self._open()
        self._station.look(opened)
        self._versions = {alert["id"]: alert["version"] for alert in opened}

    def run(self, pace: Pace, tell: Tell) -> None:
        """Go through the day, stride by stride; ends early when the pace is told to stop."""
        at, log = self._log.today, self._log
        while at < log.ends and not pace.stopping.is_set():
            at = self._next(at)
            self._come(at)
            if (at - log.today) % STRIDE == 0:
                tell(self.changed())
                pace.wait(at - log.today)

    def _next(self, at: int) -> int:
        """Return the next instant to stop at: a stride's end, somebody's deed, an alarm."""
        stop = at + STRIDE - (at - self._log.today) % STRIDE
        deed = self._station.next_at()
        if deed is not None:
            stop = min(stop, max(deed, at + 1))
        for received, item in self._rows:
            if received >= stop:
                break
            if item["type"] in ALARMING and received > at:
                return received
        return stop

    def _come(self, at: int) -> None:
        """Feed what is received by an instant, mark it, and let people act at it."""
        stage, sent = self._stage, list[bytes]()
        while self._rows and self._rows[0][0] <= at:
            sent.append(msgspec.json.encode(self._rows.popleft()[1]))
        if sent:
            stage.feeder.send(Piece([*sent], at))
        stage.feeder.mark(at)
        stage.drain()
        self._station.look(self._open())
        self._station.act(at)

    def changed(self) -> list[Alert]:
        """Return the alerts that changed since the last look, whole."""
        seen = {alert["id"]: alert["version"] for alert in self._open()}
        gone = sorted(self._versions.keys() - seen.keys())
        news = [id_ for id_, version in seen.items() if self._versions.get(id_) != version]
        self._versions = seen
        return [self._stage.apis.get("alerts", f"/v1/alerts/{id_}") for id_ in (*gone, *news)]

    def _open(self) -> list[Alert]:
        return list(self._stage.apis.items("alerts", "/v1/alerts", state="open"))
