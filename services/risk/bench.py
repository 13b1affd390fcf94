"""What the pure core costs: a generated town's day through the fold, state encoded each time.

`python -m services.risk.bench` prints one measurement; `hearthwatch bench --only risk` takes
medians of several, without and with a model.
"""

from __future__ import annotations

import random
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from services.kernel.clock import DAY, SECOND, from_us
from services.kernel.contracts.envelope import Envelope, decode, encode, raw
from services.kernel.db.write import chunks
from services.risk.domain.change import Change
from services.risk.domain.compiled import Compiled, compile_pack
from services.risk.domain.drafts import Draft, Output
from services.risk.domain.fold import Fold
from services.risk.domain.pack import Pack
from services.risk.domain.reading import Reader
from services.risk.domain.score import Linear
from services.risk.domain.state import Household
from services.risk.domain.state import encode as encode_state
from services.risk.packs.loader import load
from services.risk.ports import Scorer
from services.risk.scoring import says_of

COMMAND: Final = "hearthwatch bench --only risk"
START: Final = 1_790_000_000 * SECOND
HOUSEHOLDS: Final = 5_000
PAST: Final = 40
"""Facts of each household before the day begins."""
MODEL_BATCH: Final = 512
MODEL: Final = """\
features:
  - {name: systolic, value: {latest: health.vitals.systolic}, direction: "+"}
  - {name: glucose, value: {latest: health.vitals.glucose}, direction: "+"}
  - {name: systolic_max_30d, value: {max: health.vitals.systolic, within: 30d}, direction: "+"}
  - {name: vitals_30d, value: {count: health.vitals, within: 30d}, direction: "0"}
  - {name: falls_30d, value: {count: elder.care_risk_event, within: 30d}, direction: "+"}
  - {name: contacts_30d, value: {count: child.parent_contact, within: 30d}, direction: "-"}
  - {name: sessions_30d, value: {count: education.attendance, within: 30d}, direction: "0"}
  - {name: income, value: {latest: economy.income_changed.amount_month}, direction: "-"}
levels: [0.2, 0.5]
cap: 2
linear:
  intercept: -3.0
  weights: {systolic: 0.004, glucose: 0.05, falls_30d: 0.4, contacts_30d: -0.1}
"""
"""A small model over the same town."""


def pack_folder() -> Path:
    """Return the folder of the pack this benchmark runs under."""
    return Path(__file__).parents[2] / "examples" / "town-day" / "pack"


