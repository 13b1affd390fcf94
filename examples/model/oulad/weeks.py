"""Make the person-week table of the OULAD set: who leaves the course in the next seven days?

One row for each student still on the course at the end of weeks 1 to 10; everything in it was
known on its `week_end`. The deadlines are the course's: the deadline file lists for each student
only those before he left, so "no deadline ahead" would tell who leaves (the tool's leak detector
found this). The final result and the date of leaving are outcomes: leaving gives the target and
ends a student's rows.
Writes `train.csv.gz` (2013B, 2013J) and `test.csv.gz` (2014B, students never seen in training).

    python examples/model/oulad/weeks.py --data ../shared/data --out build/oulad
"""  # noqa: INP001

from __future__ import annotations

import argparse
import csv
import gzip
import io
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

WEEKS = range(1, 11)
TEST = "2014B"
MARKED_AFTER_DAYS = 14
"""A mark counts as known two weeks after the work was handed in."""

Key = tuple[str, str]
Row = dict[str, object]


@dataclass
class Student:
    """What happened to one student on one course, as dates in order."""

    registered: date | None = None
    left: date | None = None
    handed_in: list[tuple[date, float | None]] = field(default_factory=list)
    due: list[date] = field(default_factory=list)


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a gzip CSV file."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream)


def read(folder: Path) -> tuple[dict[Key, Student], dict[str, date]]:
    """Return students by (id, course) and the first day of each course."""
    students: dict[Key, Student] = defaultdict(Student)
    starts: dict[str, date] = {}
    calendar: dict[str, dict[str, date]] = defaultdict(dict)
    for row in rows_of(folder / "oulad_events_2013B_2014B.csv.gz"):
        student, day = students[row["entity"], row["course"]], date.fromisoformat(row["ts"])
        if row["type"] == "registered":
            student.registered = day
        elif row["type"] == "unregistered":
            student.left = day
        else:
            student.handed_in.append((day, float(row["value"]) if row["value"] else None))
    for row in rows_of(folder / "oulad_deadlines_2013B_2014B.csv.gz"):
        course = f"{row['code_module']}-{row['code_presentation']}"
        due = date.fromisoformat(row["deadline_ts"])
        calendar[course][row["id_assessment"]] = due
        starts[course] = due - timedelta(days=float(row["date"]))
    for (_, course), student in students.items():
        student.handed_in.sort(key=lambda item: item[0])
        begun = student.registered or date.min
        student.due = sorted(day for day in calendar[course].values() if day >= begun)
    return students, starts


def week_row(student: Student, start: date, week: int) -> Row | None:
    """Return what was known at the end of the week; None if the student was not on the course."""
    end = start + timedelta(days=7 * week)
    if student.registered is None or student.registered > end:
        return None
    if student.left is not None and student.left <= end:
        return None
    handed = [day for day, _ in student.handed_in if day <= end]
    due = student.due[: bisect_right(student.due, end)]
    missed = max(0, len(due) - len(handed))
    last_due = sum(day > end - timedelta(days=14) for day in due)
    last_handed = sum(day > end - timedelta(days=21) for day in handed)
    ahead = [day for day in student.due if day > end]
    marks = [
        m
        for day, m in student.handed_in
        if m is not None and day <= end - timedelta(days=MARKED_AFTER_DAYS)
    ]
    left_soon = student.left is not None and student.left <= end + timedelta(days=7)
    return {
        "week_end": end.isoformat(),
        "week": week,
        "left_within_7d": int(left_soon),
        "registered_days_before_start": (start - student.registered).days,
        "deadlines_so_far": len(due),
        "handed_in_so_far": len(handed),
        "missed_deadlines": missed,
        "missed_lately": int(last_due > 0 and last_handed == 0),
        "share_missed": round(missed / len(due), 3) if due else "",
        "days_since_handed_in": (end - handed[-1]).days if handed else "",
        "days_since_deadline": (end - due[-1]).days if due else "",
        "days_to_next_deadline": (ahead[0] - end).days if ahead else "",
        "due_in_7d": sum(day <= end + timedelta(days=7) for day in ahead),
        "mean_mark": round(sum(marks) / len(marks), 1) if marks else "",
        "lowest_mark": min(marks) if marks else "",
    }


def person_weeks(folder: Path) -> Iterator[tuple[str, Row]]:
    """Yield (presentation, row) for every student and week."""
    students, starts = read(folder)
    for info in rows_of(folder / "oulad_student_info_2013B_2014B.csv.gz"):
        course = f"{info['code_module']}-{info['code_presentation']}"
        if course not in starts:
            continue
        fixed: Row = {"id_student": info["id_student"], "module": info["code_module"]}
        known = {
            k: v
            for k, v in info.items()
            if k not in {"code_module", "code_presentation", "id_student", "final_result"}
        }
        for week in WEEKS:
            row = week_row(students[info["id_student"], course], starts[course], week)
            if row is not None:
                yield info["code_presentation"], fixed | row | known


def write(path: Path, rows: list[Row]) -> None:
    """Write a gzip CSV file without a date inside, so that equal rows give equal bytes."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def build(folder: Path, out: Path) -> tuple[int, int]:
    """Write both tables and return their rows."""
    learn: list[Row] = []
    judge: list[Row] = []
    for presentation, row in person_weeks(folder):
        (judge if presentation == TEST else learn).append(row)
    seen = {row["id_student"] for row in learn}
    judge = [row for row in judge if row["id_student"] not in seen]
    out.mkdir(parents=True, exist_ok=True)
    write(out / "train.csv.gz", learn)
    write(out / "test.csv.gz", judge)
    return len(learn), len(judge)


def main() -> None:
    """Read the three files and write the two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("build/oulad"))
    asked = parser.parse_args()
    learned, judged = build(asked.data, asked.out)
    print(f"{learned:,} rows to learn from, {judged:,} to judge on, in {asked.out}")  # noqa: T201


if __name__ == "__main__":
    main()
