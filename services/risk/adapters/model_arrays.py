"""A trained model as plain arrays: rows to log-odds and signed contributions, without scikit-learn.

Shapes: n rows, r raw columns, e encoded columns, f features, h heads (one for binary and ordinal
targets, one a class otherwise). Everything is float64. Pure: no state changes, no randomness.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CHUNK = 496
"""Rows scored at a time: what 400 trees need for them stays inside the processor's cache. No power
of two: its columns would all fall into the same few lines of that cache."""


@dataclass(frozen=True)
class RawColumn:
    """One column of the raw matrix.

    `number`: the value, NaN if missing. `category`: index into `vocabulary`; its length means a
    value never seen in training, its length + 1 means missing.
    """

    name: str
    kind: str
    vocabulary: tuple[str, ...] = ()


@dataclass(frozen=True)
class Encoding:
    """Raw matrix to the matrix the trees see: numbers, one-hot columns, then looked-up values."""

    numbers: Ints
    onehot_raw: Ints
    onehot_code: Floats
    table_raw: Ints
    table_start: Ints
    table: Floats

    def apply(self, raw: Floats) -> Floats:
        """Return n x e, Fortran order (each column is contiguous)."""
        looked = raw[:, self.table_raw].astype(np.int64) + self.table_start
        hot = raw[:, self.onehot_raw] == self.onehot_code
        return np.asfortranarray(np.hstack([raw[:, self.numbers], hot, self.table[looked]]))

    def raw_of(self) -> Ints:
        """Return, for each encoded column, its raw column."""
        return np.concatenate([self.numbers, self.onehot_raw, self.table_raw])


@dataclass(frozen=True)
class Linear:
    """A sum over raw columns: ramps between knots for numbers, a table for categories.

    Ramp k adds `coef[:, k] * (clip(x, low, high) - low)`; a missing number adds `missing[:, raw]`.
    `mean` is each raw column's average effect in training, which the base holds.
    """

    intercept: Floats
    ramp_raw: Ints
    low: Floats
    high: Floats
    coef: Floats
    missing_raw: Ints
    missing: Floats
    table_raw: Ints
    table_start: Ints
    table: Floats
    mean: Floats

    @property
    def base(self) -> Floats:
        """Score of the average row, one a head."""
        return np.asarray(self.intercept + self.mean.sum(axis=1))

    def effects(self, raw: Floats, *, detail: bool = True) -> Floats:
        """Return n x h x r effects around the training mean (n x h x 1 sums unless `detail`).

        With `base` they give the score.
        """
        ramps = np.clip(raw[:, self.ramp_raw], self.low, self.high) - self.low
        np.nan_to_num(ramps, copy=False)
        gone = np.isnan(raw[:, self.missing_raw])
        codes = raw[:, self.table_raw].astype(np.int64) + self.table_start
        if not detail:
            total = ramps @ self.coef.T + gone @ self.missing.T - self.mean.sum(axis=1)
            total += self.table[:, codes].sum(axis=2).T
            return np.asarray(total[:, :, None])
        return self._detailed(ramps, gone, codes, raw.shape[1])

    def _detailed(self, ramps: Floats, gone: NDArray[np.bool_], codes: Ints, width: int) -> Floats:
        out = np.empty((len(ramps), len(self.intercept), width))
        firsts = np.flatnonzero(np.diff(self.ramp_raw, prepend=-1))
        for head in range(len(self.intercept)):
            total = np.zeros((len(ramps), width))
            if len(firsts):  # the ramps of a column stand side by side
                sums = np.add.reduceat(ramps * self.coef[head], firsts, axis=1)
                total[:, self.ramp_raw[firsts]] = sums
            total[:, self.missing_raw] += gone * self.missing[head]
            total[:, self.table_raw] += self.table[head][codes]
            out[:, head] = total - self.mean[head]
        return out


@dataclass(frozen=True)
class Forest:
    """Boosted trees of all heads, evaluated by bit masks: every split at once, no walking.

    A row's exit leaf in a tree is the lowest bit left after the masks of all splits that it fails.
    Split k of all trees forms row k of `feature`, `threshold`, `rank`, `mask` (splits x trees).
    `feature` counts into [matrix with NaN kept | matrix with NaN as lowest]. In large batches
    values are first replaced by their rank among the column's thresholds (`cuts`, one padded row a
    column): small integers compare eight times as fast and decide the same. `payload` holds, for
    each leaf, the steps towards it by raw column, and in its last column their sum.
    """

    heads: tuple[slice, ...]
    feature: Ints
    threshold: Floats
    rank: NDArray[np.uint16]
    cuts: Floats
    mask: NDArray[np.unsignedinteger[Any]]
    leaf_start: Ints
    payload: Floats
    base: Floats

    def leaves(self, values: NDArray[Any], limits: NDArray[Any]) -> NDArray[np.int32]:
        """Return trees x n: the exit leaf, counted over all trees. `values` is 2e x n."""
        splits, trees = self.feature.shape
        kind = self.mask.dtype
        signed: Any = np.int16 if kind == np.uint16 else np.int32
        left = np.full((trees, values.shape[1]), np.iinfo(kind).max, kind)
        for k in range(splits):
            passed = np.take(values, self.feature[k], axis=0) <= limits[k][:, None]
            keep = np.negative(passed.view(np.int8), dtype=signed).view(kind)  # all bits if passed
            keep |= self.mask[k][:, None]
            left &= keep
        if self.mask.dtype == np.uint16:
            place = LOWEST_BIT[left]
        else:
            lowest = left & (~left + np.uint32(1))
            place = np.frexp(lowest.astype(np.float64))[1] - 1
        return np.asarray(place + self.leaf_start[:, None].astype(np.int32), np.int32)

    def effects(self, encoded: Floats, *, detail: bool) -> Floats:
        """Return n x h x r contributions when `detail`, else n x h x 1 sums; without the base."""
        width = self.payload.shape[1] - 1 if detail else 1
        out = np.empty((len(encoded), len(self.heads), width))
        for start in range(0, len(encoded), CHUNK):
            block = encoded[start : start + CHUNK].T
            leaves = self._exits(block)
            for head, trees in enumerate(self.heads):
                out[start : start + CHUNK, head] = self._summed(leaves[trees], detail=detail)
        return out

    def _exits(self, block: Floats) -> NDArray[np.int32]:
        if block.shape[1] < FEW:
            low = np.where(np.isnan(block), -np.inf, block)
            return self.leaves(np.vstack([block, low]), self.threshold)
        most = self.cuts.shape[1] + 1
        codes = np.empty((2 * len(block), block.shape[1]), np.uint8 if most < 256 else np.uint16)  # noqa: PLR2004
        gone = np.isnan(block)
        kept, low = codes[: len(block)], codes[len(block) :]
        kept[:] = self._ranks(block)
        low[:] = kept
        kept[gone], low[gone] = most, 0
        return self.leaves(codes, self.rank.astype(codes.dtype))

    def _ranks(self, block: Floats) -> NDArray[np.int32]:
        """Return how many cuts of its column lie below each value: all columns halve at once."""
        count = self.cuts.shape[1]
        flat = self.cuts.ravel()
        start = (np.arange(len(block), dtype=np.int32) * count - 1)[:, None]
        place = np.repeat(start, block.shape[1], axis=1)
        step = (count + 1) // 2
        while step:
            place += step * (flat[place + step] < block)
            step //= 2
        return np.asarray(place - start, np.int32)

    def _summed(self, leaves: NDArray[np.int32], *, detail: bool) -> Floats:
        trees, count = leaves.shape
        if not detail:
            return np.asarray(self.payload[:, -1][leaves].sum(axis=0)[:, None])
        from scipy import sparse  # a model without trees needs none of it

        picks = sparse.csr_array(
            (
                np.ones(count * trees),
                leaves.T.ravel(),
                np.arange(count + 1, dtype=np.int32) * np.int32(trees),
            ),
            shape=(count, len(self.payload)),
        )
        return np.asarray(picks @ self.payload[:, :-1])


def _lowest_bits() -> NDArray[np.uint8]:
    numbers = np.arange(1 << 16, dtype=np.int64)
    numbers[0] = 1
    return np.asarray(np.frexp((numbers & -numbers).astype(np.float64))[1] - 1, np.uint8)


LOWEST_BIT = _lowest_bits()
FEW = 24
"""Below so many rows the ranks cost more than they save."""


def forest_from_nodes(
    heads: Sequence[Sequence[Any]], baseline: Floats, raw_of: Ints, columns: int
) -> Forest:
    """Return a forest from scikit-learn's node arrays: for each head one structured array a tree.

    The value of an inner node is the average of its leaves by training rows; each split's step
    towards the exit leaf is put down to the raw column split on (`raw_of` names it for each encoded
    column, `columns` counts them), so the steps add up exactly.
    """
    trees, width = [nodes for head in heads for nodes in head], len(raw_of)
    deepest = max([1, *(int(np.sum(nodes["is_leaf"] == 0)) for nodes in trees)])
    feature = np.zeros((deepest, len(trees)), np.int64)
    threshold = np.full((deepest, len(trees)), np.inf)
    mask = np.full((deepest, len(trees)), 0xFFFFFFFF, np.uint32)
    starts, base = np.zeros(len(trees), np.int64), np.asarray(baseline, np.float64).copy()
    payloads: list[Floats] = []
    slices, t = [], 0
    for head, own in enumerate(heads):
        slices.append(slice(t, t + len(own)))
        for nodes in own:
            starts[t] = starts[t - 1] + len(payloads[-1]) if t else 0
            parts = (feature[:, t], threshold[:, t], mask[:, t])
            base[head] += _one_tree(nodes, raw_of, columns, parts, payloads)
            t += 1
    cuts, rank = _ranked(feature % width, threshold, width)
    small: NDArray[np.unsignedinteger[Any]] = mask.astype(np.uint16) if deepest < 16 else mask  # noqa: PLR2004
    return Forest(
        tuple(slices), feature, threshold, rank, cuts, small, starts, np.concatenate(payloads), base
    )


def _ranked(column: Ints, threshold: Floats, width: int) -> tuple[Floats, NDArray[np.uint16]]:
    """Return each column's thresholds, padded with inf to one less than a power of two; ranks."""
    every = [np.unique(threshold[column == j]) for j in range(width)]
    most = max(len(own) for own in every)
    cuts = np.full((width, 2 ** int(most).bit_length() - 1), np.inf)
    rank = np.zeros(column.shape, np.uint16)
    for j, own in enumerate(every):
        cuts[j, : len(own)] = own
        inside = column == j
        rank[inside] = np.searchsorted(own, threshold[inside])
    return cuts, rank


