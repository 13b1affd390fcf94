"""All groups of measurements in one table and one file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

import msgspec
from rich.table import Table

from services.allinone.bench import alerting, core, embedded, ends, latency, model, start
from services.allinone.bench.rows import Result
from services.allinone.words import say
from services.kernel.errors import Fault, WrongUse

Tell = Callable[[str], None]


class Group(Protocol):
    """A group of measurements."""

    def __call__(self, *, quick: bool, tell: Tell) -> Iterator[Result]:
        """Yield the figures; tell what explains them."""
        ...


GROUPS: Final[dict[str, Group]] = {
    "risk": core.rows,
    "model": model.rows,
    "embedded": embedded.rows,
    "latency": latency.rows,
    "start": start.rows,
    "alerts": alerting.rows,
    "deployed": ends.rows,
}


def run(only: str | None, *, quick: bool, tell: Tell) -> list[Result]:
    """Measure every group, or one.

    Raises:
        WrongUse: there is no such group.
    """
    if only is not None and only not in GROUPS:
        raise WrongUse(
            Fault("--only", "one of " + ", ".join(GROUPS), repr(only), "name one of them")
        )
    results = []
    for name, rows in GROUPS.items():
        if only in (None, name):
            tell(say("bench.running", name=name))
            results += list(rows(quick=quick, tell=tell))
    return results


def table(results: list[Result]) -> Table:
    """Return the results as a table for people."""
    found = Table("name", "value", "unit", "peer", "ratio", "command")
    for row in results:
        found.add_row(
            row.name,
            f"{row.value:,.1f}",
            row.unit,
            "" if row.peer is None else f"{row.peer:,.1f}",
            "" if row.ratio is None else f"{row.ratio:.2f}",
            row.command,
        )
    return found


def write(path: Path, results: list[Result]) -> None:
    """Write the results as a JSON list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
