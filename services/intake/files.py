"""Logs as files: CSV and JSONL, plain or gzip, row by row; a broken row never stops the rest."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import BinaryIO, Final, cast

from services.intake.mapping import Log, Map, Mapped, Mapper, Row
from services.intake.mapping.rows import Line, json_rows, table_rows
from services.kernel.errors import Fault, WrongUse

_JSON: Final = (".jsonl", ".ndjson", ".json")
_TABLE: Final = (".csv", ".tsv", ".txt")


def mapped(whole: Map, paths: Sequence[Path], *, replay: bool) -> Iterator[Mapped]:
    """Yield the items of files, in order of the files and their rows (not sorted by receipt).

    Args:
        whole: The map; each file takes the first log whose pattern its name fits.
        paths: Files; `.csv` or `.jsonl`, also with `.gz` after it.
        replay: Whether items bring their receipt along.

    Raises:
        WrongUse: a file is missing, is of no known kind, or no log of the map is for it.
        Faults: the map names a column that a file does not have.
    """
    for path in paths:
        log = _log_for(whole, path)
        with _open(path) as stream:
            lines = _lines(stream, whole.encoding)
            if _kind(path) == "jsonl":
                columns, rows = json_rows(lines, log)
            else:
                columns, rows = table_rows(lines, whole.delimiter, path.name)
            cells = _kind(path) == "csv"
            mapper = Mapper(whole, log, path.name, columns, replay=replay, cells=cells)
            try:
                for row in rows:
                    yield from mapper.items(row)
            except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
                raise WrongUse(_cut_short(path)) from exc


def raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of the lines of a JSONL file, without empty ones."""
    with _open(path) as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield number, line.strip()


@contextmanager
def table(path: Path) -> Iterator[tuple[Sequence[str], Iterator[Row]]]:
    """Open a CSV file in UTF-8: its columns and its rows."""
    with _open(path) as stream:
        yield table_rows(_lines(stream, "utf-8"), ",", path.name)


def is_json(path: Path) -> bool:
    """Tell whether a file is JSONL by its name; raises WrongUse for a name of no known kind."""
    return _kind(path) == "jsonl"


def _log_for(whole: Map, path: Path) -> Log:
    for log in whole.logs:
        if fnmatch(path.name, log.pattern) or fnmatch(path.name.removesuffix(".gz"), log.pattern):
            return log
    raise WrongUse(
        Fault(
            where=path.name,
            expected="a name that fits one of " + ", ".join(log.pattern for log in whole.logs),
            found="a file for which the map has no log",
            remedy="add an entry under `logs` of the map, or leave the file out",
            code="no_log",
        )
    )


def _kind(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    last = (
        (suffixes[-2] if len(suffixes) > 1 else "")
        if suffixes[-1:] == [".gz"]
        else "".join(suffixes[-1:])
    )
    if last in _JSON:
        return "jsonl"
    if last in _TABLE:
        return "csv"
    raise WrongUse(
        Fault(
            where=path.name,
            expected="a file named *.csv or *.jsonl, also with .gz after it",
            found="another name",
            remedy="save the sheet as CSV (UTF-8) and give that file",
            code="file_kind",
        )
    )


def _open(path: Path) -> BinaryIO:
    _kind(path)
    try:
        if path.suffix.lower() == ".gz":
            return cast("BinaryIO", gzip.open(path, "rb"))
        return path.open("rb")
    except OSError as exc:
        raise WrongUse(
            Fault(path.name, "a file that can be read", type(exc).__name__, "correct the path")
        ) from exc


def _cut_short(path: Path) -> Fault:
    return Fault(
        path.name, "a whole gzip file", "a damaged or cut-off one", "fetch the file again", "gzip"
    )


def _lines(stream: BinaryIO, encoding: str) -> Iterator[Line]:
    first = True
    for number, raw in enumerate(stream, 1):
        line = raw.removeprefix(b"\xef\xbb\xbf") if first else raw
        first = False
        try:
            yield Line(number, line.decode(encoding).rstrip("\r\n"))
        except UnicodeDecodeError as exc:
            fault = Fault(
                where=f"byte {exc.start + 1} of the line",
                expected=f"text in {encoding}",
                found="other bytes",
                remedy="save the file as UTF-8, or set `encoding` in the map (gb18030 for Excel)",
                code="not_text",
            )
            yield Line(number, line.decode(encoding, "replace").rstrip("\r\n"), fault)
