"""The pure core of risk, beside the bare work of reading and writing the same bytes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from services.allinone.bench.rows import RUNS, Result, result
from services.kernel.clock import SystemMonotonic
from services.kernel.contracts.envelope import encode
from services.risk.bench import MODEL_BATCH, day, measure
from services.risk.bench_store import due, rescored

COMMAND: Final = "hearthwatch bench --only risk"


def rows(*, quick: bool, tell: Callable[[str], None]) -> Iterator[Result]:
    """Yield the figures of the fold."""
    households = 300 if quick else 5_000
    folds, bares = [], []
    for _ in range(1 if quick else RUNS):
        found = measure(households=households)
        folds.append(found)
        bares.append(_bare(households))
    rate = statistics.median(found["fold_per_s"] for found in folds)
    yield result(
        "risk core: fold, one core, no model", rate, "changes/s", statistics.median(bares), COMMAND
    )
    first = folds[0]
    tell(
        f"  median facts {first['median_facts']:.0f}, published {first['published_share']:.1%}, "
        f"state {first['state_bytes']:.0f} bytes, decode {first['decode_per_s']:,.0f}/s"
    )

    scored = [measure(households=households, model=True)["fold_per_s"] for _ in folds]
    yield result(
        f"risk core: fold and a linear model in batches of {MODEL_BATCH}, one core",
        statistics.median(scored), "changes/s", statistics.median(bares), COMMAND,
    )  # fmt: skip
    pending, woken = (10_000, 100) if quick else (1_000_000, 1_000)
    find_s, tick_s = due(pending, woken)
    yield result(
        f"risk: finding {woken:,} due of {pending:,} deadlines", find_s * 1e3, "ms", None, COMMAND
    )
    yield result(
        f"risk: a mark that wakes {woken:,} of {pending:,}", tick_s * 1e3, "ms", None, COMMAND
    )
    count = 500 if quick else 20_000
    rate, grown_mb = rescored(count)
    yield result("risk: re-score under a new pack", rate, "households/s", None, COMMAND)
    tell(
        f"  {count:,} households of {first['median_facts'] / 4:.0f} facts; {grown_mb:.0f} MB more; "
        f"a million would take {1_000_000 / rate / 60:.0f} minutes"
    )


def _bare(households: int) -> float:
    """Return changes per second of decoding each and encoding a state of 40 rows, and no more."""
    monotonic = SystemMonotonic()
    values = [encode(envelope) for envelope in day(7, households, 0, 8)]
    decode, pack = msgspec.json.Decoder().decode, msgspec.msgpack.Encoder().encode
    state = [(n, n, "01990000-0000-7000-8000-000000000000", n, (n,)) for n in range(40)]
    started_s = monotonic.seconds()
    for value in values:
        decode(value)
        pack(state)
    return len(values) / (monotonic.seconds() - started_s)
