"""The model: scoring beside bare scikit-learn, seconds and memory of training on public sets."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Final

from services.allinone.bench.rows import Result

_BENCH: Final = "services.risk.training.bench"


def rows(*, quick: bool, tell: Callable[[str], None]) -> Iterator[Result]:
    """Yield the figures; none without the extra `ml`, which is told."""
    # By name: training is no part of the running service, and no import statement may reach it.
    try:
        training = importlib.import_module(_BENCH)
    except ModuleNotFoundError as exc:
        tell(f"  model: left out, {exc.name} is not installed: pip install 'hearthwatch[ml]'")
        return
    for row in training.bench(quick=quick):
        yield Result(
            name=row.name,
            value=row.value,
            unit=row.unit,
            peer=row.peer,
            ratio=row.ratio,
            command=row.command,
        )
