"""A small town's day through the whole chain with the town's pack: every story ends as meant."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from services.allinone.cli import run as command
from services.allinone.demo.logins import LOGINS, PASSWORD, add_logins
from services.allinone.demo.naming import word
from services.allinone.demo.run import Demo, Outcome, Watch, run
from services.allinone.demo.stage import Stage
from services.allinone.demo.town_day import Pace
from services.allinone.town.plan import midnight
from services.allinone.town.stories import ALL
from services.console.auth import Auth, LoggedIn, Refusal
from services.console.storage.tables import TABLES
from services.kernel.clock import HOUR, MINUTE, SystemClock, SystemMonotonic, parse_rfc3339
from services.kernel.db.engine import Database
from services.kernel.errors import WrongUse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - syncing thousands of times is not what is tested
MORNING = (7 * HOUR + 50 * MINUTE, 8 * HOUR + 30 * MINUTE)


@dataclass
class Played:
    """The outcome, what was told, and the queue as it stood on the storm's morning."""

    outcome: Outcome
    lines: list[str]
    queues: list[list[dict[str, Any]]] = field(default_factory=list)

    @property
    def alerts(self) -> list[dict[str, Any]]:
        return self.outcome.figures.alerts


@pytest.fixture
def out() -> Iterator[Path]:
    base = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=base, prefix="hearthwatch-town-") as folder:
        yield Path(folder)


def play(out: Path) -> Played:
    """Play the day, stepped on one thread."""
    demo = Demo(people=200, days=14, out=out, serve=False)
    begins = midnight(demo.last)
    lines: list[str] = []
    queues: list[list[dict[str, Any]]] = []

    def look(stage: Stage) -> None:
        if MORNING[0] <= stage.clock.now() - begins <= MORNING[1]:
            queues.append(list(stage.apis.items("alerts", "/v1/alerts", state="open")))

    return Played(run(demo, Watch(tell=lines.append, each=look)), lines, queues)


def test_a_small_town_s_day_goes_as_its_author_meant(out: Path) -> None:
    played = play(out)  # once for all: it takes some twenty seconds
    every_story_ends_as_its_author_meant(played)
    no_report_of_the_storm_is_lost_and_each_has_an_outcome_by_noon(played)
    red_is_never_behind_the_storm(played)
    the_fall_by_night_climbed_the_whole_ladder(played)
    the_picture_has_the_numbers_of_the_api(played)
    the_promises_add_up_and_none_was_broken_unseen(played)
    the_day_is_told_as_it_happens(played)


def every_story_ends_as_its_author_meant(played: Played) -> None:
    stories = played.outcome.figures.stories
    assert {each.story.name for each in stories} == {story.name for story in ALL}
    for judged in stories:
        means, name = judged.story.means, judged.story.name
        assert (judged.level, judged.ending) == (means.level, means.ending), (name, judged.rules)
        assert not means.rules or judged.rules & set(means.rules), (name, judged.rules)


def no_report_of_the_storm_is_lost_and_each_has_an_outcome_by_noon(played: Played) -> None:
    figures = played.outcome.figures
    assert len(figures.storm) == len({alert["instance"] for alert in figures.storm}) == 120
    assert figures.settled_by_noon == 120
    assert {alert["outcome"] for alert in figures.storm} == {"done"}
    assert sum(figures.groups.values()) == 120
    assert len({place for place, _ in figures.groups}) == 4
    assert len({kind for _, kind in figures.groups}) == 6


def red_is_never_behind_the_storm(played: Played) -> None:
    assert len(played.queues) >= 8
    for queue in played.queues:
        levels = [alert["level"] for alert in queue]
        assert levels == sorted(levels, reverse=True)
    assert any(queue[0]["level"] == 3 and len(queue) > 30 for queue in played.queues)
    begins = midnight(played.outcome.town.plan.last)
    for alert in played.alerts:
        opened = parse_rfc3339(alert["opened_at"])
        if alert["level"] == 3 and opened - begins < 12 * HOUR:
            assert opened - parse_rfc3339(alert["clock_start"]) <= 2 * MINUTE, alert["rule"]


