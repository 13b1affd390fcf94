from __future__ import annotations

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.domain.alert import Entry
from services.alerts.domain.timeline import chained, digest, line

ENTRY = Entry(1, "p1", 60_000_000, "notify", "due", counted=True, actor="x", detail={"to": ["a"]})


def test_a_line_names_subject_rule_step_time_and_reason() -> None:
    assert line("p1", "R1#essay", "notify", 60_500_000, "due") == (
        "p1|R1#essay|notify|1970-01-01T00:01:00.500000Z|due"
    )


def test_the_digest_is_over_the_sorted_lines() -> None:
    assert digest(["b", "a"]) == hashlib.sha256(b"a\nb").hexdigest()
    assert digest([]) == hashlib.sha256(b"").hexdigest()


@given(st.lists(st.text()), st.randoms(use_true_random=False))
def test_the_order_of_lines_does_not_matter(lines: list[str], random: object) -> None:
    shuffled = list(lines)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert digest(shuffled) == digest(lines)


@pytest.mark.parametrize(
    "change",
    [
        {"n": 2},
        {"subject": "p2"},
        {"at": 60_000_001},
        {"what": "head"},
        {"reason": "manual"},
        {"counted": False},
        {"actor": "y"},
        {"detail": {"to": ["b"]}},
    ],
)
def test_the_chain_covers_every_field(change: dict[str, object]) -> None:
    altered = msgspec.structs.replace(ENTRY, **change)
    assert chained("h", "a1", altered) != chained("h", "a1", ENTRY)


def test_the_chain_covers_what_came_before_and_whose_it_is() -> None:
    assert chained("h", "a1", ENTRY) != chained("g", "a1", ENTRY)
    assert chained("h", "a1", ENTRY) != chained("h", "a2", ENTRY)
