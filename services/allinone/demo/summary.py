"""The end of a demo as tables: the day, its promises, the storm, the stories, the times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from services.allinone.demo.figures import Figures, Judged
from services.allinone.demo.run import Outcome
from services.allinone.town.book import place_names
from services.allinone.words import say

_MB = 1_000_000
_GROUPS = 8


def tables(outcome: Outcome) -> Iterator[Table]:
    """Yield the tables of an outcome."""
    figures = outcome.figures
    yield _table("demo.table.day", (), _day(figures, outcome.colours))
    groups = figures.groups.most_common(_GROUPS)
    names = place_names(outcome.town.plan)
    rows = ((names[place], say(f"matter.{kind}"), str(count)) for (place, kind), count in groups)
    yield _table("demo.table.storm", ("demo.place", "demo.kind", "demo.count"), rows)
    heads = ("demo.story", "demo.meant", "demo.found", "demo.ok")
    stories = (_story(judged, outcome.colours) for judged in figures.stories)
    yield _table("demo.table.stories", heads, stories)
    yield _table("demo.table.times", (), _times(outcome))


def _table(title: str, heads: Iterable[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=Text(say(title)), title_justify="left", show_header=bool(heads))
    for head in heads:
        table.add_column(Text(say(head)))
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _day(figures: Figures, colours: Sequence[str]) -> Iterator[Sequence[str]]:
    yield say("demo.accepted"), str(figures.accepted)
    yield say("demo.assessed"), str(figures.assessments)
    for level, count in figures.levels.items():
        yield say("demo.opened.level", level=colours[level]), str(count)
    for name, count in figures.promises.items():
        yield say(f"demo.promise.{name}"), str(count)
    yield say("demo.storm.noon"), f"{figures.settled_by_noon}/{len(figures.storm)}"


def _story(judged: Judged, colours: Sequence[str]) -> Sequence[str]:
    means = judged.story.means
    meant = say(f"demo.ending.{means.ending}")
    found = say(f"demo.ending.{judged.ending}") if judged.ending else "?"
    return (
        judged.story.zh if say("language") == "zh" else judged.story.en,
        f"{'/'.join(means.rules)} {colours[means.level]} {meant}".strip(),
        f"{colours[judged.level]} {found}",
        "✓" if judged.ok else "✗",
    )


def _times(outcome: Outcome) -> Iterator[Sequence[str]]:
    measured = outcome.measured
    for name in ("setup", "history", "ready", "day"):
        yield say(f"demo.time.{name}"), f"{getattr(measured, f'{name}_s'):.1f} s"
    yield say("demo.memory"), f"{measured.rss_bytes / _MB:.0f} MB"
    yield say("demo.peak"), f"{measured.peak_bytes / _MB:.0f} MB"
    yield say("demo.drawn"), str(outcome.picture)
