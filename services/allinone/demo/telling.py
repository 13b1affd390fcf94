"""Tells the day as it happens: levels from risk's topic, the rest from the alerts' timelines."""

from __future__ import annotations

import queue
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta, timezone
from typing import Any, Final

from services.allinone.demo.naming import Names, word
from services.allinone.demo.notes import Level
from services.allinone.words import say
from services.kernel.clock import MINUTE, from_us, parse_rfc3339

Print = Callable[[str], None]
Line = tuple[int, int, str]
"""When it happened (microseconds), what goes first at one instant, and what to print."""
_ZONE: Final = timezone(timedelta(hours=8))
_TOLD: Final = frozenset({"acknowledged", "handled", "ended", "closed", "withdrawn"})
"""Steps of a timeline that are told by their name alone; so is a task that is overdue."""
_TASK: Final = "task:"
_MATTERS_EVERY: Final = 30 * MINUTE
PLACE: Final = "place:"


class Teller:
    """Prints what changed, in order of time; matters of places only as counts.

    Args:
        levels: Where level changes come in.
        names: Of people and homes.
        colours: What each level is called.
        since: Nothing earlier (microseconds) is told.
        tell: Prints one line.
    """

    def __init__(
        self,
        levels: queue.SimpleQueue[Level],
        names: Names,
        colours: Sequence[str],
        since: int,
        tell: Print,
    ) -> None:
        self._levels = levels
        self._names = names
        self._colours = colours
        self._since = since
        self._tell = tell
        self._seen: dict[str, int] = {}
        self._matters: Counter[str] = Counter()
        self._matters_at = since

    def tell(self, changed: Sequence[Mapping[str, Any]]) -> None:
        """Tell what is new about the alerts that changed, and every new level."""
        lines = list(self._of_levels())
        latest = self._since
        for alert in changed:
            for entry in self._news(alert):
                at = parse_rfc3339(entry["at"])
                latest = max(latest, at)
                if alert["household"].startswith(PLACE):
                    self._matters[entry["step"]] += 1
                elif text := self._entry(alert, entry, at):
                    lines.append((at, 1 + entry["n"], text))
        if latest - self._matters_at >= _MATTERS_EVERY and self._matters:
            opened, closed = self._matters["opened"], self._matters["closed"]
            text = say("demo.matters", at=clock(latest), opened=opened, closed=closed)
            lines.append((latest, 0, text))
            self._matters_at = latest
            self._matters.clear()
        for _, _, text in sorted(lines):
            self._tell(text)

    def _of_levels(self) -> list[Line]:
        found: list[Line] = []
        while not self._levels.empty():
            level = self._levels.get()
            text = say(
                "demo.level",
                at=clock(level.at),
                subject=self._names.at_home(level.subject, level.household),
                was=self._colours[level.was],
                level=self._colours[level.now],
            )
            if not level.subject.startswith(PLACE):
                found.append((level.at, 0, text))
        return found

    def _news(self, alert: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return the lines of a timeline that were not told and are not of before the day."""
        after = self._seen.get(alert["id"], -1)
        news = [
            entry
            for entry in alert["timeline"]
            if entry["n"] > after and parse_rfc3339(entry["at"]) > self._since
        ]
        if alert["timeline"]:
            self._seen[alert["id"]] = alert["timeline"][-1]["n"]
        return news

    def _entry(self, alert: Mapping[str, Any], entry: Mapping[str, Any], at: int) -> str:
        step = entry["step"]
        subject = self._names.at_home(alert["subject"], alert["household"])
        about = {"at": clock(at), "subject": subject}
        if step == "opened":
            title = alert["title"].get(say("language"), "")
            level = self._colours[alert["level"]]
            return say("demo.opened", **about, level=level, rule=alert["rule"], title=title)
        if step in _TOLD or step.startswith(_TASK):
            return say("demo.line", **about, step=word("step", step))
        if entry["counted"] and not step.startswith("deadline:"):
            roles: list[str] = next((s["to"] for s in alert["ladder"] if s["name"] == step), [])
            to = word("list", "and").join(word("target", role) for role in roles)
            phrase = "demo.told" if entry["at"] == alert["opened_at"] else "demo.step"
            return say(phrase, **about, step=word("step", step), to=to)
        return ""


def clock(at: int) -> str:
    """Return the town's time of day of an instant."""
    return from_us(at).astimezone(_ZONE).strftime("%H:%M")
