"""The day in numbers, every one of them as the services' APIs give it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.allinone.apis import Apis
from services.allinone.demo.notes import Said
from services.allinone.demo.telling import PLACE
from services.allinone.town.stories import Ending, Scene, Story
from services.kernel.clock import parse_rfc3339

Alert = dict[str, Any]
STORM: Final = "storm/"
_QUICK_US: Final = 10 * 60 * 1_000_000


@dataclass(frozen=True)
class Judged:
    """What came of a story, beside what its author meant."""

    story: Story
    level: int
    rules: frozenset[str]
    ending: Ending | None

    @property
    def ok(self) -> bool:
        """Return whether it ended as meant."""
        means = self.story.means
        named = not means.rules or not self.rules.isdisjoint(means.rules)
        return named and self.level == means.level and self.ending == means.ending


@dataclass(frozen=True)
class Figures:
    """The day: alerts that opened on it, the storm's by place and kind, promises, stories."""

    alerts: list[Alert]
    storm: list[Alert]
    groups: Counter[tuple[str, str]]
    settled_by_noon: int
    stories: list[Judged]
    accepted: int
    assessments: int
    levels: dict[int, int] = field(default_factory=dict)
    promises: dict[str, int] = field(default_factory=dict)


def of_the_day(apis: Apis, begins: int) -> list[Alert]:
    """Return the alerts that opened since `begins`, whole."""
    return [
        apis.get("alerts", f"/v1/alerts/{each['id']}")
        for each in apis.items("alerts", "/v1/alerts", state="all")
        if parse_rfc3339(each["opened_at"]) >= begins
    ]


def grouped(apis: Apis, storm: Iterable[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    """Return how many reports there are of each place and kind, by the facts they stand on."""
    found: Counter[tuple[str, str]] = Counter()
    for alert in storm:
        for fact in alert["evidence"]["facts"]:
            said = apis.get("intake", f"/v1/changes/{fact}")["envelope"]
            data = said["data"]
            if said["type"] == "matter.reported" and data["matter"] == alert["instance"]:
                found[alert["household"].removeprefix(PLACE), data["kind"]] += 1
    return found


def promises(alerts: Iterable[Mapping[str, Any]], now: int) -> dict[str, int]:
    """Return how the one-hour promises of these alerts stand at an instant."""
    found = dict.fromkeys(("promised", "acknowledged", "in_time", "late", "never", "waiting"), 0)
    for alert in alerts:
        if alert["deadline_at"] is None:
            continue
        found["promised"] += 1
        seen = alert["acknowledged_at"]
        if seen and parse_rfc3339(seen) - parse_rfc3339(alert["clock_start"]) <= _QUICK_US:
            found["acknowledged"] += 1
        found[_kept(alert, now)] += 1
    return found


def _kept(alert: Mapping[str, Any], now: int) -> str:
    due, handled = parse_rfc3339(alert["deadline_at"]), alert["handled_at"]
    if handled is None:
        return "waiting" if due > now else "never"
    return "in_time" if parse_rfc3339(handled) <= due else "late"


def judged(
    story: Story, scene: Scene, said: Mapping[str, list[Said]], alerts: Iterable[Alert]
) -> Judged:
    """Return what came of a story: its home's highest level of the day, the rules, the ending."""
    cast = (scene.home.id, *(person.id for person in scene.home.members))
    heard = [each for who in cast for each in said.get(who, [])]
    rules = frozenset[str]().union(*(each.rules for each in heard))
    own = [alert for alert in alerts if alert["household"] == scene.home.id]
    wanted = [alert for alert in own if alert["rule"] in story.means.rules]
    ending = _ending(wanted[0]) if wanted else "quiet" if not own else None
    return Judged(story, max((each.level for each in heard), default=0), rules, ending)


def _ending(alert: Mapping[str, Any]) -> Ending:
    """Return how the first promise to be there was kept: that of the hour, or of the ladder."""
    due = next(
        (
            parse_rfc3339(step["due_at"])
            for step in alert["ladder"]
            if step["kind"] == "emergency" or step["name"] in ("on_site", "seen")
        ),
        None,
    )
    handled = alert["handled_at"]
    if handled is None or due is None:
        return "waiting"
    return "in_time" if parse_rfc3339(handled) <= due else "late"


def collect(
    apis: Apis,
    scenes: Iterable[tuple[Story, Scene]],
    said: Mapping[str, list[Said]],
    span: tuple[int, int, int],
) -> Figures:
    """Return the day in numbers; `span` is its begin, its noon and the present (microseconds)."""
    begins, noon, now = span
    alerts = of_the_day(apis, begins)
    storm = [alert for alert in alerts if alert["instance"].startswith(STORM)]
    settled = [a for a in storm if a["closed_at"] and parse_rfc3339(a["closed_at"]) <= noon]
    return Figures(
        alerts=alerts,
        storm=storm,
        groups=grouped(apis, storm),
        settled_by_noon=len(settled),
        stories=[judged(story, scene, said, alerts) for story, scene in scenes],
        accepted=apis.get("intake", "/v1/report")["total"]["accepted"],
        assessments=apis.get("risk", "/v1/report")["assessments"],
        levels=dict(sorted(Counter(alert["level"] for alert in alerts).items(), reverse=True)),
        promises=promises(alerts, now),
    )
