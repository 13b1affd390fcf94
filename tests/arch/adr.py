"""Architecture decision records: read, and held against the form that ADR 0001 gives them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

HEADINGS: Final = ("Context", "Decision", "Consequences", "Alternatives", "References")
LINES: Final = 120  # two pages


class Record(NamedTuple):
    """What the index says of one record."""

    number: str
    file: str
    title: str
    area: str
    status: str

    def line(self) -> str:
        """Return the line that the index must hold."""
        return f"| [{self.number}: {self.title}]({self.file}) | {self.area} | {self.status} |"


def read(path: Path) -> Record:
    """Return a record; a field that it lacks is empty."""
    text = path.read_text(encoding="utf-8")

    def field(pattern: str) -> str:
        found = re.search(pattern, text, re.MULTILINE)
        return found[1].strip() if found else ""

    return Record(
        number=path.name[:4],
        file=path.name,
        title=field(rf"\A# {path.name[:4]}: (.+)$"),
        area=field(r"^- Area: (.+)$"),
        status=field(r"^- Status: (.+)$"),
    )


def faults(folder: Path) -> Iterator[str]:
    """Yield what is wrong with the records of a folder and with its index, with the remedy."""
    paths = sorted(folder.glob("[0-9][0-9][0-9][0-9]-*.md"))
    for place, path in enumerate(paths):
        if path.name[:4] != f"{place:04}":
            yield f"{path.name}: expected number {place:04}; numbers are given once, without a gap"
    records = [read(path) for path in paths[1:]]
    for record, path in zip(records, paths[1:], strict=True):
        yield from _faults_of(record, path, {other.number for other in records})
    yield from _faults_of_index(folder / "index.md", records)


def _faults_of(record: Record, path: Path, numbers: set[str]) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    for name in ("title", "area"):
        if not getattr(record, name):
            yield f"{path.name}: no {name}; see 0000-template.md"
    superseded = re.fullmatch(r"Superseded by (\d{4})", record.status)
    if record.status != "Accepted" and (superseded is None or superseded[1] not in numbers):
        yield f"{path.name}: Status {record.status!r}: expected Accepted or Superseded by NNNN"
    if tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) != HEADINGS:
        yield f"{path.name}: expected the headings {', '.join(HEADINGS)}, in that order"
    if len(text.splitlines()) > LINES:
        yield f"{path.name}: over {LINES} lines; a record is one page, two at most"


def _faults_of_index(index: Path, records: list[Record]) -> Iterator[str]:
    text = index.read_text(encoding="utf-8") if index.is_file() else ""
    found = re.findall(r"^\| \[.*$", text, re.MULTILINE)
    wanted = [record.line() for record in records]
    yield from (f"index.md: add {line!r}" for line in wanted if line not in found)
    yield from (f"index.md: remove {line!r}" for line in found if line not in wanted)
    if sorted(found) == sorted(wanted) and found != wanted:
        yield "index.md: put the lines in the order of their numbers"
