"""Kafka and PostgreSQL, a process per service, end to end, beside a bare chain of the same shape.

The peers are scripts of their own, found in HEARTHWATCH_PEERS, ../shared/bench by default. All take
turns, so that other work on the machine hits all of them.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from services.allinone.bench.chain import ROOT, Servers, servers, started
from services.allinone.bench.embedded import bodies
from services.allinone.bench.rows import RUNS, Result, result
from services.kernel.bus.kafka import PREFIX
from services.kernel.clock import SystemMonotonic
from services.kernel.contracts.topics import ASSESSMENTS
from services.kernel.errors import WrongUse

COMMAND: Final = "hearthwatch bench --only deployed"
CHANGES: Final = 40_000
QUICK: Final = 4_000
HOUSEHOLDS: Final = 1_000
"""Each has forty changes, as in the embedded row: most find a household that is known."""
FORMS: Final = (("plain", 1), ("plain", 2), ("faust", 1), ("faust", 2))
_PEER_S: Final = 300.0
_RATE: Final = re.compile(r"^(?:bare chain|ordinary faust): (\d+) events/s", re.MULTILINE)


class Measured(NamedTuple):
    """Changes per second; processor microseconds per change of each process; news per change."""

    rate: float
    cost_us: dict[str, float]
    published: float


def rows(*, quick: bool, tell: Callable[[str], None]) -> Iterator[Result]:
    """Yield the figures of the deployed chain; none, told why, where there are no servers."""
    changes, forms = (QUICK, FORMS[::2]) if quick else (CHANGES, FORMS)
    try:
        with servers() as on:
            yield from _rows(on, changes, forms, 1 if quick else RUNS, tell)
    except WrongUse as exc:
        tell(f"  left out: {exc}")


def _rows(
    on: Servers,
    changes: int,
    forms: Sequence[tuple[str, int]],
    runs: int,
    tell: Callable[[str], None],
) -> Iterator[Result]:
    batches = bodies(changes, HOUSEHOLDS)
    bare: list[float] = []
    found: dict[tuple[str, int], list[Measured]] = {form: [] for form in forms}
    for _ in range(runs):
        bare += peer("bare_chain.py", on, changes)
        for form in forms:
            found[form].append(end_to_end(on, batches, *form))
    beside = statistics.median(bare) if bare else None
    for (risk, workers), measured in found.items():
        rate = statistics.median(each.rate for each in measured)
        name = f"deployed end to end, risk on {risk}, {workers} worker{'s' * (workers > 1)}"
        yield result(name, rate, "changes/s", beside, COMMAND)
        costs = measured[-1].cost_us
        tell(
            f"  {name}: " + ", ".join(f"{n} {us:.0f}" for n, us in costs.items()) + " us/change; "
            f"{measured[-1].published:.1%} published"
        )
    for rate in peer("ordinary_faust.py", on, changes // 20):
        yield result("peer: risk alone, the ordinary Faust way", rate, "changes/s", None, COMMAND)


def end_to_end(
    on: Servers, batches: Sequence[Sequence[bytes]], risk: str, workers: int
) -> Measured:
    """Return what the chain does from the first request until nothing waits anywhere."""
    monotonic = SystemMonotonic()
    with started(on, risk=risk, risk_workers=workers) as chain:
        before = chain.cpu_s()
        began_s = monotonic.seconds()
        count = chain.feed(batches)
        chain.wait(monotonic)
        spent_s = monotonic.seconds() - began_s
        used = chain.cpu_s()
        published = sum(chain.bus.ends(ASSESSMENTS.name).values()) / count
    costs = {name: (used[name] - before[name]) / count * 1e6 for name in before}
    return Measured(count / spent_s, costs, published)


def peer(script: str, on: Servers, events: int) -> list[float]:
    """Return the rate that a peer prints, as a list; empty if there is none or it is stuck."""
    path = Path(os.environ.get("HEARTHWATCH_PEERS") or ROOT / ".." / "shared" / "bench") / script
    if not path.is_file():
        return []
    command = [
        sys.executable, str(path), "--events", str(events), "--dsn", on.db_url,
        "--bootstrap", on.bus_url.removeprefix(PREFIX),
    ]  # fmt: skip
    try:
        done = subprocess.run(  # noqa: S603 - a script that the caller named
            command, capture_output=True, text=True, timeout=_PEER_S, check=False
        )
    except subprocess.TimeoutExpired:
        return []
    return [float(rate) for rate in _RATE.findall(done.stdout)]
