"""The top of the trust report: what is predicted, what the list finds, and whether to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from services.risk.training.report_parts import (
    both,
    gap_of,
    name_of,
    percent,
    row_at,
    section,
)

HEADLINE_SHARE = 0.1
TRUE_ENOUGH, ROUGHLY_TRUE = 0.02, 0.05
"""Average gaps between what is said and what happens, up to which it may be read as it stands."""


def case_of(found: Mapping[str, Any]) -> tuple[str, str]:
    """Return what is predicted, in Chinese and English, from the features file if it says so."""
    about, results = found["model"]["about"], found["results"]
    focus, target = results["focus"], about["target"]
    said = about.get("target_names") or {}
    if len(results["classes"]) == 2 and focus == results["classes"][-1] and said.get("zh"):  # noqa: PLR2004
        return escape(said["zh"]), escape(said.get("en") or said["zh"])
    return f"“{escape(target)}”为“{escape(focus)}”", f"“{escape(focus)}” in “{escape(target)}”"


def header(found: Mapping[str, Any]) -> str:
    """Return the title and what the figures are about."""
    zh, en = case_of(found)
    return "<h1>模型可信报告 <span lang='en'>Trust report</span></h1>" + both(
        f"这个模型把人按“<strong>{zh}</strong>”的可能性从高到低排成名单。"
        "下面的数字都来自模型没有学过的行。",
        f"The model lists people by how likely this is: <strong>{en}</strong>. "
        "All figures come from rows that it had not learned from.",
    )


def headline(found: Mapping[str, Any]) -> str:
    """Return the section that says in four figures and a few sentences what the list is worth."""
    results = found["results"]
    one, at = results["per_class"][results["focus"]], row_at(results, HEADLINE_SHARE)
    share, (zh, en) = one["share"], case_of(found)
    lift = at["precision"] / share if share else float("nan")
    rows, cases = results["rows"], one["positives"]
    return section(
        "一眼看懂",
        "At a glance",
        both(
            f"表里 {rows:,} 行，其中 {cases:,} 行（{percent(share)}）{zh}（下面叫“出事”）。"
            f"名单最前面的 10%，出事的机会是平均的 {lift:.1f} 倍。",
            f"{cases:,} of {rows:,} rows ({percent(share)}) are cases ({en}). The top 10 % of the "
            f"list are {lift:.1f} times as likely as the average.",
        )
        + f"<ul class='facts'>{_facts(results, one, at)}</ul>"
        + _verdict(found, one, at)
        + both(
            "名单只决定先去看谁，不决定任何人的待遇；紧急情况由规则管，不由模型管。",
            "The list decides whom to see first and nothing else; emergencies are set by rules.",
        ),
    )


def _facts(results: Mapping[str, Any], one: Mapping[str, Any], at: Mapping[str, Any]) -> str:
    anybody = f"{10 * one['share']:.1f}"
    facts = [
        (
            percent(at["recall"]),
            "只走访名单最前面的 10%，就能找到全部出事者中的这么多",
            "of all cases are in the top 10 % of the list",
        ),
        (
            f"{10 * at['precision']:.1f} / 10",
            f"最前面的 10% 里，每走访 10 个有这么多个真会出事（不看名单随便走访是 {anybody} 个）",
            f"of every 10 visits in the top 10 % are cases (visiting anybody: {anybody})",
        ),
    ]
    age = results["compare"].get("age alone")
    if age:
        facts.append(
            (
                percent(row_at(age, HEADLINE_SHARE)["recall"]),
                "若只按年龄从大到小走访，同样的人手找到这么多",
                "found with the same visits by age alone",
            )
        )
    facts.append(
        (
            f"{100 * one['ece']:.1f}",
            "个百分点：模型说的可能性与实际平均相差这么多（越小越老实）",
            "percentage points: average gap between what it says and what happens",
        )
    )
    return "".join(f"<li><strong>{n}</strong>{both(zh, en)}</li>" for n, zh, en in facts)


def _verdict(found: Mapping[str, Any], one: Mapping[str, Any], at: Mapping[str, Any]) -> str:
    """Return plain answers: does it beat age, may the probabilities be read, who is missed."""
    results = found["results"]
    answers = [_against_age(results, at), _truth(one["ece"])]
    for name, rows in results["subgroups"].items():
        gap = gap_of(rows)
        if gap:
            best, worst = escape(str(gap[0]["group"])), escape(str(gap[1]["group"]))
            zh, en = name_of(found["model"]["about"], name)
            answers.append(
                (
                    "warn",
                    f"{zh}“{worst}”里漏掉的明显比“{best}”多：这些人不要只靠名单。",
                    f"{en}: it misses many more cases among “{worst}” than among “{best}”.",
                )
            )
    mark = {"good": "✔", "warn": "！"}
    items = "".join(
        f"<li class='{kind}'><b aria-hidden='true'>{mark[kind]}</b>{both(zh, en)}</li>"
        for kind, zh, en in (a for a in answers if a)
    )
    return f"<ul class='verdict'>{items}</ul>"


def _against_age(results: Mapping[str, Any], at: Mapping[str, Any]) -> tuple[str, str, str] | None:
    age = results["compare"].get("age alone")
    if not age:
        return None
    other = row_at(age, HEADLINE_SHARE)
    more = round(at["found"] - other["found"])
    if more > 0:
        return (
            "good",
            f"比只按年龄排序强：同样走访 {at['places']:,.0f} 个，多找到 {more:,} 个出事的。",
            f"Better than age alone: {more:,} more cases with the same {at['places']:,.0f} visits.",
        )
    return (
        "warn",
        "不比只按年龄排序强：没有理由用它。",
        "No better than age alone: there is no reason to use it.",
    )


def _truth(gap: float) -> tuple[str, str, str]:
    if gap <= TRUE_ENOUGH:
        return (
            "good",
            "它说的可能性可以照字面读：说 10 个里有 1 个，实际差不多就是 1 个。",
            "Its probabilities may be taken literally: one in ten means about one in ten.",
        )
    if gap <= ROUGHLY_TRUE:
        return (
            "warn",
            "它说的可能性只是大致准：用来排先后可以，不要照字面读。",
            "Its probabilities are roughly right: good for an order, not to be taken literally.",
        )
    return (
        "warn",
        "它说的可能性不准：只能看先后，不能看数字。",
        "Its probabilities are off: read the order, not the numbers.",
    )


def honesty(found: Mapping[str, Any]) -> str:
    """Return how the figures came about, and leaks met in the judged file."""
    items = "".join(f"<li>{escape(note)}</li>" for note in found["notes"])
    leaks = "".join(f"<li>{both(escape(f['zh']), escape(f['en']))}</li>" for f in found["findings"])
    if not items and not leaks:
        return ""
    return section(
        "这些数字是怎么来的",
        "How these figures were made",
        (f"<div class='note'><ul>{leaks}</ul></div>" if leaks else "")
        + (f"<ul>{items}</ul>" if items else ""),
    )
