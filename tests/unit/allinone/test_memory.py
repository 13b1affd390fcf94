"""The memory of a process: what it holds, the most it held, and giving back what is free."""

from __future__ import annotations

import sys

import pytest

from services.allinone.memory import Memory, give_back, memory_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells it")
SIZE = 64_000_000


def test_what_was_held_and_let_go_stays_in_the_most() -> None:
    before = memory_of()
    held = bytearray(b"x" * SIZE)
    assert memory_of().now >= before.now + SIZE // 2
    del held
    after = memory_of()
    assert after.most >= before.now + SIZE // 2
    assert after.now <= after.most


def test_free_memory_is_given_back() -> None:
    small = [bytes(2000) for _ in range(SIZE // 2000)]  # each too small for a mapping of its own
    last = small.pop()  # stays, and lies above what goes
    del small
    held = memory_of().now
    give_back()
    assert memory_of().now < held - SIZE // 4
    assert last


def test_of_a_process_that_is_not_there_nothing_is_told() -> None:
    assert memory_of(2**22 + 1) == Memory(0, 0)
