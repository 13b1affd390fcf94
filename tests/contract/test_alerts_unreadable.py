"""A cry for help that nobody can read is still one: it opens an alert on the one-hour clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kernel.bus.dead_letters import DeadLetter, read, revive
from services.kernel.clock import MINUTE, from_us
from services.kernel.contracts import changes as c
from services.kernel.contracts.envelope import Envelope, encode, raw
from services.kernel.contracts.records import Outgoing
from services.kernel.contracts.topics import ASSESSMENTS, dead_letters
from tests.support.scenario import START, World, world, write_pack


@pytest.fixture
def w(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made
        made.told()


def unreadable(
    w: World, kept: str, code: str, subject: str, *, received: int = 0, id: str | None = None
) -> None:
    """Have risk pass on intake's word about a kept item, received so long after the start."""
    now = from_us(w.clock.now())
    message = Envelope(
        id=id or f"{kept}-{code}", type=c.UNREADABLE, source="risk", time=now, subject=subject,
        partitionkey="home", receivedat=now, clockat=from_us(START + received),
        data=raw(c.Unreadable(kept=kept, code=code, place="line 3", event_type="device.alarm")),
    )  # fmt: skip
    w.bus.publish([Outgoing(ASSESSMENTS.name, "home", encode(message))])
    w.turn()


def test_it_escalates_like_a_red_from_its_receipt_on(w: World) -> None:
    w.at(minutes=20)
    unreadable(w, "k1", "invalid", "kept:k1", received=15 * MINUTE)
    w.expect("notify to duty")
    (found,) = w.alerts()
    assert (found["rule"], found["level"], found["instance"]) == ("unreadable", 3, "")
    assert found["title"]["en"] == "unreadable report"
    assert w.lines()[0] == "kept:k1|unreadable|notify|2026-01-01T00:20:00Z|due"
    w.forward(minutes=5).expect("second to second_duty")


def test_a_readable_subject_has_one_alert_for_each_kept_item(w: World) -> None:
    unreadable(w, "k1", "invalid", "p1")
    unreadable(w, "k2", "invalid", "p1")
    unreadable(w, "k2", "invalid", "p1", id="told-again")
    assert {(x["subject"], x["instance"]) for x in w.alerts()} == {("p1", "k1"), ("p1", "k2")}


@pytest.mark.parametrize("subject", ["p1", "kept:k1"])
def test_it_closes_when_the_item_is_repaired(w: World, subject: str) -> None:
    unreadable(w, "k1", "invalid", subject)
    w.forward(minutes=5)
    unreadable(w, "k1", "repaired", subject)
    assert w.alerts() == []
    found = w.alerts(state="closed")[0]
    assert (found["closed_because"], found["closed_at"]) == ("repaired", "2026-01-01T00:05:00Z")
    w.told()


def test_a_pack_may_switch_it_off(tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "p", pack='name: t\nversion: "1"\nunreadable: none\n')
    with world(tmp_path, pack=pack) as w:
        unreadable(w, "k1", "invalid", "p1")
        w.bus.publish([Outgoing(ASSESSMENTS.name, "home", b"{")])
        w.turn()
        assert w.alerts() == []


def test_a_message_that_alerts_cannot_decode_opens_one_and_stops_nothing(w: World) -> None:
    w.bus.publish([Outgoing(ASSESSMENTS.name, "home-of-p1", b"not json")])
    w.raise_alert("p1")
    assert {x["rule"] for x in w.alerts()} == {"unreadable", "R1"}
    (found,) = w.alerts(rule="unreadable")
    assert found["subject"].startswith("kept:risk.assessment.v1/")
    assert len(dead(w)) == 1


def test_a_rule_of_another_pack_is_never_passed_over_in_silence(w: World) -> None:
    w.raise_alert("p1", "R99", id="strange")
    (found,) = w.alerts()
    assert (found["subject"], found["rule"], found["instance"]) == ("p1", "unreadable", "strange")
    (letter,) = dead(w)
    assert letter.fault.code == "other_pack"
    assert "R99" in letter.fault.found
    assert "dlq replay" in letter.fault.remedy


def test_the_report_closes_when_the_dead_letter_goes_through_after_all(
    w: World, tmp_path: Path
) -> None:
    w.raise_alert("p1", "R99", id="strange")
    (letter,) = dead(w)
    w.app.stop()
    rules = "- {id: R99, level: 3, ladder: visit, title: {zh: 新, en: new}}\n"
    write_pack(tmp_path / "pack", rules=rules)
    w.open()
    w.bus.publish([revive(letter)])
    w.turn()
    assert [x["rule"] for x in w.alerts()] == ["R99"]
    closed = w.alerts(state="closed")
    assert [(x["rule"], x["closed_because"]) for x in closed] == [("unreadable", "repaired")]


def dead(w: World) -> list[DeadLetter]:
    consumer = w.bus.consumer("reader", [dead_letters(ASSESSMENTS.name)])
    found = consumer.poll(100, 0)
    consumer.close()
    return [read(record) for record in found]
