"""A live Prometheus beside the whole chain: its charts show something, its alarms go off.

The rules are the committed ones with their waiting times (`for`) cut to nothing; those and the
conditions that take minutes to come about are in the unit tests of the rules (NOT_HERE).
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from services.kernel.clock import HOUR, MINUTE
from services.kernel.errors import HearthwatchError
from tests.deploy.conftest import Command
from tests.ops.conftest import Live, until
from tests.ops.test_monitoring import ALARMS, FOLDER, PANELS
from tests.ops.town import Channel, Town

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(240)]
NOT_HERE: Final = {
    "ReaderStill": "five minutes without a record",
    "OutboxWaiting": "two minutes of a full outbox",
    "MovesWaiting": "half a move, which no door lets in",
    "MuchUnknown": "depends on the pack's rules",
    "LoopStuck": "a minute without progress",
    "Restarting": "three starts",
    "DiskLow": "a full disk",
    "DiskFull": "a full disk",
}
"""Alarms that are caused by series of numbers only, and why."""
SETTINGS: Final = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - {{job_name: hearthwatch, static_configs: [{{targets: ['{target}']}}]}}
"""


@pytest.fixture
def channel() -> Iterator[Channel]:
    found = Channel()
    yield found
    found.close()


@pytest.fixture
def town(tmp_path: Path, channel: Channel) -> Iterator[Town]:
    found = Town(tmp_path / "data", channel)
    yield found
    found.stop()


@pytest.fixture
def live(town: Town, prometheus: Command, tmp_path: Path) -> Live:
    folder = tmp_path / "prometheus"
    folder.mkdir()
    rules = (FOLDER / "rules" / "hearthwatch.yml").read_text("utf-8")
    at_once, cut = re.subn(r"^( +)for: \S+$", r"\1for: 0s", rules, flags=re.MULTILINE)
    assert cut == sum("for" in alarm for alarm in ALARMS.values())
    (folder / "rules.yml").write_text(at_once, "utf-8")
    config = folder / "prometheus.yml"
    config.write_text(SETTINGS.format(target=town.app.address.removeprefix("http://")), "utf-8")
    return Live(prometheus.succeed("up", "--config", str(config)))


def fires(live: Live, *names: str, patience_s: float = 40) -> None:
    until(
        lambda: set(names) <= live.fired(),
        lambda: f"{set(names) - live.fired()} did not fire",
        patience_s,
    )


def messages_are_whole(live: Live) -> None:
    """Look at what alarms say: no template failed, and both languages are there."""
    for each in live.ask("alerts")["alerts"]:
        told = each["annotations"]
        assert set(told) == {"summary", "summary_zh", "runbook_url"}
        assert not any("error" in text or "{{" in text for text in told.values()), told


def all_charts_show_something(live: Live) -> None:
    for panel in PANELS:
        for query, _ in panel.queries:
            found = live.values(query.replace("$__rate_interval", "2m"))
            assert any(math.isfinite(value) for _, value in found), f"{panel.en}: {query}"


def test_charts_are_filled_and_every_alarm_goes_off(town: Town, live: Live) -> None:
    a_quiet_beginning(town, live)
    a_slow_emergency(town, live)
    nobody_comes(town, live)
    all_charts_show_something(live)
    what_nobody_can_read(town, live)
    a_database_that_hangs(town, live)
    a_damaged_database(town, live)
    messages_are_whole(live)
    a_reader_that_stopped(town, live)
    town.app.stop()
    fires(live, "HearthwatchDown")
    assert set(ALARMS) - live.fired() <= set(NOT_HERE)


def a_quiet_beginning(town: Town, live: Live) -> None:
    """Only the dead man's switch is on once everything runs and everybody is there."""
    assert set(town.roster(town.clock.now() + HOUR)) == {"accepted"}
    until(lambda: live.firing() == {"DeadMansSwitch"}, live.firing)
    assert "NobodyOnDuty" not in live.fired()


def a_slow_emergency(town: Town, live: Live) -> None:
    """Risk cannot write for two minutes while twenty emergencies come."""
    with town.held("risk"):
        assert set(town.reds(20)) == {"accepted"}
        town.later(2 * MINUTE)
    fires(live, "RedAlertSlow", "ChangeToAlertBurnsFast", "ChangeToAlertBurns")
    fires(live, "ChangeToAlertBurnsSlowly")
    town.acknowledge()


def nobody_comes(town: Town, live: Live) -> None:
    """The channel is out of order, then refuses; an hour goes by; the last turn of duty ends."""
    town.channel.status = 503
    town.later(15 * MINUTE)
    fires(live, "RedUnacknowledged", "EscalationLate")
    town.later(2 * MINUTE)
    fires(live, "Undelivered")
    town.channel.status = 400
    town.later(50 * MINUTE)
    fires(live, "PromiseMissed", "NobodyOnDuty", "DeliveriesFailing")


def what_nobody_can_read(town: Town, live: Live) -> None:
    town.poison()
    assert town.send(town.item("health.vitals", "grave", systolic=9999)) == ["rejected"]
    wrong = [town.item("child.parent_contact", f"c{n}", mode="smoke") for n in range(101)]
    assert set(town.send(*wrong)) == {"rejected"}
    fires(live, "DeadLetters", "GraveItemsKept", "ManyItemsKept")


def a_database_that_hangs(town: Town, live: Live) -> None:
    """Alerts cannot write while steps come due; the auditor, asked at once, finds them."""
    town.reds(1)
    until(lambda: any_open(town), lambda: "no new alert")
    with town.held("alerts"):
        town.later(2 * HOUR)
        with contextlib.suppress(HearthwatchError):
            town.worker("alerts", "alerts.auditor").look()
        fires(live, "StepsOverdue", "NotReady", "EscalationSweepStill")


def any_open(town: Town) -> bool:
    """Return whether the newest emergency has steps ahead."""
    opened = list(town.apis.items("alerts", "/v1/alerts"))
    return any(alert["state"] == "new" for alert in opened)


def a_damaged_database(town: Town, live: Live) -> None:
    """A table of the dead letters' own store is gone: a request and a tick meet the bug."""
    town.forget_table("dead", "letter")
    with pytest.raises(HearthwatchError):
        town.apis.get("dead", "/v1/letters")
    fires(live, "RequestBug", "LoopBug")


def a_reader_that_stopped(town: Town, live: Live) -> None:
    town.worker("risk", "risk").stop()
    town.reds(3)
    waiting = 'hearthwatch_worker_lag_records{worker="risk"} >= 3'
    until(lambda: bool(live.values(waiting)), lambda: "no lag")
    town.later(3 * MINUTE)
    fires(live, "ReaderBehind", "MarkOld")
