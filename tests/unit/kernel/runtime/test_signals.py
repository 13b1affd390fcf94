"""What a process does when it is told to end, whatever it is just doing."""

from __future__ import annotations

import signal
import threading

import pytest

from services.kernel.runtime.signals import SIGNALS, told_to_end

JOIN_S = 20


@pytest.mark.parametrize("number", SIGNALS)
def test_it_is_told_once_and_goes_on(number: signal.Signals) -> None:
    told = threading.Event()
    with told_to_end(told.set):
        signal.raise_signal(number)
        assert told.wait(JOIN_S)


def test_it_is_told_even_while_the_main_thread_holds_what_telling_needs() -> None:
    told, lock = threading.Event(), threading.Lock()

    def tell() -> None:
        with lock:
            told.set()

    with told_to_end(tell):
        with lock:
            signal.raise_signal(signal.SIGTERM)
        assert told.wait(JOIN_S)


def test_a_second_signal_ends_the_process_and_afterwards_all_is_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with told_to_end(lambda: None):
        signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is before


def test_nothing_is_told_when_nothing_came() -> None:
    told = threading.Event()
    with told_to_end(told.set):
        pass
    assert not told.is_set()
