"""A picture of the day: one SVG without scripts or fonts of its own, made of the figures alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final, NamedTuple

from services.allinone.demo.figures import STORM, Alert, Figures
from services.allinone.demo.naming import Names, word
from services.allinone.words import say
from services.kernel.clock import DAY, HOUR, MINUTE, parse_rfc3339

_LEFT: Final = 150
_WIDTH: Final = 1160
_RIGHT: Final = 36
_ROW: Final = 22
_TOP: Final = 92
_STORM_HIGH: Final = 96
_LANE_HIGH: Final = 64
_BIN: Final = 10 * MINUTE
_RED: Final = 3
_INK: Final = ("#2e7d32", "#1565c0", "#b26a00", "#c62828")
"""By ordinal level; what a level is called comes from the pack's scheme."""
_FONT: Final = 'font-family="system-ui, sans-serif" font-size="13" role="img"'
_STEPS: Final = ("second", "head", "escalate")


class Day(NamedTuple):
    """What the picture is of: its first instant, its title, the levels' names, its names."""

    begins: int
    title: str
    colours: Sequence[str]
    names: Names


def draw(figures: Figures, day: Day) -> str:
    """Return the SVG text of a day."""
    reds = sorted(
        (a for a in figures.alerts if a["level"] == _RED), key=lambda a: (a["opened_at"], a["id"])
    )
    below = _TOP + _STORM_HIGH + 34 + len(reds) * _ROW + 30
    height = below + 3 * _LANE_HIGH + 40
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {_FONT}>'
    parts = [
        head,
        f"<title>{escape(day.title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        _text(20, 32, day.title, size=19, weight="600"),
        _text(20, 56, headline(figures), ink="#555"),
        *_hours(height - 34),
        *_key(),
        *_storm(figures, day),
        *_reds(reds, day, _TOP + _STORM_HIGH + 34),
    ]
    for place, level in enumerate((2, 1, 0)):
        parts += _lane(figures, day, level, below + place * _LANE_HIGH)
    return "\n".join([*parts, "</svg>"]) + "\n"


def write(figures: Figures, day: Day, path: Path) -> None:
    """Write the picture to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(draw(figures, day), encoding="utf-8")


def headline(figures: Figures) -> str:
    """Return the day's numbers in one line."""
    return say(
        "demo.headline",
        **figures.promises,
        opened=len(figures.alerts),
        storm=len(figures.storm),
        noon=figures.settled_by_noon,
    )


def _x(at: int, begins: int) -> float:
    share = min(1.0, max(0.0, (at - begins) / DAY))
    return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)


