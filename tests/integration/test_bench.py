"""What the bench measures was really done: it refuses to tell the time of nothing."""

from __future__ import annotations

import pytest

from services.allinone.bench import alerting, latency, start
from services.allinone.bench.embedded import bodies
from services.allinone.town.facts import Fact
from services.kernel.clock import HOUR, SystemClock, SystemMonotonic
from services.risk.bench import measure
from services.risk.bench_store import due, rescored


def test_escalations_due_at_one_instant_are_all_handed_over() -> None:
    assert alerting.burst(40, SystemMonotonic()) > 0


def test_a_burst_in_which_nobody_is_escalated_gives_no_figure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alerting, "HOUR", 0)
    with pytest.raises(RuntimeError, match="not all were handed over"):
        alerting.burst(2, SystemMonotonic())


def test_a_mark_wakes_those_whose_week_is_over_and_no_others() -> None:
    find_s, tick_s = due(60, 5)
    assert 0 < find_s < tick_s


def test_every_household_is_judged_again_under_a_new_pack() -> None:
    rate, _ = rescored(20)
    assert rate > 0


def test_a_model_that_scores_in_batches_publishes_what_it_changes() -> None:
    without, scored = (measure(households=20, model=model) for model in (False, True))
    assert scored["published_share"] > without["published_share"] > 0


def test_every_alert_and_every_delivery_under_load_is_timed() -> None:
    took_s, late_s = latency.steady(bodies(200, 20, today=True), 1_000.0, SystemMonotonic())
    assert took_s
    assert len(late_s) >= len(took_s)
    assert min(took_s + late_s) >= 0


def test_a_process_over_a_town_on_file_is_ready_and_takes_its_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(start, "STILL_S", 0.1)
    with start.town_on_file(100) as (settings, town):
        home = town.households[0]
        said = {"mode": "video", "parent": "mother"}
        an_hour_ago = SystemClock().now() - HOUR
        call = Fact(an_hour_ago, "child.parent_contact", said, home.members[0].id, home.id)
        found = start.start(settings, list(start.batches([call], "day")), SystemMonotonic())
    assert found.changes == 1
    assert found.ready_s > 0
    assert 0 < found.ready.now <= found.day.most < 350_000_000
