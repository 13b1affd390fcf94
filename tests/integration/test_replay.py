from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.allinone.replay.run import replay
from services.kernel.clock import parse_rfc3339
from services.kernel.errors import Faults, WrongUse
from tests.support.replay import Toy, bells, command, lines_of, toy

pytestmark = pytest.mark.timeout(180)
ROOMS = 12
EXPECTED = {"opened": 12, "in_time": 6, "escalated": 6, "late": 4, "never": 2}


@pytest.fixture
def bell_log(tmp_path: Path) -> Toy:
    return toy(tmp_path)


def figures(report: dict[str, Any]) -> dict[str, int]:
    return {name: report["alerts"][name] for name in EXPECTED}


def test_a_log_never_seen_before_runs_with_a_map_of_its_own(bell_log: Toy, tmp_path: Path) -> None:
    written = tmp_path / "timeline"
    report = replay(bell_log.plan(timeline=written)).report
    assert figures(report) == EXPECTED
    assert report["deadlines"]["quick"] | {"pending": 0} == {
        "met": 4, "late": 6, "never": 2, "pending": 0,
    }  # fmt: skip
    assert report["changes"]["accepted"] == report["changes"]["read"] == len(bells())
    runs = {subject for subject, step, _ in lines_of(written) if step == "run"}
    assert runs == {f"guest-{room}" for room in range(ROOMS) if room % 6 >= 3}


@pytest.mark.parametrize(
    "given",
    [
        {"batch": 1},
        {"batch": 7, "partitions": 1},
        {"partitions": 9},
        {"every": 1},
        {"every": 5, "batch": 3},
        {
            "marks": [
                parse_rfc3339(f"2030-01-02T0{6 + n // 60}:{n % 60:02d}:00Z") for n in range(99)
            ]
        },
    ],
    ids=str,
)
def test_batches_partitions_and_marks_change_nothing(bell_log: Toy, given: dict[str, Any]) -> None:
    plain = replay(bell_log.plan()).report
    other = replay(bell_log.plan(**given)).report
    del plain["elapsed_s"], other["elapsed_s"]
    assert other == plain


def test_rows_in_any_order_of_the_file_are_fed_by_receipt(tmp_path: Path) -> None:
    forwards, backwards = tmp_path / "a", tmp_path / "b"
    digests = set()
    for folder, lines in ((forwards, bells()), (backwards, bells()[::-1])):
        folder.mkdir()
        digests.add(replay(toy(folder, lines).plan()).report["digest"])
    assert len(digests) == 1


def test_a_minute_more_changes_the_digest(bell_log: Toy, tmp_path: Path) -> None:
    late = [line.replace(" 08:12;1;answer", " 08:13;1;answer") for line in bells()]
    assert late != bells()
    other = tmp_path / "other"
    other.mkdir()
    assert (
        replay(toy(other, late).plan()).report["digest"]
        != (replay(bell_log.plan()).report["digest"])
    )


def test_a_log_fed_several_times_under_other_names_gives_as_many_alerts(bell_log: Toy) -> None:
    report = replay(bell_log.plan(repeat=3)).report
    assert figures(report) == {name: 3 * count for name, count in EXPECTED.items()}
    assert report["changes"]["duplicate"] == 0


def test_a_log_given_twice_is_taken_once(bell_log: Toy) -> None:
    once = replay(bell_log.plan()).report
    twice = replay(bell_log.plan(logs=[bell_log.log, bell_log.log])).report
    assert twice["changes"]["duplicate"] == once["changes"]["accepted"]
    assert twice["digest"] == once["digest"]


def test_until_cuts_the_log_and_shows_the_promises_as_of_then(bell_log: Toy) -> None:
    report = replay(bell_log.plan(until=parse_rfc3339("2030-01-02T08:15:00+02:00"))).report
    assert report["changes"]["read"] < len(bells())
    assert report["alerts"]["opened"] == 3
    assert report["alerts"]["in_time"] == 2
    assert report["alerts"]["pending"] == 1


def test_a_kept_run_resumed_is_the_same_run(bell_log: Toy, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    first = replay(bell_log.plan(keep=kept)).report
    again = replay(bell_log.plan(keep=kept, resume=True)).report
    assert again["digest"] == first["digest"]
    assert again["changes"] == first["changes"]
    assert again["assessments"] == first["assessments"]


def test_a_folder_with_anything_in_it_is_refused(bell_log: Toy, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "intake.db").touch()
    with pytest.raises(WrongUse, match="an empty or new folder"):
        replay(bell_log.plan(keep=full))
    assert [path.name for path in full.iterdir()] == ["intake.db"]


def test_only_the_same_run_can_be_resumed(bell_log: Toy, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    replay(bell_log.plan(keep=kept))
    with pytest.raises(WrongUse, match="another partitions, batch"):
        replay(bell_log.plan(keep=kept, resume=True, batch=9, partitions=2))
    with pytest.raises(WrongUse, match="no --keep"):
        replay(bell_log.plan(resume=True))
    with pytest.raises(WrongUse, match="a kept run to go on with"):
        replay(bell_log.plan(keep=tmp_path / "pack", resume=True))


def test_a_map_with_a_wrong_column_is_refused_with_the_columns_there_are(bell_log: Toy) -> None:
    text = bell_log.map.read_text(encoding="utf-8")
    bell_log.map.write_text(text.replace("{column: wann,", "{column: wnan,"), encoding="utf-8")
    with pytest.raises(Faults, match=r"column 'wnan' \(did you mean wann\?\)"):
        replay(bell_log.plan())


def test_the_command_prints_the_report_and_writes_it(bell_log: Toy, tmp_path: Path) -> None:
    path = tmp_path / "sub" / "report.json"
    found = command("replay", *bell_log.words(), "--report", path)
    assert (found.code, found.err) == (0, "")
    report = json.loads(found.out)
    assert report == json.loads(path.read_text(encoding="utf-8"))
    assert set(report) >= {
        "mode", "changes", "assessments", "alerts", "deadlines", "digest", "elapsed_s",
    }  # fmt: skip
    assert figures(report) == EXPECTED


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--processes", "each"], "--bus kafka beside it"),
        (["--until", "yesterday"], "RFC 3339 with offset"),
        (["--mark-every", "now"], "RFC 3339 with offset"),
        (["--batch", "0"], "--batch"),
        (["--resume"], "--keep DIR beside it"),
        (["--nonsense"], "No such option"),
    ],
)
def test_wrong_use_exits_with_2_and_says_what_to_do(
    bell_log: Toy, words: list[str], expected: str
) -> None:
    found = command("replay", *bell_log.words(), *words)
    assert found.code == 2
    assert expected in " ".join(found.err.split())
    assert "Traceback" not in found.err
    assert found.out == ""
