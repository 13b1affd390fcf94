"""Alerts waits for nobody: with the bus away it starts, escalates, and people act."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from services.alerts.wiring import assemble
from services.kernel.errors import Retryable, WrongUse
from services.kernel.runtime import Service
from tests.support.faulty import FaultyBus
from tests.support.scenario import TOKEN, World


@pytest.fixture
def w(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def alone(w: World) -> tuple[Service, FaultyBus]:
    """Build the service once more over the same data, with the bus away."""
    away = FaultyBus(w.bus)
    away.down = True
    context = dataclasses.replace(w.context, bus=away)
    return assemble(context, w.sender), away


def test_an_open_red_escalates_and_is_told_although_the_bus_is_away(w: World) -> None:
    w.raise_alert("p1").expect("notify to duty")
    w.at(hours=1)
    service, _ = alone(w)
    for tick in service.ticks:
        tick.call()
    for worker in service.workers:
        while worker.run_once(0):
            pass
    assert len(w.told()) == 4
    assert any("bus out of reach" in (worker.ready() or "") for worker in service.workers)


def test_people_act_although_the_bus_is_away_and_it_is_published_later(w: World) -> None:
    w.raise_alert("p1")
    service, away = alone(w)
    assert service.api is not None
    http = TestClient(service.api, headers={"Authorization": f"Bearer {TOKEN}"})
    answer = http.post(
        f"/v1/alerts/{w.alert('p1')['id']}/acknowledge",
        json={"by": {"id": "li", "name": "Li"}},
        headers={"Idempotency-Key": "k"},
    )
    assert (answer.status_code, answer.json()["state"]) == (200, "acknowledged")
    (relay,) = service.relays
    with pytest.raises(Retryable):
        relay.run_once()
    away.down = False
    assert relay.run_once() > 0


def test_when_the_bus_comes_back_what_was_missed_is_read(w: World) -> None:
    service, away = alone(w)
    for worker in service.workers:
        assert worker.run_once(0) == 0
    w.app.step()
    away.down = False
    w.raise_alert("p1")
    for worker in service.workers:
        while worker.run_once(0):
            pass
        assert worker.ready() is None
        worker.stop()
    assert len(w.alerts()) == 1


def test_without_a_pack_it_does_not_start(w: World) -> None:
    settings = w.context.settings.model_copy(update={"pack": None})
    with pytest.raises(WrongUse, match="HEARTHWATCH_PACK"):
        assemble(dataclasses.replace(w.context, settings=settings), w.sender)


def test_the_gauges_say_how_it_stands(w: World) -> None:
    w.raise_alert("p1").raise_alert("p2", "R2", level=2)
    w.mark(minutes=0)
    w.at(minutes=2)
    w.http.get("/metrics")
    value = w.context.metrics.value
    assert value("hearthwatch_alerts_open", level="3") == 1
    assert value("hearthwatch_alerts_open", level="2") == 1
    assert value("hearthwatch_alerts_unacknowledged", level="3") == 1
    assert value("hearthwatch_alerts_oldest_unacknowledged_age_seconds", level="3") == 120
    assert value("hearthwatch_alerts_oldest_unacknowledged_age_seconds", level="1") == 0
    shown = w.http.get("/metrics").text
    assert 'change_to_alert_seconds_count{cause="time",level="3"} 1.0' in shown
    assert value("hearthwatch_alerts_opened_total", level="3") == 1
    assert value("hearthwatch_alerts_undelivered_age_seconds") == 0
    assert value("hearthwatch_risk_mark_age_seconds", service="alerts") == 120
