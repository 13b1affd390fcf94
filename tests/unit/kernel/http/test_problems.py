from __future__ import annotations

import pytest

from services.kernel.http.problems import shape_of


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (None, "nothing"),
        (True, "true or false"),
        (3, "a number"),
        (3.5, "a number"),
        ("张三", "text of length 2"),
        (b"abc", "text of length 3"),
        ({"a": 1}, "an object of 1 fields"),
        ([1, 2], "a list of 2"),
        (object(), "a value of type object"),
    ],
)
def test_a_shape_says_what_kind_and_how_long(value: object, shape: str) -> None:
    assert shape_of(value) == shape
