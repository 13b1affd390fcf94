"""The run-time door to a trained model: load, check, score a batch to probabilities and reasons.

Needs the extra `ml`. One thread: set OMP_NUM_THREADS=1 in every service (streaming limits, D).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.kernel.errors import Fault, WrongUse
from services.risk.adapters.model_arrays import (
    Encoding,
    Floats,
    Forest,
    Linear,
    RawColumn,
    encoding_of,
    forest_from_nodes,
    linear_of,
)

FORMAT = 1
TREES = ("boosting", "additive")
"""Parts whose estimators are read at run time; a logistic is all in `model.json`, and a model of it
alone needs numpy, not scikit-learn."""
TRUSTED = frozenset(
    {
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    }
)
"""Types beyond those skops trusts by itself; anything else is refused before it is built."""


@dataclass(frozen=True)
class Scores:
    """A batch's answer, rows in the order given.

    probability: n x classes, each row sums to 1.
    margin: n x m log-odds. binary: of the positive class. nominal: one a class (softmax gives the
        probabilities). ordinal: of being above level k, k = 0..K-2.
    contribution: n x m x features, signed log-odds; None unless asked for.
    base: m; `base + contribution.sum(axis=2) == margin`.
    level: n, index of the chosen class.
    """

    probability: Floats
    margin: Floats
    base: Floats
    contribution: Floats | None
    level: NDArray[np.int64]


@dataclass(frozen=True)
class Model:
    """A loaded model; immutable, safe to share between threads."""

    kind: str
    classes: tuple[str, ...]
    columns: tuple[RawColumn, ...]
    features: tuple[str, ...]
    feature_of: NDArray[np.int64]
    linear: Linear | None
    encoding: Encoding | None
    forests: tuple[Forest, ...]
    slope: float
    shift: Floats
    weights: Floats
    threshold: float | None
    hash: str
    about: Mapping[str, Any]

    def check(self, names: Sequence[str]) -> None:
        """Refuse a feature list that differs in names or order.

        Raises:
            WrongUse: names the first difference.
        """
        for place, (ours, theirs) in enumerate(zip(self.features, names, strict=False)):
            if ours != theirs:
                raise _fault(
                    f"feature {place}", f"{theirs!r}", f"{ours!r}", "give the model's order"
                )
        if len(names) != len(self.features):
            raise _fault(
                "features",
                f"{len(names)}",
                f"{len(self.features)}",
                "give exactly the model's features",
            )

    def raw(self, rows: Sequence[Mapping[str, Any]]) -> Floats:
        """Return the raw matrix of rows given as mappings; absent or None counts as missing."""
        out = np.empty((len(rows), len(self.columns)), order="F")
        before: set[str] = set()
        for j, column in enumerate(self.columns):
            values = [row.get(column.name) for row in rows]
            out[:, j] = (
                _codes(values, column, twin=column.name in before)
                if column.kind == "category"
                else [_number(v) for v in values]
            )
            before.add(column.name)
        return out

    def score(self, raw: Floats, *, explain: bool = True) -> Scores:
        """Return probabilities, margins and (unless told not to) contributions of raw rows.

        Args:
            raw: n x columns as `raw` and the training tool make them.
            explain: contributions cost about as much again.
        """
        parts, base = self._parts(raw, explain=explain)
        total = parts.sum(axis=2) + base
        if self.kind == "ordinal":
            parts, base = parts.mean(axis=1, keepdims=True), base.mean(keepdims=True)
            total = total.mean(axis=1, keepdims=True)
        margin = self.slope * total + self.shift
        base = self.slope * base + self.shift
        probability = _probabilities(self.kind, margin)
        contribution = None
        if explain:
            contribution = self.slope * self._by_feature(parts)
            if self.kind == "ordinal":
                contribution = np.repeat(contribution, len(self.shift), axis=1)
        return Scores(probability, margin, base, contribution, self.place(probability))

    def place(self, probability: Floats) -> NDArray[np.int64]:
        """Return the chosen class of each row."""
        if self.threshold is not None:
            return np.asarray(probability[:, -1] >= self.threshold, np.int64)
        return np.asarray(np.argmax(probability * self.weights, axis=1), np.int64)

    def _parts(self, raw: Floats, *, explain: bool) -> tuple[Floats, Floats]:
        """Return the mean of the parts: n x h x r effects (r = 1 unless explained) and h bases."""
        heads = self.linear.base.shape[0] if self.linear else len(self.forests[0].heads)
        width = raw.shape[1] if explain else 1
        effects, base = np.zeros((len(raw), heads, width)), np.zeros(heads)
        if self.linear is not None:
            effects += self.linear.effects(raw, detail=explain)
            base += self.linear.base
        if self.encoding is not None:
            encoded = self.encoding.apply(raw)
            for forest in self.forests:
                effects += forest.effects(encoded, detail=explain)
                base += forest.base
        count = len(self.forests) + (self.linear is not None)
        return effects / count, base / count

    def _by_feature(self, effects: Floats) -> Floats:
        if len(self.features) == effects.shape[2]:
            return effects
        out = np.zeros((*effects.shape[:2], len(self.features)))
        np.add.at(out.transpose(2, 0, 1), self.feature_of, effects.transpose(2, 0, 1))
        return out


def _probabilities(kind: str, margin: Floats) -> Floats:
    if kind == "nominal":
        powers = np.exp(margin - margin.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    above = 1 / (1 + np.exp(-np.clip(margin, -700, 700)))
    full = np.hstack([np.ones((len(above), 1)), above, np.zeros((len(above), 1))])
    return np.asarray(full[:, :-1] - full[:, 1:])


def _number(value: Any) -> float:
    if value is None or value == "":
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _codes(values: Sequence[Any], column: RawColumn, *, twin: bool) -> list[float]:
    known = {word: float(k) for k, word in enumerate(column.vocabulary)}
    unseen, missing = float(len(known)), float(len(known)) + 1

    def code(value: Any) -> float:
        if value is None or value == "" or value != value:  # noqa: PLR0124
            return missing
        text = str(value).strip()
        if text in known:
            return known[text]
        return missing if twin and _number(text) == _number(text) else unseen

    return [code(value) for value in values]


def load_model(folder: Path, *, expect_hash: str | None = None) -> Model:
    """Return the model of a folder after checking every file against the manifest.

    Args:
        folder: what `hearthwatch model train --out` wrote.
        expect_hash: refuse any other model than this one.

    Raises:
        WrongUse: files missing, changed, of another format, or holding types that are not trusted.
    """
    digest = verify(folder)
    if expect_hash is not None and digest != expect_hash:
        raise _fault(
            f"{folder.name}",
            f"model {digest[:12]}",
            f"model {expect_hash[:12]}",
            "load the model that was activated",
        )
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    if about.get("format") != FORMAT:
        raise _fault(
            f"{folder.name}/model.json",
            f"format {about.get('format')}",
            f"format {FORMAT}",
            "train the model again with this version",
        )
    trees = any(kind in about["parts"] for kind in TREES)
    return _model(about, load_estimators(folder / "model.skops") if trees else {}, digest)


def verify(folder: Path) -> str:
    """Return the model hash after comparing every file with the manifest.

    Raises:
        WrongUse: a file is missing or changed.
    """
    listing = folder / "manifest.json"
    if not listing.is_file():
        raise _fault(
            str(folder),
            "no manifest.json",
            "a model folder",
            "give the folder that `hearthwatch model train --out` wrote",
        )
    try:
        stored = json.loads(listing.read_text(encoding="utf-8"))
        stored = {"files": dict(stored["files"]), "hash": stored["hash"]}
    except (ValueError, KeyError, TypeError) as exc:
        raise _fault(
            f"{folder.name}/manifest.json",
            "a damaged manifest",
            "the manifest that training wrote",
            "restore it, or train the model again",
        ) from exc
    for name, expected in stored["files"].items():
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise _fault(
                f"{folder.name}/{name}",
                "a missing or changed file",
                "the file that training wrote",
                "restore it, or train the model again",
            )
    if hash_of(stored["files"]) != stored["hash"]:
        raise _fault(
            f"{folder.name}/manifest.json",
            "a changed manifest",
            "the manifest that training wrote",
            "restore it, or train the model again",
        )
    return str(stored["hash"])


def hash_of(files: Mapping[str, str]) -> str:
    """Return the model hash: SHA-256 over the sorted `name hash` lines of what decides a score."""
    lines = "\n".join(
        f"{name} {files[name]}" for name in sorted(files) if name.startswith("model.")
    )
    return hashlib.sha256(lines.encode()).hexdigest()


def load_estimators(path: Path) -> dict[str, list[Any]]:
    """Return the stored estimators; never unpickles, refuses types it does not know."""
    from skops import io as skops_io

    unknown = skops_io.get_untrusted_types(file=path)
    foreign = sorted(set(unknown) - TRUSTED)
    if foreign:
        raise _fault(
            path.name,
            f"the type {foreign[0]}",
            "scikit-learn estimators only",
            "do not use this file; train the model again",
        )
    found: dict[str, list[Any]] = skops_io.load(path, trusted=unknown)
    return found


def _model(about: Mapping[str, Any], estimators: Mapping[str, list[Any]], digest: str) -> Model:
    columns = tuple(
        RawColumn(c["name"], c["kind"], tuple(c["vocabulary"])) for c in about["columns"]
    )
    features = tuple(dict.fromkeys(c.name for c in columns))
    place = {name: k for k, name in enumerate(features)}
    encoding = encoding_of(about["encoding"]) if about["encoding"] else None
    forests = tuple(
        forest_of(estimators[kind], encoding, len(columns))
        for kind in TREES
        if kind in estimators and encoding is not None
    )
    return Model(
        kind=about["task"]["kind"],
        classes=tuple(about["task"]["classes"]),
        columns=columns,
        features=features,
        feature_of=np.asarray([place[c.name] for c in columns], np.int64),
        linear=linear_of(about["linear"]) if about["linear"] else None,
        encoding=encoding,
        forests=forests,
        slope=about["calibration"]["slope"],
        shift=np.asarray(about["calibration"]["shift"]),
        weights=np.asarray(about["placement"]["weights"]),
        threshold=about["placement"]["threshold"],
        hash=digest,
        about=about,
    )


def forest_of(models: Sequence[Any], encoding: Encoding, columns: int) -> Forest:
    """Return the trees of scikit-learn's boosting estimators, one list a head.

    `columns` counts the raw columns, to which the contributions are put down.
    """
    heads: list[list[Any]] = []
    starts: list[float] = []
    for model in models:
        rounds = model._predictors  # noqa: SLF001
        starts += np.ravel(model._baseline_prediction).tolist()  # noqa: SLF001
        heads += [[each[k].nodes for each in rounds] for k in range(len(rounds[0]))]
    return forest_from_nodes(heads, np.asarray(starts), encoding.raw_of(), columns)


def _fault(where: str, found: str, expected: str, remedy: str) -> WrongUse:
    return WrongUse(Fault(where=where, found=found, expected=expected, remedy=remedy))
