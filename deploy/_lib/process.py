"""Processes that outlive the command that started them, known by pid and start time."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .account import Account
from .errors import DeployError
from .waiting import wait_until

_LOG_LIMIT_BYTES = 20_000_000


@dataclass(frozen=True)
class Process:
    """A process: its number, and when it was started, because numbers are used again."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Return whether this very process still runs; a zombie does not."""
        return start_mark(self.pid) == self.started

    def send(self, number: signal.Signals) -> None:
        """Send a signal if the process still runs; a process that is gone is no error."""
        if not self.alive():
            return
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return
        except PermissionError as exc:
            raise DeployError(
                f"process {self.pid} belongs to another user: run this as the user who ran `up`"
            ) from exc


def start_mark(pid: int) -> str | None:
    """Return what tells this process from a later one of that number; None if it is gone."""
    if Path("/proc/self/stat").exists():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            return None
        fields = stat.rpartition(")")[
            2
        ].split()  # the name before it may hold spaces and parentheses
        return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"
    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    mark = answer.stdout.strip()
    return None if not mark or mark.startswith("Z") else mark.partition(" ")[2].strip()


def children(process: Process) -> list[Process]:
    """Return the processes whose parent is this one (empty where there is no /proc)."""
    found = []
    for stat_file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = (
                stat_file.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            )
        except OSError:  # ended while we looked
            continue
        pid = int(stat_file.parent.name)
        mark = start_mark(pid)
        if int(fields[1]) == process.pid and mark is not None:
            found.append(Process(pid, mark))
    return found


def working_in(folder: Path) -> list[int] | None:
    """Return the processes whose working directory is this; None where we cannot ask."""
    if not Path("/proc/self/cwd").exists():
        return None
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):  # ended while we looked, or another user's
            if link.readlink() == folder:
                found.append(int(link.parent.name))
    return found


def start(
    command: Sequence[str | Path],
    *,
    account: Account,
    environment: Mapping[str, str],
    log: Path,
    pid_file: Path,
) -> Process:
    """Start a process in a session of its own, its output in `log`, its number in `pid_file`.

    The working directory is the log's. Returns at once; whether it came up is for the caller to
    ask.
    """
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as output:
        started = subprocess.Popen(
            [str(part) for part in command],
            cwd=log.parent,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **account.popen_options(),
        )
    started.returncode = 0  # it outlives us on purpose: keeps `subprocess` from warning of that
    process = Process(started.pid, start_mark(started.pid) or "ended at once")
    pid_file.write_text(f"{process.pid}\n{process.started}\n", encoding="ascii")
    return process


def find(pid_file: Path) -> Process | None:
    """Return the running process that `pid_file` names, or None when it is not there any more."""
    try:
        lines = pid_file.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return None
    if len(lines) != 2 or not lines[0].isdigit():
        return None
    process = Process(int(lines[0]), lines[1])
    return process if process.alive() else None


def stop(processes: Sequence[Process], first: signal.Signals, grace_s: float) -> list[Process]:
    """Ask all of them with `first`, wait `grace_s`, SIGKILL those that are left, and return these.

    Raises:
        DeployError: a process belongs to somebody else, or is still there 10 s after SIGKILL.
    """
    for process in processes:
        process.send(first)
        process.send(
            signal.SIGCONT
        )  # one that was stopped in a fault test hears nothing until it goes on
    wait_until(lambda: _named(processes), grace_s)
    stubborn = [process for process in processes if process.alive()]
    kill(stubborn)
    return stubborn


def kill(processes: Sequence[Process]) -> None:
    """SIGKILL all of them and wait until they are gone."""
    for process in processes:
        process.send(signal.SIGKILL)
    if (pids := wait_until(lambda: _named(processes), 10)) is not None:
        raise DeployError(f"still there 10 s after SIGKILL: process {pids}; is the disk hanging?")


def _named(processes: Sequence[Process]) -> str | None:
    return ", ".join(str(process.pid) for process in processes if process.alive()) or None


def tail(log: Path, lines: int = 15) -> str:
    """Return the end of a log for an error message."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return f"({log} cannot be read)"
    return "\n".join(["", f"the end of {log}:", *text.splitlines()[-lines:]])
