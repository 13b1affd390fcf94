"""What each column is: number, category, date, id, free text or empty, and why it is left out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from services.risk.domain.forbidden import ban_of, words_of
from services.risk.training.faults import refuse
from services.risk.training.spec import FeatureSpec, Spec
from services.risk.training.table import Column, Floats, Table

TEXT_NUMBER_SHARE = 0.95
"""At least this share of a column's filled rows must read as numbers to be a number."""
ID_SHARE = 0.995
"""Distinct values per filled row from which a whole-number or text column may be an id."""
FREE_TEXT_SHARE = 0.5
HEAVIEST, NEAR_ONE = 1000.0, 0.05
"""Sampling weights count people (thousands), or are scaled to a mean of one."""
MAX_CODES = 60
"""A whole-number column with more distinct values is a number unless its name says code."""

_ID_WORDS = frozenset(
    {
        "id",
        "ids",
        "nbr",
        "no",
        "number",
        "num",
        "key",
        "uuid",
        "guid",
        "seqn",
        "seq",
        "code",
        "license",
        "licence",
        "ref",
        "record",
        "index",
        "serial",
        "uid",
        "pk",
        "row",
        "rowid",
        "rownum",
        "case",
    }
)
_CODE_WORDS = frozenset(
    {
        "code",
        "codes",
        "id",
        "cd",
        "type",
        "kind",
        "mode",
        "category",
        "cat",
        "course",
        "zip",
        "postcode",
        "icd",
        "diag",
        "diagnosis",
    }
)
_ID_CHINESE = re.compile(r"(编号|序号|证号|号码|代码|身份证|流水号)$|^(编号|序号)")
_AFTER = re.compile(
    r"(date|time|day|year|cause|age|place)s?_?(of|at)_?(death|closing|closure|unregistration|withdrawal)"
    r"|^(death|deceased|died|closing|closure|closed|unregistration|unregistered|withdrawal|outcome)"
    r"(_?(date|time|at|on|reason|year|day|code))?$|^final_?(result|outcome|status|grade)$"
    r"|死亡(日期|时间|原因)|结案(日期|时间|结果|原因)|处置结果|最终结果|注销(日期|时间)",
    re.IGNORECASE,
)
_WEIGHT_NAMED = re.compile(r"(^|[^a-z])(weights?|wts?|wgts?|[pf]weight)([^a-z]|$)", re.IGNORECASE)
_WEIGHT_SURE = re.compile(
    r"^wt(mec|int|saf|sa|dr|ph)[a-z0-9]*$|^[pf]weight$"
    r"|(sampl|survey|design|person|household|hh|final|analysis|strat)[a-z]*[^a-z]?(weight|wt|wgt)"
    r"|权重|加权系数",
    re.IGNORECASE,
)
_ISO_DATE = re.compile(r"^(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?([ T].*)?$")
_US_DATE = re.compile(r"^(\d{1,2})/(\d{1,2})/(\d{4})([ T].*)?$")
_CODE_LIKE = re.compile(r"^[A-Za-z]{1,2}\d")


@dataclass(frozen=True)
class LeftOut:
    """A column that is not used. `kind` is a word for programs, `zh` and `en` are for people."""

    column: str
    kind: str
    zh: str
    en: str


@dataclass
class Roles:
    """Which columns are features and which are not."""

    kinds: dict[str, str] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    dates: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def drop(self, column: str, kind: str, zh: str, en: str) -> None:
        """Leave a column out, once."""
        self.kinds.pop(column, None)
        if all(item.column != column for item in self.left_out):
            self.left_out.append(LeftOut(column, kind, zh, en))


def infer(
    table: Table, spec: Spec, *, target: str, group: str, time: str, weight: str = ""
) -> Roles:
    """Return the roles of all columns but target, group and time; the spec goes before guessing."""
    roles = Roles()
    if weight:
        roles.drop(
            weight,
            "sampling weight",
            "抽样权重：说的是每行代表多少人，不是这个人怎样；只用来折算到全体。",
            "the sampling weight: how many people a row stands for, not how they are; "
            "used for the figures of the population only",
        )
    seen: dict[tuple[int, bytes], str] = {}
    for name, column in table.columns.items():
        if name in {target, group, time, weight}:
            continue
        _place(column, spec, roles, table.rows)
        if name in roles.kinds and _same_as(column, seen, roles):
            continue
    return roles


