"""From a table to the raw matrix, and from the raw matrix to what trees and the logistic see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse

from services.risk.adapters.model_arrays import Encoding, Linear, RawColumn
from services.risk.training.inference import days_of
from services.risk.training.table import Bools, Column, Floats, Ints, Table

ONE_HOT_MAX = 12
"""More categories than this are looked up by their (cross-fitted, smoothed) outcome instead."""
PREFIX_FROM = 100
"""Codes with more distinct values (ICD, say) get their first three characters as a column too."""
PREFIX = 3
SMOOTH_ROWS = 30.0
"""A category counts its parent's average as this many rows; found flat between 10 and 60."""
INNER_FOLDS = 5
STRAIGHT, BENT = (0.005, 0.995), (0.005, 0.33, 0.67, 0.995)
"""Quantiles between which the logistic's ramps run. Six ramps a number lost on every public set by
the same folds; whether one or three fit better differs, so cross-validation chooses."""


def raw_columns(table: Table, kinds: Mapping[str, str], time: str) -> list[RawColumn]:
    """Return the raw columns of the features; a mixed column gives a number and a category."""
    out = []
    for name, kind in kinds.items():
        column = table[name]
        if kind == "date":
            out.append(RawColumn(name, f"days before {time}" if time else "days"))
        if kind in {"number", "mixed", "both"}:
            out.append(RawColumn(name, "number"))
        if kind in {"category", "mixed", "both"}:
            words = [
                t
                for t, p in zip(column.texts, column.parsed, strict=True)
                if kind != "mixed" or np.isnan(p)
            ]
            out.append(RawColumn(name, "category", tuple(words)))
    return out


def raw_matrix(table: Table, columns: Sequence[RawColumn], time: str = "") -> Floats:
    """Return n x r; a column that the table lacks counts as missing in every row."""
    out = np.empty((table.rows, len(columns)), order="F")
    for j, column in enumerate(columns):
        found = table.columns.get(column.name)
        if found is None:
            empty = len(column.vocabulary) + 1 if column.kind == "category" else np.nan
            out[:, j] = empty
        elif column.kind == "category":
            out[:, j] = _codes(found, column.vocabulary, {c.name for c in columns[:j]})
        elif column.kind == "number":
            out[:, j] = found.numbers()
        else:
            start = days_of(table[time]) if time and time in table.columns else 0.0
            out[:, j] = start - days_of(found) if time else days_of(found)
    return out


def _codes(column: Column, vocabulary: tuple[str, ...], before: set[str]) -> Floats:
    known = {word: float(code) for code, word in enumerate(vocabulary)}
    unseen, missing = float(len(vocabulary)), float(len(vocabulary)) + 1
    numeric_twin = column.name in before
    each = [
        known.get(text, missing if numeric_twin and not np.isnan(number) else unseen)
        for text, number in zip(column.texts, column.parsed, strict=True)
    ]
    return np.asarray([*each, missing])[column.codes]


@dataclass(frozen=True)
class Codebook:
    """Which raw columns become one-hot columns and which are looked up; fixed before any fold."""

    columns: tuple[RawColumn, ...]
    onehot: tuple[int, ...]
    looked_up: tuple[int, ...]
    prefixes: Mapping[int, Ints]


def codebook(columns: Sequence[RawColumn]) -> Codebook:
    """Return how each raw column is encoded, from its vocabulary alone."""
    onehot: list[int] = []
    looked: list[int] = []
    prefixes: dict[int, Ints] = {}
    for j, column in enumerate(columns):
        size = len(column.vocabulary)
        if column.kind != "category":
            continue
        (onehot if size <= ONE_HOT_MAX else looked).append(j)
        if size > PREFIX_FROM:
            heads = sorted({word[:PREFIX] for word in column.vocabulary})
            if len(heads) < 0.95 * size:
                place = {head: k for k, head in enumerate(heads)}
                prefixes[j] = np.asarray([place[w[:PREFIX]] for w in column.vocabulary], np.int64)
    return Codebook(tuple(columns), tuple(onehot), tuple(looked), prefixes)


