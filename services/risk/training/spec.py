"""The features file: type, unit, direction, when a value is known, allowed or forbidden, names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from services.kernel.errors import Fault
from services.kernel.yamlfile import Node, read, refuse
from services.risk.training.faults import refuse as refuse_use

TYPES = ("auto", "number", "category", "date", "id", "text")
DIRECTIONS = ("0", "+", "-")
FOLDS = ("own", "head", "count", "mean", "max", "min", "sum")


@dataclass(frozen=True)
class FeatureSpec:
    """What is declared of one column; everything has a default."""

    type: str = "auto"
    unit: str = ""
    direction: str = "0"
    known: str = ""
    allowed: bool | None = None
    reason: str = ""
    zh: str = ""
    en: str = ""
    fold: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exclusion:
    """Rows outside the population: `column` holds one of `values`."""

    column: str
    values: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Spec:
    """The whole file. Options of the command line override target, group, time, weight.

    caution: what nobody may overlook; it stands on top of the card and is told on loading.
    """

    target: str = ""
    target_zh: str = ""
    target_en: str = ""
    positive: str = ""
    order: tuple[str, ...] = ()
    group: str = ""
    time: str = ""
    weight: str = ""
    head: str = ""
    stages: tuple[str, ...] = ()
    predict_at: str = ""
    missing: tuple[str, ...] = ()
    population: tuple[Exclusion, ...] = ()
    features: Mapping[str, FeatureSpec] = field(default_factory=dict)
    others: str = "allowed"
    notes: tuple[str, ...] = ()
    caution: str = ""

    def of(self, column: str) -> FeatureSpec:
        """Return what is declared of a column; a `column: fold` name inherits from its column."""
        found = self.features.get(column)
        if found is None and "|" in column:
            base, fold = column.split("|", 1)
            parent = self.features.get(base)
            if parent is not None:
                direction = (
                    parent.direction if fold in {"mean", "max", "min", "head", "own"} else "0"
                )
                return replace(parent, direction=direction, zh="", en="")
        if found is None and self.others == "forbidden":
            return FeatureSpec(allowed=False, reason="not listed in the features file")
        return found or FeatureSpec()


def load_spec(path: Path | None) -> Spec:
    """Return the features file, or an empty one for None.

    Raises:
        Faults: every fault of the file with its line.
    """
    if path is None:
        return Spec()
    if path.is_dir():
        raise refuse_use(
            f"--spec {path}",
            found="a folder",
            expected="a features file (YAML)",
            remedy="give the file in it",
        )
    faults: list[Fault] = []
    root = read(path, faults)
    spec = _spec(root) if root is not None else Spec()
    refuse(str(path.name), faults)
    return spec


def _spec(root: Node) -> Spec:
    got = root.map(
        (
            "target",
            "group",
            "time",
            "weight",
            "head",
            "stages",
            "predict_at",
            "missing",
            "population",
            "features",
            "others",
            "notes",
            "caution",
        )
    )
    target = (
        got["target"].map(("column", "positive", "order", "zh", "en"), ("column",))
        if "target" in got
        else {}
    )
    stages = _texts(got.get("stages"))
    spec = Spec(
        target=_text(target.get("column")),
        target_zh=_text(target.get("zh")),
        target_en=_text(target.get("en")),
        positive=_scalar(target.get("positive")),
        order=_texts(target.get("order")),
        group=_text(got.get("group")),
        time=_text(got.get("time")),
        weight=_text(got.get("weight")),
        head=_text(got.get("head")),
        stages=stages,
        predict_at=_text(got.get("predict_at")),
        missing=_texts(got.get("missing")),
        population=tuple(_exclusion(item) for item in got["population"].items())
        if "population" in got
        else (),
        features={name: _feature(node, stages) for name, node in got["features"].entries().items()}
        if "features" in got
        else {},
        others=got["others"].choice(("allowed", "forbidden")) if "others" in got else "allowed",
        notes=_texts(got.get("notes")),
        caution=_text(got.get("caution")),
    )
    if spec.predict_at and spec.predict_at not in stages:
        got["predict_at"].fail(f"one of the stages: {', '.join(stages)}", "list it under stages")
    return spec


def _feature(node: Node, stages: tuple[str, ...]) -> FeatureSpec:
    got = node.map(("type", "unit", "direction", "known", "allowed", "reason", "zh", "en", "fold"))
    known = _text(got.get("known"))
    if known and known not in {"before", "after", *stages}:
        got["known"].fail(
            f"before, after or a stage ({', '.join(stages) or 'none declared'})", "correct the word"
        )
    folds = _texts(got.get("fold"))
    for fold in folds:
        if fold not in FOLDS:
            got["fold"].fail(f"some of {', '.join(FOLDS)}", "correct the word", repr(fold))
    allowed = got["allowed"].boolean() if "allowed" in got else None
    reason = _text(got.get("reason"))
    if allowed is not None and not reason:
        got["allowed"].fail("a `reason` beside `allowed`", "say why", "no reason")
    return FeatureSpec(
        type=got["type"].choice(TYPES) if "type" in got else "auto",
        unit=_text(got.get("unit")),
        direction=_direction(got.get("direction")),
        known=known,
        allowed=allowed,
        reason=reason,
        zh=_text(got.get("zh")),
        en=_text(got.get("en")),
        fold=folds,
    )


def _direction(node: Node | None) -> str:
    if node is None:
        return "0"
    text = {"−": "-", 0: "0", 1: "+", -1: "-"}.get(node.value, node.value)
    if text not in DIRECTIONS:
        node.fail("+, - or 0", 'write direction: "+"')
        return "0"
    return str(text)


def _exclusion(node: Node) -> Exclusion:
    got = node.map(("column", "exclude", "reason"), ("column", "exclude", "reason"))
    return Exclusion(_text(got.get("column")), _texts(got.get("exclude")), _text(got.get("reason")))


def _text(node: Node | None) -> str:
    return node.text() if node is not None else ""


def _scalar(node: Node | None) -> str:
    return "" if node is None else str(node.plain())


def _texts(node: Node | None) -> tuple[str, ...]:
    return () if node is None else tuple(str(item.plain()) for item in node.items())
