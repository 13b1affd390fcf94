"""How far the readers are behind, asked of the broker and not of them: one that hangs cannot lie.

`python -m services.allinone.lag` prints a line per group: what waits, how old the oldest of it is.
With `--still S` it looks for so long and exits with 1 when a group moved nothing although something
waited for it: a probe of liveness by progress, which no thread that turns idly can pass.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from services.allinone.deployed import READERS
from services.kernel.bus.lag import Lag, Progress, lag_of
from services.kernel.bus.port import Bus
from services.kernel.clock import SECOND, Clock, Monotonic, SystemClock, SystemMonotonic
from services.kernel.contracts.topics import DUTY, HOUSEHOLDS
from services.kernel.errors import Fault, HearthwatchError, Retryable, WrongUse
from services.kernel.runtime.opening import open_bus
from services.kernel.settings import Settings, load

GROUPS: Final = (*READERS, ("alerts.places", HOUSEHOLDS.name), ("alerts.duty", DUTY.name))
DONE, FOUND, WRONG_USE = 0, 1, 2
_LOOK_S: Final = 1.0


def measured(bus: Bus) -> list[Lag]:
    """Return the lag of every group whose topic is there.

    Raises:
        Retryable: the bus is out of reach.
    """
    found = []
    for group, topic in GROUPS:
        try:
            found.append(lag_of(bus, group, topic))
        except WrongUse:  # no such topic yet: nobody has anything to read
            continue
    return found


def standing(bus: Bus, still_s: float, monotonic: Monotonic) -> list[str]:
    """Return the groups that read nothing for `still_s` although something waited all the time."""
    never, end_s = threading.Event(), monotonic.seconds() + still_s
    progress = {group: Progress(monotonic) for group, _ in GROUPS}
    stood: dict[str, float] = {}
    while True:
        for lag in measured(bus):
            stood[lag.group] = progress[lag.group].still_s(lag)
        left_s = end_s - monotonic.seconds()
        if left_s <= 0:
            # The first look of each begins its time, so a whole time less one look is a stand.
            return sorted(group for group, s in stood.items() if s > 0 and s >= still_s - _LOOK_S)
        monotonic.wait(never, min(_LOOK_S, left_s))


def as_json(lag: Lag, clock: Clock) -> dict[str, Any]:
    """Return a lag as it is printed; the age in seconds, None when nothing waits."""
    age_s = None if lag.oldest_at is None else max(0.0, (clock.now() - lag.oldest_at) / SECOND)
    return {
        "group": lag.group,
        "topic": lag.topic,
        "waiting": lag.waiting,
        "oldest_age_s": None if age_s is None else round(age_s, 1),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the lags; return 0, 1 when a group stands still or lags too much, 2 for wrong use."""
    parser = argparse.ArgumentParser(
        prog="python -m services.allinone.lag",
        description="Tell how far each reader of HEARTHWATCH_BUS_URL is behind.",
        epilog="example: python -m services.allinone.lag --max-age 60 --json",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.add_argument(
        "--max-age", type=float, metavar="S", help="exit with 1 when something waits longer"
    )
    parser.add_argument(
        "--still", type=float, metavar="S", help="look for S seconds; exit with 1 on a stand"
    )
    given = parser.parse_args(arguments)
    try:
        bus = _opened(load())
        try:
            stood = standing(bus, given.still, SystemMonotonic()) if given.still else []
            rows = [as_json(lag, SystemClock()) for lag in measured(bus)]
        finally:
            bus.close()
    except HearthwatchError as exc:
        sys.stderr.write(f"{exc}\n")
        return FOUND if isinstance(exc, Retryable) else WRONG_USE
    _print(rows, as_list=given.json)
    for group in stood:
        sys.stderr.write(f"{group} reads nothing although something waits: restart it\n")
    late = given.max_age is not None and any((r["oldest_age_s"] or 0) > given.max_age for r in rows)
    return FOUND if stood or late else DONE


def _opened(settings: Settings) -> Bus:
    if settings.bus_url == "sqlite":
        raise WrongUse(
            Fault(
                where="HEARTHWATCH_BUS_URL",
                expected="kafka://host:port",
                found="the bus in SQLite, which is one process's",
                remedy="set it; an embedded process tells its lags at /metrics",
            )
        )
    return open_bus(settings, SystemClock(), SystemMonotonic())


def _print(rows: list[dict[str, Any]], *, as_list: bool) -> None:
    if as_list:
        sys.stdout.write(msgspec.json.encode(rows).decode() + "\n")
        return
    for row in rows:
        age = "" if row["oldest_age_s"] is None else f", the oldest for {row['oldest_age_s']} s"
        sys.stdout.write(f"{row['group']:<14} {row['topic']:<24} {row['waiting']:>9} wait{age}\n")


if __name__ == "__main__":
    sys.exit(main())
