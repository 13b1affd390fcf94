"""Files of people, and of people who mean harm: each is a fault with a place, never a crash."""

from __future__ import annotations

import pytest

from services.kernel.errors import Fault
from services.kernel.yamlfile import parse

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (BOMB, "p.yaml"),
        ("a: &a [*a]\n", "p.yaml"),
        ("a: &a {b: *a}\n", "p.yaml"),
        ("[" * 5_000 + "]" * 5_000, "p.yaml"),
        ("a: !!python/name:os.system ''\n", "p.yaml:1"),
        ("a: 2026-99-99\n", "p.yaml:1"),
        ("a: !!int x\n", "p.yaml:1"),
        ("a: !!timestamp x\n", "p.yaml:1"),
        ("a: \x00\n", "p.yaml"),
        ("a: \x07\n", "p.yaml"),
    ],
    ids=["aliases", "loop", "loop of keys", "deep", "object", "date", "int", "timestamp",
         "null", "bell"],
)  # fmt: skip
def test_a_file_that_means_harm_is_a_fault_at_its_place(text: str, place: str) -> None:
    faults: list[Fault] = []
    parse(text, faults, "p.yaml")
    assert len(faults) == 1
    assert faults[0].where.startswith(place)
    assert faults[0].remedy


def test_what_is_repeated_a_little_is_read() -> None:
    faults: list[Fault] = []
    found = parse("a: &a [1, 2]\nb: *a\n", faults, "p.yaml")
    assert found is not None
    assert found.plain() == {"a": [1, 2], "b": [1, 2]}
    assert faults == []
