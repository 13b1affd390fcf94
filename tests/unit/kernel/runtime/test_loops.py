from __future__ import annotations

import threading
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from services.kernel.clock import SystemMonotonic
from services.kernel.errors import Retryable
from services.kernel.metrics import Metrics
from services.kernel.runtime.loops import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    RELAY_IDLE_S,
    STUCK_S,
    Loop,
    RelayTurn,
    TickTurn,
    WorkerTurn,
)
from services.kernel.runtime.service import Tick
from tests.support.patience import FakeMonotonic
from tests.support.services import FakeRelay, FakeWorker

JOIN_S = 20.0


class FakeTurn:
    """Work that does what the test says."""

    name = "risk.relay"

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.turned = threading.Event()
        self.woken = False

    def run(self, stopping: threading.Event) -> None:
        self.turned.set()
        if self.error is not None:
            raise self.error

    def wake(self) -> None:
        self.woken = True


class World:
    def __init__(self) -> None:
        self.monotonic = FakeMonotonic()
        self.metrics = Metrics()
        self.turn = FakeTurn()
        self.loop = Loop(self.turn, self.monotonic, self.metrics)

    def errors(self, kind: str) -> float:
        return self.metrics.value("hearthwatch_loop_errors_total", loop="risk.relay", kind=kind)


@pytest.fixture
def world() -> World:
    return World()


class TestLoop:
    def test_trouble_is_a_reason_until_the_next_turn_that_works(self, world: World) -> None:
        world.turn.error = Retryable("bus out of reach")
        world.loop.turn()
        assert world.loop.ready() == "loop risk.relay: bus out of reach"
        assert world.errors("retryable") == 1
        world.turn.error = None
        world.loop.turn()
        assert world.loop.ready() is None

    def test_a_bug_is_counted_logged_and_told_without_its_words(self, world: World) -> None:
        world.turn.error = ValueError("张三")
        with capture_logs() as logs:
            world.loop.turn()
        assert world.loop.ready() == "loop risk.relay: bug, ValueError"
        assert world.errors("bug") == 1
        assert [line["log_level"] for line in logs] == ["error"]

    def test_pauses_double_up_to_the_longest_and_begin_anew_after_success(
        self, world: World
    ) -> None:
        world.turn.error = Retryable("x")
        pauses = []
        for _ in range(8):
            with capture_logs() as logs:
                world.loop.turn()
            pauses.append(logs[0]["pause_s"])
        assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
        world.turn.error = None
        world.loop.turn()
        world.turn.error = Retryable("x")
        with capture_logs() as logs:
            world.loop.turn()
        assert logs[0]["pause_s"] == FIRST_PAUSE_S

    def test_a_thread_turns_until_it_is_asked_to_stop(self) -> None:
        turn = FakeTurn()
        loop = Loop(turn, SystemMonotonic(), Metrics())
        assert loop.join(0)
        loop.start()
        assert turn.turned.wait(JOIN_S)
        assert loop.ready() is None
        loop.ask_to_stop()
        assert loop.join(JOIN_S)
        assert turn.woken

    def test_a_thread_that_waits_out_a_pause_stops_at_once(self) -> None:
        turn = FakeTurn()
        turn.error = Retryable("x")
        loop = Loop(turn, SystemMonotonic(), Metrics())
        for _ in range(10):
            loop.turn()
        turn.turned.clear()
        loop.start()
        assert turn.turned.wait(JOIN_S)
        loop.ask_to_stop()
        assert loop.join(LONGEST_PAUSE_S / 2)

    def test_a_loop_that_does_not_come_round_is_stuck(self) -> None:
        monotonic, held, entered = FakeMonotonic(), threading.Event(), threading.Event()

        class Hanging(FakeTurn):
            def run(self, stopping: threading.Event) -> None:
                entered.set()
                held.wait(JOIN_S)

        loop = Loop(Hanging(), monotonic, Metrics())
        loop.start()
        assert entered.wait(JOIN_S)
        monotonic.now += STUCK_S
        assert loop.stuck() is None
        monotonic.now += 1
        assert loop.stuck() == ("loop risk.relay has not come round for 61 s: restart the process")
        assert loop.ready() == loop.stuck()
        loop.ask_to_stop()
        assert loop.stuck() is None
        held.set()
        assert loop.join(JOIN_S)

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_thread_that_ended_by_itself_is_told(self) -> None:
        class Ending(FakeTurn):
            def run(self, stopping: threading.Event) -> None:
                raise SystemExit

        loop = Loop(Ending(), SystemMonotonic(), Metrics())
        loop.start()
        assert loop.join(JOIN_S)
        assert loop.ready() == "loop risk.relay has died"

    def test_the_age_of_its_progress_is_measured(self, world: World) -> None:
        world.loop.turn()
        world.monotonic.now += 7
        world.turn.error = Retryable("x")
        world.loop.turn()
        world.loop.measure()
        text = world.metrics.render()[0]
        assert b'hearthwatch_loop_progress_age_seconds{loop="risk.relay"} 7.0' in text