def _place(column: Column, spec: Spec, roles: Roles, rows: int) -> None:
    name, said = column.name, spec.of(column.name)
    ban = ban_of(name.split("|", 1)[0])
    if said.allowed is False:
        roles.drop(
            name,
            "forbidden by spec",
            f"规格文件不允许：{said.reason}",
            f"not allowed: {said.reason}",
        )
    elif ban and said.allowed is None:
        roles.drop(name, f"forbidden: {ban.kind}", ban.zh, ban.en)
    elif said.known and _too_late(said.known, spec):
        roles.drop(
            name,
            "known after",
            "预测时还不知道（规格文件声明）。",
            f"declared as known {said.known!r}, later than the moment of prediction",
        )
    elif column.distinct == 0:
        roles.drop(name, "empty", "全部缺失。", "every value is missing")
    elif column.distinct == 1 and not column.missing.any():
        roles.drop(name, "constant", "所有行都一样。", "every row has the same value")
    elif _AFTER.search(name) and said.allowed is None and not said.known:
        roles.drop(
            name,
            "known after",
            "从名称看是结果发生之后才有的；若不是，请在规格文件写 known: before。",
            "by its name it is known only after the outcome; "
            "if not, write `known: before` in the features file",
        )
    elif said.allowed is None and looks_like_weight(column):
        roles.drop(
            name,
            "looks like a sampling weight",
            f"看名称和数值像抽样权重，没有当特征用；若是，请加 --weight {name}，"
            "可看到折算到全体的数字；若是测量值，请在规格文件写 allowed: true 和理由。",
            f"by name and values a sampling weight, so no feature: give --weight {name} to see the "
            "figures for the population; if it is a measurement, write `allowed: true` and a "
            "reason in the features file",
        )
    else:
        _sort(column, _type_of(column, said, rows), roles)


def _type_of(column: Column, said: FeatureSpec, rows: int) -> str:
    """Return what the features file says of a column, else what it looks like.

    A declared direction makes a number of codes that read as numbers, so that it holds.

    Raises:
        WrongUse: a direction is declared for something that has no more and no less.
    """
    kind = kind_of(column, rows) if said.type == "auto" else said.type
    if said.direction == "0" or kind in {"number", "date"}:
        return kind
    readable = float(column.counts[~np.isnan(column.parsed)].sum()) / int(column.counts.sum())
    if said.type == "auto" and readable >= TEXT_NUMBER_SHARE:
        return "number"
    raise refuse(
        f"features file: {column.name!r}, direction {said.direction!r}",
        found=f"values of the kind {kind}",
        expected="numbers, of which there can be more or less",
        remedy="write the levels as numbers (0, 1, 2), or leave the direction out",
    )


def looks_like_weight(column: Column) -> bool:
    """Tell whether a column says how many people a row stands for: never assumed, only suggested.

    A body weight is no such thing: a plain name counts only with values that no body has.
    """
    sure = bool(_WEIGHT_SURE.search(column.name))
    if not sure and not _WEIGHT_NAMED.search(column.name):
        return False
    numbers = column.parsed
    if column.distinct <= MAX_CODES or np.isnan(numbers).any() or numbers.min() < 0:
        return False
    if column.missing.any() or bool(np.all(numbers == np.round(numbers))):
        return False
    mean = float(np.average(numbers, weights=column.counts))
    return sure or float(numbers.max()) > HEAVIEST or abs(mean - 1) < NEAR_ONE


def _too_late(known: str, spec: Spec) -> bool:
    if known in {"after", "before"}:
        return known == "after"
    latest = spec.predict_at or (spec.stages[-1] if spec.stages else known)
    return spec.stages.index(known) > spec.stages.index(latest)


