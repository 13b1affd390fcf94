"""Tables as distinct texts and codes, read from CSV, gzip or Parquet in bounded memory."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from services.kernel.yamlfile import nearest
from services.risk.training.faults import refuse
from services.risk.training.files import batches

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MISSING_WORDS = (
    "", "?", "-", "--", ".", "na", "n/a", "#n/a", "nan", "nat", "null", "missing",
    "未填", "缺失", "无数据",
)  # fmt: skip
"""Texts that say nothing was written; compared without case. More can be given in the spec."""

MAX_ROWS = 200_000
"""Rows kept for training; a larger file is thinned by a hash of its group, so whole groups stay."""

_NUMBER = (
    r"^[<>≤≥=~约]*\s*[-+]?(\d+(,\d{3})+|\d+)?(\.\d*)?([eE][-+]?\d+)?\s*(%|[^\d\s.,;:/\-]{1,8})?$"
)
_DECIMAL = re.compile(r"-?\d+\.\d*")
_LEAD = r"^[<>≤≥=~约]*\s*"
_TAIL = r"\s*(%|[^\d\s.,;:/\-eE]{1,8}|[eE][^\d\s.,;:/\-+]{1,7})$"


@dataclass(frozen=True)
class Column:
    """One column: `codes` index into the distinct texts `values`; -1 is missing."""

    name: str
    codes: NDArray[np.int32]
    values: Any

    @property
    def distinct(self) -> int:
        """Number of distinct texts that occur."""
        return len(self.values)

    @property
    def missing(self) -> Bools:
        return self.codes < 0

    @cached_property
    def counts(self) -> Ints:
        """Rows per distinct text, in the order of `values`."""
        return np.bincount(self.codes[self.codes >= 0], minlength=self.distinct)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        return tuple(self.values.to_pylist())

    @cached_property
    def parsed(self) -> Floats:
        """The number that each distinct text stands for; NaN where it is none."""
        return parse_numbers(self.values)

    def numbers(self) -> Floats:
        """Return one number a row; NaN where missing or not a number."""
        if self.distinct == 0:
            return np.full(len(self.codes), np.nan)
        return np.where(self.codes < 0, np.nan, self.parsed[self.codes])

    def text_rows(self) -> list[str]:
        """Return one text a row; empty where missing."""
        texts = (*self.texts, "")
        return [texts[code] for code in self.codes]

    def take(self, rows: Ints) -> Column:
        """Return the column of these rows only, without texts that no longer occur."""
        codes = self.codes[rows]
        used = np.unique(codes[codes >= 0])
        lookup = np.full(self.distinct + 1, -1, np.int32)
        lookup[used] = np.arange(len(used), dtype=np.int32)
        return Column(self.name, lookup[codes], self.values.take(pa.array(used)))


@dataclass(frozen=True)
class Table:
    """Columns of equal length in file order, and what was met while reading."""

    columns: dict[str, Column]
    rows: int
    rows_in_file: int
    notes: tuple[str, ...] = ()
    digest: str = ""
    source: str = field(default="", compare=False)

    def __getitem__(self, name: str) -> Column:
        if name not in self.columns:
            raise refuse(
                f"{self.source}: column {name!r}",
                found="no such column",
                expected="one of the file's columns",
                remedy="correct the name" + nearest_names(name, self.columns),
            )
        return self.columns[name]

    def take(self, rows: Ints) -> Table:
        """Return these rows in this order."""
        kept = {name: column.take(rows) for name, column in self.columns.items()}
        return Table(kept, len(rows), self.rows_in_file, self.notes, self.digest, self.source)


def nearest_names(name: str, known: Sequence[str] | dict[str, Column]) -> str:
    """Return a hint with the closest column names, case ignored."""
    by_lower = {str(k).lower(): str(k) for k in known}
    hint = nearest(name.lower(), by_lower)
    for low in sorted(by_lower, key=len, reverse=True):
        hint = hint.replace(low, by_lower[low]) if low in hint else hint
    return hint or f" (the file has {', '.join(list(map(str, known))[:12])}, …)"


def parse_numbers(values: Any) -> Floats:
    """Return the number of each text (full-width digits, commas, signs and units allowed)."""
    if len(values) == 0:
        return np.empty(0)
    plain = pc.utf8_normalize(values, form="NFKC")
    plain = pc.utf8_trim_whitespace(plain)
    bare = pc.match_substring_regex(plain, r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")
    if not pc.all(bare).as_py():
        like = pc.and_(
            pc.match_substring_regex(plain, _NUMBER),
            pc.match_substring_regex(plain, r"^[<>≤≥=~约]*\s*[-+]?\.?\d"),
        )
        cut = pc.replace_substring_regex(plain, _LEAD, "")
        cut = pc.replace_substring_regex(cut, _TAIL, "")
        cut = pc.replace_substring(cut, ",", "")
        plain = pc.if_else(bare, plain, pc.if_else(like, cut, pa.scalar(None, pa.string())))
        ok = pc.match_substring_regex(plain, r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")
        plain = pc.if_else(pc.fill_null(ok, fill_value=False), plain, pa.scalar(None, pa.string()))
    plain = pc.replace_substring_regex(plain, r"^\+", "")
    numbers = np.asarray(pc.cast(plain, pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    numbers = np.where(np.isinf(numbers), np.nan, numbers)  # 1e400 is no measurement
    return _with_intervals(values, numbers)


def _with_intervals(values: Any, numbers: Floats) -> Floats:
    """Return the numbers with the middle of each interval text such as `[70-80)` filled in."""
    found = pc.extract_regex(
        values, r"^[\[(]?(?P<low>\d{1,4})\s*[-–~至]\s*(?P<high>\d{1,4})[\])岁]?$"
    )
    if found.null_count == len(found):
        return numbers
    low = pc.cast(pc.struct_field(found, 0), pa.float64()).to_numpy(zero_copy_only=False)
    high = pc.cast(pc.struct_field(found, 1), pa.float64()).to_numpy(zero_copy_only=False)
    middle = np.where(np.asarray(low) < np.asarray(high), (low + high) / 2, np.nan)
    return np.where(np.isnan(numbers), middle, numbers)


def encode(name: str, array: Any, missing_words: Sequence[str] = ()) -> Column:
    """Return a column from an arrow array of texts; words for `missing` become missing."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    encoded = pc.dictionary_encode(pc.utf8_trim_whitespace(array))
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    values = encoded.dictionary
    words = pa.array([*MISSING_WORDS, *(w.lower() for w in missing_words)], pa.string())
    gone = np.asarray(pc.is_in(pc.utf8_lower(values), words).to_numpy(zero_copy_only=False), bool)
    raw = np.asarray(encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
    order = np.asarray(pc.array_sort_indices(values).to_numpy(), np.int64)
    order = order[~gone[order]]
    lookup = np.full(len(values) + 1, -1, np.int32)
    lookup[order] = np.arange(len(order), dtype=np.int32)
    return Column(name, lookup[raw], values.take(pa.array(order)))


def read_table(
    path: Path,
    *,
    encoding: str = "utf-8",
    keep_by: str | None = None,
    max_rows: int = MAX_ROWS,
    missing_words: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Table:
    """Return a table of at most about `max_rows` rows, thinned by whole groups of `keep_by`.

    Raises:
        WrongUse: missing, empty, damaged or wrongly encoded file, rows of unequal length.
    """
    thinner = _Thinner(max_rows)
    notes: list[str] = []
    total, digest = 0, hashlib.sha256()
    for batch in batches(path, encoding=encoding, notes=notes, progress=progress, digest=digest):
        thinner.add(batch, _hashes(batch, keep_by, total, path))
        total += batch.num_rows
    if total == 0:
        raise refuse(
            path.name,
            found="no data rows",
            expected="a header line and at least 50 rows",
            remedy="export the table again",
        )
    merged = thinner.table()
    if merged.num_rows < total:
        notes.append(
            f"{total:,} rows in the file; {merged.num_rows:,} kept for training "
            f"(whole groups, chosen by hash; --max-rows sets the bound)"
        )
    columns = {
        name: encode(name, merged.column(name), missing_words) for name in merged.schema.names
    }
    return Table(columns, merged.num_rows, total, tuple(notes), digest.hexdigest(), path.name)


def read_chunks(
    path: Path,
    *,
    encoding: str = "utf-8",
    missing_words: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Table]:
    """Yield the file as tables of some ten thousand rows, in order: memory does not grow."""
    for batch in batches(path, encoding=encoding, notes=[], progress=progress):
        columns = {
            name: encode(name, batch.column(name), missing_words) for name in batch.schema.names
        }
        yield Table(columns, batch.num_rows, batch.num_rows, source=path.name)


class _Thinner:
    """Keeps the rows with the smallest hashes, so that the choice does not depend on the order."""

    def __init__(self, max_rows: int) -> None:
        self.max_rows = max_rows
        self.limit = np.uint64(2**64 - 1)
        self.kept: list[tuple[Any, NDArray[np.uint64]]] = []
        self.rows = 0

    def add(self, batch: Any, hashes: NDArray[np.uint64]) -> None:
        self._keep(batch, hashes)
        if self.rows > 2 * self.max_rows:
            self._thin()

    def _keep(self, batch: Any, hashes: NDArray[np.uint64]) -> None:
        mask = hashes <= self.limit
        if not mask.all():
            batch, hashes = batch.filter(pa.array(mask)), hashes[mask]
        if batch.num_rows:
            self.kept.append((batch, hashes))
            self.rows += batch.num_rows

    def _thin(self) -> None:
        every = np.sort(np.concatenate([hashes for _, hashes in self.kept]))
        self.limit = every[self.max_rows - 1]
        if every[self.max_rows] == self.limit:  # a group across the border stays out whole
            self.limit = np.uint64(max(int(self.limit) - 1, 0))
        old, self.kept, self.rows = self.kept, [], 0
        for batch, hashes in old:
            self._keep(batch, hashes)

    def table(self) -> Any:
        if self.rows > self.max_rows:
            self._thin()
        return pa.Table.from_batches([batch for batch, _ in self.kept])


def _hashes(batch: Any, keep_by: str | None, start: int, path: Path) -> NDArray[np.uint64]:
    if keep_by is None:
        numbers = np.arange(start, start + batch.num_rows, dtype=np.uint64)
        return _mix(numbers + np.uint64(1))
    if keep_by not in batch.schema.names:
        raise refuse(
            f"{path.name}: column {keep_by!r}",
            found="no such column",
            expected="the column that names the group of a row",
            remedy="correct --group" + nearest_names(keep_by, batch.schema.names),
        )
    encoded = pc.dictionary_encode(batch.column(keep_by))
    each = [hash_text(str(value)) for value in encoded.dictionary.to_pylist()]
    lookup: NDArray[np.uint64] = np.asarray([*each, 0], np.uint64)
    places = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return np.asarray(lookup[np.asarray(places)], dtype=np.uint64)


def hash_text(text: str) -> int:
    """Return a stable 64-bit hash of a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _mix(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return splitmix64 of each number: equal inputs, equal outputs, evenly spread."""
    z = numbers * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)), dtype=np.uint64)


def _plainly(text: str) -> str:
    return text.rstrip("0").rstrip(".") if _DECIMAL.fullmatch(text) else text


def row_hashes(columns: Sequence[Column], rows: int) -> NDArray[np.uint64]:
    """Return a hash of each row over these columns; the same texts give the same hash anywhere."""
    total = np.zeros(rows, np.uint64)
    for column in columns:
        total += column_hashes(column)
    return total


def column_hashes(column: Column) -> NDArray[np.uint64]:
    """Return a hash of (name, text) for each row, to be added up over columns.

    A number has the same hash as `61`, `61.0` or `61.00`: the same table in CSV and in Parquet.
    """
    salt = hash_text(column.name)
    each = [hash_text(f"{salt}:{_plainly(text)}") for text in column.texts]
    return np.asarray([*each, salt], np.uint64)[column.codes]
