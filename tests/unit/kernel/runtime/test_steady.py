"""The wall clock against the machine's own time."""

from __future__ import annotations

import threading

import pytest

from services.kernel.clock import SECOND
from services.kernel.runtime.steady import TOLD_S, Steady


class Times:
    """A wall clock and a monotonic one, moved by hand."""

    def __init__(self) -> None:
        self.wall_s = 1_790_000_000.0
        self.machine_s = 50.0
        self.stands_still_s = 0.0

    def now(self) -> int:
        return int(self.wall_s * SECOND)

    def seconds(self) -> float:
        self.machine_s += self.stands_still_s
        self.wall_s += self.stands_still_s
        return self.machine_s

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        raise AssertionError("nobody waits here")

    def pass_(self, seconds: float) -> None:
        self.wall_s += seconds
        self.machine_s += seconds


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def steady(times: Times) -> Steady:
    return Steady(times, times)


def test_time_that_passes_is_no_news(times: Times, steady: Steady) -> None:
    for seconds in (0.1, 5, 3_600, 86_400):
        times.pass_(seconds)
        steady.look()
        assert steady.ready() is None


def test_a_clock_set_back_is_told_and_after_a_while_it_was(times: Times, steady: Steady) -> None:
    times.wall_s -= 3_600
    steady.look()
    assert "set back by 3600 s" in (steady.ready() or "")
    times.pass_(TOLD_S - 1)
    steady.look()
    assert steady.ready() is not None
    times.pass_(2)
    steady.look()
    assert steady.ready() is None


@pytest.mark.parametrize("seconds", [-4.0, 0.5, 3_600.0])
def test_a_small_correction_and_a_step_ahead_delay_nobody(
    times: Times, steady: Steady, seconds: float
) -> None:
    times.wall_s += seconds
    steady.look()
    assert steady.ready() is None


def test_a_process_that_stands_still_while_it_looks_takes_nothing_from_it(
    times: Times, steady: Steady
) -> None:
    times.stands_still_s = 60
    steady.look()
    times.stands_still_s = 0
    steady.look()
    assert steady.ready() is None
