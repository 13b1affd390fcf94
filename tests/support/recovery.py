"""How long what was killed took to work again: measured from outside, kept in a table."""

from __future__ import annotations

import fcntl
import json
import os
import random
import re
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import httpx2

from services.allinone.processes import Child, Supervisor
from services.kernel.clock import SystemMonotonic

FILE: Final = Path(__file__).parents[2] / "build" / "recovery.json"
_LOOK_S: Final = 0.05
_ANSWER_S: Final = 2.0
_UNSENT: Final = re.compile(
    r'^hearthwatch_outbox_unsent_records{service="intake"} (\S+)$', re.MULTILINE
)


class Row(NamedTuple):
    """What was killed, and seconds: until a process was ready again; or how long after something
    shared was there again everything that stands on it was ready and had caught up."""

    what: str
    seconds: float


@dataclass
class _Outage:
    """waits_for: services, with the start of theirs that counts. mended: it can be over."""

    what: str
    began_s: float
    waits_for: dict[str, int]
    shared: bool = False
    mended: bool = True


class Watch:
    """Looks at the services' readiness; `killed` and `gone` begin the clock of an outage."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._monotonic = SystemMonotonic()
        self._guard = threading.Lock()
        self._outages: list[_Outage] = []
        self._stop = threading.Event()
        self._supervisor: Supervisor | None = None
        self._thread = threading.Thread(target=self._run, name="recovery", daemon=True)

    @property
    def children(self) -> dict[str, Child]:
        """Return the processes of the run."""
        assert self._supervisor is not None, "the run has not begun"
        return self._supervisor.children

    def begin(self, supervisor: Supervisor) -> None:
        """Begin to look; give this to the run as its `watch`."""
        self._supervisor = supervisor
        self._thread.start()

    def kill(self, name: str) -> bool:
        """Kill a service's process; False when it is not there just now."""
        child = self.children[name]
        starts, pid = child.starts, child.pid
        if not pid:
            return False
        with self._guard:  # nobody looks for it to come back before it has gone
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # it was just being started again
                return False
            self._outages.append(_Outage(name, self._monotonic.seconds(), {name: starts + 1}))
        return True

    def gone(self, what: str) -> None:
        """Note that something all services stand on was killed; `back` begins its clock."""
        everybody = {name: child.starts for name, child in self.children.items()}
        with self._guard:
            self._outages.append(_Outage(what, 0.0, everybody, shared=True, mended=False))

    def back(self) -> None:
        """Note that what was gone is there again.

        The outage is over when all services are ready and the door has nothing unsent.
        """
        now_s = self._monotonic.seconds()
        with self._guard:
            for outage in self._outages:
                if not outage.mended:
                    outage.mended, outage.began_s = True, now_s

    def settled(self) -> bool:
        """Return whether every outage is over."""
        with self._guard:
            return not self._outages

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        with httpx2.Client(timeout=_ANSWER_S, trust_env=False) as client:
            while not self._monotonic.wait(self._stop, _LOOK_S):
                with self._guard:
                    open_now = [outage for outage in self._outages if outage.mended]
                if open_now:
                    self._look(client, open_now)

    def _look(self, client: httpx2.Client, outages: Sequence[_Outage]) -> None:
        asked = {name for outage in outages for name in outage.waits_for}
        before = {name: self.children[name].starts for name in asked}
        ready = {name for name in asked if self._ready(client, name)}
        now_s = self._monotonic.seconds()
        for outage in outages:
            over = all(n in ready and before[n] >= starts for n, starts in outage.waits_for.items())
            if over and not (outage.shared and self._unsent(client)):
                self.rows.append(Row(outage.what, round(now_s - outage.began_s, 2)))
                with self._guard:
                    self._outages.remove(outage)

    def _ready(self, client: httpx2.Client, name: str) -> bool:
        try:
            return client.get(f"{self._url(name)}/readyz").status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False

    def _unsent(self, client: httpx2.Client) -> bool:
        """Return whether the door still has something to publish, or cannot tell."""
        try:
            found = _UNSENT.search(client.get(f"{self._url('intake')}/metrics").text)
        except httpx2.TransportError:
            return True
        return found is None or float(found[1]) > 0

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.children[name].program.environ['HEARTHWATCH_HTTP_PORT']}"


class Killer:
    """Kills random services between the batches of a run; `kills` in all, spread over `items`."""

    def __init__(self, watch: Watch, seed: int, kills: int, items: int) -> None:
        self.killed: list[str] = []
        self._watch = watch
        self._random = random.Random(seed)
        self._due = sorted(self._random.uniform(0, items) for _ in range(kills))

    def between(self, read: int) -> None:
        """Kill as many as are due once so many items were fed; none waits for another."""
        while self._due and self._due[0] <= read:
            alive = [name for name, child in self._watch.children.items() if child.pid]
            victim = self._random.choice(alive) if alive else ""
            if victim and self._watch.kill(victim):
                self.killed.append(victim)
                self._due.pop(0)
            else:
                SystemMonotonic().wait(threading.Event(), _LOOK_S)


def keep(test: str, rows: Sequence[Row]) -> None:
    """Write a test's rows into build/recovery.json, in place of its last ones, and print them."""
    FILE.parent.mkdir(exist_ok=True)
    with FILE.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        table = json.loads(file.read() or "{}")
        table[test] = summary(rows)
        file.seek(0)
        file.truncate()
        json.dump(table, file, indent=2, sort_keys=True)
    sys.stdout.write(f"\n{test}\n")
    for line in table[test]:
        sys.stdout.write(
            f"  {line['what']:<24} {line['count']:>3} x  median {line['median_s']:6.2f} s"
            f"  longest {line['longest_s']:6.2f} s\n"
        )


def summary(rows: Sequence[Row]) -> list[dict[str, object]]:
    """Return count, median and longest recovery of each thing that was killed."""
    by_what: dict[str, list[float]] = {}
    for row in rows:
        by_what.setdefault(row.what, []).append(row.seconds)
    return [
        {
            "what": what,
            "count": len(found),
            "median_s": sorted(found)[len(found) // 2],
            "longest_s": max(found),
        }
        for what, found in sorted(by_what.items())
    ]
