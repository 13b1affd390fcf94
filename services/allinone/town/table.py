"""A table to train a model on: what was known of each person at a moment, and what came of them.

The columns are the features of a pack, read by risk's own fold from what had been received by then.
What came of them is independent of visits: admitted to hospital, or hurt in a fall, within 90 days.
It is as synthetic as the town.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from services.allinone.town.plan import Plan, midnight
from services.allinone.town.stream import Town, items
from services.kernel.clock import DAY, from_us, parse_rfc3339
from services.kernel.contracts.envelope import Envelope, raw
from services.kernel.errors import Fault, WrongUse
from services.risk.domain.compiled import compile_pack
from services.risk.domain.features import Features
from services.risk.domain.fold import Fold
from services.risk.domain.looking import View
from services.risk.domain.pack import Pack
from services.risk.domain.reading import Reader
from services.risk.domain.state import Household

AHEAD_DAYS: Final = 90
TARGET: Final = "synthetic_harm_90d"
"""Its name stands in every card and report of a model that was trained on it."""
_HURT: Final = 2
Item = dict[str, Any]


class Memory:
    """What is known of the town so far, kept by risk's own fold; no rule is asked.

    Cost: memory grows with the facts that a feature reads.
    """

    def __init__(self, pack: Pack) -> None:
        self._compiled = compile_pack(replace(pack, rules=(), passes=()))
        self._reader = Reader(self._compiled)
        self._fold = Fold(replace(self._compiled, features=Features(), feature_types=frozenset()))
        self._homes: dict[str, Household] = {}
        self._seen: set[str] = set()

    def take(self, at: int, item: Item) -> None:
        """Take in an item received at an instant; one that comes again changes nothing."""
        home, name = item.get("household"), item["sourceid"]
        if home is None or name in self._seen or not self._compiled.kept(item["type"]):
            return
        self._seen.add(name)
        state = self._homes.setdefault(home, Household(home))
        self._fold.fold(state, self._reader.change(_envelope(at, item)), at)

    def features(self, home: str, person: str, now: int) -> tuple[float | None, ...] | None:
        """Return the pack's features of a person at an instant; None for somebody not known."""
        state = self._homes.get(home)
        if state is None or person not in state.subjects:
            return None
        view = View(state, now)
        view.facts = state.subjects[person].facts
        return self._compiled.features.afresh(view)


def columns(pack: Pack) -> list[str]:
    """Return the names of the columns.

    Raises:
        WrongUse: the pack has no features.
    """
    if pack.model is None or not pack.model.features:
        raise WrongUse(
            Fault("--pack", "a pack with features in model.yaml", f"{pack.name} has none",
                  "add them, or choose another pack")
        )  # fmt: skip
    return ["person", "household", "moment", *(f.name for f in pack.model.features), TARGET]


def rows(town: Town, pack: Pack) -> Iterator[list[object]]:
    """Yield a row for each person and moment: every 90 days, as long as 90 more are known."""
    memory, moments = Memory(pack), _moments(town.plan)
    harmed: defaultdict[str, list[int]] = defaultdict(list)
    known: list[tuple[int, str, list[object]]] = []
    for at, item in items(town):
        while moments and at > moments[0]:
            known += _known(town, memory, moments.pop(0))
        memory.take(at, item)
        if _harm(item):
            harmed[item["person"]].append(parse_rfc3339(item["time"]))
    for moment, person, row in known:
        after = range(moment + 1, moment + AHEAD_DAYS * DAY + 1)
        yield [*row, int(any(when in after for when in harmed[person]))]


def write_table(town: Town, pack: Pack, path: Path) -> int:
    """Write the table as CSV; return how many rows it has.

    Raises:
        WrongUse: the history is too short for a single moment, the pack has no features, or the
            file cannot be written.
    """
    header = columns(pack)
    if not _moments(town.plan):
        raise WrongUse(
            Fault("--days", f"{2 * AHEAD_DAYS} or more", f"{town.plan.days}", "give a longer one")
        )
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            for row in rows(town, pack):
                writer.writerow(row)
                count += 1
    except OSError as exc:
        raise WrongUse(
            Fault(str(path), "a file that can be written", type(exc).__name__, "correct the path")
        ) from exc
    return count


def _moments(plan: Plan) -> list[int]:
    last = plan.days - AHEAD_DAYS
    days = range(AHEAD_DAYS, last + 1, AHEAD_DAYS)
    return [midnight(plan.first + timedelta(days=day)) for day in days]


def _known(town: Town, memory: Memory, moment: int) -> Iterator[tuple[int, str, list[object]]]:
    """Yield what is known of each person at a moment, without the outcome."""
    plan = town.plan
    day = (plan.first + timedelta(days=(moment - midnight(plan.first)) // DAY)).isoformat()
    for household in town.households:
        for person in household.members:
            found = memory.features(household.id, person.id, moment)
            if found is not None:
                yield moment, person.id, [person.id, household.id, day, *map(_written, found)]


def _written(value: float | None) -> object:
    """Return a feature as the table writes it: empty for unknown."""
    if value is None:
        return ""
    return int(value) if value == int(value) else value


def _envelope(at: int, item: Item) -> Envelope:
    """Return an item as the door would publish it; the town says by itself who lives where."""
    instead = item.get("supersedes")
    return Envelope(
        id=item["sourceid"],
        type=item["type"],
        source=item["source"],
        time=from_us(parse_rfc3339(item["time"])),
        subject=item.get("person") or item["household"],
        partitionkey=item["household"],
        receivedat=from_us(at),
        supersedes=instead["sourceid"] if instead else None,
        data=raw(item["data"]),
    )


def _harm(item: Item) -> bool:
    if item["type"] == "health.hospital_stay":
        return bool(item["data"]["status"] == "admitted")
    injury: int = item["data"].get("injury", 0)
    return item["type"] == "elder.care_risk_event" and injury >= _HURT
