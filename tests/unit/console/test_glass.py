"""What a broken glass asks for and what it leaves behind: the pure parts."""

from __future__ import annotations

from typing import Any

import pytest

from services.console.glass import KINDS, LONGEST, SHORTEST, lacking, took_it
from services.console.words import LANGUAGES, catalogue


def alert(*lines: tuple[str, str]) -> dict[str, Any]:
    return {"timeline": [{"step": step, "actor": actor} for step, actor in lines]}


@pytest.mark.parametrize(
    ("lines", "theirs"),
    [
        ([("act:take", "li")], True),
        ([("act:take", "ma"), ("act:handover", "ma")], False),
        ([("act:take", "li"), ("act:handover", "ma")], False),
        ([("act:handover", "ma"), ("act:handover", "li")], True),  # to themselves
        ([("act:take", "li"), ("act:note", "ma")], True),
        ([("opened", "rule")], False),
        ([], False),
    ],
)
def test_whoever_made_it_their_own_last_took_it(lines: list[tuple[str, str]], theirs: bool) -> None:
    assert took_it(alert(*lines), "li") is theirs


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
    keys |= {f"glass.{each}" for each in ("none", "several", "own", "sent", "most")}
    assert keys - catalogue(language).keys() == set()
