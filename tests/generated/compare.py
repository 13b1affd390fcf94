"""What the chain came to, in the words of the naive model: its ids become the rows' own names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from services.intake.domain.item import change_id
from services.intake.domain.names import PROVISIONAL, provisional_household
from services.kernel.bus.sqlite import SqliteBus
from services.kernel.clock import SystemClock, SystemMonotonic, to_us
from services.kernel.contracts.assessments import Assessment
from services.kernel.ids import derived
from tests.generated.log import END, generated, item, source, write
from tests.generated.naive.desk import Counts
from tests.generated.naive.facts import Row
from tests.generated.naive.model import Level, Outcome, courses, run
from tests.support.chain import Chain, Cut, Stores, chain

PACK: Final = Path(__file__).parent / "pack"
MAP: Final = Path(__file__).parent / "map.yaml"
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Came(NamedTuple):
    """What a run came to: the outcome in the model's words, and what the model has no word for.

    lines: those of the timelines, as exported. twice: deliveries that have more than one row.
    """

    outcome: Outcome
    lines: list[str]
    digest: str
    twice: int
    dead_letters: int


def called(row: str, household: str | None) -> str:
    """Return what the chain calls a row, or its copy for a household that its person is tied to."""
    change = change_id(source(row), row)
    return change if household is None else derived("copy", change, household)


def expected(rows: Sequence[Row]) -> Outcome:
    """Return what the naive model says that these rows must come to."""
    return run(rows, END, called)


class Exported(NamedTuple):
    """A log as a file, with the map and the pack that it is replayed with."""

    log: Path
    map: Path
    pack: Path
    rows: list[Row]

    def words(self) -> tuple[str, ...]:
        """Return it as words of `hearthwatch replay`."""
        return str(self.log), "--map", str(self.map), "--pack", str(self.pack)


def exported(folder: Path, *, seed: int, size: int = 6, called: int = 60) -> Exported:
    """Write a generated log as a file for any way of replaying it (`tests.generated.compare`).

    `hearthwatch replay` with `.words()` gives one digest in every mode, for a file of one name.
    What the lines must be is `expected(found.rows)`; `came_of_replay` reads them out of a run that
    was kept on SQLite. The map tells of no device's own time, so there are no phones in it.
    """
    rows = generated(seed, size=size, called=called)
    return Exported(write(rows, folder / "generated.jsonl"), MAP, PACK, rows)


def came(rows: Sequence[Row], folder: Path, cut: Cut = Cut()) -> Came:  # noqa: B008 - a value
    """Send the rows through the real chain and return what came of it."""
    folder.mkdir(parents=True)
    with chain(folder, PACK, cut) as running:
        running.feed([item(row) for row in rows], [row.received for row in rows])
        running.end(END)
        return _came(running, rows)


def _came(running: Chain, rows: Sequence[Row]) -> Came:
    said = Counter(answer.status for answer in running.answers)
    taken = said["accepted"], said["duplicate"], said["rejected"] + said["conflict"]
    alerts, stores = running.report(END)["alerts"], running.stores()
    outcome = _outcome(rows, stores, running.lines(), taken, alerts)
    return _whole(outcome, running.lines(), running.digest(), stores, running.dead_letters())


def came_of_replay(
    rows: Sequence[Row], kept: Path, report: Mapping[str, Any], timeline: Path
) -> Came:
    """Return what a replay came to whose folder was kept (SQLite), by its report and timeline."""
    changes, stores = report["changes"], Stores(kept)
    lines = timeline.read_text(encoding="utf-8").splitlines()
    # The report counts a refused item that was mended since as accepted; the model as refused.
    refused = changes["rejected"] + changes["repaired"]
    taken = changes["accepted"] - changes["repaired"], changes["duplicate"], refused
    outcome = _outcome(rows, stores, lines, taken, report["alerts"])
    bus = SqliteBus(kept / "bus.db", SystemClock(), SystemMonotonic())
    try:
        buried = stores.dead_letters(bus)
    finally:
        bus.close()
    return _whole(outcome, lines, report["digest"], stores, buried)


def _outcome(
    rows: Sequence[Row],
    stores: Stores,
    lines: Sequence[str],
    taken: tuple[int, int, int],
    alerts: Mapping[str, int],
) -> Outcome:
    names = Names(rows)
    names.of |= {kept: names.of[change] for kept, change in stores.kept().items()}
    return Outcome(
        sorted(names.told(line) for line in lines),
        levels(stores.assessments(), names),
        *taken,
        Counts(**{name: alerts[name] for name in Counts._fields}),
        sorted((names.told(_label(*found[1:3])), *found[3:]) for found in stores.deliveries()),
    )


def _whole(
    outcome: Outcome, lines: Sequence[str], digest: str, stores: Stores, buried: int
) -> Came:
    rung = [(alert, step, target) for alert, _, _, step, target in stores.deliveries()]
    return Came(outcome, sorted(lines), digest, len(rung) - len(set(rung)), buried)


def _label(rule: str, instance: str) -> str:
    return f"{rule}#{instance}" if instance else rule


class Names:
    """The chain's ids and what the rows call the same things."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.of: dict[str, str] = {}
        for row in rows:
            self.of[called(row.id, None)] = row.id
            if row.person is not None:
                self.of[provisional_household(row.person).removeprefix(PROVISIONAL)] = row.person

    def told(self, text: str) -> str:
        """Return a text with every id replaced; one that is nobody's name is no fact of the log."""
        return _UUID.sub(lambda found: self.of[found[0]], text)


def levels(said: Iterable[Assessment], names: Names) -> dict[str, list[Level]]:
    """Return the course of each subject's level, for each household that it lived in."""
    last: dict[tuple[str, int], Level] = {}
    for each in said:
        reasons = frozenset((r.rule, r.instance, r.level, r.held) for r in each.reasons)
        unknown = frozenset((u.rule, u.instance) for u in each.unknowns)
        at = to_us(each.at)
        last[names.told(f"{each.subject} in {each.household}"), at] = (
            at,
            each.level,
            reasons,
            unknown,
        )
    return courses(last)


def differences(found: Outcome, wanted: Outcome) -> list[str]:
    """Return in lines that a person can read what differs; nothing when both are equal."""
    lines = [f"only the chain: {line}" for line in _more(found.lines, wanted.lines)]
    lines += [f"only the model: {line}" for line in _more(wanted.lines, found.lines)]
    lines += [f"only the chain told: {page}" for page in _more(found.pages, wanted.pages)]
    lines += [f"only the model told: {page}" for page in _more(wanted.pages, found.pages)]
    for who in sorted(found.levels.keys() | wanted.levels.keys()):
        ours, theirs = found.levels.get(who, []), wanted.levels.get(who, [])
        lines += [f"level of {who}, only the chain: {_shown(x)}" for x in ours if x not in theirs]
        lines += [f"level of {who}, only the model: {_shown(x)}" for x in theirs if x not in ours]
    for name in ("accepted", "duplicate", "rejected", "counts"):
        if getattr(found, name) != getattr(wanted, name):
            lines.append(f"{name}: {getattr(found, name)}, by the model {getattr(wanted, name)}")
    return lines


def _more(some: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    return sorted((Counter(some) - Counter(others)).elements())


def _shown(level: Level) -> str:
    at, height, reasons, unknown = level
    return f"{at} {height} {sorted(reasons)} unknown {sorted(unknown)}"
