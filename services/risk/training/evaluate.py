"""Judge a model on a table: rows it learned from are answered out of fold or left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from services.risk.adapters.sklearn_model import Model
from services.risk.training.faults import refuse
from services.risk.training.grouping import fold_table, group_index, group_outcome, plan_of
from services.risk.training.inference import days_of
from services.risk.training.population import Weighting
from services.risk.training.prepare import MIN_ROWS, weighting_of
from services.risk.training.recipe import Task
from services.risk.training.scorecard import View, focus_class, lead_times, scorecard
from services.risk.training.scoring import check_columns, outside_population, score_table
from services.risk.training.storage import read_memory
from services.risk.training.table import (
    MAX_ROWS,
    Bools,
    Floats,
    Ints,
    Table,
    column_hashes,
    read_table,
    row_hashes,
)
from services.risk.training.thresholds import Placement


@dataclass(frozen=True)
class Question:
    """What `evaluate` was asked for."""

    data: Path
    target: str = ""
    encoding: str = "utf-8"
    focus: str = ""
    by: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    outcome_time: str = ""
    weight: str = ""
    keep_known_groups: bool = False
    max_rows: int = MAX_ROWS


@dataclass(frozen=True)
class Judged:
    """Rows with their truth and an honest answer."""

    table: Table
    y: Ints
    probability: Floats
    notes: tuple[str, ...]
    findings: tuple[Mapping[str, Any], ...] = field(default=())
    weighting: Weighting | None = None


def evaluate(model: Model, folder: Path, question: Question) -> dict[str, Any]:
    """Return every figure, the comparisons, and what was left out of them.

    Raises:
        WrongUse: no target in the file, or fewer than 50 rows that can be judged honestly.
    """
    with threadpool_limits(limits=1):
        judged = _judge(model, folder, question)
    task = Task(model.kind, model.classes)
    _answerable(model, judged, question, task)
    time = model.about["time"]
    placement = Placement(model.about["placement"]["rule"], tuple(model.weights), model.threshold)
    kinds = {name: said["kind"] for name, said in model.about["features"].items()}
    results = scorecard(
        task,
        judged.y,
        judged.probability,
        placement,
        judged.table,
        kinds,
        View(
            question.focus,
            question.by,
            days_of(judged.table[time]) if time and time in judged.table.columns else None,
            {name: judged.table[name].numbers() for name in question.scores},
            judged.weighting,
        ),
    )
    at = focus_class(task, judged.y, results["focus"])
    truth = judged.y == at
    if question.outcome_time:
        chosen = placement.choose(judged.probability) == at
        results["lead_time"] = lead_times(chosen, truth, judged.table, time, question.outcome_time)
    results["curves"] = curves(truth, judged.probability[:, at])
    return {
        "results": results,
        "notes": list(judged.notes),
        "findings": list(judged.findings),
        "data": {
            "file": question.data.name,
            "snapshot": judged.table.digest,
            "rows_in_file": judged.table.rows_in_file,
        },
        "model": {"hash": model.hash, "about": dict(model.about)},
    }


def _answerable(model: Model, judged: Judged, question: Question, task: Task) -> None:
    """Refuse what these rows cannot answer."""
    for name in question.scores:
        if np.isnan(judged.table[name].parsed).all():
            raise refuse(
                f"--score-column {name!r}",
                found="no number",
                expected="a score: more means sooner",
                remedy="correct the name",
            )
    if question.focus and question.focus not in model.classes:
        raise refuse(
            f"--focus {question.focus!r}",
            found="no such class",
            expected=f"one of {', '.join(model.classes)}",
            remedy="correct the name",
        )
    if question.outcome_time and not model.about["time"]:
        raise refuse(
            "--outcome-time",
            found="a model without a time column",
            expected="a model trained with --time",
            remedy="train with --time COLUMN",
        )
    at = focus_class(task, judged.y, question.focus)
    truth = judged.y == at
    if truth.all() or not truth.any():
        raise refuse(
            "--data",
            found=f"{int(truth.sum()):,} of {len(truth):,} rows of class {task.classes[at]!r}",
            expected="rows with it and without it",
            remedy="give rows of every class, or name another class with --focus",
        )


def _judge(model: Model, folder: Path, question: Question) -> Judged:
    table = read_table(
        question.data,
        encoding=question.encoding,
        max_rows=question.max_rows,
        keep_by=model.about["group"] or None,
        missing_words=model.about["missing_words"],
    )
    notes = [*table.notes, *check_columns(model, table)]
    target = question.target or model.about["target"]
    y_all = outcomes(model, table, target)
    keep = (y_all >= 0) & ~outside_population(model, table)
    if not keep.all():
        notes.append(
            f"{int((~keep).sum()):,} rows without a known outcome or outside the population "
            "were left out"
        )
    table, y = table.take(np.flatnonzero(keep)), y_all[keep]
    if table.rows == 0:
        raise refuse(
            f"--target {target!r}",
            found="no row with a known class",
            expected=f"values such as {', '.join(model.classes)}",
            remedy="check the column",
        )
    rows = Judged(
        table,
        y,
        score_table(model, table).probability,
        tuple(notes),
        weighting=_weighting(model, table, question, notes),
    )
    seen = read_memory(folder)
    prints, known = _prints(table, seen, notes)
    groups = None
    if model.about["group"] and model.about["group"] in table.columns:
        groups = column_hashes(table[model.about["group"]])
    elif model.about["group"]:
        notes.append(
            f"no column {model.about['group']!r} in the file: people or households met in "
            "training cannot be told from new ones"
        )
    if model.about["per_group"]:
        rows, prints, groups = _examples(model, rows, prints, groups)
    return _honest(
        replace(rows, notes=tuple(notes)), prints, groups, {**seen, "rows": known}, question
    )


def _prints(table: Table, seen: Mapping[str, Any], notes: list[str]) -> tuple[Any, Any]:
    """Return a fingerprint of each row, and those of the training rows over the same columns.

    Columns added since then (a rule's score, say) do not hide that a row was learned from. Where
    columns are gone, the used ones decide; where those are gone too, nothing is recognised.
    """
    for which in ("all", "used"):
        names = [str(name) for name in seen[f"{which}_columns"]]
        if names and all(name in table.columns for name in names):
            return row_hashes([table[name] for name in names], table.rows), seen[f"{which}_rows"]
    notes.append(
        "columns of the training table are missing: rows that were learned from cannot be "
        "recognised; give this command new rows only, or the whole table"
    )
    return row_hashes(list(table.columns.values()), table.rows), np.empty(0, np.uint64)


def _weighting(
    model: Model, table: Table, question: Question, notes: list[str]
) -> Weighting | None:
    name = question.weight or model.about.get("weight", "")
    if name and not question.weight and name not in table.columns:
        notes.append(f"no column {name!r} in the file: figures for the sample only")
        return None
    return weighting_of(table, name, model.about["group"] if model.about["per_group"] else "")


def _examples(model: Model, rows: Judged, prints: Any, groups: Any) -> tuple[Judged, Any, Any]:
    plan = plan_of(model.about["per_group"])
    index = group_index(rows.table, plan.group)
    first = np.unique(index, return_index=True)[1]
    folded, _ = fold_table(rows.table, plan, index)
    outcome, _ = group_outcome(rows.y, rows.table, plan, index, len(model.classes))
    examples = replace(rows, table=folded, y=outcome, probability=rows.probability[first])
    return examples, example_prints(prints, index), groups[first]


def example_prints(prints: Any, index: Ints) -> Any:
    """Return one fingerprint an example: the sum over its rows."""
    out = np.zeros(int(index.max()) + 1, np.uint64)
    np.add.at(out, index, prints)
    return out


def _honest(
    rows: Judged, prints: Any, groups: Any, seen: Mapping[str, Any], question: Question
) -> Judged:
    """Answer rows of the training table out of fold; leave out what cannot be answered honestly."""
    notes = list(rows.notes)
    place = {int(h): k for k, h in enumerate(seen["rows"])}
    at = np.asarray([place.get(int(h), -1) for h in prints])
    answer = np.full(max(len(seen["rows"]), int(seen["judged"].max()) + 1), -1)
    answer[seen["judged"]] = np.arange(len(seen["judged"]))
    oof = np.where(at >= 0, answer[at], -1)
    probability = rows.probability.copy()
    probability[oof >= 0] = seen["probability"][oof[oof >= 0]]
    unanswered = (at >= 0) & (oof < 0)
    findings: list[Mapping[str, Any]] = []
    if (at >= 0).any():
        notes.append(
            f"{int((at >= 0).sum()):,} 行也在训练数据里：每行都由没有学过它的模型来评判。 "
            f"{int((at >= 0).sum()):,} rows were in the training table: each is judged by a "
            "model that had not learned from it (out of fold)"
            + (
                f"; {int(unanswered.sum()):,} without such an answer are left out"
                if unanswered.any()
                else ""
            )
        )
    known = np.zeros(len(at), bool)
    if groups is not None:
        known = np.isin(groups, seen["groups"]) & (at < 0)
        if known.any():
            findings.append(_known_group(int(known.sum()), kept=question.keep_known_groups))
    keep = ~unanswered & (~known | question.keep_known_groups)
    if keep.sum() < MIN_ROWS:
        raise refuse(
            "--data",
            found=f"{int(keep.sum())} rows that can be judged honestly",
            expected=f"at least {MIN_ROWS}",
            remedy="give rows the model has not learned from",
        )
    kept, weighting = np.flatnonzero(keep), rows.weighting
    if weighting is not None:
        weighting = replace(weighting, weight=weighting.weight[kept])
    return Judged(
        rows.table.take(kept),
        rows.y[kept],
        probability[kept],
        tuple(notes),
        tuple(findings),
        weighting,
    )


def _known_group(rows: int, *, kept: bool) -> dict[str, Any]:
    done = "kept because --keep-known-groups was given" if kept else "left out of the figures"
    return {
        "kind": "group",
        "column": "",
        "action": done,
        "zh": f"有 {rows:,} 行属于训练时见过的人（户），"
        + ("按要求保留。" if kept else "不计入数字。"),
        "en": f"{rows:,} rows belong to people or households seen in training: {done}",
        "figures": {"rows": float(rows)},
    }


def outcomes(model: Model, table: Table, target: str) -> Ints:
    """Return the class of each row, -1 where missing or unknown to the model."""
    column = table[target]
    place = {name: k for k, name in enumerate(model.classes)}
    rest = 0 if model.classes[0].startswith("not ") else -1

    def code(text: str) -> int:
        if text in place:
            return place[text]
        for name, k in place.items():
            if _equal_numbers(text, name):
                return k
        return rest

    return np.asarray([*(code(text) for text in column.texts), -1], np.int64)[column.codes]


def _equal_numbers(a: str, b: str) -> bool:
    try:
        return float(a) == float(b)
    except ValueError:
        return False


def curves(truth: Bools, score: Floats) -> dict[str, list[tuple[float, float]]]:
    """Return the points of the ROC curve (FPR, TPR) and the PR curve (recall, precision)."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.diff(score[order]) != 0, True)
    hits = np.cumsum(truth[order])[ends].astype(float)
    seen = (np.flatnonzero(ends) + 1).astype(float)
    positive, negative = max(float(truth.sum()), 1.0), max(float((~truth).sum()), 1.0)
    roc = [
        (0.0, 0.0),
        *zip(((seen - hits) / negative).tolist(), (hits / positive).tolist(), strict=True),
    ]
    late = hits >= min(5.0, positive)
    pr = list(zip((hits / positive)[late].tolist(), (hits / seen)[late].tolist(), strict=True))
    return {"roc": _thin(roc), "pr": _thin(pr)}


def _thin(points: Sequence[tuple[float, float]], most: int = 200) -> list[tuple[float, float]]:
    step = max(1, len(points) // most)
    kept = [points[k] for k in range(0, len(points), step)]
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]
