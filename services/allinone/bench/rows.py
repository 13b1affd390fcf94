"""One measured figure, and what it stands beside."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

RUNS: Final = 3


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A figure. peer: of what was run at its side, None without one; ratio: value by peer."""

    name: str
    value: float
    unit: str
    peer: float | None
    ratio: float | None
    command: str


def result(name: str, value: float, unit: str, peer: float | None, command: str) -> Result:
    """Return a figure with its ratio."""
    return Result(
        name=name,
        value=round(value, 4),
        unit=unit,
        peer=None if peer is None else round(peer, 4),
        ratio=None if not peer else round(value / peer, 3),
        command=command,
    )


def side_by_side(
    ours: Callable[[], float], peers: Callable[[], float], runs: int = RUNS
) -> tuple[float, float]:
    """Run both in turn (ABAB…) and return the median of each: other work hits both."""
    pairs = [(ours(), peers()) for _ in range(runs)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which `share` (0..1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
