"""Where tests keep their files: in memory, where there is room for them.

Every write of ours is synced. That it is, is asserted from the settings of the databases and, under
strace, from what a process asks of the system; to wait for a disk a thousand times proves no more.
`TMPDIR` puts the files elsewhere.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a mount, whose folders are made as those of /tmp
_ROOM_BYTES: Final = 2 << 30
"""Some ten times what a whole run was seen to hold at once."""


def _roomy() -> Path | None:
    if os.environ.get("TMPDIR") or not os.access(_MEMORY, os.W_OK):
        return None
    return _MEMORY if shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES else None


MEMORY: Final = _roomy()
"""The folder in memory; None where there is none or it is small, as in many a container."""


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder in memory if there is room, for a while."""
    with TemporaryDirectory(dir=MEMORY, prefix="hearthwatch-test-") as made:
        yield Path(made)