def day(seed: int, households: int, past: int, per_household: int) -> Iterator[Envelope]:
    """Yield a town's past and then its day, in order of receipt; everything made by the seed."""
    pick = random.Random(seed)  # noqa: S311 - not for secrets
    total = households * past
    for n in range(total):
        yield _fact(pick, n, START - 40 * DAY + n * (39 * DAY // total), f"h{n % households}")
    todays = households * per_household
    for n in range(todays):
        at = START + n * (DAY // todays)
        yield _fact(pick, total + n, at, f"h{pick.randrange(households)}")


def _fact(pick: random.Random, n: int, at: int, household: str) -> Envelope:
    kind, subject, data = _KINDS[pick.choices(range(len(_KINDS)), _WEIGHTS)[0]](pick, household)
    when = from_us(at)
    return Envelope(
        id=f"01990000-0000-7000-8000-{n:012d}",
        type=kind,
        source="bench",
        time=when,
        subject=subject,
        partitionkey=household,
        receivedat=when,
        data=raw(data),
    )


Made = tuple[str, str, dict[str, Any]]


def _person(pick: random.Random, household: str) -> str:
    return f"{household}-p{pick.randrange(2)}"


_KINDS: Final[list[Callable[[random.Random, str], Made]]] = [
    lambda p, h: (
        "health.vitals",
        _person(p, h),
        {
            "systolic": round(p.gauss(140, 18)),
            "diastolic": 80,
            "glucose": round(p.gauss(7, 1.1), 1),
        },
    ),
    lambda p, h: (
        "education.attendance",
        _person(p, h),
        {"present": p.random() > _ABSENT, "excused": False},
    ),
    lambda p, h: ("child.parent_contact", _person(p, h), {"mode": "call"}),
    lambda p, h: (
        "utility.reading",
        h,
        {"kind": "water", "quantity": round(0.02 + p.random() * 0.2, 4)},
    ),
    lambda p, h: (
        "elder.care_risk_event",
        _person(p, h),
        {"kind": "fall", "injury": p.randrange(3)},
    ),
    lambda p, h: (
        "economy.income_changed",
        _person(p, h),
        {"amount_month": p.randrange(100_000, 500_000)},
    ),
    lambda p, h: ("home.hazard", h, {"severity": p.randrange(1, 4)}),
    lambda p, h: ("visit.recorded", _person(p, h), {"seen": True}),
]
_ABSENT: Final = 0.05
_WEIGHTS: Final = [30, 20, 20, 12, 4, 2, 2, 10]


class Core:
    """The fold over a set of households, fed with changes; counts what it publishes."""

    def __init__(self, compiled: Compiled) -> None:
        self.fold = Fold(compiled)
        self.states: dict[str, Household] = {}
        self.published = 0
        self.encoded = 0

    def take(self, change: Change) -> None:
        """Fold one change, settle it, encode the state."""
        state, outputs = self._folded(change)
        for output in outputs:
            if isinstance(output, Draft) and self.fold.settle(state, output, None) is not None:
                self.published += 1
        self.encoded += len(encode_state(state))

    def take_scored(self, changes: Sequence[Change], scorer: Scorer) -> None:
        """Fold a batch of changes, let the model score all of it at once, settle, encode."""
        made = [self._folded(change) for change in changes]
        items = [(state, output) for state, outputs in made for output in outputs]
        says = says_of(scorer, [output for _, output in items])
        for n, (state, output) in enumerate(items):
            if isinstance(output, Draft):
                self.published += self.fold.settle(state, output, says.get(n)) is not None
        for state, _ in made:
            self.encoded += len(encode_state(state))

    def _folded(self, change: Change) -> tuple[Household, list[Output]]:
        state = self.states.get(change.household)
        if state is None:
            state = self.states[change.household] = Household(change.household)
        return state, self.fold.fold(state, change, max(change.received, state.now))


def packed(*, model: bool) -> Pack:
    """Return the pack of the day, with or without a model."""
    if not model:
        return load(pack_folder())
    with TemporaryDirectory(prefix="hearthwatch-bench-") as folder:
        root = Path(folder) / "town-day"
        shutil.copytree(pack_folder(), root)
        (root / "model.yaml").write_text(MODEL, encoding="utf-8")
        return load(root)


def measure(
    *, households: int = HOUSEHOLDS, changes_each: int = 8, seed: int = 7, model: bool = False
) -> dict[str, float]:
    """Return changes per second of decode, fold, and share of changes published."""
    cpu = time.process_time
    pack = packed(model=model)
    compiled = compile_pack(pack)
    reader, core = Reader(compiled), Core(compiled)
    values = [encode(e) for e in day(seed, households, PAST, changes_each)]
    past = households * PAST
    for value in values[:past]:
        core.take(reader.change(decode(value)))
    facts = statistics.median(
        sum(len(f) for s in state.subjects.values() for f in s.facts.values())
        for state in core.states.values()
    )
    began = cpu()
    changes = [reader.change(decode(value)) for value in values[past:]]
    decoded = cpu()
    before = core.published
    if pack.model is None:
        for change in changes:
            core.take(change)
    else:
        scorer = Linear(pack.model)
        for batch in chunks(changes, MODEL_BATCH):
            core.take_scored(batch, scorer)
    ended = cpu()
    return {
        "changes": len(changes),
        "median_facts": facts,
        "decode_per_s": len(changes) / (decoded - began),
        "fold_per_s": len(changes) / (ended - decoded),
        "published_share": (core.published - before) / len(changes),
        "state_bytes": statistics.mean(len(encode_state(s)) for s in core.states.values()),
    }


def main() -> None:
    """Print one measurement as JSON."""
    print(msgspec.json.encode(measure()).decode())  # noqa: T201 - a command's output


if __name__ == "__main__":
    main()
