"""Features that may not be used whatever they predict, found by name, each with the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Ban:
    """A kind of feature that stays out; `zh` and `en` say why."""

    kind: str
    zh: str
    en: str


ETHNICITY = Ban(
    "ethnicity",
    "民族、种族不得作为风险依据：会把群体差异当成个人风险。",
    "Ethnicity or race: it would read a difference between groups as a person's risk.",
)
WORKER = Ban(
    "worker",
    "工作人员是谁反映的是谁去看，不是家庭的风险。",
    "Worker identity: it says who looked, not who is at risk.",
)
OWN_BEHAVIOUR = Ban(
    "own behaviour",
    "过去的预警、走访次数反映我们自己的行为，会自我循环。",
    "Our own alerts and visits: they measure our behaviour and feed back on themselves.",
)
REPORTER = Ban(
    "reporter",
    "报告人身份受法律保护，也不是被报告家庭的风险。",
    "Reporter identity: protected by law, and no property of the household.",
)
BENEFITS = Ban(
    "benefits",
    "领取救助、使用服务不得抬高风险：否则求助的家庭会受罚。",
    "Benefits and services used: asking for help must not raise a family's risk.",
)
PLACE = Ban(
    "place",
    "网格编号会把整个片区当成风险。",
    "Grid or area id: it would read a whole neighbourhood as risk.",
)

_WORDS: tuple[tuple[Ban, frozenset[str]], ...] = (
    (
        ETHNICITY,
        frozenset({"race", "races", "ethnicity", "ethnic", "ethnicgroup", "tribe", "caste"}),
    ),
    (
        WORKER,
        frozenset(
            {
                "inspector",
                "worker",
                "caseworker",
                "socialworker",
                "gridworker",
                "assessor",
                "interviewer",
                "investigator",
                "surveyor",
                "visitor",
                "officer",
            }
        ),
    ),
    (REPORTER, frozenset({"reporter", "informant", "complainant", "whistleblower"})),
    (
        BENEFITS,
        frozenset(
            {
                "benefit",
                "benefits",
                "dibao",
                "subsidy",
                "subsidies",
                "welfare",
                "allowance",
                "allowances",
            }
        ),
    ),
    (OWN_BEHAVIOUR, frozenset({"alert", "alerts", "alarms", "escalation", "escalations"})),
    (PLACE, frozenset({"gridid", "gridcode"})),
)
_CHINESE: tuple[tuple[Ban, str], ...] = (
    (ETHNICITY, r"民族|种族"),
    (WORKER, r"网格员|社工姓名|走访人|检查员|评估员|填报人|经办人|儿童主任姓名"),
    (OWN_BEHAVIOUR, r"预警次数|走访次数|上门次数|未遇|逾期走访|上次走访|历史预警"),
    (REPORTER, r"举报人|报告人|报案人"),
    (BENEFITS, r"救助金|补贴|低保|福利|领取.*(项|金|次)"),
    (PLACE, r"网格(编号|代码|号)"),
)
_VISITS = frozenset({"visit", "visits", "inspections", "homevisit", "homevisits"})
_COUNTED = frozenset(
    {
        "count",
        "number",
        "num",
        "n",
        "past",
        "previous",
        "prior",
        "failed",
        "missed",
        "last",
        "times",
        "late",
        "ontime",
        "days",
        "since",
        "total",
    }
)
_OTHERS_VISITS = frozenset(
    {
        "hospital",
        "doctor",
        "clinic",
        "gp",
        "emergency",
        "outpatient",
        "inpatient",
        "er",
        "specialist",
        "dentist",
    }
)


def words_of(name: str) -> list[str]:
    """Return the lower-case words of a column name (camelCase, snake_case, spaces, dots)."""
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return [word.lower() for word in re.split(r"[^A-Za-z0-9\u4e00-\u9fff]+", split) if word]


def ban_of(name: str) -> Ban | None:
    """Return why a column of this name must stay out, or None."""
    words = words_of(name)
    joined = {"".join(pair) for pair in pairwise(words)}
    seen = set(words) | joined
    for ban, banned in _WORDS:
        if seen & banned:
            return ban
    for ban, pattern in _CHINESE:
        if re.search(pattern, name):
            return ban
    if seen & _VISITS and seen & _COUNTED and not seen & _OTHERS_VISITS:
        return OWN_BEHAVIOUR
    return None
