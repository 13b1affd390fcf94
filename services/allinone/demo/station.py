"""The made-up people of the station: they see the queue, acknowledge, go, record, close.

When each does what is drawn from the seed and the alert alone, so the same day goes the same way.
Facts of the log may be quicker: an alert that a visit has handled is only closed here.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from services.allinone.apis import Apis
from services.allinone.town.stories import Ending
from services.kernel.clock import DAY, HOUR, MINUTE, parse_rfc3339
from services.kernel.errors import Refused
from services.kernel.ids import derived

RED: Final = 3
_NIGHT_ENDS: Final = 8
_EVENING: Final = 19
_HERE: Final = 8 * HOUR
"""The town's offset from UTC."""


class Deed(NamedTuple):
    """An act that somebody means to do: when, what, on which alert."""

    at: int
    action: str
    alert: str


class Person(NamedTuple):
    """A member of staff, as the alerts know one."""

    id: str
    name: str


DUTY: Final = Person("syn-staff-1", "测试-值班甲")
HEAD: Final = Person("syn-staff-5", "测试-站长")


class Station:
    """Plans deeds for every alert seen, and does those that are due.

    Args:
        apis: Of the services.
        seed: Of the dice.
        endings: How the alerts of a story's household are meant to end; others are answered.
    """

    def __init__(self, apis: Apis, seed: int, endings: Mapping[str, Ending]) -> None:
        self._apis = apis
        self._seed = seed
        self._endings = endings
        self._planned: dict[str, Deed] = {}
        self._known: set[str] = set()

    def moved(self, apis: Apis) -> None:
        """Go on with what was planned, over other APIs."""
        self._apis = apis

    def look(self, alerts: Iterable[Mapping[str, Any]]) -> None:
        """Plan for the open alerts that were not there before."""
        for alert in alerts:
            if alert["id"] not in self._known:
                self._known.add(alert["id"])
                for deed in self._plan(alert):
                    self._planned[f"{deed.alert}/{deed.action}"] = deed

    def next_at(self) -> int | None:
        """Return when the next deed is due, None when none is planned."""
        return min((deed.at for deed in self._planned.values()), default=None)

    def act(self, now: int) -> int:
        """Do everything due by now; return how many deeds were done. Refused ones are let go."""
        due = sorted(key for key, deed in self._planned.items() if deed.at <= now)
        done = 0
        for deed in sorted(self._planned.pop(key) for key in due):
            done += self._do(deed)
        return done

    def _plan(self, alert: Mapping[str, Any]) -> list[Deed]:
        """Return acknowledging, going there and closing, each at its time."""
        label = f"{self._seed}/{alert['subject']}/{alert['rule']}/{alert['instance']}"
        pick = random.Random(f"{label}/{alert['clock_start']}")  # noqa: S311 - a made-up town
        start, level = parse_rfc3339(alert["clock_start"]), alert["level"]
        ending = self._endings.get(alert["household"])
        if ending == "waiting":
            return []
        if ending == "late":
            seen, there = start + 63 * MINUTE, start + 75 * MINUTE
        elif level == RED:
            seen = start + pick.randint(2, 8) * MINUTE
            there = start + pick.randint(24, 52) * MINUTE
        else:
            seen = _working(start + pick.randint(10, 150) * MINUTE)
            there = _working(seen + pick.randint(2, 20) * HOUR)
        closed = _working(there + pick.randint(1, 4) * HOUR)
        if level < RED:
            seen, there = _rounded(seen), _rounded(there)
        deeds = (("acknowledge", seen), ("on_site", there), ("close", _rounded(closed)))
        return [Deed(at, action, alert["id"]) for action, at in deeds]

    def _do(self, deed: Deed) -> bool:
        path = f"/v1/alerts/{deed.alert}"
        alert = self._apis.get("alerts", path)
        match deed.action:
            case "acknowledge":
                wanted = alert["acknowledged_at"] is None and alert["closed_at"] is None
                return wanted and self._post(deed, alert, DUTY, "acknowledge")
            case "on_site":
                wanted = alert["handled_at"] is None and alert["closed_at"] is None
                return wanted and self._post(deed, alert, DUTY, "on_site")
            case _:
                return alert["closed_at"] is None and self._close(deed, alert)

    def _close(self, deed: Deed, alert: Mapping[str, Any]) -> bool:
        """Record the outcome and close; at level 3 a second person confirms."""
        said = {} if alert["outcome"] else {"outcome": "confirmed_need"}
        done = self._post(deed, alert, DUTY, "close", **said)
        if done and alert["level"] >= RED:
            again = self._apis.get("alerts", f"/v1/alerts/{deed.alert}")
            done = self._post(deed, again, HEAD, "close")
        return done

    def _post(
        self, deed: Deed, alert: Mapping[str, Any], by: Person, action: str, **more: str
    ) -> bool:
        body = {"by": {"id": by.id, "name": by.name}, **more}
        key = derived("demo", deed.alert, deed.action, by.id, alert["version"])
        try:
            path = f"/v1/alerts/{deed.alert}/{action}"
            self._apis.send("POST", "alerts", path, body, key, alert["version"])
        except Refused:  # somebody was quicker: at the console, or a fact of the log
            return False
        return True


def _rounded(at: int) -> int:
    """Return the next whole ten minutes: who is not in a hurry acts when the clock stops anyway."""
    return -(-at // (10 * MINUTE)) * 10 * MINUTE


def _working(at: int) -> int:
    """Return the instant, or the next morning at eight when it is night."""
    local = (at + _HERE) % DAY
    midnight = at - local
    if local < _NIGHT_ENDS * HOUR:
        return midnight + _NIGHT_ENDS * HOUR + local // 8
    if local > _EVENING * HOUR:
        return midnight + DAY + _NIGHT_ENDS * HOUR + (local - _EVENING * HOUR) // 4
    return at
