"""Small accessible charts as inline SVG: title and description in words, no scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, MARGIN = 340, 280, 56
NICE_TOPS = (0.02, 0.04, 0.08, 0.12, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Ends of an axis whose quarters are round."""


@dataclass(frozen=True)
class Line:
    """One curve: points in 0..1, a dash pattern so that colour is not the only mark, a name."""

    points: Sequence[tuple[float, float]]
    name: str
    colour: str = "#0b5394"
    dash: str = ""
    dots: bool = False
    bars: Sequence[tuple[float, float]] = ()


def chart(
    *,
    name: str,
    description: str,
    x: str,
    y: str,
    lines: Sequence[Line],
    x_max: float = 1.0,
    y_max: float = 1.0,
) -> str:
    """Return an SVG element; `description` is what a screen reader says instead of the picture."""
    key = f"c{abs(hash_name(name))}"
    parts = [
        (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 18 * len(lines)}" role="img" '
            f'aria-labelledby="{key}t {key}d" xmlns="http://www.w3.org/2000/svg">'
        ),
        f'<title id="{key}t">{escape(name)}</title><desc id="{key}d">{escape(description)}</desc>',
        _frame(x, y, x_max, y_max),
    ]
    parts += [_line(line, x_max, y_max) for line in lines]
    parts += [_legend(line, row) for row, line in enumerate(lines)]
    return "".join(parts) + "</svg>"


def hash_name(name: str) -> int:
    """Return a small stable number of a text."""
    return sum((i + 1) * ord(c) for i, c in enumerate(name)) % 99991


def _x(value: float, top: float) -> float:
    return MARGIN + value / top * (WIDTH - MARGIN - 22)


def _y(value: float, top: float) -> float:
    return HEIGHT - MARGIN - value / top * (HEIGHT - MARGIN - 12)


def _frame(x: str, y: str, x_max: float, y_max: float) -> str:
    parts = []
    for k in range(5):
        share = k / 4
        gx, gy = _x(share * x_max, x_max), _y(share * y_max, y_max)
        parts.append(
            f'<path d="M{gx:.1f} {_y(0, 1):.1f}V12M{MARGIN} {gy:.1f}H{WIDTH - 22}" '
            'stroke="#d0d7de" fill="none"/>'
        )
        parts.append(
            f'<text x="{gx:.1f}" y="{HEIGHT - MARGIN + 15}" font-size="11" '
            f'text-anchor="middle">{_percent(share * x_max)}</text>'
        )
        parts.append(
            f'<text x="{MARGIN - 5}" y="{gy + 4:.1f}" font-size="11" '
            f'text-anchor="end">{_percent(share * y_max)}</text>'
        )
    parts.append(
        f'<text x="{(WIDTH + MARGIN) / 2:.0f}" y="{HEIGHT - 10}" font-size="12" '
        f'text-anchor="middle">{escape(x)}</text>'
    )
    parts.append(
        f'<text transform="translate(11 {HEIGHT / 2 - 16:.0f}) rotate(-90)" font-size="12" '
        f'text-anchor="middle">{escape(y)}</text>'
    )
    return "".join(parts)


def _percent(value: float) -> str:
    return f"{100 * value:.3g}%"


def _line(line: Line, x_max: float, y_max: float) -> str:
    placed = [(_x(min(a, x_max), x_max), _y(min(b, y_max), y_max)) for a, b in line.points]
    path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in placed) if placed else ""
    dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    out = f'<path d="{path}" fill="none" stroke="{line.colour}" stroke-width="2"{dash}/>'
    for (a, b), (low, high) in zip(placed, line.bars, strict=False):
        del b
        out += (
            f'<path d="M{a:.1f} {_y(min(low, y_max), y_max):.1f}'
            f'V{_y(min(high, y_max), y_max):.1f}" stroke="{line.colour}"/>'
        )
    if line.dots:
        out += "".join(
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{line.colour}"/>' for a, b in placed
        )
    return out


def _legend(line: Line, row: int) -> str:
    top = HEIGHT + 18 * row + 6
    dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    return (
        f'<path d="M{MARGIN} {top}h26" stroke="{line.colour}" stroke-width="2"{dash}/>'
        f'<text x="{MARGIN + 32}" y="{top + 4}" font-size="12">{escape(line.name)}</text>'
    )


def thin(points: Sequence[tuple[float, float]], most: int = 240) -> list[tuple[float, float]]:
    """Return at most about `most` points, ends kept."""
    step = max(1, len(points) // most)
    kept = list(points[::step])
    return kept if kept and kept[-1] == points[-1] else [*kept, *points[-1:]]


def calibration_chart(bins: Sequence[dict[str, float]], name: str) -> str:
    """Return the calibration picture: said probability against what happened, with intervals."""
    top = min(1.0, max([b["high"] for b in bins] + [b["predicted"] for b in bins] + [0.05]) * 1.05)
    top = next(nice for nice in NICE_TOPS if nice >= top)
    points = [(b["predicted"], b["observed"]) for b in bins]
    words = "; ".join(f"{100 * a:.1f}% said, {100 * b:.1f}% happened" for a, b in points)
    return chart(
        name=name,
        description=words,
        x="模型说的可能性 said",
        y="实际发生 happened",
        x_max=top,
        y_max=top,
        lines=[
            Line([(0, 0), (top, top)], "完全说准 perfect", "#6e7781", "4 3"),
            Line(
                points,
                "模型与 95% 区间 model, 95% interval",
                dots=True,
                bars=[(b["low"], b["high"]) for b in bins],
            ),
        ],
    )
