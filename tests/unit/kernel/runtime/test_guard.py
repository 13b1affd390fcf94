from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from services.kernel.errors import WrongUse
from services.kernel.runtime.guard import FILE, Guard, Running, running


def test_a_second_holder_is_told_who_has_the_folder_and_what_to_do(tmp_path: Path) -> None:
    guard = Guard(tmp_path / "data")
    guard.tell("http://127.0.0.1:8600")
    with pytest.raises(WrongUse) as caught:
        Guard(tmp_path / "data")
    text = str(caught.value)
    assert f"process {os.getpid()}, which serves http://127.0.0.1:8600" in text
    assert f"kill {os.getpid()}" in text
    assert "HEARTHWATCH_DATA_DIR" in text
    guard.close()


def test_a_folder_that_was_let_go_can_be_taken_again(tmp_path: Path) -> None:
    first = Guard(tmp_path)
    first.close()
    first.close()
    Guard(tmp_path).close()


def test_who_runs_is_known_while_it_runs(tmp_path: Path) -> None:
    assert running(tmp_path) is None
    guard = Guard(tmp_path)
    assert running(tmp_path) == Running(os.getpid(), "")
    guard.tell("http://127.0.0.1:1")
    assert running(tmp_path) == Running(os.getpid(), "http://127.0.0.1:1")
    guard.tell("")
    assert running(tmp_path) == Running(os.getpid(), "")
    guard.close()
    assert running(tmp_path) is None


def test_asking_who_runs_does_not_take_the_folder(tmp_path: Path) -> None:
    Guard(tmp_path).close()
    assert running(tmp_path) is None
    Guard(tmp_path).close()


def test_asking_again_and_again_keeps_nobody_from_starting(tmp_path: Path) -> None:
    Guard(tmp_path).close()
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            running(tmp_path)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(50):
            Guard(tmp_path).close()
    finally:
        done.set()
        thread.join(20)


def test_a_lock_that_is_taken_but_not_written_yet_is_one(tmp_path: Path) -> None:
    guard = Guard(tmp_path)
    (tmp_path / FILE).write_bytes(b"")
    assert running(tmp_path) == Running(0, "")
    with pytest.raises(WrongUse, match=r"process unknown.*kill PID"):
        Guard(tmp_path)
    guard.close()


def test_the_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    Guard(tmp_path / "data").close()
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
