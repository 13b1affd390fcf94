"""Stories of elders: water that stops, a fall by night, low sugar, a button pressed, and quiet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from services.allinone.town.days import reading
from services.allinone.town.facts import Fact
from services.allinone.town.people import Maker, Person
from services.allinone.town.stories.story import Means, Scene, Story
from services.kernel.clock import HOUR, rfc3339

_HEARTBEATS: Final = ("water_meter", "power_meter", "sos")


def _alone(make: Maker) -> list[Person]:
    return [make.elder(age=(70, 74), categories=("lone_elder",), alone=True)]


def _old_alone(make: Maker) -> list[Person]:
    return [make.elder(age=(82, 86), categories=("lone_elder",), alone=True)]


def _alive(scene: Scene, *days: int) -> Iterator[Fact]:
    """Yield the heartbeats of the home's devices, every six hours of the days."""
    for day in days:
        for hour in (0, 6, 12, 18):
            for kind in _HEARTBEATS:
                yield scene.here(
                    scene.at(hour, 5, days=day), "device.status",
                    device=f"{scene.home.id}-{kind}", kind=kind, alive=True,
                )  # fmt: skip


def _water(scene: Scene, first: int, last: int, dry_from: int, dry_to: int) -> Iterator[Fact]:
    """Yield hourly readings of days `first` to `last`; none is drawn from and to those instants."""
    for hour in range(first * 24 + 1, (last + 1) * 24 + 1):
        at = scene.at(hour)
        dry = dry_from < at <= dry_to
        by_day = 7 <= (hour % 24) <= 21  # noqa: PLR2004 - hours of the day
        used = 0.0 if dry else scene.pick.uniform(0.004, 0.011) if by_day else 0.001
        yield reading(at, scene.home, used, 1)
    for day in range(first, last + 1):
        used_kwh = 0.4 if scene.at(0, days=day + 1) - dry_from > 24 * HOUR else 2.1
        yield scene.here(
            scene.at(24, days=day), "utility.reading",
            kind="electricity", hours=24, quantity_kwh=used_kwh, meter_ok=True,
        )  # fmt: skip


def _tell_water(scene: Scene) -> Iterator[Fact]:
    """Tell of an elder whose water stops: called in vain, then found within the hour."""
    stops, found = scene.at(8, days=-1), scene.at(10, 48)
    yield from _alive(scene, -3, -2, -1, 0, 1)
    yield from _water(scene, -3, 1, stops, found)
    for at, who, all_asked in (
        (scene.at(22, 20, days=-1), "self", False),
        (scene.at(9, 5), "emergency_contact", False),
        (scene.at(10, 12), "neighbour", True),
    ):
        yield scene.here(
            at, "contact.attempted", who=who, answered=False, chain_exhausted=all_asked
        )
    yield scene.visited(0, found)
    yield scene.here(
        found + HOUR, "contact.attempted", who="self", answered=True, chain_exhausted=False
    )


WATER: Final = Story(
    name="water",
    zh="独居老人家停了水：电话无人接，邻居也叫不应，一小时内破门救起",
    en="an elder's water stops: nobody answers, and she is found within the hour",
    means=Means(("E15",), 3, "in_time"),
    cast=_alone,
    tell=_tell_water,
    meter=True,
)


def _tell_fall(scene: Scene) -> Iterator[Fact]:
    """Tell of a fall by night that nobody takes on before the deadline has passed."""
    at = scene.at(2, 13)
    yield scene.of(0, at, "elder.care_risk_event", kind="fall", injury=2, on_floor_min=70)
    yield scene.visited(0, at + HOUR + HOUR // 4)
    yield scene.of(
        0, at + 2 * HOUR, "health.hospital_stay", status="admitted", carer_left_at_home=True
    )


FALL: Final = Story(
    name="fall",
    zh="夜里摔倒：值班没有应答，逐级升级，七十五分钟才有人到场",
    en="a fall by night: nobody on duty answers, it escalates, help comes after 75 minutes",
    means=Means(("E10",), 3, "late"),
    cast=_old_alone,
    tell=_tell_fall,
)


def _tell_sugar(scene: Scene) -> Iterator[Fact]:
    """Tell of a glucose that is far too low, in the middle of a storm's reports."""
    at = scene.at(7, 52)
    sugar = {"measured": "pressure_and_glucose", "fasting": True}
    yield scene.of(0, at, "health.vitals", systolic=128, diastolic=74, glucose=2.9, **sugar)
    yield scene.visited(0, at + 33 * HOUR // 60)
    again = scene.at(9, 10)
    yield scene.of(0, again, "health.vitals", systolic=131, diastolic=76, glucose=6.1, **sugar)


SUGAR: Final = Story(
    name="sugar",
    zh="暴风雨上报潮中的一次低血糖：红色排在所有照片前面",
    en="low sugar amid the storm's reports: red stands before every photo",
    means=Means(("E03",), 3, "in_time"),
    cast=_alone,
    tell=_tell_sugar,
)


def _tell_quiet(scene: Scene) -> Iterator[Fact]:
    """Tell of a home that only seems in need: away as announced, excited, a button touched."""
    leaves = scene.at(9, days=-2)
    yield scene.here(
        leaves - HOUR, "utility.planned_absence",
        until=rfc3339(scene.at(20, days=2)), reason="去女儿家",
    )  # fmt: skip
    yield from _alive(scene, -3, -2, -1, 0, 1)
    yield from _water(scene, -3, 1, leaves, scene.at(24, days=1))
    at = scene.at(9, 30)
    excited: dict[str, object] = {
        "measured": "pressure",
        "systolic": 186,
        "diastolic": 96,
        "danger_sign": "none",
    }
    yield scene.of(0, at, "health.vitals", **excited, repeat_no=1)
    calm: dict[str, object] = {
        "measured": "pressure",
        "systolic": 148,
        "diastolic": 84,
        "danger_sign": "none",
    }
    yield scene.of(0, at + HOUR // 10, "health.vitals", **calm, repeat_no=2)
    button = f"{scene.home.id}-sos"
    pressed = scene.at(15, 4)
    yield scene.here(pressed, "device.alarm", device=button, kind="sos", state="raised")
    yield scene.here(
        pressed + HOUR // 40, "device.alarm", device=button, kind="sos", state="cancelled"
    )
    yield scene.here(scene.at(16), "device.alarm", device=button, kind="sos", state="test")


QUIET: Final = Story(
    name="quiet",
    zh="不该报警的一家：出门前报备，第二次量血压正常，误按后立即取消",
    en="one that must not alert: away as announced, calm at the second reading, button taken back",
    means=Means((), 0, "quiet"),
    cast=_alone,
    tell=_tell_quiet,
    meter=True,
)


def _tell_button(scene: Scene) -> Iterator[Fact]:
    """Tell of a call for help late in the evening: whoever reads this may take it."""
    yield scene.here(
        scene.at(23, 38), "device.alarm", device=f"{scene.home.id}-sos", kind="sos", state="raised"
    )


BUTTON: Final = Story(
    name="button",
    zh="深夜按下求助键：一天结束时仍在计时，等你接警",
    en="a call for help late at night: still counting at midnight, yours to take",
    means=Means(("E19",), 3, "waiting"),
    cast=_old_alone,
    tell=_tell_button,
)