def _one_tree(
    nodes: Any,
    raw_of: Ints,
    columns: int,
    out: tuple[Ints, Floats, NDArray[np.uint32]],
    payloads: list[Floats],
) -> float:
    feature, threshold, mask = out
    width = len(raw_of)
    values, span = _node_values(nodes)
    leaf_rows: list[Floats] = []
    splits = 0

    def walk(index: int, path: Floats) -> None:
        nonlocal splits
        node = nodes[index]
        if node["is_leaf"]:
            leaf_rows.append(np.append(path, values[index] - values[0]))
            return
        column = int(node["feature_idx"])
        feature[splits] = column + (width if node["missing_go_to_left"] else 0)
        threshold[splits] = node["num_threshold"]
        low, high = span[int(node["left"])]
        mask[splits] = 0xFFFFFFFF & ~(((1 << (high - low)) - 1) << low)
        splits += 1
        for child in (int(node["left"]), int(node["right"])):
            step = path.copy()
            step[raw_of[column]] += values[child] - values[index]
            walk(child, step)

    walk(0, np.zeros(columns))
    payloads.append(np.asarray(leaf_rows))
    return float(values[0])


def _node_values(nodes: Any) -> tuple[Floats, list[tuple[int, int]]]:
    """Return each node's value and the range of leaves below it, counted from the left."""
    values = np.zeros(len(nodes))
    span: list[tuple[int, int]] = [(0, 0)] * len(nodes)

    def walk(index: int, first: int) -> int:
        node = nodes[index]
        if node["is_leaf"]:
            values[index], span[index] = node["value"], (first, first + 1)
            return first + 1
        left, right = int(node["left"]), int(node["right"])
        end = walk(right, walk(left, first))
        a, b = float(nodes[left]["count"]), float(nodes[right]["count"])
        values[index] = (values[left] * a + values[right] * b) / (a + b)
        span[index] = (first, end)
        return end

    walk(0, 0)
    return values, span


def to_arrays(part: Encoding | Linear) -> dict[str, list[Any]]:
    """Return the fields as JSON lists."""
    return {name: np.asarray(value).tolist() for name, value in vars(part).items()}


def encoding_of(stored: Mapping[str, Any]) -> Encoding:
    """Return an encoding from its JSON lists."""
    whole = {"numbers", "onehot_raw", "table_raw", "table_start"}
    arrays: dict[str, Any] = {
        k: np.asarray(v, np.int64 if k in whole else np.float64) for k, v in stored.items()
    }
    return Encoding(**arrays)


def linear_of(stored: Mapping[str, Any]) -> Linear:
    """Return a linear part from its JSON lists."""
    whole = {"ramp_raw", "missing_raw", "table_raw", "table_start"}
    arrays: dict[str, Any] = {
        k: np.asarray(v, np.int64 if k in whole else np.float64) for k, v in stored.items()
    }
    return Linear(**arrays)
