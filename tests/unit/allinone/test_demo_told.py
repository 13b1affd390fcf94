"""What the demo tells: every line in one language, in the console's words, with people's names."""

from __future__ import annotations

import io
import queue
import re
from typing import Any

import pytest
from rich.console import Console

from services.allinone import progress, words
from services.allinone.demo.naming import Names, word
from services.allinone.demo.notes import Level
from services.allinone.demo.telling import Teller
from services.allinone.progress import Days, Progress
from services.allinone.town.plan import Plan, midnight
from services.allinone.town.stream import Town, build
from services.console.words import say as said
from services.intake.domain.names import NOBODY
from services.kernel.clock import DAY, MINUTE, rfc3339

PLAN = Plan(people=100, days=12)
NOW = midnight(PLAN.last)
NAMELESS = said("zh", "visits.no_name")
COLOURS = {"zh": ["绿", "蓝", "黄", "红"], "en": ["green", "blue", "yellow", "red"]}
LADDER = [
    {"name": "notify", "to": ["duty"]},
    {"name": "second", "to": ["second_duty"]},
    {"name": "escalate", "to": ["township_duty", "county_hotline"]},
]
STEPS = [
    "opened", "notify", "second", "task:visit", "acknowledged", "escalate", "handled", "ended",
    "withdrawn", "closed",
]  # fmt: skip


@pytest.fixture(scope="module")
def town() -> Town:
    return build(PLAN)


def alert(town: Town, subject: str) -> dict[str, Any]:
    at = [NOW + MINUTE * (1 if step == "notify" else n + 1) for n, step in enumerate(STEPS)]
    return {
        "id": "1", "subject": subject, "household": town.households[0].id, "level": 3,
        "rule": "E10", "title": {"zh": "摔倒", "en": "a fall"}, "opened_at": rfc3339(at[0]),
        "ladder": LADDER,
        "timeline": [
            {"n": n, "at": rfc3339(at[n]), "step": step, "counted": step not in ("opened", "ended")}
            for n, step in enumerate(STEPS)
        ],
    }  # fmt: skip


def told(town: Town, language: words.Language, subject: str) -> list[str]:
    words.choose(language)
    levels: queue.SimpleQueue[Level] = queue.SimpleQueue()
    levels.put(Level(NOW + 1, subject, town.households[0].id, 0, 3))
    lines: list[str] = []
    Teller(levels, Names(town), COLOURS[language], NOW, lines.append).tell([alert(town, subject)])
    return lines


def test_in_chinese_no_code_and_no_english_word_is_told(town: Town) -> None:
    home = town.households[0]
    for subject in (home.members[0].id, home.id, f"{NOBODY}0190"):
        lines = told(town, "zh", subject)
        assert len(lines) == len(STEPS) + 1
        for line in lines:
            assert re.search(r"[A-Za-z]{2,}|syn-|who:", line) is None, line
            assert "测试-" in line
        assert f"{said('zh', 'step.escalate')} → 镇值班室、县热线" in "\n".join(lines)


def test_in_english_steps_and_roles_are_words_too(town: Town) -> None:
    text = "\n".join(told(town, "en", town.households[0].members[0].id))
    assert f"{said('en', 'step.escalate')} → township duty, county hotline" in text
    assert "second_duty" not in text
    assert re.search(said("en", "step.task:visit") + r": 测试-\S+ \(合成\d村第\d格\)", text)


def test_who_has_no_name_is_told_by_the_home(town: Town) -> None:
    home, names = town.households[0], Names(town)
    assert names.of(f"{NOBODY}0190", home.id) == f"{home.members[0].name}家 · {NAMELESS}"
    assert names.of("prov:0190") == NAMELESS
    assert names.of("somebody-entered-later", home.id) == "somebody-entered-later"
    assert word("step", "a step of another pack") == "a step of another pack"


def shown(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Return what a terminal is shown from here on."""
    file = io.StringIO()
    terminal = Console(file=file, force_terminal=True, no_color=True, width=120, _environ={})
    monkeypatch.setattr(progress, "err", lambda: terminal)
    return file


def test_the_history_is_shown_in_days_of_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    file = shown(monkeypatch)
    with Days(midnight(PLAN.first), PLAN.days) as bar:
        bar.fed(700, midnight(PLAN.first) + 5 * DAY)
    assert " 5/12 天　700 条" in file.getvalue()


def test_where_nobody_knows_how_many_only_those_read_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = shown(monkeypatch)
    with Progress() as bar:
        bar.fed(700, NOW)
    assert "700 条" in file.getvalue()
    assert "/?" not in file.getvalue()
