"""Why a row has its score: contributions that add up, what is missing or would change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from services.risk.adapters.model_arrays import Floats, RawColumn
from services.risk.adapters.sklearn_model import Model
from services.risk.training.faults import refuse
from services.risk.training.scoring import WHOLE_FILE, raw_of
from services.risk.training.table import read_chunks, read_table

TOP, WORTH_SAYING = 8, 0.005


def explain_rows(model: Model, raw: Floats, *, focus: int, top: int = TOP) -> list[dict[str, Any]]:
    """Return one explanation a row for the log-odds of class (or level cut) `focus`.

    Each holds probability, level, base, score, contributions (largest first, all of them),
    `missing` and `changes`. `base + sum(contributions) == score` to rounding (1e-9).
    """
    scores = model.score(raw)
    if scores.contribution is None:
        raise AssertionError("scores were asked for with reasons")
    at = margin_of(model, focus)
    out = []
    for i in range(len(raw)):
        order = np.argsort(-np.abs(scores.contribution[i, at]), kind="stable")
        given = [
            {
                **_named(model, model.features[f]),
                "value": shown(model, raw[i], model.features[f]),
                "contribution": float(scores.contribution[i, at, f]),
            }
            for f in order
        ]
        out.append(
            {
                "probability": {
                    c: float(p) for c, p in zip(model.classes, scores.probability[i], strict=True)
                },
                "level": model.classes[int(scores.level[i])],
                "about": about_margin(model, focus),
                "base": float(scores.base[at]),
                "score": float(scores.margin[i, at]),
                "contributions": given,
                "missing": [
                    _named(model, n) for n in model.features if shown(model, raw[i], n) is None
                ],
                "changes": changes(model, raw[i], [str(g["column"]) for g in given[:top]], focus),
            }
        )
    return out


def margin_of(model: Model, focus: int) -> int:
    """Return which of the model's log-odds speaks of this class."""
    if model.kind == "nominal":
        return focus
    return 0 if model.kind == "binary" else max(focus - 1, 0)


def about_margin(model: Model, focus: int) -> str:
    """Return in words what the score is the log-odds of."""
    if model.kind == "nominal":
        return f"{model.classes[focus]} (before softmax)"
    if model.kind == "binary":
        return model.classes[1]
    return f"{model.classes[max(focus, 1)]} or above"


def _named(model: Model, name: str) -> dict[str, str]:
    said: Mapping[str, Any] = model.about["features"].get(name, {})
    return {
        "column": name,
        "zh": said.get("zh") or name,
        "en": said.get("en") or name,
        "unit": said.get("unit", ""),
    }


def shown(model: Model, row: Floats, name: str) -> str | float | None:
    """Return the value of a feature as written, None where missing."""
    for j, column in enumerate(model.columns):
        if column.name == name and not _missing(column, row[j]):
            if column.kind != "category":
                return float(row[j])
            code = int(row[j])
            return column.vocabulary[code] if code < len(column.vocabulary) else "(never seen)"
    return None


def _missing(column: RawColumn, value: float) -> bool:
    if column.kind == "category":
        return int(value) == len(column.vocabulary) + 1
    return bool(np.isnan(value))


def changes(model: Model, row: Floats, names: list[str], focus: int) -> list[dict[str, Any]]:
    """Return, for each named feature, the usual value that would lower the probability most."""
    tried: list[tuple[str, str | float, Floats]] = []
    for name in names:
        for j, column in enumerate(model.columns):
            if column.name == name:
                tried += [(name, word, value) for word, value in _alternatives(model, row, j)]
    if not tried:
        return []
    now = model.score(row[None, :], explain=False).probability
    then = model.score(np.stack([value for _, _, value in tried]), explain=False).probability
    before, after = _risk(model, now, focus)[0], _risk(model, then, focus)
    best: dict[str, dict[str, Any]] = {}
    for (name, word, _), probability in zip(tried, after, strict=True):
        entry = {
            **_named(model, name),
            "to": word,
            "probability": float(probability),
            "difference": float(probability - before),
        }
        if name not in best or entry["difference"] < best[name]["difference"]:
            best[name] = entry
    return [best[name] for name in names if name in best]