class TestRelayTurn:
    def test_a_full_outbox_is_emptied_without_waiting(self, world: World) -> None:
        left = iter([5, 3, 0])
        relay = FakeRelay("risk.relay", lambda: next(left))
        turn = RelayTurn(relay, world.monotonic, world.metrics)
        for _ in range(3):
            turn.run(threading.Event())
        assert world.monotonic.waits == [RELAY_IDLE_S]
        assert world.metrics.value("hearthwatch_relay_records_total", service="risk") == 8

    def test_a_wake_ends_the_waiting(self, world: World) -> None:
        relay = FakeRelay("risk.relay")
        turn = RelayTurn(relay, world.monotonic, world.metrics)
        turn.wake()
        assert relay.event.is_set()

    def test_nothing_waits_once_the_loop_shall_stop(self, world: World) -> None:
        stopping = threading.Event()
        stopping.set()
        RelayTurn(FakeRelay("risk.relay"), world.monotonic, world.metrics).run(stopping)
        assert world.monotonic.waits == []


class TestWorkerTurn:
    def test_a_worker_is_polled_and_a_wake_stops_it(self) -> None:
        worker = FakeWorker("risk", records=3)
        turn = WorkerTurn(worker)
        turn.run(threading.Event())
        assert worker.settled == [2]
        turn.wake()
        assert worker.stopped.is_set()


class TestTickTurn:
    def make(self, world: World, *ticks: Tick) -> TickTurn:
        return TickTurn("alerts", list(ticks), world.monotonic, world.metrics)

    def run_for(self, world: World, turn: TickTurn, seconds: float) -> None:
        end = world.monotonic.now + seconds
        while world.monotonic.now < end:
            turn.run(threading.Event())

    def test_each_is_called_at_once_and_then_at_its_own_pace(self, world: World) -> None:
        calls: list[tuple[str, float]] = []
        start = world.monotonic.now

        def note(name: str) -> None:
            calls.append((name, world.monotonic.now - start))

        turn = self.make(
            world, Tick("a.a", 1.0, lambda: note("a")), Tick("b.b", 2.5, lambda: note("b"))
        )
        self.run_for(world, turn, 5.0)
        assert [at for name, at in calls if name == "a"] == [0, 1, 2, 3, 4, 5]
        assert [at for name, at in calls if name == "b"] == [0, 2.5, 5]

    def test_a_slow_one_is_called_less_often_and_never_in_bursts(self, world: World) -> None:
        starts: list[float] = []

        def slow() -> None:
            starts.append(world.monotonic.now)
            world.monotonic.now += 10

        self.run_for(world, self.make(world, Tick("a.a", 1.0, slow)), 40)
        assert [later - earlier for earlier, later in pairwise(starts)] == [11] * (len(starts) - 1)

    def test_one_that_fails_is_raised_after_the_others_were_called(self, world: World) -> None:
        called: list[str] = []

        def fail() -> None:
            called.append("fail")
            raise Retryable("database of alerts: SQLITE_FULL")

        turn = self.make(
            world, Tick("a.a", 1.0, fail), Tick("b.b", 1.0, lambda: called.append("b"))
        )
        with pytest.raises(Retryable, match="SQLITE_FULL"):
            turn.run(threading.Event())
        assert called == ["fail", "b"]

    def test_how_long_each_took_is_measured(self, world: World) -> None:
        turn = self.make(world, Tick("alerts.fire_due", 1.0, lambda: None))
        turn.run(threading.Event())
        assert (
            b'hearthwatch_tick_duration_seconds_count{tick="alerts.fire_due"} 1.0'
            in (world.metrics.render()[0])
        )

    def test_nothing_is_called_once_the_loop_shall_stop(self, world: World) -> None:
        called: list[int] = []
        stopping = threading.Event()
        stopping.set()
        turn = self.make(world, Tick("a.a", 1.0, lambda: called.append(1)))
        turn.wake()
        turn.run(stopping)
        assert called == []
