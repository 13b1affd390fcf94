from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import Fault, InvalidMessage
from services.kernel.http import page, page_cursor, read_cursor


@given(number=st.integers(-(2**62), 2**62), word=st.text())
def test_a_cursor_gives_back_what_it_was_made_of(number: int, word: str) -> None:
    cursor = page_cursor(number, word)
    assert read_cursor(cursor, int, str) == (number, word)
    assert cursor.isascii()
    assert "=" not in cursor


def what_is_wrong_with(text: str) -> Fault | None:
    try:
        read_cursor(text, int, str)
    except InvalidMessage as exc:
        return exc.fault
    return None


@given(st.text(min_size=1))
def test_a_text_that_is_no_cursor_is_refused_without_being_repeated(text: str) -> None:
    fault = what_is_wrong_with(text)
    assert fault is not None
    assert (fault.code, fault.found) == ("cursor", f"text of length {len(text)}")


@pytest.mark.parametrize("text", [None, ""])
def test_no_cursor_is_the_first_page(text: str | None) -> None:
    assert read_cursor(text, int) is None


@pytest.mark.parametrize("parts", [(), ("a",), (1, 2), (None,)])
def test_a_cursor_of_another_list_is_refused(parts: tuple[int | str | None, ...]) -> None:
    with pytest.raises(InvalidMessage, match="start again without a cursor"):
        read_cursor(page_cursor(*parts), int)


def test_base64_of_something_else_is_refused() -> None:
    with pytest.raises(InvalidMessage):
        read_cursor(base64.urlsafe_b64encode(b"\xff\xfe").decode(), int)


@given(st.lists(st.integers(), unique=True).map(sorted), st.integers(1, 7))
def test_pages_put_together_are_the_whole_list(items: list[int], limit: int) -> None:
    gathered: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        after = read_cursor(cursor, int)
        rows = [item for item in items if after is None or item > after[0]][: limit + 1]
        part, cursor = page(rows, limit, lambda item: (item,))
        assert len(part) <= limit
        gathered += part
    assert gathered == items
