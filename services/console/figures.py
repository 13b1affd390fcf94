"""What the services count of themselves, read from their `/metrics` texts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

_LINE: Final = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?$")
_LABEL: Final = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}
_READY: Final = "hearthwatch_ready"

Labels = Mapping[str, str]


class Sample(NamedTuple):
    """One line: the value of a metric with these labels."""

    labels: Labels
    value: float

    def fits(self, wanted: Labels) -> bool:
        """Return whether it has all these labels."""
        return all(self.labels.get(name) == value for name, value in wanted.items())


class Figures:
    """The samples of one process by metric.

    Args:
        text: In Prometheus's text form; lines that cannot be read are passed over.
    """

    def __init__(self, text: str = "") -> None:
        self._samples: dict[str, list[Sample]] = {}
        for line in text.splitlines():
            if (found := _LINE.match(line)) is None:
                continue
            try:
                value = float(found[3])
            except ValueError:
                continue
            labels = {name: _plain(said) for name, said in _LABEL.findall(found[2] or "")}
            self._samples.setdefault(found[1], []).append(Sample(labels, value))

    def of(self, name: str, **labels: str) -> list[Sample]:
        """Return the samples of a metric that have these labels, in their own order."""
        return [each for each in self._samples.get(name, ()) if each.fits(labels)]

    def value(self, name: str, **labels: str) -> float | None:
        """Return the sum of these samples, None when there are none."""
        found = [each.value for each in self.of(name, **labels) if not math.isnan(each.value)]
        return sum(found) if found else None

    def count(self, histogram: str, **labels: str) -> int:
        """Return how many a histogram has counted."""
        return int(self.value(f"{histogram}_count", **labels) or 0)

    def quantile(self, histogram: str, share: float, **labels: str) -> float | None:
        """Return the value below which this share lies, as far as the buckets tell.

        Args:
            histogram: Its name, without `_bucket`.
            share: From 0 to 1.
            labels: Which series of it, added up.

        Returns:
            By straight lines inside a bucket; the last edge for what lies above it; None when
            nothing was counted.
        """
        edges = self._edges(histogram, labels)
        if not edges or not edges[-1][1]:
            return None
        rank, below, before = share * edges[-1][1], 0.0, 0.0
        for edge, upto in edges:
            if upto >= rank:
                if math.isinf(edge):
                    return below
                inside = (rank - before) / (upto - before) if upto > before else 1.0
                return below + (edge - below) * inside
            below, before = edge, upto
        return below

    def share_within(self, histogram: str, edge: float, **labels: str) -> float | None:
        """Return the share at or below a bucket's edge, None when nothing was counted."""
        edges = dict(self._edges(histogram, labels))
        whole = edges.get(math.inf, 0.0)
        return edges.get(edge, 0.0) / whole if whole else None

    def _edges(self, histogram: str, labels: Labels) -> list[tuple[float, float]]:
        found: dict[float, float] = {}
        for each in self.of(f"{histogram}_bucket", **labels):
            edge = float(each.labels.get("le", "nan"))
            found[edge] = found.get(edge, 0.0) + each.value
        return sorted(found.items())


class Station:
    """The figures of every service, whether they share a process or not.

    Args:
        texts: By service; one that did not answer is left out.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._by_service = {name: Figures(text) for name, text in texts.items()}

    def __getitem__(self, service: str) -> Figures:
        """Return the figures of a service; without any when it did not answer."""
        return self._by_service.get(service, Figures())

    def answered(self, service: str) -> bool:
        """Return whether a service showed its figures."""
        return service in self._by_service

    def processes(self) -> Iterator[tuple[str, Figures]]:
        """Yield each process once, under its service's name; '' where one hosts them all."""
        for name, figures in self._by_service.items():
            hosted = {each.labels.get("service") for each in figures.of(_READY)}
            if len(hosted & self._by_service.keys()) > 1:
                yield "", figures
                return
            yield name, figures

    def of(self, name: str) -> Iterable[Sample]:
        """Return the samples of a metric over all processes."""
        return [each for _, figures in self.processes() for each in figures.of(name)]


def _plain(said: str) -> str:
    return re.sub(r"\\.", lambda found: _ESCAPED.get(found[0], found[0]), said)
