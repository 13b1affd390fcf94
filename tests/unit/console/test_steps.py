"""The ladder and the timeline in words: whom a step tells, what was done, when, whether in time."""

from __future__ import annotations

from typing import Any

import pytest

from services.console.pages import steps
from services.kernel.clock import MINUTE, rfc3339

START = 1_790_000_000 * 1_000_000


def at(minutes: int) -> str:
    return rfc3339(START + minutes * MINUTE)


def clock(instant: str | int | None) -> str:
    return f"<{instant}>"


def step(kind: str, name: str, due: int, **given: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "state": "pending",
        "fired_at": None,
        "reached_at": None,
        "to": [],
        "until": "handled",
    }
    return {"kind": kind, "name": name, "due_at": at(due), **plain, **given}


def alert(*ladder: dict[str, Any], **given: Any) -> dict[str, Any]:
    plain = {"ladder": list(ladder), "tasks": [], "timeline": [], "next": None,
             "closed_because": "", "closed_at": None}  # fmt: skip
    return {**plain, **given}


def line(what: str, actor: str, minutes: int, reason: str, **detail: Any) -> dict[str, Any]:
    return {"step": what, "actor": actor, "at": at(minutes), "reason": reason, "detail": detail}


def told(*lines: dict[str, Any], **facts: dict[str, Any]) -> list[tuple[str, str, list[str]]]:
    names = steps.namer(alert(timeline=lines), {"s1": "王敏"}, facts, "zh")
    found = steps.timeline(lines, names, "zh")
    return [(each["title"], each["who"], each["also"]) for each in found]


def rung(one: dict[str, Any], language: str = "zh", **given: Any) -> steps.Rung:
    (found,) = steps.ladder(alert(one, **given), lambda actor: actor, clock, language)
    return found


class TestTimeline:
    def test_one_acknowledgement_is_one_line(self) -> None:
        lines = [
            line("acknowledged", "s1", 1, "person"),
            line("act:acknowledge", "s1", 1, "person", name="王敏"),
        ]
        assert told(*lines) == [("确认", "王敏", [])]

    def test_an_act_says_what_it_brought_with_it(self) -> None:
        lines = [
            line("acknowledged", "s1", 1, "person"),
            line("handled", "s1", 1, "person"),
            line("act:on_site", "s1", 1, "person"),
        ]
        assert told(*lines) == [("到场", "王敏", ["确认", "处理"])]

    def test_a_closing_that_waits_for_a_second_person_is_a_proposal(self) -> None:
        proposed = line("act:close", "s1", 1, "person")
        confirmed = [line("closed", "s1", 2, "person"), line("act:close", "s1", 2, "person")]
        assert [title for title, _, _ in told(proposed, *confirmed)] == ["提请结案", "结案"]

    def test_two_peoples_acts_stay_two_lines(self) -> None:
        lines = [
            line("acknowledged", "s2", 1, "person"),
            line("act:note", "s1", 1, "person"),
            line("closed", "s1", 2, "person"),
        ]
        assert [title for title, _, _ in told(*lines)] == ["确认", "备注", "结案"]

    def test_a_visit_that_came_as_a_fact_says_who_visited(self) -> None:
        visited = line("handled", "fact:visit.recorded", 1, "fact", fact="f1")
        fact = {"envelope": {"data": {"visitor": "李网格"}}}
        assert told(visited, f1=fact) == [("处理", "李网格 (走访记录)", [])]
        assert told(visited) == [("处理", "走访记录", [])]

    @pytest.mark.parametrize(
        ("language", "words"), [("zh", "已通知镇值班室"), ("en", "told the township duty")]
    )
    def test_a_telling_is_named_by_whom_it_told(self, language: str, words: str) -> None:
        fired = line("head", "", 30, "due", kind="ladder", to=["township_duty"])
        assert steps.line_word(fired, language) == words


class TestLadder:
    @pytest.mark.parametrize(
        ("to", "zh", "en"),
        [
            (["township_duty"], "通知镇值班室", "tell the township duty"),
            (["station_head"], "通知站长", "tell the station head"),
            (
                ["duty", "station_head"],
                "通知值班员、站长",
                "tell the duty officer and the station head",
            ),
            (["mayor"], "通知mayor", "tell the mayor"),
        ],
    )
    def test_a_step_is_worded_by_its_targets_whatever_its_name(
        self, to: list[str], zh: str, en: str
    ) -> None:
        for name in ("head", "supervisor"):
            one = step("ladder", name, 30, to=to)
            assert (rung(one).title, rung(one, "en").title) == (zh, en)

    @pytest.mark.parametrize("language", ["zh", "en"])
    @pytest.mark.parametrize("kind", ["deadline", "emergency", "task"])
    @pytest.mark.parametrize("name", ["acknowledge", "answer", "on_site", "seen", "outcome"])
    def test_a_deadline_and_its_tag_are_two_words(
        self, kind: str, name: str, language: str
    ) -> None:
        found = rung(step(kind, "emergency" if kind == "emergency" else name, 60), language)
        assert found.tag not in found.title

    def test_what_is_to_come_counts_down_and_what_is_late_counts_up(self) -> None:
        coming = rung(step("task", "visit", 60))
        late = rung(step("task", "visit", 60, state="fired", fired_at=at(60)))
        assert (coming.due, coming.missed, coming.said) == (at(60), False, "还没到")
        assert (late.due, late.missed, late.said) == (at(60), True, "没有按时做到")

    @pytest.mark.parametrize(
        ("state", "done", "said"),
        [
            ("met", 40, f"<{at(40)}> 做到，按时\u00a0· s1"),
            ("met", 60, f"<{at(60)}> 做到，按时\u00a0· s1"),
            ("fired", 95, f"<{at(95)}> 做到，晚了 35:00\u00a0· s1"),
        ],
    )
    def test_what_was_done_says_when_by_whom_and_whether_in_time(
        self, state: str, done: int, said: str
    ) -> None:
        task = {"stage": "visit", "state": "done", "done_at": at(done), "done_by": "s1"}
        one = step("task", "visit", 60, state=state, reached_at=at(done))
        found = rung(one, tasks=[{**task, "due_at": at(60)}])
        assert (found.said, found.due, found.missed) == (said, None, done > 60)
        whole = alert(tasks=[{**task, "due_at": at(60)}])
        assert steps.task_kept(whole, "visit", clock, "zh") == said.removesuffix("\u00a0· s1")

    def test_what_ended_by_itself_was_not_done(self) -> None:
        over = {"closed_because": "withdrawn", "closed_at": at(5)}
        one = step("deadline", "on_site", 60, state="met", reached_at=at(5))
        assert rung(one, **over).said == "不再需要"
        task = {"stage": "visit", "state": "cancelled", "done_at": at(5), "done_by": "s1",
                "due_at": at(60)}  # fmt: skip
        of_task = step("task", "visit", 60, state="met", reached_at=at(5))
        assert rung(of_task, tasks=[task]).said == "不再需要"

    def test_a_telling_brought_forward_by_hand_shows_when_it_was_told(self) -> None:
        one = step("ladder", "head", 30, state="fired", fired_at=at(7), to=["duty"])
        found = rung(one)
        assert (found.at, found.due, found.missed, found.said) == (at(7), None, False, "已通知")