def _risk(model: Model, probability: Floats, focus: int) -> Floats:
    if model.kind == "ordinal":
        return np.asarray(probability[:, max(focus, 1) :].sum(axis=1))
    return np.asarray(probability[:, focus])


def _alternatives(model: Model, row: Floats, j: int) -> list[tuple[str | float, Floats]]:
    column, typical = model.columns[j], model.about["typical"][j]
    options: list[tuple[str | float, float]] = [
        (word, float(column.vocabulary.index(word))) for word in typical.get("common", [])
    ]
    options += [(value, value) for value in typical.get("quantiles", [])]
    out = []
    for word, code in options:
        if code != row[j]:
            changed = row.copy()
            changed[j] = code
            out.append((word, changed))
    return out


def sentences(explanation: Mapping[str, Any], *, top: int = TOP) -> list[str]:
    """Return the explanation as lines for a terminal, Chinese first."""
    lines = [
        f"结果 level {explanation['level']}; "
        + ", ".join(f"p({c}) = {p:.3f}" for c, p in explanation["probability"].items()),
        (
            f"对数几率 log-odds of {explanation['about']}: 平均 base {explanation['base']:+.3f} "
            f"→ {explanation['score']:+.3f}"
        ),
    ]
    for item in explanation["contributions"][:top]:
        value = "缺失 missing" if item["value"] is None else _text(item["value"]) + _unit(item)
        both = item["zh"] if item["zh"] == item["en"] else f"{item['zh']} {item['en']}"
        lines.append(f"  {item['contribution']:+.3f}  {both} = {value}")
    rest = sum(item["contribution"] for item in explanation["contributions"][top:])
    lines.append(f"  {rest:+.3f}  其余各列合计 all other columns together")
    if explanation["missing"]:
        lines.append("缺失 missing: " + ", ".join(item["zh"] for item in explanation["missing"]))
    return lines + [
        f"若 if {item['zh']} = {_text(item['to'])}{_unit(item)}: "
        f"{item['difference']:+.3f} → {item['probability']:.3f}"
        for item in explanation["changes"]
        if item["difference"] < -WORTH_SAYING
    ]


def _text(value: str | float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _unit(item: Mapping[str, Any]) -> str:
    return f" {item['unit']}" if item["unit"] else ""


def explain_file(
    model: Model, data: Path, rows: Sequence[str], *, focus: str = "", encoding: str = "utf-8"
) -> list[dict[str, Any]]:
    """Return explanations of the rows with these numbers (the first data row is 1).

    Raises:
        WrongUse: a row number that the file does not have, or an unknown class.
    """
    if focus and focus not in model.classes:
        raise refuse(
            f"--focus {focus!r}",
            found="no such class",
            expected=f"one of {', '.join(model.classes)}",
            remedy="correct the name",
        )
    wanted = [_row_number(text) for text in rows or ("",)]
    found: dict[int, dict[str, Any]] = {}
    at, start = model.classes.index(focus) if focus else len(model.classes) - 1, 0
    tables = (
        [
            read_table(
                data,
                encoding=encoding,
                max_rows=WHOLE_FILE,
                missing_words=model.about["missing_words"],
            )
        ]
        if model.about["per_group"]
        else read_chunks(data, encoding=encoding, missing_words=model.about["missing_words"])
    )
    for table in tables:
        raw, index = raw_of(model, table)
        inside = [n for n in wanted if start < n <= start + table.rows]
        picked = raw[index[np.asarray(inside, np.int64) - start - 1]] if inside else raw[:0]
        for number, told in zip(inside, explain_rows(model, picked, focus=at), strict=True):
            found[number] = {"row": number, **told}
        start += table.rows
    lost = [n for n in wanted if n not in found]
    if lost:
        raise refuse(
            "--row",
            found=str(lost[0]),
            expected=f"1..{start}" if start else "a file with rows: this one has a header only",
            remedy="correct the number" if start else "export the table again",
        )
    return [found[n] for n in wanted]


def _row_number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise refuse(
            "--row", found=repr(text), expected="whole numbers from 1", remedy="write 1,5,9"
        )
    return int(text)
