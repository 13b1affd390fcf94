"""What the metrics of a whole installation say, without HTTP and without threads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from services.allinone.apis import Apis, Local
from services.allinone.embedded import BUILDS
from services.kernel.clock import DAY, MINUTE, SECOND, VirtualClock, parse_rfc3339, rfc3339
from services.kernel.contracts.records import Outgoing
from services.kernel.contracts.topics import CHANGES
from services.kernel.metrics import MetricName
from services.kernel.runtime import Context, Service, open_app
from services.kernel.settings import ensure_token, load
from tests.ops.town import PACK

START: Final = parse_rfc3339("2026-11-22T09:00:00+08:00")


class Still:
    """Everything opened and stepped by the test."""

    def __init__(self, folder: Path) -> None:
        settings = load({}, data_dir=folder, pack=PACK, partitions=2)
        contexts: list[Context] = []

        def tap(ctx: Context) -> Service:
            contexts.append(ctx)
            return Service(name="tap")

        self.clock = VirtualClock(START)
        self.app = open_app(settings, (*BUILDS, tap), clock=self.clock, serve=False)
        self.apis = Apis(Local(self.app, ensure_token(settings)))
        self.bus = contexts[0].bus
        self._sent = 0

    def send(self, type_: str, **data: object) -> Any:
        self._sent += 1
        item = {
            "type": type_, "source": "test", "sourceid": str(self._sent),
            "time": rfc3339(self.clock.now()), "person": "p", "household": "h", "data": data,
        }  # fmt: skip
        return self.apis.send("POST", "intake", "/v1/changes:batch", [item])["items"][0]

    def tick(self, service: str, name: str) -> None:
        found = next(each for each in self.app.services if each.name == service)
        next(tick for tick in found.ticks if tick.name == name).call()

    def value(self, name: MetricName, **labels: str) -> float:
        self.app.metrics.render()
        return self.app.metrics.value(name, **labels)


@pytest.fixture
def still(tmp_path: Path) -> Iterator[Still]:
    found = Still(tmp_path)
    yield found
    found.apis.close()
    found.app.stop()


def test_a_dead_letter_counts_until_it_has_been_sent_again(still: Still) -> None:
    def waiting() -> float:
        still.tick("dead", "dead.count")
        return still.value("hearthwatch_dead_letters")

    still.app.step()
    assert waiting() == 0
    still.bus.publish([Outgoing(CHANGES.name, f"h{n}", b"\xff", ()) for n in range(2)])
    still.app.step()
    letters = list(still.apis.get("dead", "/v1/letters")["items"])
    assert waiting() == len(letters) > 0
    still.apis.send("POST", "dead", f"/v1/replay/{letters[0]['id']}", {})
    assert waiting() == len(letters) - 1
    buried = still.value("hearthwatch_worker_dead_letters_total", worker="risk")
    assert buried == 2


def test_kept_items_are_counted_by_whether_they_may_be_a_cry_for_help(still: Still) -> None:
    kept = still.send("health.vitals", systolic=9999)["kept"]
    still.send("child.parent_contact", mode="smoke")
    still.send("child.parent_contact", mode="fire")
    assert still.value("hearthwatch_intake_kept_items", grave="yes") == 1
    assert still.value("hearthwatch_intake_kept_items", grave="no") == 2
    assert still.value("hearthwatch_intake_changes_total", outcome="rejected") == 3
    still.apis.send("POST", "intake", f"/v1/kept/{kept}/fix", {"set": {"data.systolic": 192}})
    still.apis.send("POST", "intake", f"/v1/kept/{kept}/replay", {})
    assert still.value("hearthwatch_intake_kept_items", grave="yes") == 0


def test_a_change_is_followed_from_the_door_to_the_alert(still: Still) -> None:
    still.send("health.vitals", systolic=192)
    still.clock.advance_to(START + 3 * SECOND)
    still.app.step()
    text = still.app.metrics.render()[0].decode()
    shown = 'hearthwatch_alerts_change_to_alert_seconds_{}{{cause="fact",{}level="3"}} {}'
    assert shown.format("sum", "", "3.0") in text
    assert shown.format("bucket", 'le="2.0",', "0.0") in text
    assert shown.format("bucket", 'le="5.0",', "1.0") in text
    assert still.value("hearthwatch_risk_assessments_total", level="3") == 1
    assert still.value("hearthwatch_worker_records_total", worker="risk") == 1


def test_what_comes_about_through_time_is_told_apart(still: Still) -> None:
    still.send("child.parent_contact", mode="call")
    still.app.step()
    still.clock.advance_to(START + 8 * DAY)
    still.tick("intake", "intake.marks")
    still.app.step()
    shown = 'hearthwatch_alerts_change_to_alert_seconds_count{cause="time",level="1"} 1.0'
    assert shown in still.app.metrics.render()[0].decode()
    still.clock.advance_to(START + 8 * DAY + MINUTE)
    for service in ("risk", "alerts"):
        assert still.value("hearthwatch_risk_mark_age_seconds", service=service) == 60


def test_an_assessment_with_something_unknown_is_counted(still: Still) -> None:
    still.send("health.vitals", diastolic=80)
    still.app.step()
    levels = [still.value("hearthwatch_risk_assessments_total", level=str(n)) for n in range(4)]
    unknown = [
        still.value("hearthwatch_risk_unknown_assessments_total", level=str(n)) for n in range(4)
    ]
    told = still.apis.get("risk", "/v1/subjects/p/assessment")
    assert told["unknowns"]
    assert (sum(levels), sum(unknown)) == (1, 1)
