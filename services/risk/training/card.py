"""The model card, for people (Markdown) and for programs (JSON), with a calibration picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.risk.training.recipe import Task
from services.risk.training.storage import library_versions, write_json
from services.risk.training.svg import calibration_chart

CANNOT_SEE = (
    (
        "表里没有写下来的一切：邻里的话、屋里的样子、当事人自己的意愿。",
        (
            "Whatever is not written in the table: what neighbours say, how the home looks, what "
            "people want."
        ),
    ),
    (
        "昨天刚发生的变化：模型只知道训练时那样的过去；紧急情况由规则而不是模型来定。",
        (
            "What changed yesterday: the model knows only a past like its training data; "
            "emergencies are set by rules, not by the model."
        ),
    ),
    (
        "原因：贡献说的是“模型因此加分”，不是“因此出事”。",
        "Causes: a contribution says why the model's score is higher, not why harm happens.",
    ),
    (
        "与训练数据很不同的人；小于 100 人的群体没有可靠的数字。",
        "People unlike those in the training data; groups under 100 rows have no reliable figures.",
    ),
)


def write_card(
    folder: Path, *, about: Mapping[str, Any], task: Task, results: Mapping[str, Any]
) -> dict[str, Any]:
    """Write card.json, card.md and calibration.svg, and return the card."""
    card = {
        "task": {"kind": task.kind, "classes": list(task.classes)},
        "target": about["target"],
        "data": about["data"],
        "validation": about["validation"],
        "choice": about["choice"],
        "placement": about["placement"],
        "libraries": library_versions(),
        "seed": about["seed"],
        "features": about["features"],
        "left_out": about["left_out"],
        "findings": about["findings"],
        "notes": about["notes"],
        "caution": about["caution"],
        "results": dict(results),
        "cannot_see": [{"zh": zh, "en": en} for zh, en in CANNOT_SEE],
    }
    write_json(folder / "card.json", card)
    bins = results["per_class"][results["focus"]]["bins"]
    (folder / "calibration.svg").write_text(
        calibration_chart(bins, f"calibration {results['focus']}"), encoding="utf-8"
    )
    (folder / "card.md").write_text(markdown(card), encoding="utf-8")
    return card


def markdown(card: Mapping[str, Any]) -> str:
    """Return the card as Markdown, Chinese first."""
    results = card["results"]
    lines = [
        "# 模型说明卡 Model card",
        "",
        *([f"> **{card['caution']}**", ""] if card["caution"] else []),
        (
            f"预测 Target: `{card['target']}` → "
            f"{', '.join(f'`{c}`' for c in card['task']['classes'])} "
            f"({card['task']['kind']})."
        ),
        "",
        (
            f"数据 Data: {card['data']['rows_used']:,} rows used of "
            f"{card['data']['rows_in_file']:,}; "
            f"snapshot `{card['data']['snapshot'][:16]}`."
        ),
        (
            f"检验 Validation: {card['validation']['method']}; "
            f"{card['validation']['rows_judged']:,} rows "
            "judged, none by a model that had learned from it."
        ),
        (
            f"配方 Recipe: {' + '.join(card['choice']['parts'])}, chosen by log-loss; "
            f"level by {card['placement']['rule']}."
        ),
        "",
        "## 数字 Figures",
        "",
        "| class | rows | AUC (95 %) | AP | ECE | Brier | slope |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in results["per_class"].items():
        low, high = one["auc_interval"]
        lines.append(
            f"| {name} | {one['positives']:,} | {one['auc']:.3f} ({low:.3f}–{high:.3f}) "
            f"| {one['average_precision']:.3f} | {one['ece']:.3f} | {one['brier']:.3f} "
            f"| {one['slope']:.2f} |"
        )
    lines += _population(results)
    lines += [
        "",
        f"macro-F1 {results['macro_f1']:.3f}, log-loss {results['log_loss']:.4f}.",
        "",
        "![calibration](calibration.svg)",
        "",
    ]
    lines += _capacity(results) + _groups(results) + _columns(card)
    lines += ["", "## 它看不见什么 What it cannot see", ""]
    lines += [f"- {item['zh']} {item['en']}" for item in card["cannot_see"]]
    return "\n".join(lines) + "\n"


def _population(results: Mapping[str, Any]) -> list[str]:
    people = results.get("population")
    if not people:
        return []
    lines = [
        "",
        (
            f"上表只数行（样本）；下表按 `{people['weight']}` 折算到全体人口。 "
            f"The table above counts rows (the sample); this one counts the people they "
            f"stand for, by `{people['weight']}` ({people['rows']:,} rows tell as much as "
            f"{people['effective_rows']:,.0f} equal ones)."
        ),
        "",
        "| class | share of people | AUC (95 %, bootstrap) | AP | ECE | Brier | slope |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in people["per_class"].items():
        low, high = one["auc_interval"]
        lines.append(
            f"| {name} | {one['share']:.1%} | {one['auc']:.3f} ({low:.3f}–{high:.3f}) "
            f"| {one['average_precision']:.3f} | {one['ece']:.3f} | {one['brier']:.3f} "
            f"| {one['slope']:.2f} |"
        )
    return lines


def _capacity(results: Mapping[str, Any]) -> list[str]:
    lines = [
        f"## 人手有限时 At capacity (class `{results['focus']}`)",
        "",
        "| visited | found | recall | precision |",
        "|---|---|---|---|",
    ]
    return lines + [
        f"| {row['share']:.0%} | {row['found']:.0f} | {row['recall']:.1%} | {row['precision']:.1%} |"  # noqa: E501
        for row in results["capacity"]
    ]


def _groups(results: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for name, rows in results["subgroups"].items():
        lines += [
            "",
            f"### 分群 Subgroups: {name}",
            "",
            "| group | rows | found (recall, 95 %) | false alarms (FPR) | AUC | ECE |",
            "|---|---|---|---|---|---|",
        ]
        for row in rows:
            if "rates" not in row:
                lines.append(
                    f"| {row['group']} | {row['rows']} | fewer than "
                    f"{results['min_rows']} rows: no figures | | | |"
                )
                continue
            tpr, fpr = row["rates"]["tpr"], row["rates"]["fpr"]
            lines.append(
                f"| {row['group']} | {row['rows']:,} | {tpr[0]:.1%} ({tpr[1]:.1%}–{tpr[2]:.1%}) "
                f"| {fpr[0]:.1%} ({fpr[1]:.1%}–{fpr[2]:.1%}) | {row['auc']:.3f} "
                f"| {row['ece']:.3f} |"
            )
    return lines


def _columns(card: Mapping[str, Any]) -> list[str]:
    lines = [
        "",
        "## 列 Columns",
        "",
        f"{len(card['features'])} used: " + ", ".join(f"`{name}`" for name in card["features"]),
        "",
        "Left out:",
        "",
    ]
    lines += [
        f"- `{item['column']}` ({item['kind']}): {item['zh']} {item['en']}"
        for item in card["left_out"]
    ]
    if card["findings"]:
        lines += ["", "## 泄露 Leaks found", ""]
        lines += [
            f"- {f['kind']} `{f['column']}` — {f['action']}: {f['zh']} {f['en']}"
            for f in card["findings"]
        ]
    if card["notes"]:
        lines += ["", "## 备注 Notes", "", *(f"- {note}" for note in card["notes"])]
    return lines