def _text(
    x: float,
    y: float,
    text: str,
    *,
    ink: str = "#222",
    size: int = 13,
    weight: str = "400",
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{ink}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def _key() -> Iterable[str]:
    """Yield what the marks in the rows of red mean."""
    x = _WIDTH - 330
    yield f'<circle cx="{x}" cy="28" r="3" fill="#fff" stroke="#000"/>'
    yield _text(x + 10, 32, say("demo.key.acknowledged"), ink="#555")
    yield f'<path d="M{x + 118} 23 l5 9 h-10 z" fill="#000"/>'
    yield _text(x + 130, 32, say("demo.key.escalated"), ink="#555")
    yield f'<line x1="{x + 228}" y1="28" x2="{x + 250}" y2="28" stroke="{_INK[_RED]}" {_THICK}/>'
    yield _text(x + 257, 32, say("demo.key.line"), ink="#555")


def _hours(bottom: float) -> Iterable[str]:
    for hour in range(0, 25, 3):
        x = _x(hour * HOUR, 0)
        yield f'<line x1="{x}" y1="{_TOP - 14}" x2="{x}" y2="{bottom}" stroke="#e4e4e4"/>'
        yield _text(x, bottom + 18, f"{hour:02d}:00", ink="#777", anchor="middle")


def _bars(
    starts: Iterable[int], day: Day, base: float, high: float, ink: str
) -> Iterable[str]:  # fmt: skip
    """Yield a bar for every ten minutes in which something began."""
    bins = Counter((at - day.begins) // _BIN for at in starts)
    most = max(bins.values(), default=1)
    width = _x(_BIN, 0) - _x(0, 0) - 1
    for place, count in sorted(bins.items()):
        tall = round(max(3.0, high * count / most), 1)
        x = _x(place * _BIN, 0)
        yield (
            f'<rect x="{x}" y="{round(base - tall, 1)}" width="{width:.1f}" height="{tall}" '
            f'fill="{ink}"><title>{count}</title></rect>'
        )


def _storm(figures: Figures, day: Day) -> Iterable[str]:
    base = _TOP + _STORM_HIGH
    yield f'<g data-storm="{len(figures.storm)}" data-noon="{figures.settled_by_noon}">'
    yield _text(20, base - 40, say("demo.storm"), weight="600")
    yield _text(20, base - 22, say("demo.storm.count", count=len(figures.storm)), ink="#555")
    starts = [parse_rfc3339(alert["opened_at"]) for alert in figures.storm]
    yield from _bars(starts, day, base, _STORM_HIGH - 14, "#607d8b")
    for n, ((place, kind), count) in enumerate(figures.groups.most_common(6)):
        label = f"{day.names.of(place)} {say(f'matter.{kind}')} {count}"
        yield _text(
            _x(13 * HOUR + (n % 2) * 5 * HOUR, 0), base - 62 + (n // 2) * 20, label, ink="#555"
        )
    yield "</g>"


def _reds(reds: Sequence[Alert], day: Day, top: float) -> Iterable[str]:
    """Yield a row for each red: its line until somebody stood there, what was told on the way."""
    ink = _INK[_RED]
    yield f'<g data-level="{_RED}" data-opened="{len(reds)}">'
    yield _text(20, top + 14, f"{day.colours[_RED]} {len(reds)}", ink=ink, weight="600")
    for row, alert in enumerate(reds):
        y = top + row * _ROW + 10
        start = _x(parse_rfc3339(alert["opened_at"]), day.begins)
        handled = alert["handled_at"]
        end = _x(parse_rfc3339(handled) if handled else day.begins + DAY, day.begins)
        yield (
            f'<line x1="{start}" y1="{y}" x2="{max(end, start + 2)}" y2="{y}" stroke="{ink}" '
            f"{_THICK}{'' if handled else _WAITING}/>"
        )
        yield from _told(alert, day, y)
        name = day.names.of(alert["subject"], alert["household"])
        label = f"{alert['rule']} {alert['title'].get(say('language'), '')} · {name}"
        if start < _x(15 * HOUR, 0):
            yield _text(end + 14, y + 5, label)
        else:
            yield _text(start - 14, y + 5, label, anchor="end")
    yield "</g>"


_THICK: Final = 'stroke-width="5"'
_WAITING: Final = ' stroke-dasharray="5 3"'


def _told(alert: Mapping[str, Any], day: Day, y: float) -> Iterable[str]:
    """Yield a triangle for each step of the ladder that fired, a mark for the acknowledgement."""
    for step in alert["ladder"]:
        if step["kind"] == "ladder" and step["state"] == "fired" and step["name"] in _STEPS:
            x = _x(parse_rfc3339(step["due_at"]), day.begins)
            yield (
                f'<path d="M{x} {y - 9} l5 9 h-10 z" fill="#000" data-step="{step["name"]}">'
                f"<title>{escape(word('step', step['name']))}</title></path>"
            )
    if alert["acknowledged_at"]:
        x = _x(parse_rfc3339(alert["acknowledged_at"]), day.begins)
        yield f'<circle cx="{x}" cy="{y}" r="3" fill="#fff" stroke="#000"/>'


def _lane(figures: Figures, day: Day, level: int, top: float) -> Iterable[str]:
    """Yield the lane of a level below red: how many alerts opened in each ten minutes."""
    own = [a for a in figures.alerts if a["level"] == level]
    calm = [a for a in own if not a["instance"].startswith(STORM)]
    yield f'<g data-level="{level}" data-opened="{len(own)}">'
    yield _text(
        20, top + 20, f"{day.colours[level]} {len(own)}", ink=_INK[level], weight="600"
    )  # fmt: skip
    if len(calm) < len(own):
        yield _text(20, top + 38, say("demo.of_storm", count=len(own) - len(calm)), ink="#777")
    base = top + _LANE_HIGH - 12
    yield f'<line x1="{_LEFT}" y1="{base}" x2="{_WIDTH - _RIGHT}" y2="{base}" stroke="#ccc"/>'
    starts = [parse_rfc3339(alert["opened_at"]) for alert in calm]
    yield from _bars(starts, day, base, _LANE_HIGH - 24, _INK[level])
    yield "</g>"
