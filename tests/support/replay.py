"""Replays in tests: the example sets, logs made up on the spot, and what a log itself says."""

from __future__ import annotations

import csv
import gzip
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

from services.allinone.replay.run import Plan, Result, replay, run_for
from services.allinone.replay.target import target

EXAMPLES: Final = Path(__file__).parents[2] / "examples" / "replay"
FILES: Final = {
    "sepsis": ("sepsis_log_train_cases.csv.gz",),
    "chicago311": ("chicago311_sanitation_2011_2013.csv.gz",),
    "nyc311": ("nyc311_one_day_2026-06-27.csv.gz",),
    "oulad": ("oulad_deadlines_2013B_2014B.csv.gz", "oulad_events_2013B_2014B.csv.gz"),
    "fitbit": ("fitbit_hourlySteps_merged.csv.gz",),
}
Rows = list[dict[str, str]]


def plan_of(name: str, data: Path, **given: Any) -> Plan:
    """Return the plan that replays an example set; `given` overrides its fields."""
    folder = EXAMPLES / name
    chosen: dict[str, Any] = {
        "logs": [data / file for file in FILES[name]],
        "map": folder / "map.yaml",
        "pack": folder / "pack",
    }
    return Plan(**(chosen | given))


def replayed(name: str, data: Path, **given: Any) -> Result:
    """Replay an example set."""
    return replay(plan_of(name, data, **given))


def new_folder(path: Path, plan: Plan) -> Path:
    """Return the begun folder of a plan's run, for tests that feed by themselves."""
    with target(run_for(plan), path / "run", resume=False) as folder:
        return folder


def rows_of(path: Path) -> Rows:
    """Return the rows of a CSV file, plain or gzip."""
    read = gzip.open if path.suffix == ".gz" else open
    with read(path, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_csv(path: Path, rows: Iterable[Mapping[str, str]]) -> Path:
    """Write rows with the columns of the first one."""
    found = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    return path


class Ended(NamedTuple):
    """A command that ended."""

    code: int
    out: str
    err: str


def command(
    *words: str | Path, environ: Mapping[str, str] | None = None, timeout_s: float = 300
) -> Ended:
    """Run `hearthwatch` in a process of its own, in English."""
    found = subprocess.run(
        command_line(*words),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, **(environ or {})},
        check=False,
    )
    return Ended(found.returncode, found.stdout, found.stderr)


def command_line(*words: str | Path) -> Sequence[str]:
    """Return the words of a `hearthwatch` process, in English."""
    return [sys.executable, "-m", "services.allinone.cli", "--lang", "en", *map(str, words)]


def folder_of(path: Path, files: Mapping[str, str]) -> Path:
    """Write text files into a folder and return it."""
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name).write_text(text, encoding="utf-8")
    return path


class Progress:
    """Counts, from outside and while it runs, how far a kept run has come."""

    _TAKEN: Final = "SELECT count(*) FROM inbox"
    _ACCEPTED: Final = "SELECT count(*) FROM ledger WHERE kind <> 'parked'"
    _ASSESSED: Final = "SELECT count(*) FROM assessment"
    _UNSENT: Final = "SELECT count(*) FROM outbox"

    def __init__(self, kept: Path) -> None:
        self._kept = kept

    def whole(self) -> int:
        """Return a number that grows with every step of the chain."""
        taken = sum(self._count(name, self._TAKEN) for name in ("registry", "risk", "alerts"))
        return taken + self._count("intake", self._ACCEPTED)

    def in_flight(self) -> int:
        """Return how many records somebody has written and the next one has not taken."""
        accepted = self._count("intake", self._ACCEPTED)
        behind = [accepted - self._count(name, self._TAKEN) for name in ("registry", "risk")]
        behind.append(self._count("risk", self._ASSESSED) - self._count("alerts", self._TAKEN))
        unsent = [self._count(name, self._UNSENT) for name in ("registry", "risk", "alerts")]
        return sum(max(0, count) for count in behind + unsent)

    def _count(self, service: str, query: str) -> int:
        path = self._kept / f"{service}.db"
        if not path.exists():
            return 0
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
            try:
                found: int = store.execute(query).fetchone()[0]
            except sqlite3.OperationalError:  # not migrated yet, or just being recovered
                return 0
            return found


