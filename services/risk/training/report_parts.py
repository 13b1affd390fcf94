"""Pieces of the trust report: sections, tables, bars, and the two sections that compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

GAP, LONG = 0.8, 40
"""Groups whose share of cases found is below this part of the best group's are pointed out."""


def both(zh: str, en: str) -> str:
    """Return a sentence in Chinese with the English one below it."""
    return f"<p>{zh}<br><span lang='en'>{en}</span></p>"


def percent(value: float) -> str:
    """Return a share as text; nothing for NaN."""
    return "–" if value != value else f"{100 * value:.1f}%"  # noqa: PLR0124


def section(zh: str, en: str, inside: str) -> str:
    """Return a section with its heading."""
    return f"<section><h2>{zh} <span lang='en'>{en}</span></h2>{inside}</section>"


def row_at(results: Mapping[str, Any], share: float) -> Mapping[str, Any]:
    """Return the row of the capacity table nearest to this share."""
    row: Mapping[str, Any] = min(results["capacity"], key=lambda r: abs(r["share"] - share))
    return row


def name_of(about: Mapping[str, Any], column: str) -> tuple[str, str]:
    """Return a column's names in Chinese and English from the features file, else its own."""
    said = (about.get("names") or {}).get(column) or {}
    return escape(said.get("zh") or column), escape(said.get("en") or column)


