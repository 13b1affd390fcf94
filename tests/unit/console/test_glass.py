"""What a broken glass asks for and what it leaves behind: the pure parts."""

from __future__ import annotations

from typing import Any

import pytest

from services.console.glass import KINDS, LONGEST, SHORTEST, lacking, took_at
from services.console.words import LANGUAGES, catalogue
from services.kernel.clock import parse_rfc3339


def alert(*lines: tuple[str, str]) -> dict[str, Any]:
    return {
        "timeline": [
            {"step": step, "actor": actor, "at": f"2026-01-01T00:00:0{n}Z"}
            for n, (step, actor) in enumerate(lines)
        ]
    }


@pytest.mark.parametrize(
    ("lines", "second"),
    [
        ([("act:take", "li")], 0),
        ([("act:take", "ma"), ("act:handover", "ma")], None),
        ([("act:take", "li"), ("act:handover", "ma")], None),
        ([("act:handover", "ma"), ("act:handover", "li")], 1),  # to themselves
        ([("act:take", "li"), ("act:note", "ma")], 0),
        ([("opened", "rule")], None),
        ([], None),
    ],
)
def test_whoever_made_it_their_own_last_took_it_then(
    lines: list[tuple[str, str]], second: int | None
) -> None:
    expected = None if second is None else parse_rfc3339(f"2026-01-01T00:00:0{second}Z")
    assert took_at(alert(*lines), "li") == expected


@pytest.mark.parametrize(
    ("length", "right"),
    [(SHORTEST - 1, False), (SHORTEST, True), (LONGEST, True), (LONGEST + 1, False)],
)
def test_a_reason_has_its_length(length: int, right: bool) -> None:
    assert (lacking("other", "字" * length, confirmed=True) == []) is right


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert lacking("curious", "", confirmed=False) == ["kind", "reason", "confirm"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_and_every_lack_has_its_word(language: str) -> None:
    keys = {f"glass.kind.{each}" for each in KINDS}
    keys |= {f"glass.lack.{each}" for each in ("who", "kind", "reason", "confirm")}
    keys |= {f"glass.{each}" for each in ("none", "several", "own", "sent", "most", "merged")}
    assert keys - catalogue(language).keys() == set()
