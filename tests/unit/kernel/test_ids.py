"""Derived ids are UUIDv5, however they are made."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from services.kernel.ids import NAMESPACE, derived


@given(st.text(st.characters(codec="utf-8")), st.lists(st.text(st.characters(codec="utf-8"))))
def test_a_derived_id_is_the_uuid5_over_its_parts(kind: str, parts: list[str]) -> None:
    expected = uuid.uuid5(NAMESPACE, "\x1f".join((kind, *parts)))
    assert derived(kind, *parts) == str(expected)


def test_numbers_count_as_their_digits() -> None:
    assert derived("mark", 3, 17) == derived("mark", "3", "17")
