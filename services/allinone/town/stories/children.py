"""Stories of children: a grandmother in hospital, lessons missed, violence, a mandatory report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from services.allinone.town.days import attended
from services.allinone.town.facts import Fact
from services.allinone.town.people import Maker, Person
from services.allinone.town.plan import midnight
from services.allinone.town.school import days_back, lessons
from services.allinone.town.stories.story import Means, Scene, Story
from services.kernel.clock import HOUR, MINUTE


def _left_behind(make: Maker) -> list[Person]:
    child = make.child(("left_behind_child",), (6, 6))
    return [
        msgspec.structs.replace(child, apart=True),
        make.elder("grandmother", (66, 69), sex="female"),
    ]


def _tell_grandmother(scene: Scene) -> Iterator[Fact]:
    """Tell of a child of six whose grandmother falls ill; a neighbour reports it alone at home."""
    yield scene.of(0, scene.at(19, days=-2), "child.parent_contact", mode="video", parent="mother")
    if lessons(scene.day):
        yield attended(scene.at(8, 5), scene.home, scene.home.members[0], 6, excused=True)
    yield scene.of(
        1, scene.at(6, 10), "health.hospital_stay", status="admitted", carer_left_at_home=False
    )
    alone = {"age_years": 6, "with_whom": "无人", "dangerous": False}
    yield scene.of(0, scene.at(7, 6), "child.unattended", ongoing=True, duration_min=50, **alone)
    yield scene.visited(0, scene.at(7, 41))
    yield scene.of(0, scene.at(7, 55), "child.unattended", ongoing=False, **alone)
    yield scene.of(
        0, scene.at(11, 30), "child.carer_changed",
        relation="aunt", carer_age=41, ability="good", barred_for="none", written_notice=True,
    )  # fmt: skip


GRANDMOTHER: Final = Story(
    name="grandmother",
    zh="奶奶突然住院，六岁的留守孩子独自在家",
    en="a grandmother is taken to hospital and a child of six is alone at home",
    means=Means(("C10", "C19"), 3, "in_time"),
    cast=_left_behind,
    tell=_tell_grandmother,
    home="left_behind",
    in_term=True,
)


def _pupil(make: Maker) -> list[Person]:
    child = make.child(("difficult_child",), (12, 13))
    return [child, make.person("adult", "head", (36, 44), "female")]


def _tell_truant(scene: Scene) -> Iterator[Fact]:
    """Tell of three days of lessons missed; a neighbour sees the child about, nobody says why."""
    child = scene.home.members[0]
    for day in days_back(scene.day, _SCHOOL_DAYS):
        missed = day in days_back(scene.day, 2)
        at = midnight(day) + 8 * HOUR + 10 * MINUTE
        yield attended(at, scene.home, child, 6 * missed, excused=False if missed else None)
    yield scene.of(
        0, scene.at(17, 20, days=-1), "visit.recorded", mode="third_party", person_seen="self"
    )
    yield attended(scene.at(8, 10), scene.home, child, 6, excused=False)
    yield scene.visited(0, scene.at(15, 40))


_SCHOOL_DAYS: Final = 4
TRUANT: Final = Story(
    name="truant",
    zh="连着三天没有到校，家里说不出原因",
    en="three days of school missed and nobody at home says why",
    means=Means(("C23",), 2, "in_time"),
    cast=_pupil,
    tell=_tell_truant,
    home="single_parent",
    before=6,
    in_term=True,
)


def _family(make: Maker) -> list[Person]:
    return [
        make.child(("difficult_child",), (10, 11)),
        make.person("adult", "mother", (33, 40), "female"),
        make.person("adult", "father", (34, 43), "male"),
    ]


def _at_school(scene: Scene) -> Iterator[Fact]:
    child = scene.home.members[0]
    for day in (*days_back(scene.day, 2), scene.day):
        if lessons(day):
            yield attended(midnight(day) + 8 * HOUR, scene.home, child, 0)


def _tell_violence(scene: Scene) -> Iterator[Fact]:
    """Tell of violence at home with a child in the room; police and worker are there in time."""
    yield from _at_school(scene)
    yield scene.here(
        scene.at(19, 42), "family.violence_reported",
        kind="physical", victims=[scene.home.members[1].id], victim_capable=True,
        child_present=True, injury=1, order="none",
    )  # fmt: skip
    yield scene.visited(0, scene.at(20, 14))


VIOLENCE: Final = Story(
    name="violence",
    zh="邻居报告家庭暴力，孩子在场",
    en="a neighbour reports violence at home with a child in the room",
    means=Means(("C20",), 3, "in_time"),
    cast=_family,
    tell=_tell_violence,
    home="family",
)


def _tell_harm(scene: Scene) -> Iterator[Fact]:
    """Tell of a mandatory report by a teacher: several injuries that nobody explains."""
    yield from _at_school(scene)
    yield scene.of(
        0, scene.at(10, 21), "child.harm_suspected",
        kind="violence_injury", injury_sites=["手臂", "背部"], suspect_relation="不详",
        ongoing=False, anonymous=False,
    )  # fmt: skip
    yield scene.of(
        0, scene.at(10, 52), "visit.recorded", mode="school", person_seen="self", visitor="合成"
    )


HARM: Final = Story(
    name="harm",
    zh="老师强制报告：孩子身上多处不明伤",
    en="a teacher's mandatory report: several injuries that nobody explains",
    means=Means(("C04",), 3, "in_time"),
    cast=_pupil,
    tell=_tell_harm,
    home="single_parent",
    in_term=True,
)
