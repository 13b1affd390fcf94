"""The supervisor over real processes, tiny ones."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.allinone.processes import Program, Supervisor, free_ports
from services.kernel.errors import WrongUse
from tests.support.patience import eventually

SLEEPER = """
import os, queue, signal, sys
told = queue.SimpleQueue()
signal.signal(signal.SIGTERM, lambda *_: told.put(1))
print(f"up {sys.argv[0].rpartition('/')[2]} {os.environ.get('POINT', 'no point')}", flush=True)
told.get()
print("ended as told", flush=True)
"""
DEAF = SLEEPER.replace("lambda *_: told.put(1)", "signal.SIG_IGN")


class Bench:
    """A supervisor over modules in a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = io.StringIO()

    def program(self, name: str, text: str, **once: str) -> Program:
        (self.folder / f"{name}.py").write_text(text, encoding="utf-8")
        environ = {**os.environ, "PYTHONPATH": str(self.folder)}
        return Program(name=name, module=name, environ=environ, once=once)

    @contextmanager
    def running(self, *programs: Program, grace_s: float = 10.0) -> Iterator[Supervisor]:
        supervisor = Supervisor(programs, self.log, grace_s=grace_s, longest_pause_s=0.2)
        supervisor.start()
        try:
            yield supervisor
        finally:
            supervisor.stop()

    def until(self, text: str, times: int = 1) -> None:
        eventually(
            lambda: signal.sigtimedwait([], 0.02),
            lambda: self.log.getvalue().count(text) >= times,
            f"{times} x {text!r} in the log",
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_one_that_was_killed_starts_again_without_its_crash_point(bench: Bench) -> None:
    with bench.running(bench.program("first", SLEEPER, POINT="a point")) as supervisor:
        bench.until("up first.py a point")
        os.kill(supervisor.children["first"].pid, signal.SIGKILL)
        bench.until("up first.py no point")
        assert supervisor.children["first"].starts == 2
        assert not supervisor.gave_up.is_set()
        supervisor.check()
    assert "first      | up first.py" in bench.log.getvalue()
    assert "supervisor | first ended with -9; starts again in 0.2 s" in bench.log.getvalue()


def test_all_are_told_to_end_and_do(bench: Bench) -> None:
    with bench.running(bench.program("first", SLEEPER), bench.program("second", SLEEPER)):
        bench.until("| up", 2)
    assert bench.log.getvalue().count("ended as told") == 2
    assert "killed" not in bench.log.getvalue()


def test_one_that_does_not_listen_is_killed_after_the_grace(bench: Bench) -> None:
    with bench.running(bench.program("deaf", DEAF), grace_s=0.3) as supervisor:
        bench.until("| up")
        pid = supervisor.children["deaf"].pid
    assert "deaf did not end: killed" in bench.log.getvalue()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_one_that_stands_still_hears_the_end(bench: Bench) -> None:
    with bench.running(bench.program("first", SLEEPER)) as supervisor:
        bench.until("| up")
        supervisor.children["first"].signal(signal.SIGSTOP)
    assert "ended as told" in bench.log.getvalue()


def test_one_that_was_used_wrongly_is_not_started_again(bench: Bench) -> None:
    with bench.running(bench.program("wrong", "raise SystemExit(2)")) as supervisor:
        assert supervisor.gave_up.wait(20)
        assert supervisor.children["wrong"].starts == 1
        with pytest.raises(WrongUse, match="wrong"):
            supervisor.check()


def test_free_ports_are_different_ones() -> None:
    assert len(set(free_ports(20))) == 20
