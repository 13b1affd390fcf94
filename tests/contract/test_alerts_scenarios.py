"""The scenarios that an escalation engine must pass, each ended by three minutes of silence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.alerts.senders.port import Result
from services.kernel.clock import HOUR, MINUTE, SECOND
from tests.support.scenario import START, FakeSender, World, world


@pytest.fixture
def w(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


class TestOnTime:
    def test_the_first_step_is_told_when_the_alert_opens(self, w: World) -> None:
        w.raise_alert("p1").expect("notify to duty")

    def test_a_step_comes_at_its_instant_and_not_before_and_once(self, w: World) -> None:
        w.raise_alert("p1").expect("notify to duty")
        w.act("p1", "acknowledge")
        w.forward(minutes=29, seconds=59).expect()
        w.forward(seconds=1).expect("head to station_head")
        w.forward(seconds=1).expect()
        w.forward(minutes=29, seconds=58).expect()
        w.forward(seconds=1).expect("escalate to county_hotline", "escalate to township_duty")
        assert w.lines().count("p1|R1|escalate|2026-01-01T01:00:00Z|due") == 1, (
            "one line, however many are told"
        )

    @pytest.mark.parametrize(
        ("handled_after", "in_time"),
        [(3599 * SECOND, True), (HOUR, True), (HOUR + SECOND, False)],
    )
    def test_handled_at_the_deadline_is_in_time_and_a_second_later_is_not(
        self, tmp_path: Path, handled_after: int, in_time: bool
    ) -> None:
        with world(tmp_path, drive="marks") as w:
            w.raise_alert("p1")
            w.clock.advance_to(START + handled_after)
            w.pass_fact("p1", "handled").mark(hours=2)
            escalated = [line for line in w.lines() if "|escalate|" in line]
            assert escalated == ([] if in_time else ["p1|R1|escalate|2026-01-01T01:00:00Z|due"])
            found = w.get("/v1/report")["alerts"]
            assert (found["in_time"], found["late"]) == ((1, 0) if in_time else (0, 1))
            w.told()

    def test_the_clock_starts_when_our_device_saw_it(self, w: World) -> None:
        w.at(minutes=20).raise_alert("p1", clock_start=START).expect(
            "notify to duty", "second to second_duty"
        )
        w.forward(minutes=10).expect("head to station_head")
        w.act("p1", "on_site")

    def test_the_clock_never_starts_in_the_future(self, w: World) -> None:
        w.raise_alert("p1", clock_start=START + HOUR).expect("notify to duty")
        w.forward(minutes=10).expect("second to second_duty")
        w.act("p1", "on_site")

    def test_an_earlier_clock_start_wins_and_what_is_then_due_fires_at_once(self, w: World) -> None:
        w.at(minutes=40).raise_alert("p1").expect("notify to duty")
        w.forward(minutes=5)
        w.raise_alert("p1", clock_start=START + 10 * MINUTE, since=START + 40 * MINUTE)
        w.expect("second to second_duty", "head to station_head")
        assert w.alert("p1")["deadline_at"] == "2026-01-01T01:10:00Z"
        w.raise_alert("p1", clock_start=START + 30 * MINUTE, since=START + 40 * MINUTE)
        assert w.alert("p1")["deadline_at"] == "2026-01-01T01:10:00Z", "it never moves later"
        w.act("p1", "on_site")


class TestOutage:
    def test_a_deadline_passed_during_an_outage_fires_once_on_return(self, w: World) -> None:
        w.raise_alert("p1").expect("notify to duty")
        w.engine_runs = False
        w.forward(hours=3).expect()
        w.engine_runs = True
        w.forward().expect(
            "second to second_duty",
            "head to station_head",
            "escalate to township_duty",
            "escalate to county_hotline",
        )
        step = next(s for s in w.alert("p1")["ladder"] if s["name"] == "escalate")
        assert step["due_at"] == "2026-01-01T01:00:00Z"
        assert step["fired_at"] == "2026-01-01T03:00:00Z", "how late is on record"
        w.forward().expect()

    def test_a_crash_loses_and_doubles_nothing(self, w: World) -> None:
        w.raise_alert("p1").expect("notify to duty")
        w.app.stop()
        w.clock.advance_to(START + HOUR)
        w.open()
        w.turn()
        assert len(w.told()) == 4
        w.app.stop()
        w.open()
        w.turn()
        w.expect()

    def test_the_auditor_finds_a_stuck_step_says_so_and_fires_it(self, w: World) -> None:
        for subject in ("p1", "p2", "p3"):
            w.raise_alert(subject)
        w.act("p2", "on_site")
        w.act("p3", "close", outcome="no_need")
        w.act("p3", "close", by="wang")
        w.told()
        w.engine_runs = False
        w.forward(minutes=10, seconds=11)
        assert w.auditor.look() == 2, "p1's second step and its warning task"
        assert w.context.metrics.value("hearthwatch_alerts_overdue_steps") == 2
        w.app.step()
        w.expect("second to second_duty")
        assert w.auditor.look() == 0
        assert w.context.metrics.value("hearthwatch_alerts_overdue_steps") == 0
        w.engine_runs = True

    def test_ten_seconds_late_is_not_yet_stuck(self, w: World) -> None:
        w.raise_alert("p1")
        w.engine_runs = False
        w.forward(minutes=10, seconds=10)
        assert w.auditor.look() == 0
        w.engine_runs = True
        w.forward()
        w.told()


class TestSameAgain:
    def test_the_same_reason_twice_is_one_alert_and_one_message(self, w: World) -> None:
        w.raise_alert("p1").raise_alert("p1", since=START).expect("notify to duty")
        assert len(w.alerts()) == 1

    def test_another_subject_rule_or_instance_is_another_alert(self, w: World) -> None:
        w.raise_alert("p1").raise_alert("p2").raise_alert("p1", "R2", level=2)
        w.raise_alert("p1", instance="essay-3")
        assert len(w.alerts()) == 4
        w.told()

    def test_replaying_the_topic_changes_nothing(self, w: World) -> None:
        w.raise_alert("p1", id="same").expect("notify to duty")
        before = w.get("/v1/digest")
        w.raise_alert("p1", id="same", since=START + MINUTE).expect()
        assert w.get("/v1/digest") == before

    def test_a_closed_alert_stays_closed_and_a_new_since_opens_another(self, w: World) -> None:
        w.raise_alert("p1").pass_fact("p1", "closed")
        w.forward(minutes=1).raise_alert("p1", since=START)
        assert w.alerts() == []
        w.raise_alert("p1")
        assert len(w.alerts()) == 1
        assert len(w.alerts(state="all")) == 2
        w.told()

    def test_a_reason_told_anew_by_an_earlier_since_of_its_own_opens_nothing(
        self, w: World
    ) -> None:
        w.raise_alert("p1").pass_fact("p1", "closed")
        w.forward(minutes=1).raise_alert("p1", since=START + MINUTE).pass_fact("p1", "closed")
        w.told()
        w.forward(minutes=1).raise_alert("p1", since=START).expect()
        w.raise_alert("p1", since=START - MINUTE).expect("notify to duty")

    def test_a_rule_without_a_ladder_opens_nothing(self, w: World) -> None:
        w.raise_alert("p1", "R4", level=1).expect()
        assert w.alerts() == []


class TestPeople:
    def test_manual_escalation_tells_the_next_step_and_two_presses_only_one(self, w: World) -> None:
        w.raise_alert("p1").expect("notify to duty")
        w.act("p1", "acknowledge")
        seen = f'"{w.alert("p1")["version"]}"'
        assert w.act("p1", "escalate", match=seen).status_code == 200
        assert w.act("p1", "escalate", match=seen).status_code == 412
        w.expect("second to second_duty")
        assert w.alert("p1")["state"] == "new", "the acknowledgement was taken back"
        w.forward(minutes=30).expect("head to station_head")
        w.act("p1", "on_site")

    def test_an_acknowledgement_stops_only_the_steps_that_wait_for_one(self, w: World) -> None:
        w.raise_alert("p1")
        w.act("p1", "acknowledge")
        w.told()
        w.forward(minutes=30).expect("head to station_head")
        w.act("p1", "on_site")

    def test_nobody_at_the_door_leaves_the_clock_running(self, w: World) -> None:
        w.raise_alert("p1")
        w.told()
        assert w.act("p1", "outcome", outcome="no_answer").json()["handled_at"] is None
        w.forward(minutes=30).expect("head to station_head")
        w.act("p1", "on_site")


class TestDelivery:
    def test_a_failed_channel_is_tried_again_and_a_good_one_is_not_repeated(
        self, tmp_path: Path
    ) -> None:
        sender = FakeSender()
        sender.answers["county_hotline"] = [Result("temporary", "http_503")] * 2
        with world(tmp_path, sender=sender) as w:
            w.raise_alert("p1").forward(hours=1)
            keys = {m.key for m in sender.sent if m.to == "county_hotline"}
            w.told()
            w.forward(seconds=4).expect()
            w.forward(seconds=1).expect("escalate to county_hotline")
            w.forward(seconds=15).expect("escalate to county_hotline")
            w.forward(minutes=10).expect()
            assert {m.key for m in sender.sent if m.to == "county_hotline"} == keys
            assert len(keys) == 1, "one key however often it is tried"
            found = w.get("/v1/deliveries")["items"]
            assert {d["state"] for d in found} == {"delivered"}
            assert len(found) == 5, "one row for each step and target"

    def test_a_permanent_refusal_is_not_retried_and_is_on_record(self, tmp_path: Path) -> None:
        sender = FakeSender()
        sender.answers["duty"] = [Result("permanent", "http_404")]
        with world(tmp_path, sender=sender) as w:
            w.raise_alert("p1", "R2", level=2)
            w.forward(hours=1).expect("ask to duty")
            (delivery,) = w.get("/v1/deliveries")["items"]
            assert (delivery["state"], delivery["problem"]) == ("failed", "http_404")
            steps = [line["step"] for line in w.alert("p1")["timeline"]]
            assert "delivery:failed" in steps

    def test_a_hanging_channel_does_not_delay_the_others(self, tmp_path: Path) -> None:
        sender = FakeSender(instant=False)
        sender.hangs["duty"] = threading.Event()
        with world(tmp_path, sender=sender) as w:
            for n in range(20):
                w.raise_alert(f"p{n}")
            w.clock.advance_to(START + HOUR)
            for tick in w.service.ticks:
                tick.call()
            while len(sender.sent) < 80:
                assert w.deliverer.run_once(5) > 0, "the others go out while one hangs"
            told = {m.role for m in sender.sent}
            assert told == {"second_duty", "station_head", "township_duty", "county_hotline"}
            sender.hangs.pop("duty").set()
            w.clock.advance_to(START + 2 * HOUR)
            while len(sender.sent) < 100 or w.deliverer.in_flight():
                w.deliverer.run_once(5)
                w.clock.advance_to(w.clock.now() + SECOND)
            w.told()
