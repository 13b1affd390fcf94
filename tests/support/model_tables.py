"""Synthetic households for the tests of the model tool: nobody real, every figure from a seed."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

Table = dict[str, list[str]]


def households(rows: int = 400, seed: int = 1, *, noise: float = 1.0) -> Table:
    """Return a table whose outcome `harm` (0/1) rises with age, falls and living alone."""
    rng = np.random.default_rng(seed)
    age = rng.integers(50, 95, rows)
    falls = rng.poisson(0.6, rows)
    alone = rng.random(rows) < 0.4
    tie = rng.choice(["spouse", "child", "none", "friend"], rows)
    pressure = rng.normal(135, 18, rows).round(1)
    score = (
        0.08 * (age - 72)
        + 0.9 * falls
        + 0.8 * alone
        + 0.6 * (tie == "none")
        + noise * rng.logistic(size=rows)
        - 1.6
    )
    return {
        "ref": [f"R{k * 7919 % 100003:06d}" for k in range(rows)],
        "age": [str(a) for a in age],
        "falls_12m": [str(f) for f in falls],
        "lives_alone": ["yes" if a else "no" for a in alone],
        "closest_tie": ["" if rng.random() < 0.05 else str(t) for t in tie],
        "systolic": ["" if rng.random() < 0.1 else str(p) for p in pressure],
        "harm": [str(int(s > 0)) for s in score],
    }


def levels(rows: int = 500, seed: int = 3) -> Table:
    """Return the same people with four ordered levels in `level_seen`."""
    table = households(rows, seed)
    rng = np.random.default_rng(seed + 1)
    names = ("green", "blue", "yellow", "red")
    score = np.asarray(
        [
            0.06 * (int(a) - 72) + 0.8 * int(f)
            for a, f in zip(table["age"], table["falls_12m"], strict=True)
        ]
    )
    place = np.digitize(score + rng.logistic(scale=0.7, size=rows), [0.2, 1.2, 2.2])
    del table["harm"]
    return table | {"level_seen": [names[k] for k in place]}


def people(homes: int = 260, seed: int = 5) -> Table:
    """Return one row a person, `home` repeating; outcome `poor` belongs to the home."""
    rng = np.random.default_rng(seed)
    table: Table = {
        name: [] for name in ("home", "head", "age", "works", "school", "rooms", "poor")
    }
    for home in range(homes):
        size, rooms = int(rng.integers(1, 6)), int(rng.integers(1, 8))
        ages = rng.integers(3, 80, size)
        works = (ages > 17) & (rng.random(size) < 0.6)
        poor = 1.4 * size - rooms - 3 * works.sum() + rng.logistic() > 0
        for k in range(size):
            for name, value in zip(
                table,
                (
                    f"h{home:05d}x{(home * 31) % 997:03d}",
                    int(k == 0),
                    int(ages[k]),
                    int(works[k]),
                    rng.choice(["none", "some", "full"]),
                    rooms,
                    int(poor),
                ),
                strict=True,
            ):
                table[name].append(str(value))
    return table


def write(path: Path, table: Mapping[str, Sequence[str]], encoding: str = "utf-8") -> Path:
    """Write the table as CSV and return the path."""
    with path.open("w", encoding=encoding, newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return path
