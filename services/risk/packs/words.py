"""What somebody may have meant by a word that is no operator: the nearest names, Chinese ones too.

Operators are written in English, so that a pack reads the same everywhere; who writes the Chinese
word, or mistypes it, is told the English one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

IN_CHINESE: Final[Mapping[str, tuple[str, ...]]] = {
    "all": ("且", "并且", "而且", "全部", "都满足"),
    "any": ("或", "或者", "任一", "任何一个"),
    "not": ("非", "不是", "取反"),
    "eq": ("等于", "相等", "是"),
    "ne": ("不等于", "不等"),
    "lt": ("小于", "低于", "少于", "早于"),
    "le": ("小于等于", "不大于", "不超过", "至多"),
    "gt": ("大于", "高于", "多于", "超过", "晚于"),
    "ge": ("大于等于", "不小于", "不少于", "至少"),
    "in": ("属于", "其中之一"),
    "has": ("包含", "含有"),
    "exists": ("存在", "出现", "发生过"),
    "newest": ("最新为", "目前是", "最近一条"),
    "absent": ("缺失", "没有", "无记录", "未出现"),
    "active": ("有效", "生效中"),
    "any_member": ("任一成员", "家庭成员"),
    "any_tied": ("任一关系人", "关系人"),
    "latest": ("最新值", "最近值"),
    "count": ("次数", "计数", "数量"),
    "sum": ("合计", "总和"),
    "max": ("最大", "最大值"),
    "min": ("最小", "最小值"),
    "delta": ("变化", "差值"),
    "streak": ("连续", "连续次数"),
    "since": ("距今", "距上次"),
    "age": ("年龄", "周岁"),
    "members": ("成员数", "人数"),
}
_LIKE: Final = 0.5
_MOST: Final = 3


def meant(word: str, known: Iterable[str]) -> str:
    """Return ' (did you mean …?)' for the closest of the known operators, or nothing.

    Looks at the operators' names and at what they are called in Chinese, typing slips allowed.
    """
    allowed = list(known)
    spoken = {name: (name, *IN_CHINESE.get(name, ())) for name in allowed}
    scored = [
        (max(difflib.SequenceMatcher(None, word, said).ratio() for said in names), name)
        for name, names in spoken.items()
    ]
    close = sorted((-score, name) for score, name in scored if score >= _LIKE)[:_MOST]
    told = ", ".join(_told(name, word) for _, name in close)
    return f" (did you mean {told}?)" if told else ""


def _told(name: str, word: str) -> str:
    chinese = IN_CHINESE.get(name)
    return name if word.isascii() or not chinese else f"{name} ({chinese[0]})"
