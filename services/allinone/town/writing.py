"""Writes a town to a file: one item a line, as the door and `hearthwatch import` take it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from services.allinone.town.stream import Town, items
from services.kernel.errors import Fault, WrongUse

_EVERY: Final = 1000
_encode: Final = msgspec.json.Encoder().encode


def write(
    town: Town, path: Path, tell: Callable[[int, int], None], *, received: bool = False
) -> int:
    """Write every item; the file is there whole or not at all. Return how many they are.

    Args:
        town: As `build` made it.
        path: Of the file, which may not exist.
        tell: Told now and then how many were written, and the instant (microseconds) reached.
        received: Keep `receivedat`, which the door takes in a replay only.

    Raises:
        WrongUse: the file exists, or cannot be written.
    """
    if path.exists():
        raise WrongUse(
            Fault(str(path), "a file that is not there yet", "a file", "give another one with --to")
        )
    part = path.with_name(path.name + ".part")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            for count, (at, item) in enumerate(items(town), 1):
                if not received:
                    del item["receivedat"]
                file.write(_encode(item) + b"\n")
                if count % _EVERY == 0:
                    tell(count, at)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError as exc:
        part.unlink(missing_ok=True)
        raise WrongUse(
            Fault(str(path), "a file that can be written", type(exc).__name__, "correct the path")
        ) from exc
    return count
