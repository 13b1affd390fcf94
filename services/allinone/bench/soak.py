"""Very many changes through the deployed chain: memory stays bounded, and a second reading is none.

A generated town's days, one after the other, on a virtual clock: time moves by marks alone.

`python -m services.allinone.bench.soak --changes 2000000 --plot build/soak.svg`
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from services.allinone.bench.chain import Running, servers, started
from services.allinone.bench.embedded import BATCH, item
from services.allinone.bench.plot import lines_svg
from services.allinone.replay.reporting import digest_of
from services.kernel.bus.browse import browse
from services.kernel.clock import DAY, Monotonic, SystemMonotonic, rfc3339
from services.kernel.contracts.records import Outgoing
from services.kernel.contracts.topics import ASSESSMENTS, CHANGES
from services.kernel.errors import HearthwatchError, WrongUse
from services.risk.bench import START, day

CHUNK: Final = 20_000
HOUSEHOLDS: Final = 20_000
GROWTH_MB: Final = 64.0
"""By so much a process may grow over the second half and still be called bounded."""
_SAMPLE_S: Final = 1.0
_AGAIN: Final = 2_000


class Sample(NamedTuple):
    """The resident memory of each process at a moment of the run."""

    at_s: float
    memory_mb: dict[str, float]


class Soaked(msgspec.Struct, frozen=True, kw_only=True):
    """What a soak found. peak_mb, growth_mb: by process, the latter over the second half."""

    changes: int
    elapsed_s: float
    rate: float
    peak_mb: dict[str, float]
    growth_mb: dict[str, float]
    read_again: int
    unchanged: bool

    @property
    def ok(self) -> bool:
        """Return whether memory is bounded and reading again changed nothing."""
        return self.unchanged and max(self.growth_mb.values(), default=0.0) <= GROWTH_MB


def soak(chain: Running, changes: int, monotonic: Monotonic) -> tuple[Soaked, list[Sample]]:
    """Send the changes, wait, read everything again; return what was found, and the samples."""
    began_s = monotonic.seconds()
    with sampled(chain, monotonic) as samples:
        fed, days = 0, -(-changes // CHUNK)
        for number in range(days):
            part = min(CHUNK, changes - fed)
            fed += chain.feed(day_of(number, days, part), f"soak-{number}")
        chain.apis.send("POST", "intake", "/v1/marks", {"at": rfc3339(START + DAY)})
        chain.wait(monotonic)
        elapsed_s = monotonic.seconds() - began_s
    before = standing(chain)
    again = read_again(chain)
    chain.wait(monotonic)
    middle = samples[len(samples) // 2].memory_mb
    found = Soaked(
        changes=fed,
        elapsed_s=round(elapsed_s, 1),
        rate=round(fed / elapsed_s, 1),
        peak_mb={n: round(max(s.memory_mb.get(n, 0) for s in samples), 1) for n in middle},
        growth_mb={n: round(samples[-1].memory_mb.get(n, 0) - middle[n], 1) for n in middle},
        read_again=again,
        unchanged=standing(chain) == before,
    )
    return found, samples


def day_of(number: int, days: int, changes: int) -> Iterator[list[bytes]]:
    """Yield the batches of one of the days that end with the last; received when they happened."""
    households, back = min(HOUSEHOLDS, changes), timedelta(days=days - 1 - number)
    held: list[bytes] = []
    for envelope in islice(day(number, households, 0, -(-changes // households)), changes):
        at = (envelope.time - back).isoformat()
        named = {"sourceid": f"{number}-{envelope.id}", "time": at, "receivedat": at}
        held.append(msgspec.json.encode(item(envelope) | named))
        if len(held) == BATCH:
            yield held
            held = []
    if held:
        yield held


def standing(chain: Running) -> dict[str, Any]:
    """Return what a second reading of the topics may not change: facts, alerts, who was told."""
    apis = chain.apis
    return {
        "digest": digest_of(apis),
        "assessments": apis.get("risk", "/v1/report")["assessments"],
        "told": sorted(
            (row["alert"], row["step"], row["target"])
            for row in apis.items("alerts", "/v1/deliveries")
        ),
        "letters": sum(1 for _ in apis.items("dead", "/v1/letters")),
    }


def read_again(chain: Running) -> int:
    """Bring every record of the two topics to its readers once more; return how many.

    First a group of its own reads the topics from the start, which is nobody's business. Then what
    it read is published again, as a relay does whose mark was lost: the readers get all of it.
    """
    count = 0
    for topic in (CHANGES.name, ASSESSMENTS.name):
        held: list[Outgoing] = []
        for record in browse(chain.bus, topic, SystemMonotonic()):
            held.append(Outgoing(topic, record.key, record.value, record.headers, record.partition))
            count += 1
            if len(held) >= _AGAIN:
                chain.bus.publish(held)
                held = []
        chain.bus.publish(held)
    return count


@contextmanager
def sampled(chain: Running, monotonic: Monotonic) -> Iterator[list[Sample]]:
    """Sample the memory of every process each second as long as it is open."""
    stop, samples, began_s = threading.Event(), list[Sample](), monotonic.seconds()

    def look() -> None:
        while True:
            samples.append(Sample(monotonic.seconds() - began_s, chain.memory_mb()))
            if monotonic.wait(stop, _SAMPLE_S):
                return

    thread = threading.Thread(target=look, name="samples", daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a soak on the servers of the environment, or on some brought up for it."""
    parser = argparse.ArgumentParser(
        prog="python -m services.allinone.bench.soak",
        description="Send very many changes through Kafka and PostgreSQL; plot each one's memory.",
        epilog="example: python -m services.allinone.bench.soak --changes 200000",
    )
    parser.add_argument("--changes", type=int, default=2_000_000, metavar="N")
    parser.add_argument("--plot", type=Path, default=Path("build/soak.svg"), metavar="FILE")
    parser.add_argument("--risk", choices=("plain", "faust"), default="plain")
    given = parser.parse_args(arguments)
    try:
        with servers() as on, started(on, risk=given.risk, replay=True) as chain:
            found, samples = soak(chain, given.changes, SystemMonotonic())
    except HearthwatchError as exc:
        sys.stderr.write(f"{exc}\n")
        return 2 if isinstance(exc, WrongUse) else 1
    given.plot.parent.mkdir(parents=True, exist_ok=True)
    title = f"{found.changes:,} changes, {found.rate:,.0f}/s: resident memory, MB"
    series = {
        name: [(s.at_s, s.memory_mb[name]) for s in samples if name in s.memory_mb]
        for name in found.peak_mb
    }
    given.plot.write_text(lines_svg(title, series), encoding="utf-8")
    given.plot.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    return 0 if found.ok else 1


if __name__ == "__main__":
    sys.exit(main())
