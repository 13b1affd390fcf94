"""A trained model as the service's scorer: checked against the pack, asked a batch at a time.

Needs the extra `ml`, which is imported only when a model is loaded (see `sklearn_model`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from services.kernel.contracts.assessments import ModelSays
from services.kernel.errors import Fault, WrongUse
from services.kernel.yamlfile import nearest
from services.risk.domain.forbidden import ban_of
from services.risk.domain.pack import Feature, ModelSlot
from services.risk.domain.score import largest, level_of
from services.risk.ports import Row

if TYPE_CHECKING:
    from services.risk.adapters.sklearn_model import Model

_WHERE: Final = "HEARTHWATCH_MODEL"
_EXTRA: Final = frozenset({"numpy", "scipy", "sklearn", "skops"})
_AGAIN: Final = "train it on a table of the pack's features (docs/model.md, In service)"
_YES: Final = 1
"""Column of the positive class in a model of yes or no."""


class Trained:
    """Scores with a trained model of yes or no; the pack's thresholds and cap make the level.

    slot: the pack's, with the model's hash in `trained`. caution: what its card warns of. Unknown
    values are given as missing, and listed where the model uses the feature. Deterministic: a row
    gets the same answer in every batch.
    """

    def __init__(self, model: Model, slot: ModelSlot) -> None:
        self.name = model.hash
        self.slot = replace(slot, trained=model.hash)
        self.caution = str(model.about.get("caution", ""))
        self.base = float(model.score(model.raw([{}])).base[0])
        self._model = model
        self._names = [feature.name for feature in slot.features]
        self._used = frozenset(model.features)

    def score(self, rows: Sequence[Row]) -> list[ModelSays]:
        """Return what the model says of each row; cost: tens of microseconds a row in a batch.

        Contributions are signed log-odds: with `base` all of them add up to those of the
        probability.
        """
        if not rows:
            return []
        named = [dict(zip(self._names, row, strict=True)) for row in rows]
        found = self._model.score(self._model.raw(named))
        parts = found.contribution
        if parts is None:
            raise TypeError("a score without contributions (asked for with them)")
        return [
            self._one(row, float(probability), each.tolist())
            for row, probability, each in zip(
                named, found.probability[:, _YES], parts[:, 0], strict=True
            )
        ]

    def levels(self, rows: Sequence[Row]) -> list[int]:
        """Return the level of each row, from the very sums of `score`: others round otherwise."""
        if not rows:
            return []
        named = [dict(zip(self._names, row, strict=True)) for row in rows]
        found = self._model.score(self._model.raw(named))
        return [self._level(float(each)) for each in found.probability[:, _YES]]

    def _level(self, probability: float) -> int:
        return level_of(probability, self.slot.thresholds, self.slot.cap)

    def _one(
        self, row: Mapping[str, float | None], probability: float, parts: list[float]
    ) -> ModelSays:
        return ModelSays(
            level=self._level(probability),
            probability=probability,
            contributions=largest(list(zip(self._model.features, parts, strict=True))),
            missing=[name for name, value in row.items() if value is None and name in self._used],
            model=self.name,
        )


def load_trained(folder: Path, slot: ModelSlot | None) -> Trained:
    """Return the scorer of a model folder, every file of it held against its hashes.

    Raises:
        WrongUse: the extra is missing, the folder is no model or was changed, or the model was not
            trained for this pack's features.
    """
    if slot is None:
        raise _fault("a pack with features in model.yaml", "a pack without", "leave the model out")
    try:
        from services.risk.adapters.sklearn_model import load_model

        model = load_model(folder)
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise WrongUse(
            Fault(
                where=_WHERE,
                expected="the packages of the extra `ml`",
                found=f"no {exc.name}",
                remedy="install them: pip install 'hearthwatch[ml]', or leave the model out",
                code="extra",
            )
        ) from exc
    _refuse_unfit(model, slot)
    return Trained(model, slot)


def _refuse_unfit(model: Model, slot: ModelSlot) -> None:
    """Refuse a model of something else than a yes or no of one person by the pack's features."""
    if model.kind != "binary" or model.about.get("per_group"):
        kind = "groups" if model.about.get("per_group") else f"a {model.kind} target"
        raise _fault("a model of yes or no about one person", f"one of {kind}", _AGAIN)
    for column in model.columns:
        if column.kind != "number":
            raise _fault(
                "numbers only, as the pack's features are",
                f"feature {column.name!r} as {column.kind}",
                "declare `type: number` in the features file and train again",
            )
        ban = ban_of(column.name)
        if ban is not None:
            raise _fault("no forbidden feature", f"{column.name!r} ({ban.kind}): {ban.en}", _AGAIN)
    _refuse_others(model.features, model.about, slot)
    for feature in slot.features:
        _refuse_other_direction(feature, model.about["features"].get(feature.name))


def _refuse_others(used: Sequence[str], about: Mapping[str, Any], slot: ModelSlot) -> None:
    """Refuse names or an order other than the pack's; training may have left out empty ones."""
    names = [feature.name for feature in slot.features]
    for name in used:
        if name not in names:
            raise _fault("features of the pack", f"{name!r}{nearest(name, names)}", _AGAIN)
    kept = [name for name in names if name in used]
    for place, (ours, theirs) in enumerate(zip(kept, used, strict=True)):
        if ours != theirs:
            raise _fault(
                f"the pack's order, {ours!r} as feature {place} of the model", repr(theirs), _AGAIN
            )
    seen = {*used, *(item["column"] for item in about["left_out"])}
    for name in names:
        if name not in seen:
            raise _fault(f"a model whose table had the pack's {name!r}", "one without it", _AGAIN)


def _refuse_other_direction(feature: Feature, said: Mapping[str, Any] | None) -> None:
    if said is not None and feature.direction not in ("0", said["direction"]):
        raise _fault(
            f"direction {feature.direction!r} of {feature.name!r}, as the pack declares",
            repr(said["direction"]),
            "declare it in the features file and train again",
        )


def _fault(expected: str, found: str, remedy: str) -> WrongUse:
    return WrongUse(Fault(where=_WHERE, expected=expected, found=found, remedy=remedy))
