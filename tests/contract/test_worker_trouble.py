"""What a worker does when something is wrong: with a message, with itself, with the ground."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from services.kernel.bus.dead_letters import revive
from services.kernel.bus.worker import State
from services.kernel.contracts.envelope import HEADERS, encode
from services.kernel.contracts.records import Outgoing, TopicPartition
from services.kernel.contracts.topics import dead_letters
from services.kernel.errors import Fault, InvalidMessage, Retryable
from tests.support.patience import POLL_S
from tests.support.worker_world import World, envelope, ids

REFUSAL = Fault("data.number", "a small number", "a large one", "correct it", code="range")


class TestDeadLetters:
    @pytest.mark.parametrize(
        "value", [b"{broken", b"\xff\xfe", b"", b"[]", b'{"id": 7}', None], ids=repr
    )
    def test_what_nobody_can_read_is_kept_with_bytes_and_reason(
        self, world: World, value: bytes | None
    ) -> None:
        world.publish(envelope(0), value, envelope(1))
        worker = world.worker()
        world.drain(worker)
        assert world.ids() == ids(0, 1)
        (letter,) = world.dead()
        assert (letter.topic, letter.partition, letter.offset) == (world.topic, 0, 1)
        assert (letter.value, letter.headers, letter.group) == (value, HEADERS, world.group)
        assert (letter.fault.code, letter.attempts) == ("unreadable", 1)
        assert letter.died == world.clock.now()
        assert world.reports() == [(1, "unreadable")]
        worker.stop()

    def test_what_the_handler_cannot_take_is_singled_out(self, world: World) -> None:
        def refuse(conn: Connection, id: str) -> None:
            if id in ids(3, 11):
                raise InvalidMessage(REFUSAL)

        world.handler.before = refuse
        world.publish(*map(envelope, range(20)))
        worker = world.worker()
        world.drain(worker)
        assert world.ids() == [id for id in ids(*range(20)) if id not in ids(3, 11)]
        letters = world.dead()
        assert [(letter.offset, letter.fault, letter.attempts) for letter in letters] == [
            (3, REFUSAL, 1), (11, REFUSAL, 1),
        ]  # fmt: skip
        assert letters[0].value == encode(envelope(3))
        worker.stop()

    def test_a_bug_on_one_message_gets_three_tries(self, world: World) -> None:
        tried = []

        def fail(conn: Connection, id: str) -> None:
            if id == "id-0":
                tried.append(id)
                raise ZeroDivisionError("what the person typed")

        world.handler.before = fail
        world.publish(envelope(0))
        worker = world.worker()
        world.drain(worker)
        assert len(tried) == 3
        (letter,) = world.dead()
        assert (letter.fault.code, letter.attempts) == ("bug", 3)
        assert "ZeroDivisionError" in letter.fault.found
        assert "typed" not in letter.fault.sentence()
        assert world.reports() == [(0, "bug")]
        worker.stop()

    def test_a_bug_that_passes_leaves_no_dead_letter(self, world: World) -> None:
        left = [KeyError("once"), KeyError("twice")]

        def fail(conn: Connection, id: str) -> None:
            if left:
                raise left.pop()

        world.handler.before = fail
        world.publish(envelope(0))
        worker = world.worker()
        world.drain(worker)
        assert world.ids() == ids(0)
        assert world.reports() == []
        worker.stop()

    def test_poison_never_stops_its_partition(self, world: World) -> None:
        def fail(conn: Connection, id: str) -> None:
            number = int(id.removeprefix("id-"))
            if number % 10 == 3:
                raise InvalidMessage(REFUSAL)
            if number % 10 == 6:
                raise LookupError(id)

        world.handler.before = fail
        messages: list[object] = [envelope(number) for number in range(60)]
        for place in (0, 25, 26, 61):
            messages.insert(place, b"poison")
        world.publish(*messages)  # type: ignore[arg-type]
        worker = world.worker(batch=16)
        world.drain(worker)
        assert world.ids() == [f"id-{n}" for n in range(60) if n % 10 not in (3, 6)]
        assert len(world.dead()) == 4 + 6 + 6
        worker.stop()

    def test_a_handler_that_fails_on_everything_stops_and_buries_no_more(
        self, world: World
    ) -> None:
        def fail(conn: Connection, id: str) -> None:
            raise AttributeError(id)

        world.handler.before = fail
        world.publish(*map(envelope, range(30)))
        worker = world.worker()
        world.run(worker, lambda: worker.state is State.STOPPED, "the stop")
        assert len(world.dead()) == 20
        assert world.position() == 20
        assert "more than 20 messages failed within a minute" in (worker.ready() or "")
        assert worker.run_once(0) == 0
        world.handler.before = lambda conn, id: None
        mended = world.worker()
        world.drain(mended)
        assert world.ids() == ids(*range(20, 30))
        mended.stop()

    def test_twenty_bugs_a_minute_are_borne_for_ever(self, world: World) -> None:
        def fail(conn: Connection, id: str) -> None:
            raise AttributeError(id)

        world.handler.before = fail
        worker = world.worker()
        for start in range(0, 60, 20):
            world.publish(*map(envelope, range(start, start + 20)))
            world.drain(worker)
            world.monotonic.now += 61
        assert worker.state is State.RUNNING
        assert len(world.dead()) == 60
        worker.stop()

    def test_a_dead_letter_is_sent_again_and_counts_its_lives(self, world: World) -> None:
        broken = {"id-1"}

        def fail(conn: Connection, id: str) -> None:
            if id in broken:
                raise LookupError(id)

        world.handler.before = fail
        world.publish(*map(envelope, range(3)))
        worker = world.worker()
        world.drain(worker)
        (letter,) = world.dead()
        world.bus.publish([without_key(revive(letter))])
        world.drain(worker)
        again = world.dead()[-1]
        assert (again.attempts, again.headers, again.value) == (6, HEADERS, letter.value)
        broken.clear()
        world.bus.publish([without_key(revive(again))])
        world.drain(worker)
        assert world.ids() == ids(0, 2, 1)
        worker.stop()

    def test_a_dead_letter_is_sent_again_with_other_bytes(self, world: World) -> None:
        world.publish(b"{broken")
        worker = world.worker()
        world.drain(worker)
        (letter,) = world.dead()
        world.bus.publish([without_key(revive(letter, encode(envelope(5))))])
        world.drain(worker)
        assert world.ids() == ids(5)
        worker.stop()

    def test_the_key_of_a_dead_letter_is_that_of_the_record(self, wide: World) -> None:
        wide.bus.publish([Outgoing(wide.topic, "house-3", b"poison", HEADERS)])
        worker = wide.worker()
        wide.drain(worker)
        (letter,) = wide.dead()
        ends = wide.bus.ends(dead_letters(wide.topic))
        assert letter.key == "house-3"
        assert ends[TopicPartition(dead_letters(wide.topic), letter.partition)] == 1
        assert revive(letter) == Outgoing(
            wide.topic, "house-3", b"poison", (*HEADERS, ("dead-attempts", b"1"))
        )
        worker.stop()

    def test_a_hook_that_fails_does_not_keep_the_letter_back(self, world: World) -> None:
        def fail(conn: Connection, record: object, fault: Fault) -> None:
            raise LookupError("no such household")

        world.publish(b"poison", envelope(1))
        worker = world.worker(on_dead_letter=fail)
        world.drain(worker)
        assert world.ids() == ids(1)
        assert [letter.fault.code for letter in world.dead()] == ["unreadable"]
        worker.stop()


def without_key(record: Outgoing) -> Outgoing:
    assert record.partition == 0  # the original had no key
    return record


class TestTrouble:
    def test_a_database_out_of_reach_costs_nothing_but_time(self, world: World) -> None:
        world.publish(*map(envelope, range(5)))
        worker = world.worker()
        world.drain(worker)
        world.publish(*map(envelope, range(5, 9)), b"poison")
        world.db.down = True
        world.run(worker, lambda: worker.state is State.WAITING, "the trouble")
        assert worker.ready() == "worker risk: database out of reach"
        for _ in range(20):
            worker.run_once(POLL_S)
        world.db.down = False
        world.drain(worker)
        assert world.ids() == ids(*range(9))
        assert len(world.dead()) == 1
        worker.stop()

    def test_a_database_out_of_reach_at_the_start_is_waited_for(self, world: World) -> None:
        world.publish(envelope(0))
        world.db.down = True
        worker = world.worker()
        world.run(worker, lambda: worker.state is State.WAITING, "the trouble")
        world.db.down = False
        world.drain(worker)
        assert world.ids() == ids(0)
        worker.stop()

    @pytest.mark.parametrize(
        "trouble",
        [
            Retryable("lock not available"),
            OperationalError("select", {}, Exception("server closed the connection")),
            OSError(28, "No space left on device"),
            MemoryError(),
        ],
        ids=lambda exc: type(exc).__name__,
    )
    def test_trouble_in_the_handler_never_makes_a_dead_letter(
        self, world: World, trouble: Exception
    ) -> None:
        left = [trouble] * 40

        def fail(conn: Connection, id: str) -> None:
            if left:
                raise left.pop()

        world.handler.before = fail
        world.publish(*map(envelope, range(4)))
        worker = world.worker()
        world.run(worker, lambda: len(left) < 35, "the trouble")
        assert worker.state is State.WAITING
        assert world.handler.forgotten.count(0) > 1
        world.drain(worker)
        assert world.ids() == ids(*range(4))
        assert world.dead() == []
        assert worker.ready() is None
        worker.stop()

    def test_trouble_in_mid_batch_keeps_what_was_settled(self, world: World) -> None:
        left = [Retryable("gone")] * 3

        def fail(conn: Connection, id: str) -> None:
            if id == "id-2":
                raise InvalidMessage(REFUSAL)
            if id == "id-6" and left:
                raise left.pop()

        world.handler.before = fail
        world.publish(*map(envelope, range(8)))
        worker = world.worker()
        world.drain(worker)
        assert world.ids() == ids(0, 1, 3, 4, 5, 6, 7)
        assert [letter.offset for letter in world.dead()] == [2]
        worker.stop()

    @pytest.mark.parametrize("fails_at", [2, 3])
    def test_trouble_between_the_tries_of_a_bug_buries_nothing(
        self, world: World, fails_at: int
    ) -> None:
        tried = []

        def fail(conn: Connection, id: str) -> None:
            tried.append(id)
            if len(tried) == fails_at:
                raise Retryable("gone")
            if len(tried) < 5:
                raise LookupError(id)

        world.handler.before = fail
        world.publish(envelope(0))
        worker = world.worker()
        world.run(worker, lambda: worker.state is State.WAITING, "the trouble")
        assert len(tried) == fails_at
        world.drain(worker)
        assert world.dead() == []
        assert world.ids() == ids(0)
        worker.stop()

    def test_trouble_while_burying_buries_later(self, world: World) -> None:
        left = [Retryable("gone")]

        def hook(conn: Connection, record: object, fault: Fault) -> None:
            if left:
                raise left.pop()

        def refuse(conn: Connection, id: str) -> None:
            if id == "id-0":
                raise InvalidMessage(REFUSAL)

        world.handler.before = refuse
        world.publish(envelope(0), envelope(1))
        worker = world.worker(on_dead_letter=hook)
        world.run(worker, lambda: worker.state is State.WAITING, "the trouble")
        world.drain(worker)
        assert world.ids() == ids(1)
        assert len(world.dead()) == 1
        worker.stop()

    def test_a_bus_out_of_reach_costs_nothing_but_time(self, world: World) -> None:
        world.bus.down = True
        worker = world.worker()
        worker.run_once(0)
        assert worker.ready() == "worker risk: bus out of reach"
        world.bus.down = False
        world.publish(*map(envelope, range(5)))
        world.drain(worker)
        world.bus.down = True
        world.publish(envelope(5))
        for _ in range(5):
            worker.run_once(POLL_S)
        assert worker.state is State.WAITING
        world.bus.down = False
        world.drain(worker)
        assert world.ids() == ids(*range(6))
        worker.stop()

    def test_waiting_grows_from_a_tenth_to_five_seconds_and_starts_anew(self, world: World) -> None:
        world.bus.down = True
        worker = world.worker()
        for _ in range(9):
            worker.run_once(60)
        assert [round(wait, 6) for wait in world.monotonic.waits] == [
            0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0,
        ]  # fmt: skip
        world.bus.down = False
        world.drain(worker)
        world.bus.down = True
        world.monotonic.waits.clear()
        worker.run_once(0)
        worker.run_once(60)
        assert [round(wait, 6) for wait in world.monotonic.waits] == [0.1]
        worker.stop()

    def test_a_pause_longer_than_the_time_given_is_taken_in_parts(self, world: World) -> None:
        world.bus.down = True
        worker = world.worker()
        worker.run_once(0)
        world.bus.down = False
        world.publish(envelope(0))
        assert worker.run_once(0.06) == 0
        assert worker.state is State.WAITING
        world.drain(worker)
        assert world.ids() == ids(0)
        worker.stop()