def the_fall_by_night_climbed_the_whole_ladder(played: Played) -> None:
    fall = next(a for a in played.alerts if a["rule"] == "E10" and "fall" in a["subject"])
    fired = [s["name"] for s in fall["ladder"] if s["kind"] == "ladder" and s["state"] == "fired"]
    assert fired == ["notify", "second", "head", "escalate"]
    assert {d["target"] for d in fall["deliveries"]} >= {
        "duty", "second_duty", "station_head", "township_duty", "county_hotline",
    }  # fmt: skip


def the_picture_has_the_numbers_of_the_api(played: Played) -> None:
    drawn = played.outcome.picture.read_text("utf-8")
    levels = Counter(alert["level"] for alert in played.alerts)
    for level in range(4):
        assert f'data-level="{level}" data-opened="{levels[level]}"' in drawn
    assert 'data-storm="120" data-noon="120"' in drawn
    rungs = [
        step["name"]
        for alert in played.alerts
        for step in alert["ladder"]
        if alert["level"] == 3 and step["kind"] == "ladder" and step["state"] == "fired"
    ]
    assert Counter(re.findall(r'data-step="(\w+)"', drawn)) == Counter(rungs) - Counter(
        {"notify": rungs.count("notify")}
    )


def the_promises_add_up_and_none_was_broken_unseen(played: Played) -> None:
    promises = played.outcome.figures.promises
    reds = sum(alert["level"] == 3 for alert in played.alerts)
    kept = sum(promises[name] for name in ("in_time", "late", "never", "waiting"))
    assert promises["promised"] == reds == kept
    assert (promises["late"], promises["never"], promises["waiting"]) == (1, 0, 1)


def the_day_is_told_as_it_happens(played: Played) -> None:
    stamps = [line[:5] for line in played.lines]
    assert all(re.fullmatch(r"\d\d:\d\d", stamp) for stamp in stamps)
    told = "\n".join(played.lines)
    for each in ("警报", "升级", "等级", word("step", "acknowledged"), word("step", "handled")):
        assert each in told
    assert re.search(r"[a-z]{3,}", told) is None  # no id, no code of a step or a role


def test_the_demo_ends_by_itself_with_summary_picture_and_times(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEMO_EXIT", "1")
    folder = out / "command"
    arguments = ["demo", "--lang", "en", "--people", "100", "--days", "12", "--out", str(folder)]
    assert command(arguments) == 0
    told = capsys.readouterr().out
    assert re.search(r"console http://127\.0\.0\.1:\d+/console/", told)
    assert "storm reports settled by noon" in told
    assert "120/120" in told
    assert told.count("✓") == len(ALL)
    for each in ("the history", "server ready", "the day", "memory at the day's end"):
        assert each in told
    assert (folder / "day.svg").read_text("utf-8").startswith("<svg")


def test_every_printed_log_in_opens_the_console(tmp_path: Path) -> None:
    add_logins(tmp_path, "zh")
    db = Database(f"sqlite:///{tmp_path / 'console.db'}", TABLES, service="console")
    try:
        auth = Auth(db, SystemClock())
        found = [auth.log_in(login.name, PASSWORD) for login in LOGINS]
        roles = [each.user.role for each in found if isinstance(each, LoggedIn)]
        assert roles == [login.role for login in LOGINS]
        assert isinstance(auth.log_in("duty", "another password"), Refusal)
    finally:
        db.close()


def test_a_demo_that_is_told_to_stop_ends_in_its_history(tmp_path: Path) -> None:
    pace = Pace(0, SystemMonotonic())
    pace.stopping.set()
    demo = Demo(people=100, days=12, out=tmp_path, serve=False)
    with pytest.raises(KeyboardInterrupt):
        run(demo, Watch(tell=lambda _: None), pace)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "mine").write_text("kept", encoding="utf-8")
    with pytest.raises(WrongUse, match="something else"):
        run(Demo(people=100, days=12, out=tmp_path, serve=False), Watch(tell=lambda _: None))
    assert (data / "mine").read_text("utf-8") == "kept"
