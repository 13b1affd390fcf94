"""A stable sort of more rows than fit into memory: sorted runs on disk, merged."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import IO, Final

import msgspec

RUN: Final = 200_000
"""Rows held in memory at a time; about 150 MB of mapped facts."""

Row = tuple[int, int, bytes]
"""When it was received (microseconds), its number in order of reading, what it is."""

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Row)
_LENGTH: Final = 4


def by_receipt(rows: Iterable[tuple[int, bytes]], *, run: int = RUN) -> Iterator[Row]:
    """Yield the rows ordered by receipt; those of one instant stay in order of reading.

    Cost: O(n log n); at most `run` rows in memory, the others in unnamed temporary files.
    """
    with ExitStack() as files:
        runs: list[IO[bytes]] = []
        held: list[Row] = []
        for number, (received, what) in enumerate(rows):
            held.append((received, number, what))
            if len(held) >= run:
                runs.append(_spilled(held, files))
                held = []
        held.sort()
        yield from heapq.merge(*map(_read, runs), held)


def _spilled(held: list[Row], files: ExitStack) -> IO[bytes]:
    held.sort()
    file: IO[bytes] = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - as it stands
    for row in held:
        packed = _encoder.encode(row)
        file.write(len(packed).to_bytes(_LENGTH, "big") + packed)
    file.seek(0)
    return file


def _read(file: IO[bytes]) -> Iterator[Row]:
    while head := file.read(_LENGTH):
        yield _decoder.decode(file.read(int.from_bytes(head, "big")))
