"""The floor: what bare sqlite3 does of the same shape, with nothing of what the product adds.

Three files, each synced at every commit: a door that writes changes and an outbox, a second step
that reads them and keeps a row per household, a third that notes every seventh. No checks, no
rules, no time, no reasons.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from services.kernel.clock import Monotonic

_EVERY: Final = 7
"""Of so many changes one is news to the last step, as in a town's day."""
_decode: Final = msgspec.json.Decoder().decode


def chain(bodies: Sequence[Sequence[bytes]], monotonic: Monotonic) -> float:
    """Return changes per second of the bare chain; `bodies` are batches of encoded items."""
    with TemporaryDirectory(prefix="hearthwatch-floor-") as folder:
        door, middle, last = (_open(Path(folder) / f"{n}.db") for n in range(3))
        door.execute("CREATE TABLE change(id TEXT PRIMARY KEY, household TEXT, body BLOB)")
        door.execute("CREATE TABLE outbox(seq INTEGER PRIMARY KEY, household TEXT, body BLOB)")
        middle.execute("CREATE TABLE household(id TEXT PRIMARY KEY, seen INTEGER, body BLOB)")
        last.execute("CREATE TABLE news(id TEXT PRIMARY KEY, body BLOB)")
        started_s = monotonic.seconds()
        count = sum(_batch(batch, door, middle, last) for batch in bodies)
        spent_s = monotonic.seconds() - started_s
        for store in (door, middle, last):
            store.close()
    return count / spent_s


def _batch(
    batch: Sequence[bytes],
    door: sqlite3.Connection,
    middle: sqlite3.Connection,
    last: sqlite3.Connection,
) -> int:
    rows = [
        (item["sourceid"], item["household"], body) for body in batch for item in [_decode(body)]
    ]
    with _written(door):
        door.executemany("INSERT OR IGNORE INTO change VALUES(?, ?, ?)", rows)
        door.executemany("INSERT INTO outbox(household, body) VALUES(?, ?)", [r[1:] for r in rows])
    sent = door.execute("SELECT seq, household, body FROM outbox ORDER BY seq").fetchall()
    with _written(middle):
        middle.executemany(
            "INSERT INTO household VALUES(?, 1, ?) ON CONFLICT(id) DO UPDATE SET seen = seen + 1,"
            " body = excluded.body",
            [(household, msgspec.msgpack.encode(_decode(body))) for _, household, body in sent],
        )
    with _written(last):
        last.executemany(
            "INSERT OR IGNORE INTO news VALUES(?, ?)", [(r[0], r[2]) for r in rows[::_EVERY]]
        )
    with _written(door):
        door.execute("DELETE FROM outbox WHERE seq <= ?", (sent[-1][0],))
    return len(batch)


def writes(rows: int, batch: int, monotonic: Monotonic) -> float:
    """Return the seconds that `rows` updates with two inserts each take, synced every `batch`."""
    with TemporaryDirectory(prefix="hearthwatch-floor-") as folder:
        store = _open(Path(folder) / "writes.db")
        store.execute("CREATE TABLE step(id INTEGER PRIMARY KEY, state TEXT)")
        store.execute("CREATE TABLE line(id INTEGER PRIMARY KEY, body TEXT)")
        store.executemany("INSERT INTO step VALUES(?, 'pending')", [(n,) for n in range(rows)])
        started_s = monotonic.seconds()
        for start in range(0, rows, batch):
            part = range(start, min(rows, start + batch))
            with _written(store):
                store.executemany(
                    "UPDATE step SET state = 'fired' WHERE id = ?", [(n,) for n in part]
                )
                for copy in range(2):
                    store.executemany(
                        "INSERT INTO line VALUES(?, 'told')", [(2 * n + copy,) for n in part]
                    )
        spent_s = monotonic.seconds() - started_s
        store.close()
    return spent_s


class _written:  # noqa: N801 - reads as a verb at its use
    """One synced transaction."""

    def __init__(self, store: sqlite3.Connection) -> None:
        self._store = store

    def __enter__(self) -> None:
        self._store.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_: object) -> None:
        self._store.execute("COMMIT")


def _open(path: Path) -> sqlite3.Connection:
    store = sqlite3.connect(path, isolation_level=None)
    store.execute("PRAGMA journal_mode=WAL")
    store.execute("PRAGMA synchronous=FULL")
    return store
