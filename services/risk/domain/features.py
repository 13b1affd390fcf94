"""The model's features of a subject, each read again only when its answer may have changed.

A feature may change by a fact of a type it reads, or through time at the instant it named when it
was read. What is remembered stands beside the state and is no part of its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.kernel.clock import NEVER
from services.risk.domain import terms as t
from services.risk.domain.looking import Read, View
from services.risk.domain.needs import Needs
from services.risk.domain.pack import Pack
from services.risk.domain.state import Household, Subject

Row = tuple[float | None, ...]
_AT_ONCE: Final = 0


@dataclass(frozen=True)
class Features:
    """The compiled features of a pack, in its order.

    own, all: by type, which of the fact's subject, or of everybody in the household, a fact may
    change. moving: change with every instant.
    """

    reads: tuple[Read, ...] = ()
    own: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    all: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    moving: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self.reads)

    def row(self, view: View, subject: Subject) -> Row:
        """Return a subject's features at a view's instant; None is unknown."""
        known = subject.read
        if known is None:
            count = len(self.reads)
            known = subject.read = ([None] * count, [_AT_ONCE] * count)
        values, until = known
        for n, due in enumerate(until):
            if due <= view.now:
                view.changes_at = NEVER
                values[n] = _number(self.reads[n](view))
                until[n] = _AT_ONCE if n in self.moving else view.changes_at
        return tuple(values)

    def touch(self, state: Household, name: str, kind: str) -> None:
        """Note that a fact of a type came to or went from a subject."""
        for n in self.own.get(kind, ()):
            _forget(state.subjects[name], n)
        for n in self.all.get(kind, ()):
            for subject in state.subjects.values():
                _forget(subject, n)

    def afresh(self, view: View) -> Row:
        """Return the same without looking at, or noting, what is remembered."""
        return tuple(_number(read(view)) for read in self.reads)


def _forget(subject: Subject, n: int) -> None:
    if subject.read is not None:
        subject.read[1][n] = _AT_ONCE


def compile_features(
    pack: Pack, at_home: frozenset[str], read: Callable[[t.Operand], Read]
) -> Features:
    """Return the features of a pack's model; none without one."""
    if pack.model is None:
        return Features()
    own: dict[str, list[int]] = {}
    everybody: dict[str, list[int]] = {}
    for n, feature in enumerate(pack.model.features):
        needs = Needs()
        needs.operand(feature.value)
        for kind in sorted(needs.own | needs.around):
            wide = kind in at_home or kind in needs.around
            (everybody if wide else own).setdefault(kind, []).append(n)
    return Features(
        reads=tuple(read(feature.value) for feature in pack.model.features),
        own={kind: tuple(found) for kind, found in own.items()},
        all={kind: tuple(found) for kind, found in everybody.items()},
        moving=frozenset(
            n for n, f in enumerate(pack.model.features) if isinstance(f.value, t.Since)
        ),
    )


def _number(value: Any) -> float | None:  # noqa: ANN401 - what an operand gives
    return float(value) if isinstance(value, (int, float)) else None
