"""Whom a step reaches: the roster of registry, its gaps, and what leaves the house."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import delete, select, update

from services.alerts.senders.port import Result
from services.alerts.storage.tables import TABLES
from services.kernel.clock import HOUR, from_us
from services.kernel.contracts.envelope import Envelope, encode, raw
from services.kernel.contracts.records import Outgoing
from services.kernel.contracts.registry import (
    DUTY_CHANGED,
    HOUSEHOLD_CHANGED,
    DutyCard,
    HouseholdCard,
    OnDuty,
)
from services.kernel.contracts.topics import DUTY, HOUSEHOLDS
from tests.support.keys import KEYRING, OTHER
from tests.support.scenario import START, World, world


@pytest.fixture
def w(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made
        made.told()


def turn(staff: str, start: int, end: int | None = None, contact: str | None = None) -> OnDuty:
    ended = None if end is None else from_us(START + end)
    return OnDuty(staff=staff, start=from_us(START + start), end=ended, contact=contact)


def roster(w: World, role: str, area: str, *turns: OnDuty) -> None:
    publish(
        w, DUTY.name, f"{role}:{area}", DUTY_CHANGED, DutyCard(role=role, area=area, turns=[*turns])
    )


def household(w: World, name: str, area: str, grid: str) -> None:
    card = HouseholdCard(
        household=name, name="a family", address="a street", area=area, grid=grid, phone="1"
    )
    publish(w, HOUSEHOLDS.name, name, HOUSEHOLD_CHANGED, card)


_ids = iter(range(10_000))


def publish(w: World, topic: str, key: str, type_: str, payload: object | None) -> None:
    now = from_us(w.clock.now())
    value = None
    if payload is not None:
        value = encode(
            Envelope(
                id=f"registry-{next(_ids)}", type=type_, source="registry", time=now, subject=key,
                partitionkey=key, receivedat=now, data=raw(payload),
            )
        )  # fmt: skip
    w.bus.publish([Outgoing(topic, key, value)])
    w.turn()


def reached(w: World) -> list[str]:
    return [message.to for message in w.sender.sent]


def test_without_a_roster_the_role_itself_is_told(w: World) -> None:
    w.raise_alert("p1", "R2", level=2)
    assert reached(w) == ["duty"]


def test_whoever_is_on_duty_now_is_told(w: World) -> None:
    roster(w, "duty", "", turn("li", -9 * HOUR, 0), turn("wang", 0, 8 * HOUR, "wang@example.org"))
    w.raise_alert("p1", "R2", level=2)
    assert reached(w) == ["wang@example.org"]
    assert w.get("/v1/deliveries")["items"][0]["contact"] == "wang"


def test_one_message_although_two_are_on_duty(w: World) -> None:
    roster(w, "duty", "", turn("li", 0), turn("wang", 0))
    w.raise_alert("p1", "R2", level=2)
    assert len(w.sender.sent) == 1


def test_duty_of_the_very_area_comes_first_and_another_areas_is_better_than_nobody(
    w: World,
) -> None:
    household(w, "home-of-p1", "east", "e-7")
    roster(w, "duty", "west", turn("li", 0))
    w.raise_alert("p1", "R2", level=2)
    roster(w, "duty", "east", turn("wang", 0))
    w.raise_alert("p1", "R3", level=2)
    assert reached(w) == ["li", "wang"]


def test_nobody_on_duty_tells_the_station_head_and_counts_it(w: World) -> None:
    roster(w, "duty", "", turn("li", -9 * HOUR, -HOUR))
    roster(w, "station_head", "", turn("zhao", -9 * HOUR))
    w.raise_alert("p1", "R2", level=2)
    assert reached(w) == ["zhao"]
    assert w.context.metrics.value("hearthwatch_alerts_nobody_on_duty_total") == 1


def test_roles_that_no_turn_covers_are_a_gauge_once_there_is_a_roster(w: World) -> None:
    def without() -> float:
        w.http.get("/metrics")
        return w.context.metrics.value("hearthwatch_alerts_roles_without_duty")

    assert without() == 0
    roster(w, "duty", "", turn("li", 0, HOUR))
    before = without()
    assert before >= 1
    w.at(minutes=61)
    assert without() == before + 1


def test_a_refused_contact_gives_way_to_the_next_and_at_last_to_the_station_head(w: World) -> None:
    roster(w, "duty", "", turn("li", 0), turn("wang", 0))
    roster(w, "station_head", "", turn("zhao", 0))
    w.sender.answers = {who: [Result("permanent", "http_410")] for who in ("li", "wang")}
    w.raise_alert("p1", "R2", level=2)
    assert reached(w) == ["li", "wang", "zhao"]
    (delivery,) = w.get("/v1/deliveries")["items"]
    assert (delivery["state"], delivery["contact"], delivery["attempts"]) == (
        "delivered",
        "zhao",
        3,
    )


def test_a_newer_card_replaces_the_older_and_a_tombstone_empties_it(w: World) -> None:
    roster(w, "duty", "", turn("li", 0))
    roster(w, "duty", "", turn("wang", 0))
    w.raise_alert("p1", "R2", level=2)
    household(w, "home-of-p1", "east", "e-7")
    household(w, "home-of-p1", "west", "w-1")
    assert w.alert("p1")["area"] == "west"
    publish(w, HOUSEHOLDS.name, "home-of-p1", HOUSEHOLD_CHANGED, None)
    assert w.alert("p1")["area"] == ""
    assert reached(w) == ["wang"]


def test_alerts_are_listed_by_several_areas_and_grids(w: World) -> None:
    for name, area, grid in (("p1", "east", "e-7"), ("p2", "west", "w-1"), ("p3", "west", "w-2")):
        household(w, f"home-of-{name}", area, grid)
    for name in ("p1", "p2", "p3", "p4"):
        w.raise_alert(name, "R2", level=2)
    for areas, subjects in (
        (["east"], {"p1"}),
        (["east", "w-2"], {"p1", "p3"}),
        (["west", ""], {"p2", "p3", "p4"}),
        (["north"], set()),
    ):
        found = w.get("/v1/alerts", area=areas)["items"]
        assert {alert["subject"] for alert in found} == subjects, areas


def test_what_leaves_names_nobody(w: World) -> None:
    household(w, "home-of-p1", "east", "e-7")
    w.raise_alert("p1")
    (message,) = w.sender.sent
    text = msgspec.json.encode(message).decode()
    for secret in ("p1", "home-of", "family", "street"):
        assert secret not in text
    assert (message.place, message.level, message.rule) == ("e-7", 3, "R1")
    assert message.link.endswith(f"/alerts/{message.alert}")


@pytest.mark.parametrize("table", ["place", "roster"])
def test_a_card_deleted_behind_our_back_is_named(w: World, table: str) -> None:
    household(w, "home-of-p1", "east", "e-7")
    roster(w, "duty", "", turn("li", 0))
    db = w.context.open_db("alerts", TABLES)
    cards = TABLES.tables[table]
    with db.engine.begin() as conn:
        row = conn.execute(select(cards)).mappings().one()
        conn.execute(delete(cards))
    found = w.get("/v1/audit")["findings"]
    assert [(f["table"], f["id"]) for f in found] == [
        (table, f"{row['topic']}/{row['partition']}/1")
    ]
    with db.engine.begin() as conn:
        conn.execute(cards.insert(), dict(row))
        conn.execute(update(cards).values(area="x"))
    assert [f["table"] for f in w.get("/v1/audit")["findings"]] == [table]
    with db.engine.begin() as conn:
        conn.execute(update(cards).values(area=row["area"]))


def test_an_encrypted_contact_is_opened_for_the_message_and_kept_nowhere(w: World) -> None:
    own = KEYRING.seal(b"000-1", "registry.duty", "contact")
    entrys = KEYRING.seal(b"000-2", "registry.staff", "contact")
    roster(w, "duty", "", turn("wang", 0, contact=own), turn("li", 0, contact=entrys))
    w.sender.answers["000-1"] = [Result("permanent", "refused")]
    w.raise_alert("p1", "R2", level=2)
    w.turn()
    assert reached(w) == ["000-1", "000-2"]
    assert w.get("/v1/deliveries")["items"][0]["contact"] == "li"
    db = w.context.open_db("alerts", TABLES)
    with db.read() as conn:
        rows = [tuple(row) for table in TABLES.sorted_tables for row in conn.execute(select(table))]
    assert "000-" not in str(rows)
    assert "enc:v1:" in str(rows)


def test_whose_contact_has_no_key_is_told_under_their_own_name(w: World) -> None:
    roster(w, "duty", "", turn("wang", 0, contact=OTHER.seal(b"1", "registry.duty", "contact")))
    w.raise_alert("p1", "R2", level=2)
    assert reached(w) == ["wang"]
