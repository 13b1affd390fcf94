"""Train: choose by honest cross-validation, fit, calibrate, place, write the model folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from services.risk.adapters.model_arrays import RawColumn
from services.risk.training.calibrate import fit_calibration, probabilities_of
from services.risk.training.card import write_card
from services.risk.training.encode import codebook, raw_columns, raw_matrix
from services.risk.training.evaluate import example_prints
from services.risk.training.grouping import group_index
from services.risk.training.population import Weighting
from services.risk.training.prepare import Prepared, Request, prepare, settled
from services.risk.training.recipe import KINDS, PLAIN, Choice, Problem, choose, fit_final
from services.risk.training.scorecard import View, scorecard
from services.risk.training.spec import Spec
from services.risk.training.splits import Folds, make_folds
from services.risk.training.storage import fresh_folder, seal, write_memory, write_model
from services.risk.training.table import Floats, column_hashes, row_hashes
from services.risk.training.thresholds import place


@dataclass(frozen=True)
class Outcome:
    """What training gives back to the command line."""

    folder: Path
    hash: str
    card: Mapping[str, Any]


def train(
    request: Request,
    out: Path,
    *,
    tick: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Write a model folder and return its card.

    Raises:
        WrongUse: unusable data or options, with place, expectation and remedy.
    """
    fresh_folder(out)
    request = settled(request)
    with threadpool_limits(limits=1):
        ready = prepare(request, progress)
        columns = raw_columns(ready.table, ready.kinds, ready.time)
        raw = raw_matrix(ready.table, columns, ready.time)
        folds = _folds(request, ready)
        problem = _problem(request, ready, columns, raw)
        choice = choose(problem, folds, tick, PLAIN if request.plain else KINDS)
        fitted = fit_final(problem, choice, tick)
    y = ready.y[choice.rows]
    weighting = _weighting(ready, choice)
    weight = None if weighting is None else weighting.weight
    calibration = fit_calibration(
        ready.task.kind, choice.scores, y, len(ready.task.classes), weight
    )
    probability = probabilities_of(ready.task.kind, choice.margins)
    placement = place(
        probability,
        y,
        capacity=request.capacity if ready.task.kind == "binary" else None,
        cost=request.cost if ready.task.kind == "binary" else None,
        weight=weight,
    )
    extra = _about(request, ready, choice, folds, columns, raw)
    write_model(
        out,
        columns=columns,
        fitted=fitted,
        task=ready.task,
        calibration=calibration,
        placement=placement,
        extra=extra,
    )
    _remember(out, ready, choice, probability)
    results = scorecard(
        ready.task,
        y,
        probability,
        placement,
        ready.table.take(choice.rows),
        ready.kinds,
        View(
            times=None if ready.times is None else ready.times[choice.rows],
            weighting=weighting,
        ),
    )
    card = write_card(
        out, about={**extra, "placement": asdict(placement)}, task=ready.task, results=results
    )
    return Outcome(out, seal(out), card)


def _folds(request: Request, ready: Prepared) -> Folds:
    return make_folds(
        ready.y,
        groups=ready.groups,
        grouped=len(np.unique(ready.groups)) < len(ready.groups),
        times=ready.times,
        folds=request.folds,
        seed=request.seed,
    )


def _problem(request: Request, ready: Prepared, columns: list[RawColumn], raw: Floats) -> Problem:
    return Problem(
        codebook(columns),
        raw,
        ready.y,
        ready.groups,
        ready.task,
        _directions(request, columns),
        request.seed,
        None if ready.weighting is None else ready.weighting.weight,
    )


def _weighting(ready: Prepared, choice: Choice) -> Weighting | None:
    if ready.weighting is None:
        return None
    return Weighting(ready.weighting.column, ready.weighting.weight[choice.rows])


def _directions(request: Request, columns: list[RawColumn]) -> dict[str, str]:
    return {
        c.name: request.spec.of(c.name).direction
        for c in columns
        if request.spec.of(c.name).direction != "0"
    }


