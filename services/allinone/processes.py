"""A process per service, supervised: started in order, started again with a growing pause, stopped.

What they say goes to one log, each line behind its service's name. A process that ends with 2 was
told something wrong and says what: then everything stops, for a new start would find the same.
"""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Final

from services.kernel.clock import Monotonic, SystemMonotonic
from services.kernel.errors import Fault, WrongUse

GRACE_S: Final = 15.0
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 15.0
STEADY_S: Final = 30.0
"""A process that lived so long begins with the first pause again."""
_LOOK_S: Final = 0.1
_WRONG_USE: Final = 2
_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run: a module, and its whole environment.

    once: more environment for the first start only, such as a crash point.
    """

    name: str
    module: str
    environ: Mapping[str, str]
    once: Mapping[str, str] = field(default_factory=dict)


class Child:
    """One program and the process that it is now."""

    def __init__(
        self, program: Program, log: _Log, monotonic: Monotonic, longest_pause_s: float
    ) -> None:
        self.program = program
        self._longest_pause_s = longest_pause_s
        self.starts = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._log = log
        self._monotonic = monotonic
        self._pause_s = 0.0
        self._due_s = 0.0
        self._began_s = 0.0
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """The process's number; 0 when there is none."""
        return self.process.pid if self.process is not None else 0

    def look(self) -> int | None:
        """Start the process when it is its time; return the exit code of one that just ended."""
        if self.process is None:
            if self._monotonic.seconds() >= self._due_s:
                self._start()
            return None
        code = self.process.poll()
        if code is None:
            return None
        self._ended(code)
        return code

    def signal(self, number: int) -> None:
        """Send a signal to the process if it is there."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the process; return whether it has ended."""
        if self.process is None:
            return True
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        if self._reader is not None:
            self._reader.join(timeout_s)
        self.process = None
        return True

    def _start(self) -> None:
        environ = {**self.program.environ, "PYTHONUNBUFFERED": "1"}
        if self.starts == 0:
            environ |= self.program.once
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", self.program.module],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the supervisor, which then stops them in order
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - one call
        )
        self.starts += 1
        self._began_s = self._monotonic.seconds()
        self._reader = threading.Thread(
            target=self._log.copy,
            args=(self.program.name, self.process.stdout),
            name=f"log.{self.program.name}",
            daemon=True,
        )
        self._reader.start()

    def _ended(self, code: int) -> None:
        now = self._monotonic.seconds()
        if now - self._began_s >= STEADY_S:
            self._pause_s = 0.0
        self._pause_s = min(self._longest_pause_s, self._pause_s * 2 or FIRST_PAUSE_S)
        self._due_s = now + self._pause_s
        self.wait(1.0)
        self.process = None
        self._log.line(
            "supervisor",
            f"{self.program.name} ended with {code}; starts again in {self._pause_s:.1f} s",
        )


class _Log:
    """Lines of several processes into one file, whole and named."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._lock = threading.Lock()

    def copy(self, name: str, source: IO[bytes]) -> None:
        """Copy until the source ends."""
        with source:
            for line in source:
                self.line(name, line.decode(errors="replace").rstrip("\n"))

    def line(self, name: str, text: str) -> None:
        """Write one line."""
        with self._lock:
            self._file.write(f"{name:<10} | {text}\n")
            self._file.flush()


class Supervisor:
    """Keeps the programs running from `start` until `stop`.

    Args:
        programs: In the order in which changes pass them.
        log: Gets what all of them say.
        monotonic: Machine time.
        grace_s: How long a process may take to end when told to.
        longest_pause_s: Before one that ended again and again is started again.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        log: IO[str],
        *,
        monotonic: Monotonic | None = None,
        grace_s: float = GRACE_S,
        longest_pause_s: float = LONGEST_PAUSE_S,
    ) -> None:
        self._monotonic = monotonic or SystemMonotonic()
        self._log = _Log(log)
        self._grace_s = grace_s
        self.children = {
            program.name: Child(program, self._log, self._monotonic, longest_pause_s)
            for program in programs
        }
        self.gave_up = threading.Event()
        """Set when a process said that it was used wrongly."""
        self.fault: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start every process."""
        self._thread.start()

    def stop(self) -> None:
        """Tell all to end, the last of the chain first; kill who has not ended in time."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        children = list(reversed(self.children.values()))
        for child in children:
            child.signal(signal.SIGTERM)
            child.signal(signal.SIGCONT)  # one that was stopped would never hear it
        end_s = self._monotonic.seconds() + self._grace_s
        for child in children:
            if not child.wait(max(0.1, end_s - self._monotonic.seconds())):
                self._log.line("supervisor", f"{child.program.name} did not end: killed")
                child.signal(signal.SIGKILL)
                child.wait(self._grace_s)

    def check(self) -> None:
        """Raise WrongUse when a process was used wrongly and everything stands still."""
        if self.gave_up.is_set():
            raise WrongUse(
                Fault(
                    where=self.fault or "a service",
                    expected="settings that it can start with",
                    found="exit code 2",
                    remedy="see its last lines in the log",
                    code="start",
                )
            )

    def _watch(self) -> None:
        while not self._stopping.is_set():
            for name, child in self.children.items():
                if child.look() == _WRONG_USE:
                    self.fault = name
                    self.gave_up.set()
                    return
            self._monotonic.wait(self._stopping, _LOOK_S)


def free_ports(count: int) -> list[int]:
    """Return so many ports of loopback that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


_libc: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """Have the kernel tell this process to end when the supervisor is gone."""
    if _libc is not None:
        _libc.prctl(_DEATH_SIGNAL, signal.SIGTERM)
