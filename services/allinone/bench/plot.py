"""A line chart as SVG: enough for a few series over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

Series = Mapping[str, Sequence[tuple[float, float]]]
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 900, 420, 60, 120, 40, 40
_COLORS: Final = ("#1b6ca8", "#c0392b", "#1e8449", "#8e44ad", "#b9770e", "#2c3e50", "#7f8c8d")
_LINES: Final = 5


def lines_svg(title: str, series: Series) -> str:
    """Return the chart; x in seconds, y from 0, each line named at its end."""
    points = [point for line in series.values() for point in line]
    most_x = max((x for x, _ in points), default=0.0) or 1.0
    most_y = max((y for _, y in points), default=0.0) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + x / most_x * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - y / most_y * (_HEIGHT - _TOP - _BOTTOM),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}">',
        "<style>text{font:12px sans-serif}</style>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="22">{escape(title)}</text>',
    ]
    for n in range(_LINES + 1):
        value = most_y * n / _LINES
        x, y = place(0, value)
        parts.append(f'<line x1="{x}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"'
                     ' stroke="#ddd"/>')  # fmt: skip
        parts.append(f'<text x="{x - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.0f}</text>')
        x, y = place(most_x * n / _LINES, 0)
        parts.append(f'<text x="{x:.1f}" y="{y + 18}" text-anchor="middle">'
                     f"{most_x * n / _LINES:.0f} s</text>")  # fmt: skip
    for n, (name, line) in enumerate(series.items()):
        color = _COLORS[n % len(_COLORS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        parts.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.5" points="{path}"/>')
        if line:
            x, y = place(*line[-1])
            parts.append(f'<text x="{x + 6:.1f}" y="{y + 4:.1f}" fill="{color}">'
                         f"{escape(name)}</text>")  # fmt: skip
    return "\n".join([*parts, "</svg>", ""])