def table(
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    plain: bool = False,
    words: bool = False,
) -> str:
    """Return a table with header cells; texts must be escaped already.

    `plain` leaves the head out, `words` sets every cell to the left.
    """
    top = (
        ""
        if plain
        else "<thead><tr>" + "".join(f"<th scope='col'>{h}</th>" for h in head) + "</tr></thead>"
    )
    body = "".join(
        "<tr>"
        f"<th scope='row'>{row[0]}</th>"
        + "".join(f"<td{_left(cell)}>{cell}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    title = f"<caption>{caption}</caption>" if caption else ""
    kind = " class='words'" if words else ""
    return f"<div class='wide'><table{kind}>{title}{top}<tbody>{body}</tbody></table></div>"


def _left(cell: str) -> str:
    if "class='bar" in cell:
        return " class='b'"
    long = cell.startswith("<p") or (len(cell) > LONG and "<" not in cell)
    return " class='l'" if long else ""


def bar(share: float, kind: str = "") -> str:
    """Return a bar as wide as the share; the number stands beside it."""
    width = 0.0 if share != share else max(0.0, min(1.0, share))  # noqa: PLR0124
    return f"<span class='bar {kind}' style='width:{5 * width:.2f}rem' aria-hidden='true'></span>"


def _barred(share: float, kind: str = "") -> str:
    return f"<span class='n'>{percent(share)}</span> {bar(share, kind)}"


def capacity_section(results: Mapping[str, Any]) -> str:
    """Return what is found with few hands, beside age alone, given scores and chance."""
    rivals = list(results["compare"].items())
    head = [
        "走访 visits",
        "模型找到 found",
        "走访中真的 precision",
        *(_name(name) for name, _ in rivals),
        "随便走访 chance",
    ]
    rows = []
    for k, row in enumerate(results["capacity"]):
        cells = [
            f"{percent(row['share'])}（{row['places']:,.0f}）",
            _barred(row["recall"]),
            percent(row["precision"]),
        ]
        cells += [_barred(other["capacity"][k]["recall"], "other") for _, other in rivals]
        cells.append(_barred(row["share"], "none"))
        rows.append(cells)
    words = both(
        "人手只够走访一部分时，从名单最前面开始，能找到多少。",
        "When there are hands for some visits only: how many cases the top of the list holds.",
    )
    return section(
        "人手有限时",
        "With few hands",
        words + table("找到的份额 Share of all cases found", head, rows) + _areas(results, rivals),
    )


def _name(name: str) -> str:
    return "只按年龄 age alone" if name == "age alone" else f"“{escape(name)}” alone"


def _areas(results: Mapping[str, Any], rivals: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    if not rivals:
        return ""
    one = results["per_class"][results["focus"]]
    rows = [["模型 model", *_area(one)]] + [[_name(name), *_area(other)] for name, other in rivals]
    return table("整体比较 Overall", ["", "AUC", "95% 区间 interval", "AP"], rows)


def _area(one: Mapping[str, Any]) -> list[str]:
    low, high = one["auc_interval"]
    return [f"{one['auc']:.3f}", f"{low:.3f} – {high:.3f}", f"{one['average_precision']:.3f}"]


def population_section(results: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """Return the population's figures beside the sample's, where weights are given."""
    people = results.get("population")
    if not people:
        return ""
    focus = results["focus"]
    sample, whole = results["per_class"][focus], people["per_class"][focus]
    at = [row_at(r, 0.1) for r in (results, people)]
    rows = [
        ["出事的比例 share of cases", percent(sample["share"]), percent(whole["share"])],
        [
            "名单前 10% 能找到 found in the top 10 %",
            percent(at[0]["recall"]),
            _rate([at[1]["recall"], *at[1]["recall_interval"]]),
        ],
        [
            "前 10% 里真的 precision there",
            percent(at[0]["precision"]),
            percent(at[1]["precision"]),
        ],
        [
            "把出事的排在前面的把握 AUC",
            _rate([sample["auc"], *sample["auc_interval"]]),
            _rate([whole["auc"], *whole["auc_interval"]]),
        ],
        [
            "说的与实际的平均差距 average gap (ECE)",
            percent(sample["ece"]),
            percent(whole["ece"]),
        ],
    ]
    if "age alone" in results["compare"]:
        alone = [r["compare"]["age alone"]["auc"] for r in (results, people)]
        rows.append(["只按年龄 age alone, AUC", *map(percent, alone)])
    words = both(
        "调查时有些人群问得多，有些问得少，所以表里数行得到的比例不等于全体人口的比例。右边一列按"
        f"抽样权重“{escape(people['weight'])}”折算到全体：看这里知道“在所有人身上会怎样”；左边一列和"
        "本页其他表都只数表里的行。",
        "The survey asked some groups more often than others. The right column counts each row as "
        f"the people it stands for ({escape(people['weight'])}): what to expect among everybody. "
        "The left column and all other tables of this page count rows.",
    )
    return section(
        "折算到全体",
        "For the population",
        words
        + table(
            "括号内为 95% 区间 95 % interval in brackets",
            ["", "表里的行 this sample", "全体人口 the population"],
            rows,
        )
        + _groups_of_population(people, about),
    )


def _groups_of_population(people: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    parts = []
    for name, rows in people["subgroups"].items():
        lines = [
            [
                escape(str(row["group"])),
                percent(row["share"]),
                percent(row["observed"]),
                percent(row["mean_probability"]),
                _rate(row["rates"]["tpr"]),
                _rate(row["rates"]["ppv"]),
            ]
            for row in rows
            if "rates" in row
        ]
        head = [
            "群体 group",
            "占全体 share",
            "真的 cases",
            "平均说 said",
            "找到 found",
            "点名中真的 precision",
        ]
        zh, en = name_of(about, name)
        parts.append(table(f"全体人口按{zh} {en}, in the population", head, lines))
    if not parts:
        return ""
    inside = "".join(parts)
    return f"<details><summary>分群 <span lang='en'>by group</span></summary>{inside}</details>"


def group_section(results: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """Return the subgroup tables with intervals, and say where groups are served unequally."""
    parts = []
    for name, rows in results["subgroups"].items():
        lines = [_group_row(row, results["min_rows"]) for row in rows]
        parts.append(
            "<h3>{} <span lang='en'>{}</span></h3>".format(*name_of(about, name))
            + _gap(rows)
            + table(
                "括号内为 95% 区间 95 % interval in brackets",
                [
                    "群体 group",
                    "行数 rows",
                    "真的 cases",
                    "找到 found",
                    "误报率 FPR",
                    "点名中真的 precision",
                    "平均说 said",
                    "AUC",
                ],
                lines,
            )
        )
    if not parts:
        return ""
    words = both(
        "同一条线对不同群体未必一样灵。少于 100 行的群体不给数字；按民族等列只作检查，不作依据。",
        "One line does not serve every group alike. Groups under 100 rows get no figures; columns "
        "such as ethnicity are used for this check only, never as a feature.",
    )
    return section("对谁更灵", "For whom it works", words + "".join(parts))


def _group_row(row: Mapping[str, Any], least: int) -> list[str]:
    name, rows = escape(str(row["group"])), f"{row['rows']:,}"
    if "rates" not in row:
        return [name, rows, f"<small>少于 {least} 行 too few</small>", "–", "–", "–", "–", "–"]
    rates = row["rates"]
    return [
        name,
        rows,
        percent(row["positives"] / row["rows"]),
        _rate(rates["tpr"]),
        _rate(rates["fpr"]),
        _rate(rates["ppv"]),
        percent(row["mean_probability"]),
        f"{row['auc']:.3f}",
    ]


def _rate(rate: Sequence[float]) -> str:
    low, high = (f"{100 * value:.0f}%" for value in rate[1:3])
    return f"{percent(rate[0])}<br><small>({low} – {high})</small>"


def gap_of(rows: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """Return the best and the worst served group if their intervals lie apart, else None."""
    known = [r for r in rows if "rates" in r and r["rates"]["tpr"][0] == r["rates"]["tpr"][0]]
    if len(known) < 2:  # noqa: PLR2004
        return None
    best = max(known, key=lambda r: r["rates"]["tpr"][0])
    worst = min(known, key=lambda r: r["rates"]["tpr"][0])
    a, b = best["rates"]["tpr"], worst["rates"]["tpr"]
    return None if b[0] >= GAP * a[0] or b[2] >= a[1] else (best, worst)


def _gap(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a sentence where the intervals of the best and worst served group lie apart."""
    found = gap_of(rows)
    if found is None:
        return ""
    a, b = (row["rates"]["tpr"] for row in found)
    x, y = (escape(str(row["group"])) for row in found)
    return (
        "<div class='note'>"
        + both(
            f"差距：“{x}”里真出事的找到 {percent(a[0])}，“{y}”里只找到 {percent(b[0])}，超出偶然。"
            "考虑分群画线，或对后者多走访。",
            f"Gap: {percent(a[0])} of cases found among “{x}”, {percent(b[0])} among “{y}”, "
            f"more than chance. "
            "Consider a line per group, or more visits to the latter.",
        )
        + "</div>"
    )
