"""One process per data folder; the others are told which one, and may ask it over HTTP."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from services.kernel.clock import SystemMonotonic
from services.kernel.errors import Fault, WrongUse

FILE: Final = "hearthwatch.lock"
_TRIES: Final = 10
_PAUSE_S: Final = 0.03


class Running(NamedTuple):
    """The process that has a data folder open. `url` is empty until it serves HTTP."""

    pid: int
    url: str


class Guard:
    """Holds a data folder for this process until `close`, or until the process ends.

    Raises:
        WrongUse: another process holds it.
    """

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # what is in it is about people
        self._handle = os.open(data_dir / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not self._take():
            other = _read(self._handle)
            self.close()
            raise WrongUse(_taken(data_dir, other))
        self.tell("")

    def tell(self, url: str) -> None:
        """Write down the process and where it serves."""
        if self._handle >= 0:
            content = msgspec.json.encode(Running(os.getpid(), url))
            os.pwrite(self._handle, content.ljust(200), 0)

    def close(self) -> None:
        """Let the folder go; idempotent."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def _take(self) -> bool:
        # `running` of another process holds the lock for a moment: that is no reason to give up.
        monotonic, never = SystemMonotonic(), threading.Event()
        for _ in range(_TRIES):
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                monotonic.wait(never, _PAUSE_S)
            else:
                return True
        return False


def running(data_dir: Path) -> Running | None:
    """Return the process that has the folder open, or None."""
    try:
        handle = os.open(data_dir / FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(handle)
    else:
        return None
    finally:
        os.close(handle)


def _read(handle: int) -> Running:
    try:
        return msgspec.json.decode(os.pread(handle, 200, 0), type=Running)
    except msgspec.MsgspecError:  # it has the lock but has not written yet
        return Running(0, "")


def _taken(data_dir: Path, other: Running) -> Fault:
    where = f", which serves {other.url}" if other.url else ""
    pid = other.pid or "PID"
    return Fault(
        where=f"data folder {data_dir.name}",
        found=f"process {other.pid or 'unknown'}{where}",
        expected="no other process on it",
        remedy=f"stop it (kill {pid}), or set HEARTHWATCH_DATA_DIR to another folder",
        code="in_use",
    )
