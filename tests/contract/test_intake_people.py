"""Who is who: homes, moves, merges, ties, corrections that cross households."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.intake.domain.names import provisional_household
from services.kernel.contracts.changes import (
    MOVED_IN,
    MOVED_OUT,
    RETRACTED,
    MovedIn,
    MovedOut,
)
from services.kernel.contracts.envelope import Envelope, decode
from services.kernel.ids import derived
from tests.support.intake_world import IntakeWorld, intake_world_on, item, ref

PROV = provisional_household("p1")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
def world(
    request: pytest.FixtureRequest, tmp_path: Path, server_address: Callable[[str], str]
) -> Iterator[IntakeWorld]:
    with intake_world_on(request.param, tmp_path, server_address) as made:
        yield made


def moved_in(envelope: Envelope) -> tuple[MovedIn, list[Envelope]]:
    data = msgspec.json.decode(envelope.data, type=MovedIn)
    return data, [decode(bytes(fact)) for fact in data.facts]


def places(world: IntakeWorld, start: int = 0) -> list[tuple[str, str, str]]:
    return [(e.type, e.subject, e.partitionkey) for e in world.outbox()[start:]]


def person(sourceid: str, household: str | None = None, **data: Any) -> dict[str, Any]:
    return item(sourceid, type="registry.person", household=household, data=data)


def tie(sourceid: str, household: str, **data: Any) -> dict[str, Any]:
    return item(
        sourceid, type="registry.tie", data={"household": household, "role": "parent", **data}
    )


class TestHomes:
    def test_an_unknown_person_opens_a_provisional_household(self, world: IntakeWorld) -> None:
        world.one(item("1"))
        assert places(world) == [("health.vitals", "p1", PROV)]

    def test_a_person_seen_with_a_household_is_taken_to_live_there(
        self, world: IntakeWorld
    ) -> None:
        world.send(item("1", household="h1"), item("2"))
        assert {e.partitionkey for e in world.outbox()} == {"h1"}

    def test_a_household_that_only_happens_to_be_named_does_not_move_anybody(
        self, world: IntakeWorld
    ) -> None:
        world.send(item("1", household="h1"), item("2", household="h2"))
        assert {e.partitionkey for e in world.outbox()} == {"h1"}

    def test_a_fact_about_nobody_in_particular_opens_a_provisional_person(
        self, world: IntakeWorld
    ) -> None:
        world.one(item("1", person=None, household="h1"))
        [fact] = world.outbox()
        assert fact.partitionkey == "h1"
        assert fact.subject.startswith("who:")

    def test_a_households_own_fact_is_about_the_household(self, world: IntakeWorld) -> None:
        hazard = {"type": "home.hazard", "data": {"severity": 2}}
        world.send(item("1", household="h1", **hazard), item("2", **hazard))
        assert places(world) == [("home.hazard", "h1", "h1"), ("home.hazard", PROV, PROV)]

    def test_a_matter_of_a_place_is_keyed_by_the_place(self, world: IntakeWorld) -> None:
        world.one(item("1", type="matter.reported", person=None, place="g7", data={}))
        assert places(world) == [("matter.reported", "place:g7", "place:g7")]


class TestMoves:
    def test_a_statement_carries_a_provisional_person_home(self, world: IntakeWorld) -> None:
        first = world.one(item("1"))
        world.one(person("2", "h1", name="x"))
        assert places(world, 1) == [
            (MOVED_OUT, "p1", PROV),
            (MOVED_IN, "p1", "h1"),
            ("registry.person", "p1", "h1"),
        ]
        data, facts = moved_in(world.outbox()[2])
        assert (data.from_household, data.was, data.reason) == (PROV, "p1", "merged")
        assert [(f.id, f.partitionkey) for f in facts] == [(first.id, "h1")]

    def test_both_halves_of_a_move_share_its_name(self, world: IntakeWorld) -> None:
        world.send(person("1", "h1"), item("2", type="member.moved", data={"to_household": "h2"}))
        out = next(e for e in world.outbox() if e.type == MOVED_OUT)
        into = next(e for e in world.outbox() if e.type == MOVED_IN)
        half = msgspec.json.decode(out.data, type=MovedOut)
        assert (half.to_household, half.became, half.reason) == ("h2", "p1", "moved")
        assert half.move == moved_in(into)[0].move

    def test_corrected_and_retracted_facts_stay_behind(self, world: IntakeWorld) -> None:
        ids = [
            a.id
            for a in world.send(
                item("1", household="h1"),
                item("2", supersedes=ref("1"), data={"systolic": 121}),
                item("3"),
                item("4", type=RETRACTED, retracts=ref("3"), data={}),
            )
        ]
        world.one(item("5", type="member.moved", data={"to_household": "h2"}))
        into = next(e for e in world.outbox() if e.type == MOVED_IN)
        assert [fact.id for fact in moved_in(into)[1]] == [ids[1]]

    def test_a_retraction_that_waits_for_its_original_moves_along(self, world: IntakeWorld) -> None:
        world.one(item("1", household="h1"))
        waiting = world.one(item("2", type=RETRACTED, retracts=ref("later"), data={}))
        world.one(item("3", type="member.moved", data={"to_household": "h2"}))
        into = next(e for e in world.outbox() if e.type == MOVED_IN)
        assert waiting.id in [fact.id for fact in moved_in(into)[1]]

    def test_what_comes_after_a_move_goes_to_the_new_household(self, world: IntakeWorld) -> None:
        world.send(person("1", "h1"), item("2", type="member.moved", data={"to_household": "h2"}))
        world.one(item("3", household="h1"))
        assert world.outbox()[-1].partitionkey == "h2"

    def test_an_older_statement_that_comes_late_moves_nobody(self, world: IntakeWorld) -> None:
        world.one(person("1", "h2"))
        world.one({**person("2", "h1"), "time": "2026-01-01T00:00:00Z"})
        assert MOVED_OUT not in [e.type for e in world.outbox()]

    def test_a_retracted_statement_moves_the_person_back(self, world: IntakeWorld) -> None:
        world.send(person("1", "h1"), person("2", "h2"))
        world.one(item("3", type=RETRACTED, retracts=ref("2"), data={}))
        assert places(world)[-3:] == [
            (MOVED_OUT, "p1", "h2"),
            (MOVED_IN, "p1", "h1"),
            (RETRACTED, "p1", "h1"),
        ]

    def test_a_corrected_statement_moves_the_person(self, world: IntakeWorld) -> None:
        world.one(person("1", "h1"))
        world.one({**person("2", "h2"), "supersedes": ref("1")})
        assert places(world)[-1] == ("registry.person", "p1", "h2")
        assert MOVED_OUT in [e.type for e in world.outbox()]

    def test_somebody_who_left_without_a_new_home_keeps_the_old_one(
        self, world: IntakeWorld
    ) -> None:
        world.send(person("1", "h1"), item("2", type="member.left", data={"reason": "work"}))
        assert {e.partitionkey for e in world.outbox()} == {"h1"}

    def test_a_provisional_households_own_facts_move_along(self, world: IntakeWorld) -> None:
        world.one(item("1", type="home.hazard", data={"severity": 1}))
        world.one(person("2", "h1"))
        assert (MOVED_OUT, PROV, PROV) in places(world)
        assert (MOVED_IN, "h1", "h1") in places(world)


class TestMerges:
    def merged(self, was: str, became: str, kind: str | None = None) -> dict[str, Any]:
        data = {"was": was, "became": became, "kind": kind}
        return item("m", type="registry.merged", person=became, data=data)

    def test_a_persons_facts_go_on_under_the_other_name(self, world: IntakeWorld) -> None:
        first = world.one(item("1"))
        world.one({**person("2", "h1"), "person": "p2"})
        world.one(self.merged("p1", "p2"))
        out = next(e for e in world.outbox() if e.type == MOVED_OUT)
        half = msgspec.json.decode(out.data, type=MovedOut)
        assert (out.subject, half.became, half.to_household) == ("p1", "p2", "h1")
        into = next(e for e in world.outbox() if e.type == MOVED_IN)
        assert [(f.id, f.subject) for f in moved_in(into)[1]] == [(first.id, "p2")]
        world.one(item("3"))
        assert (world.outbox()[-1].subject, world.outbox()[-1].partitionkey) == ("p2", "h1")

    def test_two_households_become_one(self, world: IntakeWorld) -> None:
        world.send(
            item("1", household="h1"), item("2", type="home.hazard", household="h1", data={})
        )
        world.one({**self.merged("h1", "h2", "household"), "person": None, "household": "h2"})
        assert (MOVED_OUT, "p1", "h1") in places(world)
        assert (MOVED_OUT, "h1", "h1") in places(world)
        world.one(item("3", person="p9", household="h1"))
        assert world.outbox()[-1].partitionkey == "h2"

    def test_a_merge_cannot_be_taken_back(self, world: IntakeWorld) -> None:
        world.send(item("1"), self.merged("p1", "p2"))
        answer = world.one(item("4", type=RETRACTED, retracts=ref("m"), data={}))
        assert answer.fault is not None
        assert answer.fault.code == "merged"

    def test_a_merge_said_twice_is_one(self, world: IntakeWorld) -> None:
        world.send(item("1"), self.merged("p1", "p2"))
        before = len(world.outbox())
        world.one({**self.merged("p1", "p2"), "sourceid": "m2"})
        assert places(world, before) == [("registry.merged", "p2", PROV)]


class TestTies:
    def test_a_tied_household_gets_a_copy_of_each_fact(self, world: IntakeWorld) -> None:
        world.send(person("1", "h1"), tie("2", "h9"))
        fact = world.one(item("3"))
        copy = world.outbox()[-1]
        assert (copy.copyof, copy.tie, copy.partitionkey) == (fact.id, "parent", "h9")
        assert copy.id == derived("copy", str(fact.id), "h9")
        assert copy.subject == "p1"

    def test_it_gets_the_past_when_the_tie_is_made(self, world: IntakeWorld) -> None:
        first = world.one(item("1", household="h1"))
        world.one(tie("2", "h9"))
        copy = next(e for e in world.outbox() if e.copyof == first.id)
        made = next(e for e in world.outbox() if e.type == "registry.tie")
        assert copy.receivedat == made.receivedat, "it learns of it only now"
        assert copy.clock_us() == made.received_us(), "and nobody could have come before"

    def test_a_correction_reaches_the_copy(self, world: IntakeWorld) -> None:
        world.send(person("1", "h1"), tie("2", "h9"))
        first = world.one(item("3"))
        world.one(item("4", supersedes=ref("3"), data={"systolic": 121}))
        copy = world.outbox()[-1]
        assert copy.supersedes == derived("copy", str(first.id), "h9")

    def test_a_tie_that_ended_takes_its_copies_back(self, world: IntakeWorld) -> None:
        world.send(person("1", "h1"), tie("2", "h9"))
        fact = world.one(item("3"))
        world.one(tie("4", "h9", to="2026-10-01"))
        back = {e.retracts for e in world.outbox() if e.type == RETRACTED}
        assert derived("copy", str(fact.id), "h9") in back
        before = len(world.outbox())
        world.one(item("5"))
        assert places(world, before) == [("health.vitals", "p1", "h1")]

    def test_a_retracted_tie_takes_its_copies_back(self, world: IntakeWorld) -> None:
        world.send(person("1", "h1"), tie("2", "h9"), item("3"))
        world.one(item("4", type=RETRACTED, retracts=ref("2"), data={}))
        copies = {e.id for e in world.outbox() if e.copyof}
        back = {e.retracts for e in world.outbox() if e.type == RETRACTED}
        assert copies <= back | {e.id for e in world.outbox() if e.type == RETRACTED}

    def test_ones_own_household_gets_no_copies(self, world: IntakeWorld) -> None:
        world.send(person("1", "h1"), tie("2", "h1"), item("3"))
        assert not [e for e in world.outbox() if e.copyof]


class TestCorrectionsAcrossHouseholds:
    def test_one_about_somebody_else_takes_the_original_back_where_it_was(
        self, world: IntakeWorld
    ) -> None:
        first = world.one(item("1", household="h1"))
        world.one(item("2", person="p2", household="h2", supersedes=ref("1")))
        assert places(world, 1) == [
            ("health.vitals", "p2", "h2"),
            (RETRACTED, "p1", "h1"),
        ]
        assert world.outbox()[-1].retracts == first.id

    def test_one_that_overtook_its_original_takes_it_back_when_it_comes(
        self, world: IntakeWorld
    ) -> None:
        world.one(item("2", person="p2", household="h2", supersedes=ref("1")))
        late = world.one(item("1", household="h1"))
        assert places(world, 1) == [(RETRACTED, "p1", "h1"), ("health.vitals", "p1", "h1")]
        assert world.outbox()[1].retracts == late.id

    def test_a_retraction_needs_no_name_of_whom_it_is_about(self, world: IntakeWorld) -> None:
        world.one(item("1", household="h1"))
        world.one(item("2", type=RETRACTED, person=None, retracts=ref("1"), data={}))
        assert places(world)[-1] == (RETRACTED, "p1", "h1")

    def test_one_that_overtook_its_original_waits_for_it(self, world: IntakeWorld) -> None:
        answer = world.one(item("2", type=RETRACTED, person=None, retracts=ref("1"), data={}))
        assert answer.status == "accepted"
        assert world.outbox() == []
        late = world.one(item("1", household="h1"))
        back, fact = world.outbox()
        assert (back.type, back.retracts, fact.id) == (RETRACTED, late.id, late.id)

    def test_a_correction_of_something_unknown_must_say_whom_it_is_about(
        self, world: IntakeWorld
    ) -> None:
        answer = world.one(item("2", person=None, supersedes=ref("1")))
        assert answer.fault is not None
        assert answer.fault.code == "missing"

    def test_a_change_may_be_named_by_our_own_id(self, world: IntakeWorld) -> None:
        first = world.one(item("1"))
        world.one(item("2", supersedes=first.id))
        assert world.outbox()[-1].supersedes == first.id
