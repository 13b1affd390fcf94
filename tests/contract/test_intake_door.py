"""The door: one answer per item, everything kept, nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.intake.domain.item import change_id
from services.kernel.clock import MINUTE, rfc3339, to_us
from services.kernel.errors import Refused
from tests.support.intake_world import START, IntakeWorld, intake_world, item, ref


@pytest.fixture
def world(tmp_path: Path) -> Iterator[IntakeWorld]:
    with intake_world(tmp_path) as made:
        yield made


class TestAnswers:
    def test_a_good_item_is_accepted_under_the_id_derived_from_its_source(
        self, world: IntakeWorld
    ) -> None:
        answer = world.one(item("1"))
        assert (answer.status, answer.id) == ("accepted", change_id("clinic", "1"))
        assert [e.id for e in world.outbox()] == [answer.id]

    def test_the_same_item_again_is_a_duplicate_and_changes_nothing(
        self, world: IntakeWorld
    ) -> None:
        first = world.one(item("1"))
        before = world.ledger()
        again = world.one(item("1"))
        assert (again.status, again.id) == ("duplicate", first.id)
        assert world.ledger() == before
        assert len(world.outbox()) == 1

    def test_a_duplicate_within_one_batch_is_seen(self, world: IntakeWorld) -> None:
        assert [a.status for a in world.send(item("1"), item("1"))] == ["accepted", "duplicate"]

    def test_the_same_instant_in_another_offset_is_the_same_content(
        self, world: IntakeWorld
    ) -> None:
        world.one(item("1", time="2026-11-01T00:00:00Z"))
        assert world.one(item("1", time="2026-11-01T08:00:00+08:00")).status == "duplicate"

    def test_the_order_of_fields_and_nulls_do_not_make_another_content(
        self, world: IntakeWorld
    ) -> None:
        world.one(item("1", data={"systolic": 120, "glucose": 6}))
        again = world.one(item("1", data={"glucose": 6.0, "seen_by": None, "systolic": 120}))
        assert again.status == "duplicate"

    def test_other_content_under_the_same_key_is_a_conflict_and_kept(
        self, world: IntakeWorld
    ) -> None:
        first = world.one(item("1"))
        answer = world.one(item("1", data={"systolic": 130}))
        assert (answer.status, answer.id) == ("conflict", first.id)
        assert answer.kept is not None
        assert answer.fault is not None
        assert answer.fault.code == "conflict"
        assert len(world.outbox()) == 1, "a conflict alarms nobody"

    def test_the_rest_of_a_batch_goes_on_after_a_bad_item(self, world: IntakeWorld) -> None:
        answers = world.send(item("1"), item("2", type="health.vital"), b"{", item("3"))
        assert [a.status for a in answers] == ["accepted", "rejected", "rejected", "accepted"]
        assert all(a.kept for a in answers[1:3])

    def test_a_rejected_item_sent_again_is_kept_once(self, world: IntakeWorld) -> None:
        bad = item("1", type="health.vital")
        assert world.one(bad).kept == world.one(bad).kept
        assert len(world.outbox()) == 1


class TestIdempotencyKey:
    def test_the_same_key_with_the_same_batch_gets_the_same_answers(
        self, world: IntakeWorld
    ) -> None:
        batch = [item("1"), item("2", time="never")]
        first = world.door.accept(batch, idempotency_key="k")
        assert world.door.accept(batch, idempotency_key="k") == first
        assert first[0].status == "accepted"

    def test_the_same_key_with_another_batch_is_refused(self, world: IntakeWorld) -> None:
        world.door.accept([item("1")], idempotency_key="k")
        with pytest.raises(Refused, match="another body"):
            world.door.accept([item("2")], idempotency_key="k")


class TestReceipt:
    def test_the_door_alone_stamps_the_receipt(self, world: IntakeWorld) -> None:
        answer = world.one(item("1", receivedat=rfc3339(START)))
        assert answer.fault is not None
        assert answer.fault.code == "not_yours"

    def test_in_replay_an_item_brings_its_receipt(self, tmp_path: Path) -> None:
        with intake_world(tmp_path, replay=True) as world:
            world.one(item("1", receivedat=rfc3339(START + 5 * MINUTE)))
            assert to_us(world.outbox()[0].receivedat) == START + 5 * MINUTE

    def test_what_comes_after_a_mark_is_stamped_later_than_the_mark(
        self, world: IntakeWorld
    ) -> None:
        world.marker.tick()
        world.door.accept([item("1")])
        mark, _, fact = world.outbox()
        assert fact.receivedat > mark.time

    def test_a_clock_that_went_backwards_does_not_turn_receipts_around(
        self, world: IntakeWorld
    ) -> None:
        world.one(item("1"))
        world.door._clock = type(world.clock)(START)  # noqa: SLF001 - the machine's clock was set back
        world.door.accept([item("2")])
        first, second = world.outbox()
        assert second.receivedat >= first.receivedat

    def test_a_time_at_the_edge_of_max_ahead_is_taken_and_one_beyond_it_kept(
        self, world: IntakeWorld
    ) -> None:
        edge = world.clock.now() + MINUTE + 60 * MINUTE
        visit = {"type": "visit.recorded", "data": {"note": "at home"}}
        good, bad = world.send(
            item("1", time=rfc3339(edge), **visit), item("2", time=rfc3339(edge + 1), **visit)
        )
        assert good.status == "accepted"
        assert bad.fault is not None
        assert bad.fault.code == "too_far_ahead"

    def test_a_late_fact_is_normal(self, world: IntakeWorld) -> None:
        assert world.one(item("1", time="2020-01-01T00:00:00Z")).status == "accepted"


class TestLifeClock:
    def test_our_own_phone_starts_the_clock_skew_corrected(self, world: IntakeWorld) -> None:
        received = world.clock.now() + MINUTE
        world.one(
            item(
                "1",
                source="phone-app",
                observedat=rfc3339(received - 30 * MINUTE),
                sentat=rfc3339(received - 20 * MINUTE),
            )
        )
        envelope = world.outbox()[0]
        assert envelope.clock_us() == received - 10 * MINUTE

    def test_another_source_starts_it_at_its_receipt(self, world: IntakeWorld) -> None:
        world.one(item("1", observedat=rfc3339(START - 30 * MINUTE)))
        envelope = world.outbox()[0]
        assert envelope.clock_us() == envelope.received_us()

    def test_a_correction_keeps_the_earlier_clock(self, world: IntakeWorld) -> None:
        world.one(item("1"))
        world.one(item("2", supersedes=ref("1"), data={"systolic": 121}))
        first, second = world.outbox()
        assert second.supersedes == first.id
        assert second.clock_us() == first.clock_us()


class TestReport:
    def test_counts_add_up_per_source(self, world: IntakeWorld) -> None:
        world.send(item("1"), item("1"), item("1", data={}), item("2", type="x"))
        with world.db.read() as conn:
            row = conn.exec_driver_sql(
                'SELECT "read", accepted, duplicate, conflict, rejected FROM tally'
            ).one()
        assert tuple(row) == (4, 1, 1, 1, 2)
