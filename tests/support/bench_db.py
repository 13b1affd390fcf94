"""Print what a row costs: `python -m tests.support.bench_db [FOLDER]` (microseconds, best of 3).

Each line is one batch of 500 rows per synced transaction on SQLite, as a worker does it. The folder
decides which disk is measured; by default a new one among the temporary files.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table
from sqlalchemy import insert as core_insert

from services.kernel.clock import SystemMonotonic
from services.kernel.contracts.envelope import HEADERS
from services.kernel.contracts.records import Outgoing
from services.kernel.db import write
from services.kernel.db.engine import Database
from services.kernel.db.outbox import Outbox, Relay
from services.kernel.db.positions import Inbox, Positions
from services.kernel.db.types import Blob, Instant
from tests.support.stores import FakeBus

ROWS: Final = 20_000
BATCH: Final = 500
TIMES: Final = 3
_clock: Final = SystemMonotonic()

metadata: Final = MetaData()
outbox: Final = Outbox(metadata)
positions: Final = Positions(metadata)
inbox: Final = Inbox(metadata)
small: Final = Table(
    "small",
    metadata,
    Column("id", String, primary_key=True),
    Column("count", Integer),
    Column("household", String),
    Column("at", Instant),
    Column("raw", Blob),
)


def rows(round_number: int) -> list[dict[str, Any]]:
    """Return new rows of five columns, about 110 bytes."""
    first = round_number * ROWS
    return [
        {"id": f"{n:032x}", "count": n, "household": f"h-{n}", "at": n, "raw": b"x" * 50}
        for n in range(first, first + ROWS)
    ]


def cost_us(db: Database, items: Sequence[Any], call: Callable[[Connection, Any], object]) -> float:
    """Return microseconds an item, each batch in its own transaction."""
    started_s = _clock.seconds()
    for part in write.chunks(items, BATCH):
        with db.begin() as conn:
            call(conn, part)
    return (_clock.seconds() - started_s) / len(items) * 1e6


def receive(conn: Connection, part: Sequence[dict[str, Any]]) -> None:
    """Do what a worker does beside its effect: inbox, position."""
    inbox.unseen(conn, [row["id"] for row in part])
    inbox.add(conn, part)
    offset = part[0]["offset"]
    positions.move(conn, "t", part[0]["partition"], offset, offset + len(part))


def measure(db: Database, number: int) -> dict[str, float]:
    """Return what each kind of work costs, an item."""
    found = {
        "SQLAlchemy's own insert": cost_us(
            db, rows(4 * number), lambda conn, part: conn.execute(core_insert(small), part)
        ),
        "write.insert": cost_us(
            db, rows(4 * number + 1), lambda conn, part: write.insert(conn, small, part)
        ),
        "write.insert_new": cost_us(
            db, rows(4 * number + 2), lambda conn, part: write.insert_new(conn, small, part, ["id"])
        ),
        "write.upsert of rows there": cost_us(
            db, rows(4 * number + 2), lambda conn, part: write.upsert(conn, small, part, ["id"])
        ),
        "inbox and position": cost_us(
            db,
            [
                {"id": f"{number}-{n:034x}", "topic": "t", "partition": number, "offset": n}
                for n in range(ROWS)
            ],
            receive,
        ),
        "outbox.add, 600 bytes": cost_us(
            db,
            [Outgoing("t", f"h-{n}", b"x" * 600, HEADERS) for n in range(ROWS)],
            outbox.add,
        ),
    }
    relay = Relay(db, outbox, FakeBus())
    started_s = _clock.seconds()
    while relay.run_once():
        pass
    found["relay, without its bus"] = (_clock.seconds() - started_s) / ROWS * 1e6
    return found


def main(folder: Path) -> None:
    """Measure and print."""
    db = Database(f"sqlite:///{folder}/bench.db", metadata)
    with db.begin() as conn:
        metadata.create_all(conn)
    found = [measure(db, number) for number in range(TIMES)]
    db.close()
    for name in found[0]:
        sys.stdout.write(f"{name:28} {min(each[name] for each in found):6.1f} us\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            main(Path(made))