def _sort(column: Column, kind: str, roles: Roles) -> None:
    if kind == "id":
        roles.ids.append(column.name)
        roles.drop(
            column.name,
            "id",
            "编号：每行都不同，只能死记硬背，对新的人没有意义。",
            "an identifier: every row has its own value, it can only be learned by heart",
        )
    elif kind == "text":
        roles.drop(
            column.name,
            "free text",
            "自由文本：大多数值只出现一次。",
            "free text: most values occur once",
        )
    else:
        if kind == "date":
            roles.dates.append(column.name)
        roles.kinds[column.name] = kind
        if kind == "number":
            _note_odd_texts(column, roles)


def _note_odd_texts(column: Column, roles: Roles) -> None:
    odd = int(column.counts[np.isnan(column.parsed)].sum())
    if odd:
        roles.notes.append(
            f"column {column.name!r}: {odd:,} values are not numbers and count as missing"
        )


def kind_of(column: Column, rows: int) -> str:
    """Return number, mixed, category, date, id or text, judged from name and values alone."""
    filled = int(column.counts.sum())
    share = column.distinct / max(filled, 1)
    readable = float(column.counts[~np.isnan(column.parsed)].sum()) / max(filled, 1)
    if _is_date(column):
        return "date"
    if readable < TEXT_NUMBER_SHARE or _has_codes(column):
        return _kind_of_text(column, share, readable, rows)
    numbers = column.parsed[~np.isnan(column.parsed)]
    whole = bool(np.all(numbers == np.round(numbers)))
    if whole and share >= ID_SHARE and filled >= 20 and _looks_like_id(column, numbers):  # noqa: PLR2004
        return "id"
    if whole and _is_code(column, numbers, filled):
        return "category"
    return "number"


