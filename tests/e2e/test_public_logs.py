"""The exact truths of the public logs: the product against what the log itself says."""

from __future__ import annotations

import csv
import gzip
import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from services.allinone import dlq
from services.allinone.access import reached
from services.allinone.replay.feeder import Piece, course, packed
from services.allinone.replay.run import begun, replay, run_for
from services.allinone.replay.sorting import by_receipt
from services.intake.files import mapped
from services.intake.mapping import load as load_map
from tests.support.replay import FILES, new_folder, plan_of, replayed, rows_of, write_csv

pytestmark = [pytest.mark.data, pytest.mark.slow, pytest.mark.timeout(1800)]

PART: Final = 1 if os.environ.get("CI") == "true" else 8
"""OULAD is replayed whole in CI and for every eighth student elsewhere: it takes minutes."""
FORTNIGHT: Final = 14


def alerts(report: dict[str, Any]) -> dict[str, int]:
    return {n: report["alerts"][n] for n in ("opened", "in_time", "escalated", "late", "never")}


class TestSepsis:
    def test_one_hour_from_triage_to_antibiotics(self, data_dir: Path) -> None:
        report = replayed("sepsis", data_dir).report
        assert report["changes"]["read"] == report["changes"]["accepted"] == 10_227
        assert alerts(report) == {
            "opened": 703, "in_time": 227, "escalated": 476, "late": 327, "never": 149,
        }  # fmt: skip

    def test_each_case_is_as_its_own_rows_say(self, data_dir: Path, tmp_path: Path) -> None:
        found = tmp_path / "timeline"
        replayed("sepsis", data_dir, timeline=found)
        expected = set()
        for case, triage, antibiotics, _ in cases(data_dir):
            deadline = triage + timedelta(hours=1)
            expected.add(f"{case}|S1|opened|{shown(triage)}")
            if antibiotics is not None:
                expected.add(f"{case}|S1|handled|{shown(antibiotics)}")
            if antibiotics is None or antibiotics > deadline:
                expected.add(f"{case}|S1|escalate|{shown(deadline)}")
        lines = found.read_text(encoding="utf-8").splitlines()
        wanted = ("opened", "handled", "escalate")
        assert {x.rpartition("|")[0] for x in lines if x.split("|")[2] in wanted} == expected

    def test_lactate_within_three_hours_is_missed_by_those_who_miss_it(
        self, data_dir: Path, tmp_path: Path
    ) -> None:
        plan = plan_of("sepsis", data_dir, keep=tmp_path / "kept")
        replay(plan)
        late = {
            case
            for case, triage, _, lactate in cases(data_dir)
            if lactate is None or lactate > triage + timedelta(hours=3)
        }
        assert len(late) == 6 + 122
        with reached(tmp_path / "kept", None) as found:
            for case, triage, _, _ in cases(data_dir):
                at = shown(triage + timedelta(hours=3))
                path = f"/v1/subjects/{case}/assessment"
                reasons = found.apis.get("risk", path, at=at)["reasons"]
                assert ("S2" in {each["rule"] for each in reasons}) == (case in late), case

    @pytest.mark.parametrize("activity", ["ER Sepsis Triage", "IV Antibiotics"])
    def test_moving_one_by_a_minute_changes_the_digest(
        self, data_dir: Path, tmp_path: Path, activity: str
    ) -> None:
        rows = rows_of(data_dir / FILES["sepsis"][0])
        in_time = {
            case
            for case, triage, antibiotics, _ in cases(data_dir)
            if antibiotics is not None and antibiotics <= triage + timedelta(minutes=50)
        }
        some = {row["case_id"] for row in rows[:2_000]} & in_time
        rows = [row for row in rows if row["case_id"] in some]
        plain = self._digest(rows, data_dir, tmp_path / "plain.csv")
        moved = next(row for row in rows if row["activity"] == activity)
        at = datetime.fromisoformat(moved["timestamp"]) + timedelta(minutes=1)
        moved["timestamp"] = at.isoformat(" ")
        assert self._digest(rows, data_dir, tmp_path / "moved.csv") != plain

    def _digest(self, rows: list[dict[str, str]], data_dir: Path, path: Path) -> str:
        plan = plan_of("sepsis", data_dir, logs=[write_csv(path, rows)])
        digest: str = replay(plan).report["digest"]
        return digest


def cases(
    data_dir: Path,
) -> Iterator[tuple[str, datetime, datetime | None, datetime | None]]:
    """Yield case, triage, first antibiotics and first lactate, where there was a triage."""
    first: dict[str, dict[str, datetime]] = defaultdict(dict)
    for row in rows_of(data_dir / FILES["sepsis"][0]):
        at = datetime.fromisoformat(row["timestamp"])
        seen = first[row["case_id"]]
        seen[row["activity"]] = min(at, seen.get(row["activity"], at))
    for case, seen in first.items():
        if "ER Sepsis Triage" in seen:
            yield (
                case, seen["ER Sepsis Triage"], seen.get("IV Antibiotics"), seen.get("LacticAcid"),
            )  # fmt: skip


def shown(local: datetime) -> str:
    """Return a time of the sepsis log, read at +01:00, as RFC 3339 in UTC."""
    return (local - timedelta(hours=1)).isoformat() + "Z"


