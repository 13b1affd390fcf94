"""What is refused is kept, reported when it could be a cry for help, mended and sent in again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.intake.domain.item import Broken
from services.intake.handlers import mending
from services.kernel.clock import rfc3339, to_us
from services.kernel.contracts.changes import UNREADABLE, Unreadable
from services.kernel.contracts.envelope import Envelope
from services.kernel.errors import Fault, Faults, Refused
from tests.support.intake_world import IntakeWorld, intake_world, intake_world_on, item


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
def world(
    request: pytest.FixtureRequest, tmp_path: Path, server_address: Callable[[str], str]
) -> Iterator[IntakeWorld]:
    with intake_world_on(request.param, tmp_path, server_address) as made:
        yield made


def told(envelope: Envelope) -> Unreadable:
    return msgspec.json.decode(envelope.data, type=Unreadable)


def mend(world: IntakeWorld, kept: str | None, body: dict[str, Any]) -> dict[str, Any]:
    assert kept is not None
    return mending.fix(world.store, world.door, kept, body)


def again(world: IntakeWorld, kept: str | None) -> str:
    assert kept is not None
    world.clock.advance_to(world.clock.now() + 1)
    return mending.replay(world.store, world.door, kept).status


BAD = {"data": {"systolic": 1200}}


class TestReports:
    def test_a_refused_item_that_could_be_red_is_reported_about_its_person(
        self, world: IntakeWorld
    ) -> None:
        world.one(item("1", household="h1"))
        answer = world.one(item("2", **BAD))
        report = world.outbox()[-1]
        assert (report.type, report.subject, report.partitionkey) == (UNREADABLE, "p1", "h1")
        assert told(report).kept == answer.kept
        assert told(report).code == "out_of_range"

    def test_one_about_somebody_unknown_is_reported_under_its_own_name(
        self, world: IntakeWorld
    ) -> None:
        answer = world.one(item("1", **BAD))
        assert world.outbox()[-1].subject == f"kept:{answer.kept}"

    def test_one_whose_type_cannot_be_read_is_reported(self, world: IntakeWorld) -> None:
        world.one(b'{"type": ')
        assert world.outbox()[-1].type == UNREADABLE

    def test_one_whose_type_gives_no_red_is_kept_quietly(self, world: IntakeWorld) -> None:
        answer = world.one(item("1", type="visit.recorded", data={}))
        assert answer.kept is not None
        assert world.outbox() == []

    def test_a_pack_may_switch_reports_off(self, tmp_path: Path) -> None:
        quiet = 'name: q\nversion: "1"\nzone: "+00:00"\nunreadable: none\n'
        with intake_world(tmp_path, pack=quiet) as world:
            assert world.one(b"{").kept is not None
            assert world.outbox() == []


class TestMending:
    def test_a_fixed_item_is_accepted_with_the_clock_of_its_first_receipt(
        self, world: IntakeWorld
    ) -> None:
        kept = world.one(item("1", **BAD)).kept
        first = world.clock.now()
        mend(world, kept, {"set": {"data.systolic": 190}})
        world.clock.advance_to(first + 1_000_000)
        assert again(world, kept) == "accepted"
        fact, report = world.outbox()[-2:]
        assert fact.clock_us() == first
        assert fact.received_us() > first
        assert (told(report).code, told(report).kept) == ("repaired", kept)

    def test_replaying_it_twice_changes_nothing(self, world: IntakeWorld) -> None:
        kept = world.one(item("1", **BAD)).kept
        mend(world, kept, {"set": {"data.systolic": 190}})
        assert again(world, kept) == "accepted"
        before = len(world.outbox())
        assert again(world, kept) == "duplicate"
        assert len(world.outbox()) == before

    def test_a_correction_that_is_wrong_too_is_refused_and_not_stored(
        self, world: IntakeWorld
    ) -> None:
        kept = world.one(item("1", **BAD)).kept
        with pytest.raises(Faults, match="systolic"):
            mend(world, kept, {"set": {"data.systolic": 5000}})
        assert again(world, kept) == "rejected"
        assert len([e for e in world.outbox() if e.type == UNREADABLE]) == 1

    def test_a_whole_item_may_be_given(self, world: IntakeWorld) -> None:
        kept = world.one(b"{").kept
        assert mend(world, kept, item("1")) == item("1")
        assert again(world, kept) == "accepted"

    def test_bytes_that_are_no_item_must_be_written_first(self, world: IntakeWorld) -> None:
        kept = world.one(b"{").kept
        with pytest.raises(Refused, match="dlq fix"):
            again(world, kept)

    def test_the_source_may_send_it_right_itself(self, world: IntakeWorld) -> None:
        kept = world.one(item("1", **BAD)).kept
        first = world.clock.now()
        assert world.one(item("1")).status == "accepted"
        fact, report = world.outbox()[-2:]
        assert fact.clock_us() == first
        assert (told(report).code, told(report).kept) == ("repaired", kept)

    def test_a_repaired_item_cannot_be_fixed_again(self, world: IntakeWorld) -> None:
        kept = world.one(item("1", **BAD)).kept
        world.one(item("1"))
        with pytest.raises(Refused, match="supersedes"):
            mend(world, kept, item("1"))

    def test_an_unknown_kept_item_is_told_so(self, world: IntakeWorld) -> None:
        with pytest.raises(Refused) as refusal:
            again(world, "nothing")
        assert refusal.value.status == 404
        answer = world.one(item("1", repairs="nothing"))
        assert answer.fault is not None
        assert answer.fault.code == "unknown_kept"

    def test_a_broken_line_of_a_file_is_completed_from_its_draft(self, world: IntakeWorld) -> None:
        fault = Fault("cell C7", "a time", "a text of 3 characters", "correct it", "not_time")
        draft = item("1", time=None)
        line = Broken("1,p1,xyz", fault, "log.csv:7", "clinic", draft=draft)
        [answer] = world.door.accept([line])
        assert answer.fault is not None
        assert answer.fault.where == "log.csv:7 cell C7"
        fixed = mend(world, answer.kept, {"set": {"time": "2026-10-31T00:00:00Z"}})
        assert fixed["sourceid"] == "1"
        assert again(world, answer.kept) == "accepted"

    def test_in_replay_a_fixed_item_keeps_its_receipt(self, tmp_path: Path) -> None:
        with intake_world(tmp_path, replay=True) as world:
            kept = world.one(item("1", receivedat="2026-11-01T00:02:00Z", **BAD)).kept
            mend(world, kept, {"set": {"data.systolic": 150}})
            assert again(world, kept) == "accepted"
            fact = next(e for e in world.outbox() if e.type == "health.vitals")
            assert rfc3339(to_us(fact.receivedat)) == "2026-11-01T00:02:00Z"