def outcome_columns(y: Ints, heads: int, *, ordinal: bool) -> Floats:
    """Return n x h: the 0/1 outcomes that the heads predict."""
    if heads == 1 or ordinal:
        return np.stack([(y > k).astype(float) for k in range(heads)], axis=1)
    return np.stack([(y == k).astype(float) for k in range(heads)], axis=1)


def fit_encoding(
    book: Codebook, raw: Floats, outcomes: Floats, groups: Ints
) -> tuple[Encoding, Floats]:
    """Return the encoding, and the training matrix in which no row saw its own group's outcome."""
    whole = _encoding(book, raw, outcomes)
    matrix = whole.apply(raw)
    looked = len(whole.table_raw)
    if looked:
        fold = group_folds(groups, INNER_FOLDS)
        for k in range(INNER_FOLDS):
            inside = fold == k
            if inside.any() and not inside.all():
                part = _encoding(book, raw[~inside], outcomes[~inside])
                matrix[inside, -looked:] = part.apply(raw[inside])[:, -looked:]
    return whole, matrix


def group_folds(groups: Ints, folds: int) -> Ints:
    """Return a fold for each row; rows of one group share it, folds are alike in size."""
    names, inverse = np.unique(groups, return_inverse=True)
    order = np.random.default_rng(len(names)).permutation(len(names))
    return np.asarray(order % folds, np.int64)[inverse]


