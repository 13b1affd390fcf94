from __future__ import annotations

import threading

from services.kernel.bus.pause import Pause
from tests.support.patience import FakeMonotonic


def test_pauses_double_up_to_five_seconds() -> None:
    pause = Pause(FakeMonotonic(), threading.Event())
    lengths = []
    for _ in range(8):
        pause.lengthen("gone")
        lengths.append(round(pause.length_s, 6))
    assert lengths == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_without_trouble_there_is_nothing_to_wait_for() -> None:
    monotonic = FakeMonotonic()
    pause = Pause(monotonic, threading.Event())
    assert pause.over(0)
    pause.lengthen("gone")
    pause.end()
    assert pause.over(0)
    assert (pause.reason, monotonic.waits) == (None, [])


def test_a_pause_is_waited_out_in_parts() -> None:
    pause = Pause(FakeMonotonic(), threading.Event())
    pause.lengthen("gone")
    assert not pause.over(0.06)
    assert pause.over(0.06)
    assert pause.over(0)


def test_a_stop_ends_a_pause_without_calling_it_over() -> None:
    stopping = threading.Event()
    pause = Pause(FakeMonotonic(), stopping)
    pause.lengthen("gone")
    stopping.set()
    assert not pause.over(1)
