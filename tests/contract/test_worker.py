"""What a worker promises, over every bus: exactly one effect, whatever happens on the way."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection

from services.kernel.bus.port import Consumer, OnAssigned
from services.kernel.bus.worker import State, Worker
from services.kernel.clock import SystemMonotonic
from services.kernel.contracts.envelope import HEADERS, encode
from services.kernel.contracts.records import Outgoing, TopicPartition
from services.kernel.errors import Fault, Retryable
from tests.support.patience import POLL_S, eventually
from tests.support.worker_world import RecordingHandler, World, envelope, ids, mark

REFUSAL = Fault("data.number", "a small number", "a large one", "correct it", code="range")


class TestEffect:
    def test_messages_have_their_effect_in_order_and_the_position_moves(self, world: World) -> None:
        world.publish(*map(envelope, range(10)))
        worker = world.worker(batch=3)
        world.drain(worker)
        assert world.ids() == ids(*range(10))
        assert world.position() == 10
        assert world.bus.committed(world.group, world.topic) == {TopicPartition(world.topic, 0): 10}
        assert max(map(len, world.handler.batches)) <= 3
        worker.stop()

    def test_marks_come_in_their_place_and_are_no_doubles(self, wide: World) -> None:
        for partition in range(4):
            wide.publish(envelope(partition), mark(9), envelope(partition + 4), partition=partition)
        worker = wide.worker()
        wide.drain(worker)
        for partition in range(4):
            assert [*ids(partition), "mark-9", *ids(partition + 4)] in wide.handler.batches
        with wide.database.read() as conn:
            assert wide.inbox.unseen(conn, ["mark-9", "id-1"]) == {"mark-9"}
        worker.stop()

    def test_effect_and_position_are_stored_together_or_not_at_all(self, world: World) -> None:
        world.publish(*map(envelope, range(5)))
        world.db.failing_commits = 1
        worker = world.worker()
        world.run(worker, lambda: world.db.failing_commits == 0, "the failing commit")
        assert (world.ids(), world.position()) == ([], 0)
        world.drain(worker)
        assert (world.ids(), world.position()) == (ids(*range(5)), 5)
        worker.stop()

    def test_a_commit_whose_answer_was_lost_has_its_effect_once(self, world: World) -> None:
        world.publish(*map(envelope, range(5)))
        world.db.losing_answers = 1
        worker = world.worker()
        world.drain(worker)
        assert world.ids() == ids(*range(5))
        assert world.handler.forgotten.count(0) >= 2
        worker.stop()

    def test_a_worker_whose_group_offset_was_lost_skips_what_it_did(self, world: World) -> None:
        world.publish(*map(envelope, range(5)))
        world.bus.down_for_commits = True
        first = world.worker()
        world.run(first, lambda: world.position() == 5, "the effect")
        assert world.bus.committed(world.group, world.topic) == {}
        first.stop()
        world.bus.down_for_commits = False
        world.publish(envelope(5))
        second = world.worker()
        world.drain(second)
        assert world.ids() == ids(*range(6))
        second.stop()

    def test_a_group_offset_ahead_of_the_stored_position_loses_nothing(self, world: World) -> None:
        world.publish(*map(envelope, range(5)))
        other = world.bus.inner.consumer(world.group, [world.topic])
        while not other.assignment():
            other.poll(1, POLL_S)
        other.commit({TopicPartition(world.topic, 0): 4})
        other.close()
        worker = world.worker()
        world.drain(worker)
        assert world.ids() == ids(*range(5))
        worker.stop()

    def test_a_message_that_a_relay_sent_twice_has_one_effect(self, world: World) -> None:
        world.publish(*map(envelope, [0, 1, 1, 2]))
        worker = world.worker()
        world.drain(worker)
        world.publish(envelope(0), envelope(3))
        world.drain(worker)
        assert world.ids() == ids(0, 1, 2, 3)
        worker.stop()

    def test_replaying_a_whole_topic_changes_nothing(self, wide: World) -> None:
        for number in range(40):
            wide.publish(envelope(number), partition=number % 4)
        first = wide.worker()
        wide.drain(first)
        first.stop()
        before = wide.ids()
        fresh = wide.worker(group=wide.factory.name())
        wide.drain(fresh)
        fresh.stop()
        assert wide.ids() == before
        wide.forget_positions()  # now only the inbox knows
        blank = wide.worker(group=wide.factory.name())
        wide.drain(blank)
        blank.stop()
        assert wide.ids() == before
        assert [wide.position(partition) for partition in range(4)] == [10] * 4

    @pytest.mark.parametrize("id", ['a"b', "a\\", "'; drop table inbox; --", "守望", "?", ":ids"])
    def test_an_id_of_any_characters_is_only_an_id(self, world: World, id: str) -> None:
        world.publish(envelope(0, id=id), envelope(0, id=id))
        worker = world.worker()
        world.drain(worker)
        assert world.ids() == [id]
        worker.stop()


class TestGaps:
    def test_a_record_lost_on_the_way_is_fetched_again(self, world: World) -> None:
        world.publish(*map(envelope, range(10)))
        lost = [4]
        world.bus.hide = lambda record: record.offset in lost and lost.pop() == record.offset
        worker = world.worker()
        world.drain(worker)
        assert world.ids() == ids(*range(10))
        assert worker.state is State.RUNNING
        worker.stop()

    def test_the_very_first_record_lost_on_the_way_is_fetched_again(self, world: World) -> None:
        world.publish(*map(envelope, range(3)))
        lost = [0]
        world.bus.hide = lambda record: record.offset in lost and lost.pop() == record.offset
        worker = world.worker()
        world.drain(worker)
        assert world.ids() == ids(0, 1, 2)
        worker.stop()

    def test_a_record_that_stays_away_is_told_and_never_skipped(self, wide: World) -> None:
        for partition in range(4):
            wide.publish(*map(envelope, range(partition * 10, partition * 10 + 10)),
                         partition=partition)  # fmt: skip
        wide.bus.hide = lambda record: (record.partition, record.offset) == (2, 4)
        worker = wide.worker()
        wide.run(worker, lambda: wide.unsettled() == 6, "all but one partition")
        wide.run(worker, lambda: worker.state is State.GAP, "the gap")
        reason = worker.ready() or ""
        assert f"records 4..4 of {wide.topic}/2 are missing" in reason
        for number in (97, 98, 99):
            wide.publish(envelope(number), partition=0)
            wide.drain_others(worker, 2)
        assert wide.position(2) == 4
        assert worker.state is State.GAP
        wide.bus.hide = lambda record: False
        wide.monotonic.now += 10
        wide.drain(worker)
        assert len(wide.ids()) == 43
        assert worker.ready() is None
        worker.stop()

    def test_a_gap_puts_the_group_back_to_the_stored_offset(self, world: World) -> None:
        world.publish(*map(envelope, range(5)))
        world.bus.hide = lambda record: record.offset == 2
        worker = world.worker()
        world.run(worker, lambda: worker.state is State.GAP, "the gap")
        assert world.bus.committed(world.group, world.topic) == {TopicPartition(world.topic, 0): 2}
        assert world.ids() == ids(0, 1)
        worker.stop()

    def test_holes_of_a_compacted_topic_are_no_gaps(self, world: World) -> None:
        world.publish(*map(envelope, range(6)))
        world.bus.hide = lambda record: record.offset in {0, 2, 3}
        worker = world.worker(compacted=True)
        world.drain(worker)
        assert world.ids() == ids(1, 4, 5)
        worker.stop()

    def test_a_topic_that_ends_below_the_stored_position_is_refused(self, world: World) -> None:
        world.publish(*map(envelope, range(3)))
        world.set_position(7)
        worker = world.worker()
        world.run(worker, lambda: worker.state is State.REFUSED, "the refusal")
        reason = worker.ready() or ""
        assert "found one that ends at 3, expected a topic that reaches offset 7" in reason
        assert "restore the bus and the database from the same backup" in reason
        assert worker.run_once(0) == 0
        assert (world.ids(), world.position()) == ([], 7)
        worker.stop()

    def test_a_position_moved_by_somebody_else_is_believed(self, world: World) -> None:
        world.publish(*map(envelope, range(3)))
        worker = world.worker()
        world.drain(worker)
        world.publish(*map(envelope, range(3, 10)))
        world.set_position(8)
        forgotten = len(world.handler.forgotten)
        world.drain(worker)
        assert world.ids() == ids(0, 1, 2, 8, 9)
        assert len(world.handler.forgotten) > forgotten
        worker.stop()


class TestMembers:
    def test_two_workers_share_the_work_and_one_may_leave_in_mid_batch(self, wide: World) -> None:
        def die(conn: Connection, id: str) -> None:
            if int(id.removeprefix("id-")) >= 20:
                raise Retryable("this member dies here")

        mortal = RecordingHandler(wide.effect, before=die)
        staying, leaving = wide.worker(), wide.worker(handler=mortal)

        def step() -> None:
            staying.run_once(POLL_S)
            leaving.run_once(POLL_S)

        eventually(
            step,
            lambda: len(staying.partitions()) == len(leaving.partitions()) == 2,
            "two partitions each",
        )
        for number in range(40):
            wide.publish(envelope(number), partition=number % 4)
        eventually(step, lambda: leaving.state is State.WAITING, "the death")
        leaving.stop()
        wide.drain(staying)
        assert sorted(wide.ids()) == sorted(ids(*range(40)))
        assert mortal.batches
        assert wide.handler.batches
        assert leaving.state is State.STOPPED
        staying.stop()

    def test_workers_that_come_and_go_on_threads_double_nothing(self, wide: World) -> None:
        done = threading.Event()
        workers = [wide.worker(monotonic=SystemMonotonic(), batch=20) for _ in range(2)]
        running: list[threading.Thread] = []

        def live(worker: Worker) -> None:
            while worker.state is not State.STOPPED:
                worker.run_once(POLL_S)

        def write(writer: int) -> None:
            for number in range(writer, 600, 3):
                message = envelope(number)
                wide.bus.inner.publish(
                    [Outgoing(wide.topic, f"key-{writer}", encode(message), HEADERS)]
                )
            done.set()

        for call, argument in [(live, worker) for worker in workers] + [
            (write, n) for n in range(3)
        ]:
            running.append(threading.Thread(target=call, args=(argument,)))
            running[-1].start()
        for _ in range(2):
            done.wait(POLL_S)
            workers.pop(0).stop()
            workers.append(wide.worker(monotonic=SystemMonotonic(), batch=20))
            running.append(threading.Thread(target=live, args=(workers[-1],)))
            running[-1].start()
        eventually(
            lambda: done.wait(POLL_S),
            lambda: len(wide.ids()) >= 600 and wide.unsettled() == 0,
            "all settled",
        )
        for worker in workers:
            worker.stop()
        for thread in running:
            thread.join(timeout=20)
        numbers = [int(id.removeprefix("id-")) for id in wide.ids()]
        assert sorted(numbers) == list(range(600))
        for writer in range(3):
            own = [number for number in numbers if number % 3 == writer]
            assert own == sorted(own)
        assert wide.reports() == []

    def test_a_worker_says_what_it_is_at(self, world: World) -> None:
        world.publish(*map(envelope, range(7)))
        worker = world.worker(batch=3, name="risk.changes")
        assert worker.ready() == "worker risk.changes: is starting"
        assert worker.lag() == 0
        world.monotonic.now += 4
        assert worker.since_progress_s() == 4
        settled = 0
        while settled < 3:
            settled += worker.run_once(POLL_S)
        assert (worker.lag(), worker.ready(), worker.since_progress_s()) == (4, None, 0)
        world.drain(worker)
        assert worker.lag() == 0
        worker.stop()
        assert worker.ready() == "worker risk.changes: is stopped"
        assert worker.run_once(0) == 0

    def test_a_worker_stopped_before_it_began_does_nothing(self, world: World) -> None:
        world.publish(envelope(0))
        worker = world.worker()
        worker.stop()
        assert worker.run_once(0) == 0
        assert world.ids() == []

    def test_a_worker_stopped_while_it_joins_leaves_at_once(self, world: World) -> None:
        worker = world.worker()
        consumer = world.bus.consumer

        def stopping(
            group: str, topics: Sequence[str], on_assigned: OnAssigned | None = None
        ) -> Consumer:
            worker.stop()
            return consumer(group, topics, on_assigned)

        world.bus.consumer = stopping  # type: ignore[method-assign]
        world.publish(envelope(0))
        assert worker.run_once(0) == 0
        assert (worker.state, worker.partitions()) == (State.STOPPED, frozenset())

    def test_a_worker_stopped_in_trouble_stops(self, world: World) -> None:
        worker = world.worker()

        def stop(conn: Connection, id: str) -> None:
            worker.stop()
            raise Retryable("gone")

        world.handler.before = stop
        world.publish(envelope(0))
        world.run(worker, lambda: worker.state is State.STOPPED, "the stop")
        assert world.ids() == []

    def test_a_gap_goes_with_its_partition(self, wide: World) -> None:
        for partition in range(4):
            wide.publish(*map(envelope, range(partition * 5, partition * 5 + 5)),
                         partition=partition)  # fmt: skip
        wide.bus.hide = lambda record: (record.partition, record.offset) == (3, 2)
        first, second = wide.worker(), wide.worker()
        wide.run(first, lambda: first.state is State.GAP, "the gap")

        def step() -> None:
            first.run_once(POLL_S)
            second.run_once(POLL_S)

        eventually(step, lambda: {first.state, second.state} == {State.RUNNING, State.GAP}, "both")
        eventually(step, lambda: len(second.partitions()) == 2, "two partitions each")
        eventually(
            step,
            lambda: all(
                (3 in one.partitions()) is (one.state is State.GAP) for one in (first, second)
            ),
            "the gap is told by the one who has the partition",
        )
        first.stop()
        second.stop()

    def test_a_bug_of_the_loop_itself_is_told_and_outlived(self, world: World) -> None:
        world.publish(envelope(0))
        forget = world.handler.forget

        def broken(partition: int) -> None:
            raise LookupError(partition)

        world.handler.forget = broken  # type: ignore[method-assign]
        worker = world.worker()
        world.run(worker, lambda: worker.state is State.WAITING, "the bug")
        assert "bug, LookupError" in (worker.ready() or "")
        world.handler.forget = forget  # type: ignore[method-assign]
        world.drain(worker)
        assert world.ids() == ids(0)
        worker.stop()