def _has_codes(column: Column) -> bool:
    """Tell whether the texts that are no numbers look like codes (V27, E909 among ICD numbers)."""
    odd = [column.texts[i] for i in np.flatnonzero(np.isnan(column.parsed))]
    return bool(odd) and sum(bool(_CODE_LIKE.match(text)) for text in odd) >= max(1, len(odd) // 2)


def _kind_of_text(column: Column, share: float, readable: float, rows: int) -> str:
    many = column.distinct >= 20 and rows >= 20  # noqa: PLR2004
    if many and share >= ID_SHARE:
        return "id" if max(map(len, column.texts[:100])) <= 40 else "text"  # noqa: PLR2004
    odd = int(np.isnan(column.parsed).sum())
    if not _has_codes(column) and readable >= 0.3 and odd <= 8 and column.distinct - odd > 10:  # noqa: PLR2004
        return "mixed"
    if many and share >= FREE_TEXT_SHARE and not _has_codes(column):
        return "text"
    return "category"


def _looks_like_id(column: Column, numbers: Floats) -> bool:
    words = set(words_of(column.name))
    if words & _ID_WORDS or _ID_CHINESE.search(column.name):
        return True
    ordered = np.all(np.diff(column.numbers()[~column.missing]) > 0)
    spread = np.sort(numbers)
    line = np.linspace(spread[0], spread[-1], len(spread))
    off = np.max(np.abs(spread - line)) / max(spread[-1] - spread[0], 1.0)
    even = off < 2.0 / np.sqrt(len(spread)) and len(spread) >= 200  # noqa: PLR2004
    return bool(ordered or even)


def _is_code(column: Column, numbers: Floats, filled: int) -> bool:
    """Tell whether whole numbers are names, not amounts: gaps, leading zeros, a telling word."""
    if column.distinct <= 2:  # noqa: PLR2004
        return False
    if any(len(t) > 1 and t[0] == "0" and t.isdigit() for t in column.texts):
        return True
    span = float(numbers.max() - numbers.min()) + 1
    sparse = column.distinct / span < 0.5  # noqa: PLR2004
    named = bool(set(words_of(column.name)) & _CODE_WORDS) or bool(_ID_CHINESE.search(column.name))
    few = column.distinct <= MAX_CODES and column.distinct <= filled / 10
    if named and column.distinct <= filled / 2:
        return few or sparse
    typical = float(
        np.median(np.repeat(numbers, np.minimum(column.counts[~np.isnan(column.parsed)], 9)))
    )
    heavy_tail = float(numbers.max()) > 3 * max(typical, 1.0) and float(numbers.min()) in {0.0, 1.0}
    return few and sparse and not (heavy_tail and _falling(column))


def _falling(column: Column) -> bool:
    """Tell whether larger numbers are rarer, as counts and amounts are and codes are not."""
    order = np.argsort(np.nan_to_num(column.parsed))
    counts = column.counts[order].astype(float)
    half = len(counts) // 2
    rises = np.mean(np.diff(counts[: max(half, 3)]) > 0)
    return bool(counts[0] >= counts.max() * 0.5 and rises < 0.35)  # noqa: PLR2004


def _is_date(column: Column) -> bool:
    sample = column.texts[:: max(1, column.distinct // 200)]
    hits = sum(bool(_ISO_DATE.match(t) or _US_DATE.match(t)) for t in sample)
    return hits >= TEXT_NUMBER_SHARE * len(sample) and hits > 0


def days_of(column: Column) -> Floats:
    """Return days since 1970-01-01 for each row of a date column; NaN if unreadable."""
    each = np.asarray([_day(text) for text in column.texts] + [np.nan])
    return each[column.codes]


def _day(text: str) -> float:
    iso, us = _ISO_DATE.match(text), _US_DATE.match(text)
    try:
        if iso:
            return float(date(int(iso[1]), int(iso[2]), int(iso[3])).toordinal() - 719163) + _hour(
                iso[4]
            )
        if us:
            return float(date(int(us[3]), int(us[1]), int(us[2])).toordinal() - 719163) + _hour(
                us[4]
            )
        return float(text)
    except ValueError:
        return float("nan")


def _hour(rest: str | None) -> float:
    clock = re.match(r"[ T](\d{1,2}):(\d{2})(?::(\d{2}))?", rest or "")
    if not clock:
        return 0.0
    return int(clock[1]) / 24 + int(clock[2]) / 1440 + int(clock[3] or 0) / 86400


def _same_as(column: Column, seen: dict[tuple[int, bytes], str], roles: Roles) -> bool:
    key = (
        column.distinct,
        column.codes.tobytes()[:4096] + str(hash(column.codes.tobytes())).encode(),
    )
    if key in seen:
        roles.drop(
            column.name,
            "copy",
            f"与“{seen[key]}”逐行对应。",
            f"the same as {seen[key]!r} row by row",
        )
        return True
    seen[key] = column.name
    return False


def group_candidates(table: Table, roles: Roles, *, target: str, time: str) -> list[str]:
    """Return columns that look like the id of a person or household that has several rows."""
    found = []
    for name, column in table.columns.items():
        if name in {target, time} or column.missing.mean() > 0.2:  # noqa: PLR2004
            continue
        filled = int(column.counts.sum())
        distinct, share = column.distinct, column.distinct / max(filled, 1)
        if share >= ID_SHARE or distinct < max(50, filled / 50):
            continue
        if roles.kinds.get(name) == "date" or not _group_like(column):
            continue
        found.append(name)
    return sorted(found, key=lambda n: table[n].distinct)


def _group_like(column: Column) -> bool:
    words = words_of(column.name)
    numbers = column.parsed
    readable = not np.isnan(numbers).any()
    whole = readable and bool(np.all(numbers == np.round(numbers)))
    named = (
        bool(set(words) & (_ID_WORDS - {"row", "number", "num", "no"}))
        or bool(_ID_CHINESE.search(column.name))
        or any(re.fullmatch(r"id[a-z]{3,}", w) for w in words)
    )
    if named:
        return whole or not readable
    lengths = {len(text) for text in column.texts[:200]}
    mixed = sum(any(c.isdigit() for c in t) and not t.isdigit() for t in column.texts[:200])
    coded = not readable and len(lengths) <= 3 and min(lengths) >= 6  # noqa: PLR2004
    return coded and mixed >= 0.9 * min(len(column.texts), 200)