def _remember(out: Path, ready: Prepared, choice: Choice, probability: Floats) -> None:
    persons, used = ready.persons, set(ready.kinds)
    if ready.plan is not None:
        used = {fold.source for fold in ready.plan.folds}
    rows = {}
    for which, names in (
        ("all", list(persons.columns)),
        ("used", [name for name in persons.columns if name in used]),
    ):
        prints = row_hashes([persons[name] for name in names], persons.rows)
        if ready.plan is not None:
            prints = example_prints(prints, group_index(persons, ready.group))
        rows[which] = (names, prints)
    groups = column_hashes(ready.persons[ready.group]) if ready.group else np.empty(0, np.uint64)
    write_memory(
        out,
        rows=rows,
        groups=np.unique(groups),
        judged=choice.rows,
        probability=probability,
        y=ready.y[choice.rows],
    )


def _about(
    request: Request,
    ready: Prepared,
    choice: Choice,
    folds: Folds,
    columns: list[RawColumn],
    raw: Floats,
) -> dict[str, Any]:
    spec, order = request.spec, list(dict.fromkeys(c.name for c in columns))
    nominal = ready.task.kind == "nominal"
    notes = list(ready.notes)
    if nominal and any(spec.of(name).direction != "0" for name in order):
        notes.append(
            "directions hold for yes/no and ordered targets only: declare `order` to use them"
        )
    return {
        "target": request.target,
        **_names(spec),
        "group": ready.group,
        "time": ready.time,
        "weight": request.weight,
        "seed": request.seed,
        "encoding_of_file": request.encoding,
        "missing_words": list(spec.missing),
        "per_group": ready.plan.plain() if ready.plan else None,
        "population": [asdict(item) for item in spec.population],
        "features": _features(ready, spec, order),
        "typical": _typical(columns, raw),
        "left_out": [asdict(item) for item in ready.roles.left_out],
        "findings": [finding.plain() for finding in ready.findings],
        "notes": [*notes, *spec.notes],
        "caution": spec.caution,
        "data": {
            "snapshot": ready.persons.digest,
            "rows_in_file": ready.persons.rows_in_file,
            "rows_used": len(ready.y),
            "columns_used": len(order),
            "classes": dict(
                zip(
                    ready.task.classes,
                    np.bincount(ready.y, minlength=len(ready.task.classes)).tolist(),
                    strict=True,
                )
            ),
        },
        "validation": {"method": folds.method, "rows_judged": len(choice.rows)},
        "choice": {
            "parts": list(choice.parts),
            "knots": list(choice.knots),
            "strength": choice.strength,
            "rounds": {k: list(v) for k, v in choice.rounds.items()},
            "log_loss": {k: round(v, 6) for k, v in choice.losses.items()},
        },
    }


def _features(ready: Prepared, spec: Spec, order: list[str]) -> dict[str, Any]:
    nominal = ready.task.kind == "nominal"
    return {
        name: {
            "zh": spec.of(name).zh,
            "en": spec.of(name).en,
            "unit": spec.of(name).unit,
            "known": spec.of(name).known,
            "direction": "0" if nominal else spec.of(name).direction,
            "kind": ready.kinds[name],
        }
        for name in order
    }


def _names(spec: Spec) -> dict[str, Any]:
    """Return what people call the target and the columns, those left out as well."""
    return {
        "target_names": {"zh": spec.target_zh, "en": spec.target_en},
        "names": {
            name: {"zh": said.zh, "en": said.en}
            for name, said in spec.features.items()
            if said.zh or said.en
        },
    }


def _typical(columns: list[RawColumn], raw: Floats) -> list[dict[str, Any]]:
    """Return, for each raw column, the values a reader may compare with: quartiles or commonest."""
    out: list[dict[str, Any]] = []
    for j, column in enumerate(columns):
        if column.kind == "category":
            counts = np.bincount(raw[:, j].astype(np.int64), minlength=len(column.vocabulary) + 2)
            best = np.argsort(-counts[: len(column.vocabulary)], kind="stable")[:5]
            out.append({"common": [column.vocabulary[k] for k in best if counts[k]]})
        else:
            filled = raw[~np.isnan(raw[:, j]), j]
            marks = np.quantile(filled, [0.05, 0.25, 0.5, 0.75, 0.95]) if len(filled) else []
            out.append({"quantiles": [float(m) for m in marks]})
    return out
