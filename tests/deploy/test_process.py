from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy._lib import account, process
from deploy._lib.process import Process
from deploy._lib.waiting import require

# Says that it has set itself up, then goes on until it is ended.
SLEEPER = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER
PARENT = (
    "import subprocess, sys; "
    f"subprocess.Popen([sys.executable, '-c', {SLEEPER!r}], stdin=subprocess.DEVNULL); "
    "import signal; signal.pause()"
)

Start = Callable[[str], Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a Python process the way servers are started; whatever is left is killed afterwards."""
    pid_file, log = tmp_path / "it.pid", tmp_path / "it.log"

    def begin(source: str) -> Process:
        begun = process.start(
            [sys.executable, "-c", source],
            account=account.caller(),
            environment={},
            log=log,
            pid_file=pid_file,
        )
        require(lambda: None if "up" in log.read_text() else "silent", 10, "it was to be up")
        return begun

    yield begin
    left = process.find(pid_file)
    if left is not None:
        process.kill([left, *process.children(left)])


def test_a_started_process_is_found_by_its_pid_file(start: Start, tmp_path: Path) -> None:
    begun = start(SLEEPER)
    assert process.find(tmp_path / "it.pid") == begun
    assert os.getsid(begun.pid) == begun.pid


def test_a_process_that_takes_sigterm_is_stopped_by_it(start: Start, tmp_path: Path) -> None:
    begun = start(SLEEPER)
    assert process.stop([begun], signal.SIGTERM, 10) == []
    assert process.find(tmp_path / "it.pid") is None


def test_a_process_that_ignores_sigterm_is_killed_and_named(start: Start) -> None:
    begun = start(STUBBORN)
    assert process.stop([begun], signal.SIGTERM, 0.3) == [begun]
    assert not begun.alive()


def test_a_suspended_process_is_woken_to_hear_that_it_should_stop(start: Start) -> None:
    begun = start(SLEEPER)
    begun.send(signal.SIGSTOP)
    assert process.stop([begun], signal.SIGTERM, 10) == []


def test_a_later_process_of_the_same_number_is_not_taken_for_ours(
    start: Start, tmp_path: Path
) -> None:
    begun = start(SLEEPER)
    stale = tmp_path / "stale.pid"
    stale.write_text(f"{begun.pid}\nan-earlier-boot:1\n", encoding="ascii")
    assert process.find(stale) is None
    Process(begun.pid, "an-earlier-boot:1").send(signal.SIGKILL)
    assert begun.alive()


def test_a_dead_process_that_nobody_has_collected_counts_as_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        mark = process.start_mark(child.pid)
        assert mark is not None
        child.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table
        assert not Process(child.pid, mark).alive()


def test_the_children_of_a_process_are_found(start: Start) -> None:
    begun = start(PARENT)
    (child,) = process.children(begun)
    process.kill([begun, child])
    assert not child.alive()


def test_a_process_is_found_by_the_folder_it_works_in(start: Start, tmp_path: Path) -> None:
    begun = start(SLEEPER)
    assert process.working_in(tmp_path) == [begun.pid]
    assert process.working_in(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("text", ["", "12", "abc\nmark\n", "1\n2\n3\n"])
def test_a_broken_pid_file_names_no_process(tmp_path: Path, text: str) -> None:
    (tmp_path / "it.pid").write_text(text, encoding="ascii")
    assert process.find(tmp_path / "it.pid") is None


def test_a_log_that_grew_too_long_is_put_aside_at_the_next_start(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_LOG_LIMIT_BYTES", 10)
    (tmp_path / "it.log").write_text("a line of last week\n", encoding="utf-8")
    start(SLEEPER)
    assert (tmp_path / "it.log.1").read_text(encoding="utf-8") == "a line of last week\n"
    assert (tmp_path / "it.log").read_text(encoding="utf-8") == "up\n"


def test_the_end_of_a_log_says_where_it_is_from(tmp_path: Path) -> None:
    log = tmp_path / "it.log"
    log.write_text("\n".join(f"line {number}" for number in range(30)), encoding="utf-8")
    shown = process.tail(log, lines=2)
    assert shown == f"\nthe end of {log}:\nline 28\nline 29"
    assert "cannot be read" in process.tail(tmp_path / "missing.log")
