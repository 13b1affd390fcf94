"""The demo: sets a town up, brings it to its present day, runs the day, says what came of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from services.allinone.demo import picture
from services.allinone.demo.figures import Alert, Figures, collect
from services.allinone.demo.logins import add_logins
from services.allinone.demo.naming import Names
from services.allinone.demo.stage import Stage, served, settings_of, stepped
from services.allinone.demo.station import Station
from services.allinone.demo.telling import Print, Teller
from services.allinone.demo.town_day import Course, Day, Pace, bring
from services.allinone.memory import give_back, memory_of
from services.allinone.town.plan import LAST, Plan
from services.allinone.town.stories import Ending, Scene, Story
from services.allinone.town.stream import Town, build
from services.allinone.words import say
from services.kernel.clock import HOUR, SECOND, Monotonic, SystemMonotonic
from services.kernel.errors import Fault, WrongUse
from services.kernel.runtime import running
from services.risk.packs.loader import load

PACK: Final = Path(__file__).parents[3] / "packs" / "cn-town"
HISTORY_DAYS: Final = 21
"""Three weeks: enough for most cadences and windows; the year is an option."""
_MARKER: Final = "demo.txt"
_NOON: Final = 12 * HOUR


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What to show. `day_s`: seconds that the day takes, 0 for as fast as it can.

    out: folder of the data and the picture; its data are made anew. serve: with threads, HTTP and
    console; otherwise stepped on one thread (tests). stay: go on until told to stop. model: folder
    of a trained model that scores too.
    """

    people: int = 2155
    seed: int = 7
    days: int = HISTORY_DAYS
    last: date = LAST
    pack: Path = PACK
    model: Path | None = None
    out: Path = Path("build/demo")
    day_s: float = 0.0
    port: int = 0
    serve: bool = True
    stay: bool = False


