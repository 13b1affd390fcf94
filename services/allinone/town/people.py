"""Who lives in the town and how they are tied; each family is drawn by its own number alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any, Final, Literal

import msgspec

from services.allinone.town.plan import Plan, chance, weighted

MARK: Final = "测试-"
Kind = Literal["child", "adult", "elder"]
Home = Literal[
    "lone_elder", "elders", "left_behind", "away", "family", "single_parent", "guarded",
    "disabled", "low_income", "special", "kin",
]  # fmt: skip

CATEGORIES: Final[dict[str, tuple[str, bool]]] = {
    "left_behind_child": ("留守儿童", False),
    "difficult_child": ("困境儿童", False),
    "unsupported_child": ("事实无人抚养儿童", False),
    "orphan": ("孤儿", False),
    "lone_elder": ("独居老人", False),
    "empty_nest_elder": ("空巢老人", False),
    "disabled_elder": ("失能老人", False),
    "destitute": ("特困人员", False),
    "severe_mental": ("在册严重精神障碍患者", False),
    "severe_disability": ("重度残疾人", False),
    "minimum_living": ("低保对象", False),
    "special_family": ("计划生育特殊家庭", False),
    "sudden_hardship": ("突发困难", True),
    "bereaved": ("近期丧偶", True),
    "discharged": ("近期出院", True),
    "correction": ("社区矫正及安置帮教", True),
}
"""The sixteen kinds of people on file: twelve regular, four temporary (True), as in seed S1."""

_SURNAMES: Final = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN: Final[dict[str, tuple[str, ...]]] = {
    "elder female": ("秀英", "桂兰", "玉珍", "凤英", "淑珍", "月娥"),
    "elder male": ("建国", "德福", "永贵", "国强", "长发", "水生"),
    "adult female": ("丽华", "小红", "艳", "春梅", "燕", "海燕"),
    "adult male": ("伟", "志强", "军", "勇", "建军", "海涛"),
    "child female": ("欣怡", "梓涵", "雨桐", "思琪", "佳怡", "语嫣"),
    "child male": ("浩然", "子轩", "宇航", "俊杰", "博文", "一鸣"),
}


class Person(msgspec.Struct, frozen=True, gc=False):
    """A made-up person.

    frailty: 0 (hale) to 1. smi: class of a registered illness, "" for none. grade: of a disability,
    0 for none. ties: households elsewhere that this person supports or belongs to, with the role.
    """

    id: str
    name: str
    kind: Kind
    sex: str
    birth: date
    relation: str
    categories: tuple[str, ...] = ()
    alone: bool = False
    ties: tuple[tuple[str, str], ...] = ()
    frailty: float = 0.0
    chronic: bool = False
    smi: Literal["", "stable", "basic", "unstable"] = ""
    grade: int = 0
    pupil: bool = False
    apart: bool = False


class Household(msgspec.Struct, frozen=True):
    """A made-up household; `village` and `grid` count from 0.

    quiet: first and last of the days of which a story alone tells.
    """

    id: str
    home: Home
    village: int
    grid: int
    members: tuple[Person, ...]
    meter: bool = False
    quiet: tuple[date, date] | None = None


class Maker:
    """Makes the people of one family, numbered by it; `home` is the id of its first household."""

    def __init__(self, plan: Plan, stem: str, pick: random.Random, home: str) -> None:
        self.pick = pick
        self.home = home
        self._last = plan.last
        self._stem = stem
        self._count = 0

    def person(
        self,
        kind: Kind,
        relation: str,
        age: tuple[int, int],
        sex: str = "",
        **more: Any,  # noqa: ANN401 - other fields of the person
    ) -> Person:
        """Return a new person of that kind, with an age (years) in the range."""
        pick = self.pick
        self._count += 1
        sex = sex or ("female" if chance(pick, 0.5) else "male")
        days = pick.randint(age[0] * 365 + age[0] // 4 + 1, (age[1] + 1) * 365)
        name = pick.choice(_SURNAMES) + pick.choice(_GIVEN[f"{kind} {sex}"])
        return msgspec.convert(
            {
                "id": f"syn-{self._stem}-{self._count}",
                "name": MARK + name,
                "kind": kind,
                "sex": sex,
                "birth": self._last - timedelta(days=days),
                "relation": relation,
                **more,
            },
            Person,
        )

    def elder(
        self,
        relation: str = "head",
        age: tuple[int, int] = (62, 92),
        **more: Any,  # noqa: ANN401 - other fields of the person
    ) -> Person:
        """Return an elder; the older, the frailer and the more often chronically ill."""
        person = self.person("elder", relation, age, **more)
        years = (self._last - person.birth).days / 365.25
        frailty = min(1.0, max(0.0, (years - 60) / 40 + self.pick.gauss(0, 0.15)))
        chronic = chance(self.pick, 0.35 + frailty / 3)
        return msgspec.structs.replace(person, frailty=round(frailty, 3), chronic=chronic)

    def child(self, categories: tuple[str, ...], age: tuple[int, int] = (3, 15)) -> Person:
        """Return a child; from six on a pupil."""
        person = self.person("child", "child", age, categories=categories)
        return msgspec.structs.replace(person, pupil=(self._last - person.birth).days >= 6 * 366)


Made = list[tuple[Home, list[Person]]]
"""The one or two households of a family."""
Family = Callable[["Maker"], Made]


def _lone(make: Maker) -> Made:
    """An elder alone, and the family of a child of theirs that supports them."""
    categories = ("lone_elder", *(("disabled_elder",) if chance(make.pick, 0.12) else ()))
    elder = make.elder(age=(65, 93), categories=categories, alone=True)
    supporter = make.person("adult", "head", (34, 60), ties=((make.home, "supporter"),))
    family = [supporter, make.person("adult", "spouse", (32, 58))]
    if chance(make.pick, 0.5):
        family.append(make.child(()))
    if chance(make.pick, 0.35):
        return [("lone_elder", [elder])]
    return [("lone_elder", [elder]), ("family", family)]


def _destitute(make: Maker) -> Made:
    """An elder alone whom nobody supports."""
    elder = make.elder(age=(62, 88), categories=("lone_elder", "destitute"), alone=True)
    return [("lone_elder", [elder])]


def _elders(make: Maker) -> Made:
    """Two elders; sometimes one of them is bereaved, discharged or disabled."""
    more = weighted(
        make.pick, [((), 72), (("disabled_elder",), 14), (("discharged",), 9), (("bereaved",), 5)]
    )
    return [
        (
            "elders",
            [
                make.elder("head", (62, 88), sex="male", categories=("empty_nest_elder", *more)),
                make.elder("spouse", (60, 86), sex="female", categories=("empty_nest_elder",)),
            ],
        )
    ]


def _left_behind(make: Maker) -> Made:
    """Children with grandparents; the parents work elsewhere and stay tied to the home."""
    children = [
        msgspec.structs.replace(make.child(("left_behind_child",)), apart=True)
        for _ in range(1 + chance(make.pick, 0.45))
    ]
    keepers = [make.elder("grandmother", (55, 74), sex="female")]
    if chance(make.pick, 0.6):
        keepers.append(make.elder("grandfather", (56, 76), sex="male"))
    parents = [make.person("adult", "father", (26, 44), "male", ties=((make.home, "parent"),))]
    if chance(make.pick, 0.75):
        parents.append(
            make.person("adult", "mother", (25, 42), "female", ties=((make.home, "parent"),))
        )
    return [("left_behind", keepers + children), ("away", parents)]


def _single_parent(make: Maker) -> Made:
    """One parent with children, often on the minimum living allowance."""
    means = ("minimum_living",) if chance(make.pick, 0.6) else ()
    children = [make.child(("difficult_child",)) for _ in range(1 + chance(make.pick, 0.3))]
    return [
        ("single_parent", [make.person("adult", "head", (27, 48), categories=means), *children])
    ]


def _guarded(make: Maker) -> Made:
    """A person with a registered severe mental illness, and the guardian."""
    smi = weighted(make.pick, [("stable", 70), ("basic", 24), ("unstable", 6)])
    more = ("correction",) if chance(make.pick, 0.08) else ()
    patient = make.person("adult", "child", (24, 58), categories=("severe_mental", *more), smi=smi)
    return [("guarded", [make.elder("head", (56, 78)), patient])]


def _disabled(make: Maker) -> Made:
    """A severely disabled adult, and the carer."""
    grade = 1 + chance(make.pick, 0.6)
    one = make.person("adult", "head", (22, 59), categories=("severe_disability",), grade=grade)
    return [("disabled", [one, make.person("adult", "spouse", (24, 64))])]


def _low_income(make: Maker) -> Made:
    """A family on the minimum living allowance; sometimes in sudden hardship."""
    sudden = ("sudden_hardship",) if chance(make.pick, 0.12) else ()
    members = [
        make.person("adult", "head", (28, 56), categories=("minimum_living", *sudden)),
        make.person("adult", "spouse", (27, 55), categories=("minimum_living",)),
        make.child(("difficult_child",)),
    ]
    if chance(make.pick, 0.4):
        members.append(make.elder("parent", (62, 84)))
    return [("low_income", members)]


def _special(make: Maker) -> Made:
    """A couple that lost its only child."""
    return [
        (
            "special",
            [
                make.elder("head", (52, 76), sex="male", categories=("special_family",)),
                make.elder("spouse", (50, 74), sex="female", categories=("special_family",)),
            ],
        )
    ]


def _kin(make: Maker) -> Made:
    """A child whose parents are gone or unable, with a relative."""
    category = weighted(make.pick, [("unsupported_child", 75), ("orphan", 25)])
    return [("kin", [make.elder("grandmother", (55, 76), sex="female"), make.child((category,))])]


FAMILIES: Final[list[tuple[Family, float]]] = [
    (_lone, 26), (_destitute, 4), (_elders, 17), (_left_behind, 17), (_single_parent, 9),
    (_guarded, 6), (_disabled, 8), (_low_income, 8), (_special, 2), (_kin, 3),
]  # fmt: skip
"""How often each family is drawn; OWN, towards 2,155 people in about 1,000 households (S3)."""
_LARGEST: Final = 8
"""No family is larger; when no more people are still to come, families of one close the gap."""


def families(plan: Plan, people: int) -> Iterator[Household]:
    """Yield ordinary households until exactly that many people live in them."""
    villages = villages_of(plan)
    number = 0
    while people > 0:
        number += 1
        pick = plan.draw("family", number)
        make = Maker(plan, f"{number:05d}", pick, household_id(number, 1))
        family = weighted(pick, FAMILIES) if people > _LARGEST else _destitute
        village, grid = pick.randrange(villages), pick.randrange(GRIDS)
        for place, (home, members) in enumerate(family(make), 1):
            people -= len(members)
            yield Household(
                id=household_id(number, place),
                home=home,
                village=pick.randrange(villages) if home == "family" else village,
                grid=pick.randrange(GRIDS) if home == "family" else grid,
                members=tuple(members),
                meter=home == "lone_elder" and chance(pick, METERED),
            )


METERED: Final = 0.15
"""Share of elders alone whose home has meters that report by themselves; OWN."""
GRIDS: Final = 5
"""Grids of a village, each with one worker (S0)."""
_A_VILLAGE: Final = 720
"""People on file in a village: 2,155 make three."""


def villages_of(plan: Plan) -> int:
    """Return how many villages the town has."""
    return max(3, round(plan.people / _A_VILLAGE))


def household_id(number: int, which: int) -> str:
    """Return the id of a family's first or second household."""
    return f"syn-h{number:05d}-{which}"