class Toy(NamedTuple):
    """A log nobody has seen before, with a map and a pack of its own."""

    log: Path
    map: Path
    pack: Path

    def plan(self, **given: Any) -> Plan:
        """Return the plan that replays it."""
        chosen: dict[str, Any] = {"logs": [self.log], "map": self.map, "pack": self.pack}
        return Plan(**(chosen | given))

    def words(self) -> list[str]:
        """Return it as words of a command line."""
        return [str(self.log), "--map", str(self.map), "--pack", str(self.pack)]


def toy(folder: Path, lines: Sequence[str] | None = None) -> Toy:
    """Write the toy: bells that ring in rooms, and people who answer within ten minutes or not."""
    log = folder / "bells.csv"
    log.write_text("\n".join([_HEAD, *(lines or bells())]) + "\n", encoding="utf-8")
    return Toy(log, folder_of(folder, {"map.yaml": _MAP}) / "map.yaml",
               folder_of(folder / "pack", _PACK))  # fmt: skip


def bells(rooms: int = 12) -> list[str]:
    """Return lines: a bell in each room, answered after 1, 5, 10, 11 … minutes or never."""
    after = (1, 5, 10, 11, 45, None)
    found: list[tuple[str, str]] = []
    for room in range(rooms):
        start = 8 * 60 + 7 * room
        found.append((_clock(start), f"{room};ring;3"))
        wait = after[room % len(after)]
        if wait is not None:
            found.append((_clock(start + wait), f"{room};answer;"))
        found.append((_clock(start + 60), f"{room};tick;1"))
    found.sort(key=lambda pair: pair[0])
    return [f"{n};{at};{rest}" for n, (at, rest) in enumerate(found)]


def _clock(minute: int) -> str:
    return f"02.01.2030 {minute // 60:02d}:{minute % 60:02d}"


def lines_of(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield subject, step and time of each line of a written timeline."""
    for line in path.read_text(encoding="utf-8").splitlines():
        subject, _, step, at, _ = line.split("|")
        yield subject, step, at


_HEAD: Final = "nr;wann;zimmer;was;laut"
_MAP: Final = """\
source: bells
zone: "+02:00"
delimiter: ";"
until: 2h
changes:
  - id: {column: nr}
    person: {column: zimmer, prefix: "guest-"}
    household: {column: zimmer, prefix: "room-"}
    time: {column: wann, format: "%d.%m.%Y %H:%M"}
    type: {column: was, values: {ring: bell.rung, answer: bell.answered, tick: bell.tick}}
    data:
      loudness: {column: laut, as: integer}
"""
_PACK: Final = {
    "pack.yaml": """\
name: bells
version: "1"
zone: "+02:00"
unreadable: none
scheme:
  - {level: 0, color: green, name: {zh: 绿, en: green}}
  - {level: 1, color: blue, name: {zh: 蓝, en: blue}, fall_after: 1d}
  - {level: 2, color: yellow, name: {zh: 黄, en: yellow}, fall_after: 1d}
  - {level: 3, color: red, name: {zh: 红, en: red}, fall_after: 1d}
""",
    "events.yaml": """\
- type: bell.rung
  subject: person
  title: {zh: 铃, en: bell}
  fields: {loudness: {type: integer, min: 1, max: 5}}
- type: bell.answered
  subject: person
  title: {zh: 应, en: answer}
  fields: {loudness: {type: integer}}
- {type: bell.tick, subject: person, title: {zh: 钟, en: tick}, fields: {loudness: {type: integer}}}
""",
    "rules.yaml": """\
- id: B1
  subject: person
  level: 3
  title: {zh: 铃响, en: a bell rang}
  when: {exists: {type: bell.rung, where: {ge: [.loudness, 2]}}}
  ladder: bell
  why: {zh: 铃响, en: a bell rang}
  source: the house
  evidence: OWN
  examples:
    - {name: rang, now: 2030-01-02T08:00:00+02:00, expect: true,
       facts: [{type: bell.rung, at: "2030-01-02T08:00:00+02:00", data: {loudness: 3}}]}
    - {name: silence, now: 2030-01-02T08:00:00+02:00, expect: false}
""",
    "alerts.yaml": """\
ladders:
  bell:
    emergency: 10m
    steps:
      - {step: call, after: 0m, to: [porter, nurse]}
      - {step: run, after: 10m, to: [matron], until: handled}
    deadlines: {quick: {after: 5m}}
    tasks: [{stage: warning, due: 2m}]
passes:
  - {type: bell.answered, role: handled, rules: [B1]}
""",
}
