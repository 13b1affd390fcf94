"""Files as batches of texts: what is wrong with a file is said by line, never by content."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from services.risk.training.faults import refuse

BLOCK_BYTES = 4 << 20
_GUESSES = ("utf-8", "gb18030", "big5", "utf-16", "cp1252")


class Digest(Protocol):
    """What takes the bytes of the file for its snapshot id."""

    def update(self, data: bytes, /) -> None: ...


def batches(
    path: Path,
    *,
    encoding: str = "utf-8",
    notes: list[str],
    digest: Digest | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Any]:
    """Yield arrow record batches whose columns are all texts (UTF-8), in file order.

    Raises:
        WrongUse: no such file, a spreadsheet, damaged compression, wrong encoding, unequal rows.
    """
    if not path.is_file():
        raise refuse(
            str(path),
            found="no such file",
            expected="a CSV, CSV.gz or Parquet file",
            remedy="correct the path",
        )
    with path.open("rb") as raw:
        magic = raw.read(4)
    if magic[:2] == b"PK" or magic == b"\xd0\xcf\x11\xe0":
        raise refuse(
            path.name,
            found="a spreadsheet or archive",
            expected="CSV, CSV.gz or Parquet",
            remedy="save the sheet as CSV UTF-8",
        )
    try:
        if magic == b"PAR1":
            yield from _parquet(path, notes, digest, progress)
        else:
            yield from _csv(path, encoding, notes, digest, progress)
    except (EOFError, gzip.BadGzipFile, zlib.error) as exc:
        raise refuse(
            path.name,
            found="damaged compression",
            expected="a whole .gz file",
            remedy="copy or export the file again",
        ) from exc


def _parquet(
    path: Path,
    notes: list[str],
    digest: Digest | None,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Any]:
    with path.open("rb") as raw:
        while digest is not None and (data := raw.read(BLOCK_BYTES)):
            digest.update(data)
    try:
        file = pq.ParquetFile(path)
        names = _unique([str(name) for name in file.schema_arrow.names], notes)
        done = 0
        for batch in file.iter_batches(batch_size=32768):
            columns = [_texts(path, n, c) for n, c in zip(names, batch.columns, strict=True)]
            done += batch.num_rows
            if progress:
                progress(done, file.metadata.num_rows)
            yield pa.RecordBatch.from_arrays(columns, names=names)
    except (pa.ArrowException, OSError) as exc:
        raise refuse(
            path.name,
            found="a damaged Parquet file",
            expected="a whole Parquet file",
            remedy="copy or export the file again",
        ) from exc


def _texts(path: Path, name: str, column: Any) -> Any:
    """Return a Parquet column as texts."""
    kind = "a nested type"
    if not pa.types.is_nested(column.type):
        try:
            return column.cast(pa.string())
        except pa.ArrowException:
            kind = f"the type {column.type}"
    raise refuse(
        f"{path.name}: column {name!r}",
        found=kind,
        expected="numbers, texts or dates",
        remedy="write one value a cell, texts as UTF-8, or leave the column out",
    )


class _Watched(io.RawIOBase):
    """The compressed or plain file, telling how far it has been read."""

    def __init__(
        self,
        file: IO[bytes],
        size: int,
        digest: Digest | None,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.file, self.size, self.digest, self.progress, self.done = (
            file,
            size,
            digest,
            progress,
            0,
        )

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        self.done += len(data)
        if self.digest is not None:
            self.digest.update(data)
        if self.progress:
            self.progress(self.done, self.size)
        return len(data)


@contextmanager
def _opened(
    path: Path,
    digest: Digest | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[IO[bytes]]:
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        watched = io.BufferedReader(_Watched(raw, path.stat().st_size, digest, progress), 1 << 20)
        yield gzip.GzipFile(fileobj=watched) if zipped else watched  # type: ignore[misc]


def _csv(
    path: Path,
    encoding: str,
    notes: list[str],
    digest: Digest | None,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Any]:
    names, delimiter = _header(path, encoding, notes)
    unequal: list[Any] = []

    def odd_row(row: Any) -> str:
        unequal.append(row)
        return "skip"

    with _opened(path, digest, progress) as stream:
        try:
            reader = pa_csv.open_csv(
                stream,
                pa_csv.ReadOptions(
                    use_threads=False,
                    block_size=BLOCK_BYTES,
                    skip_rows=1,
                    column_names=names,
                    encoding=_arrow_name(encoding),
                ),
                pa_csv.ParseOptions(
                    delimiter=delimiter, newlines_in_values=True, invalid_row_handler=odd_row
                ),
                pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
                ),
            )
            while True:
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    break
                _equal(path, unequal)
                yield batch
            _equal(path, unequal)
        except pa.ArrowInvalid as exc:
            _equal(path, unequal)
            if "empty" in str(exc).lower():
                return
            raise _unreadable(path, encoding, exc) from None
        except UnicodeDecodeError:
            raise _wrong_encoding(path, encoding) from None


def _arrow_name(encoding: str) -> str:
    return (
        "utf8" if encoding.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig"} else encoding
    )


def _equal(path: Path, unequal: list[Any]) -> None:
    if unequal:
        row = unequal[0]
        line = f" line {row.number}" if row.number else ""
        raise refuse(
            f"{path.name}{line}",
            found=f"{row.actual_columns} fields",
            expected=f"{row.expected_columns} fields as in the header",
            remedy="mend the line (often a comma inside a text without quotes)",
        )


def _header(path: Path, encoding: str, notes: list[str]) -> tuple[list[str], str]:
    """Return unique column names and the delimiter."""
    with _opened(path) as stream:
        head = stream.read(1 << 20)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") and not encoding.lower().startswith("utf-16"):
        raise refuse(
            path.name,
            found="UTF-16 text",
            expected=encoding.upper(),
            remedy="add --encoding utf-16, or save the file as CSV UTF-8",
        )
    line = head.split(b"\n", 1)[0] if not encoding.lower().startswith("utf-16") else head
    if not line.strip():
        raise refuse(
            path.name,
            found="an empty file",
            expected="a header line and rows",
            remedy="export the table again",
        )
    try:
        text = line.decode(
            "utf-8-sig" if _arrow_name(encoding) == "utf8" else encoding,
            "ignore" if line is head else "strict",
        )
    except (UnicodeDecodeError, LookupError):
        raise _wrong_encoding(path, encoding) from None
    first = text.lstrip("\ufeff").splitlines()[0]
    if first.count('"') % 2:
        raise refuse(
            f"{path.name} line 1",
            found="a column name with a line break inside",
            expected="the header on one line",
            remedy="write the column names without line breaks",
        )
    delimiter = max(",;\t|", key=first.count)
    names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter))]
    return _unique(names, notes), delimiter


def _unique(names: list[str], notes: list[str]) -> list[str]:
    out: list[str] = []
    for place, name in enumerate(names, 1):
        base = name or f"column_{place}"
        unique, copy = base, 2
        while unique in out:
            unique, copy = f"{base}.{copy}", copy + 1
        if unique != base:
            notes.append(
                f"column {base!r} occurs twice in the header: the later one is read as {unique!r}"
            )
        out.append(unique)
    return out


def _unreadable(path: Path, encoding: str, exc: Exception) -> Exception:
    if "utf8" in str(exc).lower() or "utf-8" in str(exc).lower():
        return _wrong_encoding(path, encoding)
    return refuse(
        path.name,
        found="rows that cannot be taken apart",
        expected="comma-separated text",
        remedy="check the quotes and the separator near the place where it breaks off",
    )


def _wrong_encoding(path: Path, encoding: str) -> Exception:
    """Return an error that names the line and, where one fits, the encoding that reads the file."""
    with _opened(path) as stream:
        data = stream.read(16 << 20)
    try:
        data.decode(encoding)
        place = "beyond the first 16 MB"
    except LookupError:
        return refuse(
            "--encoding",
            found=f"unknown encoding {encoding!r}",
            expected="utf-8 or gb18030",
            remedy="correct the name",
        )
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        place = f"line {line}, byte 0x{data[exc.start]:02x}"
    fits = next((g for g in _GUESSES if g != encoding and _decodes(data, g)), None)
    remedy = f"it reads as {fits}: add --encoding {fits}" if fits else "save the file as CSV UTF-8"
    return refuse(
        f"{path.name}: {place}",
        found=f"bytes that are not {encoding.upper()}",
        expected=f"{encoding.upper()} text",
        remedy=remedy,
    )


def _decodes(data: bytes, encoding: str) -> bool:
    for cut in range(4):
        try:
            data[: len(data) - cut].decode(encoding)
        except UnicodeDecodeError:
            continue
        return True
    return False
