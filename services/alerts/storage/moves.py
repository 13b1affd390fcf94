"""Moves that wait for their other half, and the records kept back behind them."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, select

from services.alerts.ports import Kept, Waiting
from services.alerts.storage.seal import sealed
from services.alerts.storage.tables import MOVE, PARKED, QUEUE
from services.kernel.contracts.assessments import Moved
from services.kernel.db.write import insert

_decoder = msgspec.json.Decoder(Moved)


class Moves:
    """The `MoveStore` port over the tables `move`, `queue` and `parked`."""

    def load(self, conn: Connection) -> Kept:
        """See `MoveStore`."""
        halves = conn.execute(select(MOVE).order_by(MOVE.c.move)).all()
        waiting = [Waiting(r.move, r.half, r.household, _decoder.decode(r.body)) for r in halves]
        queues: dict[str, list[bytes]] = {}
        if waiting:  # nothing is kept back behind nothing
            for row in conn.execute(select(PARKED).order_by(PARKED.c.household, PARKED.c.n)):
                queues.setdefault(row.household, []).append(row.value)
        return Kept(waiting, queues)

    def save(self, conn: Connection, kept: Kept) -> None:
        """See `MoveStore`."""
        for table in (MOVE, QUEUE, PARKED):
            conn.execute(delete(table))
        halves = [
            {
                "move": w.move,
                "half": w.half,
                "household": w.household,
                "body": msgspec.json.encode(w.moved),
            }
            for w in kept.waiting
        ]
        insert(conn, MOVE, [sealed(MOVE, row) for row in halves])
        for household, values in kept.queues.items():
            insert(conn, QUEUE, [sealed(QUEUE, {"household": household, "kept": len(values)})])
            parked = [
                {"household": household, "n": n, "value": value}
                for n, value in enumerate(values, 1)
            ]
            insert(conn, PARKED, [sealed(PARKED, row) for row in parked])
