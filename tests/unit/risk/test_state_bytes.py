"""A state's bytes, grown fact by fact, are those of encoding it anew."""

from __future__ import annotations

import random

import pytest

from services.risk.domain.state import Fact, Household, Subject, decode, encode


def _fact(n: int, at: int) -> Fact:
    return Fact(at, at + 1, f"f{n}", at + 2, (n, None, "x" * (n % 40)))


def _anew(state: Household) -> bytes:
    return encode(decode(encode(state)))


@pytest.mark.parametrize("turns", [1, 3, 7])
def test_facts_added_one_by_one_give_the_bytes_of_all_at_once(turns: int) -> None:
    pick = random.Random(turns)
    state = Household("h")
    state.subjects["h"] = subject = Subject()
    for n in range(60):
        late = pick.random() < 0.2
        subject.add(pick.choice("abc"), _fact(n, pick.randrange(n + 1) if late else n))
        if n % turns == 0:
            assert encode(state) == _anew(state)


def test_a_fact_that_is_there_already_changes_nothing() -> None:
    subject = Subject()
    assert subject.add("a", _fact(1, 5))
    before = subject.packed()
    assert not subject.add("a", _fact(1, 5))
    assert subject.packed() == before


@pytest.mark.parametrize("count", [14, 15, 16, 17, 65_534, 65_535, 65_536, 65_537])
def test_the_length_of_a_list_takes_more_bytes_as_it_grows(count: int) -> None:
    state = Household("h")
    state.subjects["h"] = subject = Subject()
    for n in range(count - 1):
        subject.add("a", Fact(n, n, "", n))
    encode(state)
    subject.add("a", Fact(count, count, "", count))
    assert len(decode(encode(state)).subjects["h"].facts["a"]) == count
    assert encode(state) == _anew(state)