def _encoding(book: Codebook, raw: Floats, outcomes: Floats) -> Encoding:
    numbers = [j for j, c in enumerate(book.columns) if c.kind != "category"]
    rare = max(5, len(raw) // 2000)
    hot: list[tuple[int, int]] = []
    for j in book.onehot:
        counts = np.bincount(
            raw[:, j].astype(np.int64), minlength=len(book.columns[j].vocabulary) + 2
        )
        codes = [int(c) for c in np.flatnonzero(counts >= rare)]
        hot += [(j, c) for c in (codes[1:] if len(codes) == 2 else codes)]  # noqa: PLR2004
    where, starts, tables, length = [], [], [], 0
    for j in book.looked_up:
        for table in _tables(book, j, raw[:, j], outcomes):
            where.append(j)
            starts.append(length)
            tables.append(table)
            length += len(table)
    return Encoding(
        np.asarray(numbers, np.int64),
        np.asarray([j for j, _ in hot], np.int64),
        np.asarray([c for _, c in hot], np.float64),
        np.asarray(where, np.int64),
        np.asarray(starts, np.int64),
        np.concatenate(tables) if tables else np.zeros(1),
    )


def _tables(book: Codebook, j: int, codes: Floats, outcomes: Floats) -> list[Floats]:
    """Return smoothed outcome shares by code (and by prefix); unseen codes get the average."""
    size = len(book.columns[j].vocabulary)
    index = codes.astype(np.int64)
    heads = book.prefixes.get(j)
    out = []
    for head in range(outcomes.shape[1]):
        outcome = outcomes[:, head]
        counts = np.bincount(index, minlength=size + 2).astype(float)
        sums = np.bincount(index, weights=outcome, minlength=size + 2)
        prior = np.full(size + 2, outcome.mean() if len(outcome) else 0.0)
        if heads is not None:
            total, positive = np.bincount(heads, counts[:size]), np.bincount(heads, sums[:size])
            parent = (positive + SMOOTH_ROWS * prior[0]) / (total + SMOOTH_ROWS)
            prior[:size] = parent[heads]
            out.append(prior.copy())
        table = (sums + SMOOTH_ROWS * prior) / (counts + SMOOTH_ROWS)
        table[size] = prior[size]
        out.append(table)
    return out


@dataclass(frozen=True)
class Design:
    """The logistic's columns: ramps between quantiles, missing flags, categories and prefixes."""

    book: Codebook
    ramp_raw: Ints
    low: Floats
    high: Floats
    scale: Floats
    missing_raw: Ints
    hot: tuple[tuple[int, str, Ints], ...]

    def matrix(self, raw: Floats) -> sparse.csr_array:
        """Return n x d, sparse."""
        ramps = (np.clip(raw[:, self.ramp_raw], self.low, self.high) - self.low) / self.scale
        gone = np.isnan(raw[:, self.missing_raw]).astype(float)
        parts = [sparse.csr_array(np.nan_to_num(ramps)), sparse.csr_array(gone)]
        rows = np.arange(len(raw))
        for j, _, slots in self.hot:
            slot = slots[raw[:, j].astype(np.int64)]
            seen = slot >= 0
            parts.append(
                sparse.csr_array(
                    (np.ones(int(seen.sum())), (rows[seen], slot[seen])),
                    shape=(len(raw), int(slots.max(initial=-1)) + 1),
                )
            )
        return sparse.csr_array(sparse.hstack(parts, format="csr"))

    def signs(self, directions: Mapping[str, str]) -> Ints:
        """Return the required sign of each design column (0 free)."""
        sign = {"+": 1, "-": -1}
        ramps = [sign.get(directions.get(self.book.columns[j].name, "0"), 0) for j in self.ramp_raw]
        rest = len(self.missing_raw) + sum(int(s.max(initial=-1)) + 1 for _, _, s in self.hot)
        return np.asarray([*ramps, *([0] * rest)], np.int64)

    def collapse(self, coef: Floats, intercept: Floats, raw: Floats) -> Linear:
        """Return the fitted coefficients (h x d) as ramps and tables around the training mean."""
        a, b = len(self.ramp_raw), len(self.missing_raw)
        where, starts, length = [], [], 0
        merged: dict[int, Floats] = {}
        offset = a + b
        for j, _, slots in self.hot:
            width = int(slots.max(initial=-1)) + 1
            padded = np.hstack([coef[:, offset : offset + width], np.zeros((len(coef), 1))])
            merged[j] = merged.get(j, np.zeros((len(coef), len(slots)))) + padded[:, slots]
            offset += width
        for j, table in merged.items():
            where.append(j)
            starts.append(length)
            length += table.shape[1]
        tables = np.hstack(list(merged.values())) if merged else np.zeros((len(coef), 1))
        linear = Linear(
            intercept,
            self.ramp_raw,
            self.low,
            self.high,
            coef[:, :a] / self.scale,
            self.missing_raw,
            coef[:, a : a + b],
            np.asarray(where, np.int64),
            np.asarray(starts, np.int64),
            tables,
            np.zeros((len(coef), raw.shape[1])),
        )
        mean = linear.effects(raw).mean(axis=0)
        return Linear(**{**vars(linear), "mean": mean})


def fit_design(book: Codebook, raw: Floats, knots: tuple[float, ...] = BENT) -> Design:
    """Return the logistic's columns, from the training rows alone."""
    ramps: list[tuple[int, float, float, float]] = []
    missing, hot = [], []
    rare = max(8, len(raw) // 1600)
    for j, column in enumerate(book.columns):
        if column.kind != "category":
            ramps += _ramps(j, raw[:, j], knots)
            gone = np.isnan(raw[:, j])
            if rare <= gone.sum() <= len(raw) - rare:
                missing.append(j)
            continue
        counts = np.bincount(raw[:, j].astype(np.int64), minlength=len(column.vocabulary) + 2)
        hot.append((j, "value", _slots(counts >= rare)))
        if j in book.prefixes:
            heads = book.prefixes[j]
            total = np.bincount(heads, counts[: len(heads)])
            slots = _slots(total >= rare)
            hot.append((j, "prefix", np.asarray([*slots[heads], -1, -1], np.int64)))
    columns = np.asarray(ramps, float).reshape(-1, 4)
    return Design(
        book,
        columns[:, 0].astype(np.int64),
        columns[:, 1],
        columns[:, 2],
        columns[:, 3],
        np.asarray(missing, np.int64),
        tuple(hot),
    )


def _slots(kept: Bools) -> Ints:
    return np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int64)


def _ramps(
    j: int, values: Floats, quantiles: tuple[float, ...]
) -> list[tuple[int, float, float, float]]:
    filled = values[~np.isnan(values)]
    if len(filled) == 0:
        return []
    knots = np.unique(np.quantile(filled, quantiles))
    out = []
    for low, high in pairwise(knots):
        spread = float(np.std(np.nan_to_num(np.clip(values, low, high) - low)))
        if spread > 1e-12:  # noqa: PLR2004
            out.append((j, float(low), float(high), spread))
    return out
