"""The trust report: one offline page, Chinese first, to be read without statistics."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from services.risk.training.card import CANNOT_SEE
from services.risk.training.report_head import header, headline, honesty
from services.risk.training.report_parts import (
    both,
    capacity_section,
    group_section,
    percent,
    population_section,
    section,
    table,
)
from services.risk.training.svg import Line, calibration_chart, chart


def write_report(found: Mapping[str, Any], out: Path) -> None:
    """Write the page; it loads nothing from anywhere."""
    template = Template(
        resources.files("services.risk.training").joinpath("page.html").read_text(encoding="utf-8")
    )
    results = found["results"]
    parts = [
        headline(found),
        honesty(found),
        population_section(results, found["model"]["about"]),
        capacity_section(results),
        _truthful(results),
        _separates(results),
        group_section(results, found["model"]["about"]),
        _time(results),
        _thresholds(results),
        _classes(results),
        _left_out(found),
        _blind(),
        _particulars(found),
    ]
    out.write_text(
        template.substitute(header=header(found), body="\n".join(p for p in parts if p)),
        encoding="utf-8",
    )


def _truthful(results: Mapping[str, Any]) -> str:
    one = results["per_class"][results["focus"]]
    low, high = one["bins"][0], one["bins"][-1]
    words = both(
        f"模型说“{percent(high['predicted'])}”的那一组，实际有 {percent(high['observed'])} 出事；"
        f"说“{percent(low['predicted'])}”的那一组，实际有 {percent(low['observed'])}。"
        "点越靠近虚线，模型说得越准。",
        f"Where it said {percent(high['predicted'])}, {percent(high['observed'])} happened; "
        f"where it said "
        f"{percent(low['predicted'])}, {percent(low['observed'])}. Dots on the dashed line are "
        f"perfect.",
    )
    rows = [
        [
            f"{k}",
            f"{b['rows']:,}",
            percent(b["predicted"]),
            percent(b["observed"]),
            f"{percent(b['low'])} – {percent(b['high'])}",
        ]
        for k, b in enumerate(one["bins"], 1)
    ]
    listing = table(
        "按模型给的可能性从低到高分成十组 Ten equal groups by probability",
        ["组 group", "行数 rows", "模型说 said", "实际 happened", "95% 区间 interval"],
        rows,
    )
    return section(
        "说得准不准",
        "Is it truthful?",
        words
        + "<figure>"
        + calibration_chart(one["bins"], "校准 calibration")
        + "</figure><details><summary>看数字 <span lang='en'>figures</span></summary>"
        + f"{listing}</details>",
    )


def _separates(results: Mapping[str, Any]) -> str:
    one, curve = results["per_class"][results["focus"]], results["curves"]
    low, high = one["auc_interval"]
    words = both(
        f"随便拿一个出事的和一个没出事的，模型有 {percent(one['auc'])} 的把握把出事的排在前面"
        f"（95% 区间 {percent(low)} – {percent(high)}；瞎猜是 50%）。",
        f"Given one case and one other, it puts the case first {percent(one['auc'])} of the time "
        f"(95 % interval {percent(low)} – {percent(high)}; guessing: 50 %).",
    )
    roc = chart(
        name="ROC",
        description=f"AUC {one['auc']:.3f}",
        x="误报 false alarms (FPR)",
        y="找到 found (TPR)",
        lines=[
            Line([(0, 0), (1, 1)], "瞎猜 guessing", "#6e7781", "4 3"),
            Line(curve["roc"], "模型 model"),
        ],
    )
    pr = chart(
        name="PR",
        description=f"average precision {one['average_precision']:.3f}",
        x="找到 found (recall)",
        y="准 precision",
        lines=[
            Line([(0, one["share"]), (1, one["share"])], "瞎猜 guessing", "#6e7781", "4 3"),
            Line(curve["pr"], "模型 model"),
        ],
    )
    return section(
        "分得开吗",
        "Does it tell cases from others?",
        words + f"<div class='charts'><figure>{roc}<figcaption>ROC</figcaption></figure>"
        f"<figure>{pr}<figcaption>PR（AP "
        f"{one['average_precision']:.3f}）</figcaption></figure></div>",
    )


def _time(results: Mapping[str, Any]) -> str:
    parts = []
    gained = results.get("days_gained")
    if gained:
        parts.append(
            both(
                f"每 {gained['window_days']:.0f} 天的走访量不变、只换先后次序，问题平均早 "
                f"{gained['mean_days']:.1f} 天被发现"
                f"（95% 区间 {gained['low']:.1f} – {gained['high']:.1f}，{gained['cases']:.0f} "
                f"个问题）。",
                f"With the same visits per {gained['window_days']:.0f} days in order of risk, "
                f"problems are found "
                f"{gained['mean_days']:.1f} days earlier on average (95 % interval "
                f"{gained['low']:.1f} – "
                f"{gained['high']:.1f}; {gained['cases']:.0f} problems).",
            )
        )
    lead = results.get("lead_time")
    if lead and lead["cases"]:
        parts.append(
            both(
                f"被点名且真出事的 {lead['cases']:.0f} 例，提前中位数 {lead['median']:.0f} 天"
                f"（四分位 {lead['q25']:.0f} – {lead['q75']:.0f}）。",
                f"{lead['cases']:.0f} cases were named a median of {lead['median']:.0f} days ahead "
                f"(quartiles {lead['q25']:.0f} – {lead['q75']:.0f}).",
            )
        )
    return section("早了多久", "Lead time", "".join(parts)) if parts else ""


def _thresholds(results: Mapping[str, Any]) -> str:
    rows = []
    for row in results["thresholds"]:
        rates = row["rates"]
        rows.append(
            [
                f"≥ {percent(row['threshold'])}",
                f"{row['tp'] + row['fp']:,}",
                percent(rates["selected"][0]),
                percent(rates["tpr"][0]),
                percent(rates["ppv"][0]),
                percent(rates["fpr"][0]),
            ]
        )
    return section(
        "线画在哪里",
        "Where to draw the line",
        both(
            "可能性高于这条线就去看：线低了跑得多，线高了漏得多。",
            "Visit everybody above the line: low lines cost visits, high lines miss cases.",
        )
        + table(
            "不同的线 Thresholds",
            [
                "线 line",
                "走访 visited",
                "占全部 share",
                "找到 found",
                "走访中真的 precision",
                "误报率 FPR",
            ],
            rows,
        ),
    )


def _classes(results: Mapping[str, Any]) -> str:
    if len(results["classes"]) < 3:  # noqa: PLR2004
        return ""
    rows = [
        [escape(name), f"{one['positives']:,}", f"{one['auc']:.3f}", f"{one['ece']:.3f}"]
        for name, one in results["per_class"].items()
    ]
    counts = [
        [escape(name), *(f"{v:,}" for v in line)]
        for name, line in zip(results["classes"], results["confusion"], strict=True)
    ]
    return section(
        "每一类",
        "Every class",
        table(
            f"宏平均 F1 macro-F1 {results['macro_f1']:.3f}",
            ["类 class", "行数 rows", "AUC", "ECE"],
            rows,
        )
        + table(
            "实际（行）与选定（列） truth (rows) and chosen (columns)",
            ["", *map(escape, results["classes"])],
            counts,
        ),
    )


def _left_out(found: Mapping[str, Any]) -> str:
    about = found["model"]["about"]
    rows = [
        [escape(i["column"]), escape(i["kind"]), both(escape(i["zh"]), escape(i["en"]))]
        for i in about["left_out"]
    ]
    leaks = "".join(
        f"<li>{escape(f['column'])}: {both(escape(f['zh']), escape(f['en']))}</li>"
        for f in about["findings"]
    )
    notes = "".join(f"<li>{escape(n)}</li>" for n in about["notes"])
    return section(
        "没有用的列，为什么",
        "What was left out, and why",
        (
            f"<div class='note'><h3>泄露 <span lang='en'>Leaks "
            f"found</span></h3><ul>{leaks}</ul></div>"
            if leaks
            else "<p class='good'>没有发现泄露。<span lang='en'>No leak was found.</span></p>"
        )
        + table(
            "未使用的列 Columns not used",
            ["列 column", "种类 kind", "原因 reason"],
            rows,
            words=True,
        )
        + (
            f"<h3>备注 <span lang='en'>Notes</span></h3><ul lang='en'>{notes}</ul>" if notes else ""
        ),
    )


def _blind() -> str:
    items = "".join(f"<li>{both(zh, en)}</li>" for zh, en in CANNOT_SEE)
    return section("它看不见什么", "What it cannot see", f"<ul>{items}</ul>")


def _particulars(found: Mapping[str, Any]) -> str:
    about, results = found["model"]["about"], found["results"]
    one = results["per_class"][results["focus"]]
    facts = [
        ("模型 model hash", found["model"]["hash"]),
        ("训练数据 training snapshot", about["data"]["snapshot"]),
        ("检验数据 judged file", f"{found['data']['file']} ({found['data']['snapshot'][:16]})"),
        ("检验方法 validation", about["validation"]["method"]),
        ("配方 recipe", f"{about['recipe']}: {' + '.join(about['parts'])}"),
        ("库 libraries", ", ".join(f"{k} {v}" for k, v in about["libraries"].items())),
        ("选级 level by", results["placement"]),
        ("log-loss; Brier", f"{results['log_loss']:.4f}; {one['brier']:.4f}"),
        (
            "校准斜率、截距 calibration slope, intercept",
            f"{one['slope']:.3f}, {one['intercept']:+.3f}",
        ),
        (
            "定义 definitions",
            (
                "recall = found / all cases; precision = cases / visited; FPR = false alarms / "
                "others; ECE = mean gap over 10 equal groups; intervals: Wilson (shares), "
                "DeLong (AUC), bootstrap of rows (population)"
            ),
        ),
    ]
    rows = [[escape(k), escape(str(v))] for k, v in facts]
    return section("给技术人员", "Particulars", table("", ["", ""], rows, plain=True, words=True))
