"""The memory of a process, as Linux tells it."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from pathlib import Path
from typing import Final, NamedTuple

_LINE: Final = re.compile(r"^(VmRSS|VmHWM):\s+(\d+) kB$", re.MULTILINE)
_KIB: Final = 1024


_libc: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


class Memory(NamedTuple):
    """Resident memory of a process (bytes): now, and the most there was since it began."""

    now: int
    most: int


def memory_of(pid: int | None = None) -> Memory:
    """Return the memory of a process, by default this one; zeros where the system does not say.

    VmHWM, and not ru_maxrss, which would start at what the parent held when it started us.
    """
    try:
        told = Path(f"/proc/{pid or 'self'}/status").read_text("ascii")
    except OSError:
        return Memory(0, 0)
    found = {name: int(kib) * _KIB for name, kib in _LINE.findall(told)}
    return Memory(found.get("VmRSS", 0), found.get("VmHWM", 0))


def give_back() -> None:
    """Give the system what is free: other threads, which have heaps of their own, cannot use it."""
    gc.collect()
    trim = getattr(_libc, "malloc_trim", None)  # glibc alone has it
    if trim is not None:
        trim(0)
