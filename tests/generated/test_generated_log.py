"""The generated log through the real chain: what an independent, naive model says comes of it.

Which instants and texts count is docs/semantics.md; how the model works is in ./naive. To look
further than the seeds below: HEARTHWATCH_GENERATED_SEEDS=1000-1100 pytest tests/generated -m slow
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from tests.generated.compare import (
    PACK,
    Came,
    came,
    came_of_replay,
    differences,
    expected,
    exported,
)
from tests.generated.log import END, LAST, PHONE, ROLL_CALL, Log, generated
from tests.generated.naive.facts import DAY, HOUR, MINUTE, Row, moment, text_of
from tests.generated.naive.model import Outcome
from tests.support.chain import Cut
from tests.support.memory import folder
from tests.support.replay import command

pytestmark = pytest.mark.xdist_group("generated")
SHAPES: Final[tuple[tuple[int, dict[str, Any], Cut], ...]] = (
    (1, {"size": 4, "called": 12}, Cut(items=100, marks=40)),
    (2, {"size": 3, "called": 0, "phones": True}, Cut(partitions=4, batch=37)),
    (3, {"size": 3, "called": 0, "phones": True, "grain": HOUR}, Cut(marks=9, partitions=2)),
    (4, {"size": 4, "called": 0, "grain": 6 * HOUR}, Cut(items=61, partitions=5)),
)
"""Seed, what the log is like, how it is cut up. A coarse grain: much happens at one instant."""
CUTS: Final = {
    "a mark after nearly every row": Cut(marks=1, items=50, drain=40),
    "a mark after every seventh row": Cut(marks=7),
    "one by one through the door": Cut(items=1, drain=100),
    "one by one through the workers": Cut(batch=1, items=200),
    "one partition": Cut(partitions=1, marks=25),
    "eleven partitions": Cut(partitions=11, batch=20, items=33),
    "threads": Cut(drive="threads", marks=50, items=100),
    "threads, one partition, small batches": Cut(drive="threads", partitions=1, batch=13, items=64),
}
SLOW_SEEDS: Final = range(20, 26)


def seeds() -> Sequence[int]:
    """Return the seeds of the slow test: a few, or those asked for."""
    first, _, last = os.environ.get("HEARTHWATCH_GENERATED_SEEDS", "").partition("-")
    return range(int(first), int(last or first) + 1) if first else SLOW_SEEDS


def same(found: Came, wanted: Outcome) -> None:
    """Fail unless the chain came to what the model says, told everybody once and buried nothing."""
    assert differences(found.outcome, wanted) == []
    assert found.outcome == wanted
    assert found.digest == hashlib.sha256("\n".join(found.lines).encode()).hexdigest()
    assert found.twice == 0, "a delivery row for each step and target, and no second one"
    assert found.dead_letters == 0


# -- what the model says ---------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "cut"), [(seed, cut) for seed, _, cut in SHAPES])
def test_lines_levels_counts_and_deliveries_are_those_of_the_naive_model(
    seed: int, cut: Cut, tmp_path: Path
) -> None:
    rows, wanted = shaped(seed)
    same(came(rows, tmp_path / "run", cut), wanted)


@cache
def shaped(seed: int) -> tuple[list[Row], Outcome]:
    """Return one of the logs above, and what the model says of it."""
    rows = generated(seed, **next(shape for number, shape, _ in SHAPES if number == seed))
    return rows, expected(rows)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", seeds())
def test_other_seeds_too(seed: int, tmp_path: Path) -> None:
    rows = generated(seed, size=4, called=0, phones=seed % 4 > 0, grain=(1, HOUR)[seed % 2])
    cut = Cut(marks=seed % 5 * 13, partitions=1 + seed % 6, batch=(500, 41)[seed % 2])
    same(came(rows, tmp_path / "run", cut), expected(rows))


# -- to the second ---------------------------------------------------------------------------------


def test_handled_at_59_59_or_60_00_is_in_time_and_at_60_01_is_not(tmp_path: Path) -> None:
    log = Log(5)
    log.edges()
    rows = log.finished()
    found = came(rows, tmp_path / "run")
    red = {str(r.person): r.time for r in rows if r.type in ("health.vitals", "care.fall")}
    told: dict[str, dict[str, int]] = {who: {} for who in red}
    for line in found.outcome.lines:
        who, _, step, at, _ = line.split("|")
        told[who][step] = moment(at)
    late = {who for who, steps in told.items() if "escalate" in steps}
    assert late == {
        "edge-high-late", "edge-low-late", "edge-high-just-late", "edge-low-just-late",
        "edge-silent",
    }  # fmt: skip
    for who, steps in told.items():
        assert steps["opened"] == steps["notify"] == red[who]
        assert ("deadline:on_site" in steps) == (who in late)
        assert ("second" in steps) == (who in late), "ten minutes are as sharp as sixty"
        if who in late:
            assert steps["escalate"] == steps["deadline:on_site"] == red[who] + HOUR
    same(found, expected(rows))
    counts = found.outcome.counts
    assert counts._asdict() == {
        "opened": 11, "in_time": 6, "escalated": 5, "late": 4, "never": 1,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_six_thousand_alerts_due_at_one_instant(tmp_path: Path) -> None:
    called = 6_420
    rows = generated(6, size=2, called=called)
    found = came(rows, tmp_path / "run", Cut(partitions=4, marks=2_000))
    same(found, expected(rows))
    rung = Counter(
        (step, at)
        for line in found.outcome.lines
        for who, _, step, at, _ in [line.split("|")]
        if who.startswith("called-")
    )
    groups = called // 60
    # Two in sixty answered in time; one more did, of which was told two minutes after the instant.
    assert rung["opened", text_of(ROLL_CALL)] == called - 2 * groups
    # Handled at 59:59 and at 60:00 is in time, at 60:01 is not.
    assert rung["escalate", text_of(ROLL_CALL + HOUR)] == called - 4 * groups > 5_900
    assert rung["head", text_of(ROLL_CALL + 30 * MINUTE)] == called - 2 * groups > 6_000


# -- what a log is made of -------------------------------------------------------------------------


def test_silence_to_the_end_raises_and_escalates_what_nobody_answers(tmp_path: Path) -> None:
    log = Log(8)
    log.families(3, 20)
    asked = {"answer_by": text_of(LAST + 3 * DAY)}
    log.tell("rollcall.called", LAST - HOUR, "silent", household="still", data=asked)
    log.tell("contact.expected", LAST, "silent", data={"weekly": True})
    rows = log.finished()
    assert max(row.received for row in rows) < LAST + 3 * DAY + 1 < END - 9 * DAY
    found = came(rows, tmp_path / "run")
    same(found, expected(rows))
    assert [line for line in found.outcome.lines if line.startswith("silent|")] == [
        "silent|R04|notify|2026-11-19T01:00:00Z|due",
        "silent|R04|opened|2026-11-19T00:00:00Z|assessed",
        "silent|R12|deadline:on_site|2026-11-15T01:00:00Z|missed",
        "silent|R12|deadline:settled|2026-11-18T00:00:00Z|missed",
        "silent|R12|escalate|2026-11-15T01:00:00Z|due",
        "silent|R12|head|2026-11-15T00:30:00Z|due",
        "silent|R12|notify|2026-11-15T00:00:00Z|due",
        "silent|R12|opened|2026-11-15T00:00:00Z|assessed",
        "silent|R12|second|2026-11-15T00:10:00Z|due",
    ]


def test_the_logs_hold_all_that_can_go_wrong_on_the_way() -> None:
    logs = [generated(seed, **shape) for seed, shape, _ in SHAPES]
    found: Counter[str] = Counter()
    for rows in logs:
        first = {row.id: row.received for row in reversed(rows)}
        at = Counter((row.id, row.time, str(row.data), row.bad) for row in rows)
        found["doubled"] += sum(n - 1 for n in at.values())
        people = {row.person for row in rows if row.type == "registry.person"}
        for row in rows:
            told = row.supersedes or row.retracts
            way = "corrected" if row.supersedes else "retracted"
            found["late"] += row.received > row.time
            found["early"] += row.received < row.time and not row.bad
            found["bad"] += row.bad
            found["observed"] += row.id.startswith(PHONE)
            found[row.type] += 1
            found["unknown person"] += row.person is not None and row.person not in people
            if told is not None:
                found[way] += 1
                found[f"{way} before it came"] += first.get(told, 0) > row.received
    wanted = (
        "late", "early", "doubled", "bad", "observed", "unknown person",
        "corrected", "corrected before it came", "retracted", "retracted before it came",
        "member.moved", "registry.tie", "registry.merged", "rollcall.called",
    )  # fmt: skip
    assert {name: found[name] for name in wanted if found[name] < 4} == {}


def test_every_rule_and_every_kind_of_line_is_told_of_somewhere() -> None:
    lines = [line for seed, _, _ in SHAPES for line in shaped(seed)[1].lines]
    rules = {line.split("|")[1].partition("#")[0] for line in lines}
    text = (PACK / "rules.yaml").read_text(encoding="utf-8")
    ids = {part.split("\n", 1)[0] for part in text.split("- id: ")[1:]}
    assert ids - rules == {"R09", "R14", "R19"}, "these raise a level and open no alert"
    assert {line.split("|", 2)[2].split("|")[0] for line in lines} == {
        "opened", "notify", "second", "head", "escalate", "supervisor", "remind",
        "deadline:on_site", "deadline:settled", "deadline:d1", "deadline:d3",
        "acknowledged", "handled", "ended", "withdrawn", "merged", "closed",
    }  # fmt: skip
    assert {line.rpartition("|")[2] for line in lines} == {
        "assessed", "unreadable", "due", "missed", "fact", "ended", "withdrawn", "merged",
        "repaired",
    }  # fmt: skip


# -- what may not matter ---------------------------------------------------------------------------


@cache
def plain() -> tuple[list[Row], Outcome, str]:
    """Return a log, what the model says of it, and the digest of a run that is cut nowhere."""
    rows = generated(9, size=1, called=6, phones=True)
    with folder() as path:
        return rows, expected(rows), came(rows, path / "run").digest


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
def test_marks_batches_partitions_and_threads_change_nothing(cut: Cut, tmp_path: Path) -> None:
    rows, wanted, digest = plain()
    found = came(rows, tmp_path / "run", cut)
    assert found.digest == digest
    same(found, wanted)


# -- by command ------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [(), ("--partitions", "7", "--batch", "90", "--mark-every", "11")])
def test_the_replay_command_comes_to_the_same(more: tuple[str, ...], tmp_path: Path) -> None:
    log = exported(tmp_path, seed=10, size=3, called=6)
    kept, report = tmp_path / "kept", tmp_path / "report.json"
    words = ("--keep", kept, "--report", report, "--timeline", tmp_path / "timeline")
    ended = command("replay", *log.words(), *words, *more)
    assert ended.code == 0, ended.err
    found = came_of_replay(log.rows, kept, json.loads(report.read_text()), tmp_path / "timeline")
    same(found, expected(log.rows))