class TestChicago:
    def test_deadlines_of_7_14_and_30_days(self, data_dir: Path) -> None:
        report = replayed("chicago311", data_dir).report
        assert report["changes"]["read"] == report["changes"]["accepted"] == 55_159 + 55_081
        found = {
            name: {kind: kinds[kind] for kind in ("met", "late", "never")}
            for name, kinds in report["deadlines"].items()
        }
        done = 55_159 - 78
        assert found == {
            "d7": {"met": 44_199, "late": done - 44_199, "never": 78},
            "d14": {"met": done - 5_345, "late": 5_345, "never": 78},
            "d30": {"met": done - 1_538, "late": 1_538, "never": 78},
        }

    def test_the_number_is_no_id(self, data_dir: Path, tmp_path: Path) -> None:
        map_ = plan_of("chicago311", data_dir).map.with_name("map-number.yaml")
        plan = plan_of("chicago311", data_dir, map=map_)
        rows = by_receipt(packed(mapped(load_map(map_), plan.logs, replay=True), 1))
        with begun(new_folder(tmp_path, plan), run_for(plan)) as on:
            for part in course(rows, size=5_000):
                assert isinstance(part, Piece)
                on.feeder.send(part)  # the door says it; what follows is not asked for here
            counts = on.feeder.counts
            assert (counts.read, counts.accepted) == (55_159, 54_983)
            assert (counts.duplicate, counts.conflict, counts.rejected) == (1, 175, 175)
            kept = [i for i in dlq.listed(on.apis, everything=True) if i["code"] == "conflict"]
            assert len(kept) == 175


class TestNewYork:
    def test_a_day_sent_twice_is_ten_thousand_duplicates(self, data_dir: Path) -> None:
        once = replayed("nyc311", data_dir).report
        log = data_dir / FILES["nyc311"][0]
        twice = replayed("nyc311", data_dir, logs=[log, log]).report
        assert once["changes"]["accepted"] == twice["changes"]["accepted"] == 10_000
        assert (once["changes"]["duplicate"], twice["changes"]["duplicate"]) == (0, 10_000)
        assert once["digest"] == twice["digest"]
        assert once["alerts"]["opened"] > 1_000


class TestOulad:
    def test_late_and_never_are_those_of_the_join(self, data_dir: Path, tmp_path: Path) -> None:
        logs = [part_of(data_dir / name, tmp_path) for name in FILES["oulad"]]
        expected = join(logs[0], logs[1])
        assert min(expected.values()) > 500
        report = replayed("oulad", data_dir, logs=logs).report
        assert report["changes"]["rejected"] == 0
        assert report["alerts"]["opened"] == expected["late"] + expected["never"]
        found = report["deadlines"]["submitted"]
        assert (found["met"], found["late"], found["never"]) == (
            0, expected["late"], expected["never"],
        )  # fmt: skip


def part_of(path: Path, into: Path) -> Path:
    """Write the rows of every PART-th student; the whole file where PART is 1."""
    if PART == 1:
        return path
    with gzip.open(path, "rt", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if int(row.get("id_student") or row["entity"]) % PART == 0]
    return write_csv(into / path.name.removesuffix(".gz"), rows)


def join(deadlines: Path, events: Path) -> dict[str, int]:
    """Join what was expected with what was handed in, by student and course.

    The log does not say which piece of work a submission is. In time: something was handed in from
    a fortnight before the deadline up to its day. Late: the first such came after. Never: none did.
    """
    submitted: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in rows_of(events):
        if row["type"] == "submitted":
            submitted[row["entity"], row["course"]].append(_day(row["ts"]))
    for days in submitted.values():
        days.sort()
    found = {"met": 0, "late": 0, "never": 0}
    for row in rows_of(deadlines):
        course = f"{row['code_module']}-{row['code_presentation']}"
        days = submitted.get((row["id_student"], course), [])
        due = _day(row["deadline_ts"])
        first = bisect_left(days, due - FORTNIGHT)
        if first == len(days):
            found["never"] += 1
        else:
            found["met" if days[first] <= due else "late"] += 1
    return found


def _day(text: str) -> int:
    return date.fromisoformat(text).toordinal()


class TestFitbit:
    def test_days_without_a_step(self, data_dir: Path, tmp_path: Path) -> None:
        found = tmp_path / "timeline"
        report = replayed("fitbit", data_dir, timeline=found).report
        assert report["changes"]["accepted"] == 22_099
        assert report["alerts"]["opened"] == 87
        expected = still_days(data_dir)
        assert len(expected) == 87
        assert len({wearer for wearer, _ in expected}) == 16
        lines = found.read_text(encoding="utf-8").splitlines()
        opened = [line.split("|") for line in lines if "|opened|" in line]
        assert {(line[0], line[1].partition("#")[2]) for line in opened} == expected


def still_days(data_dir: Path) -> set[tuple[str, str]]:
    """Return wearer and day where the device reports at 20:00 that no step was made since 08:00."""
    hours: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for row in rows_of(data_dir / FILES["fitbit"][0]):
        month, day, year = map(int, row["ActivityDay"].split("/"))
        hour = int(row["ActivityHour"].partition(":")[0])
        hours[row["Id"], date(year, month, day).isoformat()][hour] = int(row["StepTotal"])
    worn = {key for key, steps in hours.items() if any(hour >= 8 for hour in steps)}
    assert len(worn) == 931
    return {
        key
        for key in worn
        if 20 in hours[key] and not any(hours[key].get(hour, 0) for hour in range(8, 21))
    }
