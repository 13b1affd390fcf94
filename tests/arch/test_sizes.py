from __future__ import annotations

from pathlib import Path

import pytest

from tests.arch import sizes
from tests.arch.sizes import Size, measure, measured


def refused(found: list[Size]) -> list[str]:
    return [str(size) for size in found if size.refused]


def test_nothing_is_larger_than_the_house_allows() -> None:
    found = list(measured())
    assert found
    assert refused(found) == []


def function_of(lines: int, parameters: str = "") -> str:
    return f"def f({parameters}):\n" + "    x = 1\n" * (lines - 1)


@pytest.mark.parametrize(
    ("source", "path"),
    [
        (function_of(61), "services/risk/a.py"),
        (function_of(61).replace("def", "async def"), "tests/unit/test_a.py"),
        ("x = 1\n" * 501, "services/risk/a.py"),
        ("x = 1\n" * 601, "tests/unit/test_a.py"),
        (function_of(2, "a, b, c, /, d, e, f, *, g, h, i"), "services/risk/a.py"),
    ],
)
def test_one_line_or_parameter_too_many_is_refused(source: str, path: str) -> None:
    assert len(refused(list(measure(Path(path), source)))) == 1


@pytest.mark.parametrize(
    ("source", "path"),
    [
        (function_of(60), "services/risk/a.py"),
        ("x = 1\n" * 500, "services/risk/a.py"),
        ("x = 1\n" * 600, "tests/unit/test_a.py"),
        ("class A:\n    def f(self, a, b, c, d, e, f, g, h):\n        x = 1\n", "services/a.py"),
        ('def f():\n    """' + "Say.\n" * 30 + '    """\n' + "    x = 1\n" * 59, "services/a.py"),
    ],
)
def test_the_limit_itself_is_taken_and_a_docstring_does_not_count(source: str, path: str) -> None:
    assert refused(list(measure(Path(path), source))) == []


def test_the_list_to_ask_about_names_place_size_and_limit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = list(measure(Path("services/a.py"), function_of(45)))
    monkeypatch.setattr(sizes, "measured", lambda: iter(planted))
    sizes.main()
    assert capsys.readouterr().out == (
        "services/a.py:1 f: lines of function 45 (ask why from 40, refused over 60)\n1 to ask why\n"
    )
