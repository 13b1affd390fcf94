"""The story of a man off his medicine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from services.allinone.town.facts import Fact
from services.allinone.town.people import Maker, Person
from services.allinone.town.stories.story import Means, Scene, Story


def _guarded(make: Maker) -> list[Person]:
    return [
        make.person("adult", "child", (32, 41), "male", categories=("severe_mental",), smi="basic"),
        make.elder("head", (63, 68), sex="female"),
    ]


def _tell_medicine(scene: Scene) -> Iterator[Fact]:
    """Tell of a man who stopped his medicine eight days ago; doctor and worker come that day."""
    yield scene.of(
        0, scene.at(10, days=-9), "smi.danger_assessed",
        level=1, insight="partial", symptoms="some", function="fair", locked_up=False,
        **{"class": "basically_stable"},
    )  # fmt: skip
    yield scene.of(0, scene.at(16, days=-9), "smi.medication", taken=True, stopped_days=0)
    yield scene.of(0, scene.at(9, 35), "smi.medication", taken=False, stopped_days=8)
    yield scene.visited(0, scene.at(15, 20))


MEDICINE: Final = Story(
    name="medicine",
    zh="他停药八天，母亲来说",
    en="a man has been off his medicine for eight days, his mother says",
    means=Means(("M06a",), 2, "in_time"),
    cast=_guarded,
    tell=_tell_medicine,
    home="guarded",
    before=10,
)