@dataclass
class Measured:
    """Seconds that each part took; memory at the day's end, and the most there was (bytes)."""

    setup_s: float = 0.0
    history_s: float = 0.0
    ready_s: float = 0.0
    day_s: float = 0.0
    rss_bytes: int = 0
    peak_bytes: int = 0
    fed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a demo came to. `colours`: what the levels are called, from 0 on."""

    town: Town
    figures: Figures
    measured: Measured
    picture: Path
    colours: list[str]


@dataclass(frozen=True)
class Watch:
    """Who is told.

    tell: lines. fed: items and instant of the history. address: the server's, once it is ready.
    each: the stage after each stride of the day. done: what came of it, before a demo that stays.
    """

    tell: Print
    fed: Callable[[int, int], None] = lambda read, at: None  # noqa: ARG005 - told nothing
    address: Callable[[str], None] = lambda url: None  # noqa: ARG005
    each: Callable[[Stage], None] = lambda stage: None  # noqa: ARG005
    done: Callable[[Outcome], None] = lambda outcome: None  # noqa: ARG005


def run(demo: Demo, watch: Watch, pace: Pace | None = None) -> Outcome:
    """Run a demo from nothing to its outcome.

    Raises:
        WrongUse: there is no pack, or the folder is in use. Faults: the pack is wrong.
    """
    monotonic = SystemMonotonic()
    pace = pace or Pace(demo.day_s, monotonic)
    measured, lap = Measured(), _Laps(monotonic)
    _refuse_no_pack(demo.pack)
    colours = [each.name[say("language")] for each in load(demo.pack).scheme]
    town = build(Plan(people=demo.people, seed=demo.seed, days=demo.days, last=demo.last))
    data, log = _emptied(demo.out), Course(town)
    if demo.serve:
        add_logins(data, say("language"))
    measured.setup_s = lap.lap()
    with stepped(data, demo.pack, demo.model) as stage:
        stage.notes.since = log.today
        station = Station(stage.apis, demo.seed, _endings(town))
        bring(stage, log, station, _until_stopped(watch, pace))
        measured.fed = stage.feeder.counts.read
    give_back()
    measured.history_s = lap.lap()
    with _day_stage(demo, data, monotonic) as stage:
        measured.ready_s = lap.lap()
        watch.address(stage.app.address)
        station.moved(stage.apis)
        names = Names(town)
        stage.notes.since = log.today
        teller = Teller(stage.notes.levels, names, colours, log.today, watch.tell)
        day = Day(stage, log, station)
        _through(stage, day, teller, pace, watch)
        measured.day_s = lap.lap()
        measured.fed += stage.feeder.counts.read
        figures = collect(stage.apis, _today(town), stage.notes.said, _span(stage, log))
        title = say("demo.picture", date=demo.last, people=town.people, seed=demo.seed)
        path = demo.out / "day.svg"
        picture.write(figures, picture.Day(log.today, title, colours, names), path)
        measured.rss_bytes, measured.peak_bytes = memory_of()
        outcome = Outcome(town, figures, measured, path, colours)
        watch.done(outcome)
        if demo.stay and not pace.stopping.is_set():
            _stay(stage, day, teller, pace, monotonic)
    return outcome


def _until_stopped(watch: Watch, pace: Pace) -> Callable[[int, int], None]:
    """Return what is told of the history; it ends the demo when the pace is told to stop."""

    def fed(read: int, at: int) -> None:
        if pace.stopping.is_set():
            raise KeyboardInterrupt
        watch.fed(read, at)

    return fed


class _Laps:
    """Seconds between one lap and the next."""

    def __init__(self, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        self._since_s = monotonic.seconds()

    def lap(self) -> float:
        """Return the seconds since the last lap."""
        before_s, self._since_s = self._since_s, self._monotonic.seconds()
        return round(self._since_s - before_s, 2)


@contextmanager
def _day_stage(demo: Demo, data: Path, monotonic: Monotonic) -> Iterator[Stage]:
    if demo.serve:
        with served(settings_of(data, demo.pack, demo.port, demo.model), monotonic) as stage:
            yield stage
    else:
        with stepped(data, demo.pack, demo.model) as stage:
            yield stage


def _through(stage: Stage, day: Day, teller: Teller, pace: Pace, watch: Watch) -> None:
    def told(changed: list[Alert]) -> None:
        teller.tell(changed)
        watch.each(stage)

    day.begin()
    day.run(pace, told)


def _stay(stage: Stage, day: Day, teller: Teller, pace: Pace, monotonic: Monotonic) -> None:
    """Let time go on at its own speed and tell what people at the console do, until stopped."""
    began, began_s = stage.clock.now(), monotonic.seconds()
    while not monotonic.wait(pace.stopping, 1.0):
        stage.feeder.mark(began + round((monotonic.seconds() - began_s) * SECOND))
        stage.drain()
        teller.tell(day.changed())


def _endings(town: Town) -> dict[str, Ending]:
    """Return how the stories are meant to end, by household."""
    return {scene.home.id: story.means.ending for story, scene in town.scenes}


def _today(town: Town) -> list[tuple[Story, Scene]]:
    """Return the present day's scenes."""
    return [each for each in town.scenes if each[1].day == town.plan.last]


def _span(stage: Stage, log: Course) -> tuple[int, int, int]:
    return log.today, log.today + _NOON, stage.clock.now()


def _emptied(out: Path) -> Path:
    """Return the folder of the demo's data, without those of the last demo."""
    data = out / "data"
    other = running(data)
    if other is not None:
        raise WrongUse(
            Fault(str(data), "a folder that no process has open", f"process {other.pid}",
                  "stop the other demo, or give another folder with --out")
        )  # fmt: skip
    if data.exists() and any(data.iterdir()) and not (out / _MARKER).exists():
        raise WrongUse(
            Fault(str(data), "an empty folder or that of a demo", "something else in it",
                  "give another folder with --out")
        )  # fmt: skip
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True, mode=0o700)
    (out / _MARKER).write_text("synthetic people only\n", encoding="utf-8")
    return data


def _refuse_no_pack(pack: Path) -> None:
    if not (pack / "pack.yaml").is_file():
        raise WrongUse(
            Fault(str(pack), "the folder of a pack", "no pack.yaml",
                  "run the demo in a checkout of the project, or give --pack")
        )  # fmt: skip
