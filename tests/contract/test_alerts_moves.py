"""Moves and merges: carried out when both halves are here, kept back until then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kernel.clock import MINUTE, from_us
from services.kernel.contracts import assessments as a
from tests.support.scenario import START, World, world


@pytest.fixture
def w(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, drive="marks") as made:
        yield made
        made.told()


def half(w: World, which: a.Half, was: str = "p1", became: str = "p1", move: str = "m1") -> None:
    moved = a.Moved(
        move=move, half=which, was=was, became=became, from_household="old", to_household="new",
        at=from_us(w.clock.now()),
    )  # fmt: skip
    w.say(moved, was if which == "out" else became, "old" if which == "out" else "new")


def steps(w: World) -> list[str]:
    return [line.split("|", 1)[1].split("|2026")[0] for line in w.lines()]


@pytest.mark.parametrize("order", [("out", "in"), ("in", "out")])
def test_an_open_alert_moves_when_both_halves_are_here(
    w: World, order: tuple[a.Half, a.Half]
) -> None:
    w.raise_alert("p1", household="old")
    half(w, order[0])
    assert w.alert("p1")["household"] == "old"
    half(w, order[1])
    assert w.alert("p1")["household"] == "new"
    w.mark(minutes=10)
    assert "p1|R1|second|2026-01-01T00:10:00Z|due" in w.lines()


def test_what_the_new_household_says_waits_for_the_old_one(w: World) -> None:
    w.raise_alert("p1", household="old")
    half(w, "in")
    w.at(minutes=5)
    fact = a.Passed(
        subject="p1", household="new", role="handled", fact="f", type="t",
        at=from_us(w.clock.now()),
    )  # fmt: skip
    w.say(fact, "p1", "new")
    assert w.alert("p1")["handled_at"] is None
    assert w.get("/v1/audit")["ok"]
    w.say(fact, "p1", "old", id="still-there")
    assert w.alert("p1")["handled_at"] == "2026-01-01T00:05:00Z", (
        "the old one's word counts at once"
    )
    half(w, "out")
    assert steps(w).count("R1|handled") == 1


def test_two_names_that_were_one_keep_the_earlier_clock(w: World) -> None:
    w.raise_alert("p1", household="old", clock_start=START - 5 * MINUTE)
    w.raise_alert("p2", household="new")
    half(w, "out", "p1", "p2")
    half(w, "in", "p1", "p2")
    assert {(x["subject"], x["household"]) for x in w.alerts()} == {("p2", "new")}
    assert w.alert("p2")["deadline_at"] == "2026-01-01T00:55:00Z"
    assert [line for line in w.lines() if "merged" in line] == [
        "p2|R1|closed|2026-01-01T00:00:00Z|merged",
        "p2|R1|merged|2026-01-01T00:00:00Z|merged",
    ]
    w.mark(hours=2)
    found = w.get("/v1/report")["alerts"]
    assert (found["opened"], found["merged"], found["never"]) == (2, 1, 1)


def test_a_chain_of_moves_is_carried_out_in_its_order_whatever_arrives_first(w: World) -> None:
    w.raise_alert("p1", household="a")
    for move, which, household in (
        ("m2", "in", "c"), ("m1", "out", "a"), ("m1", "in", "b"), ("m2", "out", "b"),
    ):  # fmt: skip
        source, target = ("a", "b") if move == "m1" else ("b", "c")
        moved = a.Moved(
            move=move, half=which, was="p1", became="p1", from_household=source,  # type: ignore[arg-type]
            to_household=target, at=from_us(w.clock.now()),
        )  # fmt: skip
        w.say(moved, "p1", household)
    assert w.alert("p1")["household"] == "c"


def test_both_halves_in_one_household_are_no_riddle(w: World) -> None:
    w.raise_alert("p1", household="same")
    for which in ("out", "in"):
        moved = a.Moved(
            move="m1", half=which, was="p1", became="p2", from_household="same",
            to_household="same", at=from_us(w.clock.now()),
        )  # fmt: skip
        w.say(moved, "p1" if which == "out" else "p2", "same")
    assert [x["subject"] for x in w.alerts()] == ["p2"]


def test_a_moved_alert_that_was_closed_stays_closed(w: World) -> None:
    w.raise_alert("p1", household="old")
    w.pass_fact("p1", "closed")
    half(w, "out", "p1", "p2")
    half(w, "in", "p1", "p2")
    w.raise_alert("p2", household="new", since=START)
    assert w.alerts() == []


def test_two_closed_alerts_of_what_was_one_person_open_no_third(w: World) -> None:
    w.raise_alert("p1", household="old")
    w.at(minutes=1)
    w.raise_alert("p2", household="new")
    for who, home in (("p1", "old"), ("p2", "new")):
        fact = a.Passed(
            subject=who, household=home, role="closed", fact=f"f-{who}", type="t",
            at=from_us(w.clock.now()),
        )  # fmt: skip
        w.say(fact, who, home)
    half(w, "out", "p1", "p2")
    half(w, "in", "p1", "p2")
    w.raise_alert("p2", household="new", since=START)
    w.raise_alert("p2", household="new", since=START + MINUTE)
    assert w.alerts() == []


def test_a_move_of_somebody_without_alerts_leaves_no_trace(w: World) -> None:
    half(w, "out")
    half(w, "in")
    w.raise_alert("p1", household="new")
    assert len(w.alerts()) == 1


def test_how_many_moves_wait_is_shown(w: World) -> None:
    half(w, "out")
    w.http.get("/metrics")
    assert w.context.metrics.value("hearthwatch_alerts_waiting_moves") == 1
    half(w, "in")
    w.http.get("/metrics")
    assert w.context.metrics.value("hearthwatch_alerts_waiting_moves") == 0


def test_what_follows_a_kept_back_half_waits_behind_it(w: World) -> None:
    """In one household p2 becomes p3, but p2 first waits for p1 and p3 for p5, from elsewhere."""
    for who in ("p2", "p3"):
        w.raise_alert(who, household="here")
    w.at(minutes=1)
    now = from_us(w.clock.now())

    def tell(move: str, which: a.Half, was: str, became: str, home: str) -> None:
        moved = a.Moved(
            move=move, half=which, was=was, became=became, from_household="elsewhere",
            to_household="here", at=now,
        )  # fmt: skip
        w.say(moved, became, home)

    tell("m1", "in", "p1", "p2", "here")
    tell("m2", "in", "p5", "p3", "here")
    tell("m3", "out", "p2", "p3", "here")
    tell("m3", "in", "p2", "p3", "here")
    for who in ("p2", "p3"):
        fact = a.Passed(
            subject=who, household="here", role="handled", fact="f", type="t", at=now
        )  # fmt: skip
        w.say(fact, who, "here")
    tell("m1", "out", "p1", "p2", "elsewhere")
    assert w.alert("p3")["handled_at"] is None, "p3 still waits for p5"
    tell("m2", "out", "p5", "p3", "elsewhere")
    assert [x["subject"] for x in w.alerts()] == ["p3"]
    assert w.alert("p3")["handled_at"] == "2026-01-01T00:01:00Z"
    assert "p2|R1|handled|2026-01-01T00:01:00Z|fact" not in w.lines(), "the merge came before"
