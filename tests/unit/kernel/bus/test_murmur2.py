from __future__ import annotations

from collections import Counter

import pytest

from services.kernel.bus.murmur2 import murmur2, partition_of


@pytest.mark.parametrize(
    ("text", "hashed"),
    [  # what Kafka's own client gives, as signed 32-bit numbers
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_the_hash_is_the_one_of_kafka(text: str, hashed: int) -> None:
    assert murmur2(text.encode()) == hashed & 0xFFFFFFFF


def test_a_key_keeps_its_partition_and_keys_spread() -> None:
    keys = [f"household-{n}" for n in range(8000)]
    first = [partition_of(key, 8) for key in keys]
    assert first == [partition_of(key, 8) for key in keys]
    assert set(first) == set(range(8))
    assert max(Counter(first).values()) < 1200


def test_the_sign_is_dropped_before_dividing() -> None:
    assert partition_of("21", 8) == (-973932308 & 0x7FFFFFFF) % 8
