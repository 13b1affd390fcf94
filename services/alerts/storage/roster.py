"""Where households are and who is on duty: what alerts keeps of registry's compacted topics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, case, func, select

from services.alerts.domain.delivery import Contact
from services.alerts.storage.progress import advance, progress
from services.alerts.storage.seal import sealed
from services.alerts.storage.tables import PLACE, ROSTER
from services.kernel.clock import to_us
from services.kernel.contracts.registry import DutyCard, HouseholdCard, OnDuty
from services.kernel.db.write import upsert

_duty = msgspec.json.Decoder(DutyCard)


class Cards:
    """The `CardStore` port over the tables `place` and `roster`; one row a key, the newest card.

    Rows of a partition are numbered without a hole, so that the audit can name a missing one.
    """

    def put_places(
        self,
        conn: Connection,
        topic: str,
        partition: int,
        offset: int,
        cards: Mapping[str, HouseholdCard | None],
    ) -> None:
        """See `CardStore`."""
        rows = {
            household: {
                "household": household,
                "area": (card.area or "") if card else "",
                "grid": (card.grid or "") if card else "",
            }
            for household, card in cards.items()
        }
        _put(conn, PLACE, (topic, partition, offset), rows)

    def put_duties(
        self,
        conn: Connection,
        topic: str,
        partition: int,
        offset: int,
        cards: Mapping[str, DutyCard | None],
    ) -> None:
        """See `CardStore`."""
        rows = {}
        for key, card in cards.items():
            role, _, area = key.partition(":")
            body = card or DutyCard(role=role, area=area, turns=[])
            text = msgspec.json.encode(body).decode()
            rows[key] = {"key": key, "role": body.role, "area": body.area, "body": text}
        _put(conn, ROSTER, (topic, partition, offset), rows)


def _put(
    conn: Connection, table: Table, where: tuple[str, int, int], rows: Mapping[str, dict[str, Any]]
) -> None:
    topic, partition, offset = where
    key = next(iter(table.primary_key.columns))
    held = conn.execute(select(key, table.c.n).where(key.in_(list(rows)))).all()
    numbers: dict[str, int] = {row[0]: row[1] for row in held}
    account = progress(conn, topic, partition)
    account["holder"] = str(table.name)
    new = 0
    whole = []
    for name, row in rows.items():
        if name not in numbers:
            new += 1
            numbers[name] = account["rows"] + new
        placed = row | {"topic": topic, "partition": partition, "n": numbers[name]}
        whole.append(sealed(table, placed))
    upsert(conn, table, whole, (key.name,))
    advance(conn, account, offset, None, new)


class Roster:
    """The `Duty` port over the table `roster`; `address` opens contacts, which are kept closed."""

    def __init__(self, address: Callable[[str], str | None] = lambda contact: contact) -> None:
        self._address = address

    def contacts(self, conn: Connection, role: str, area: str, now: int) -> list[Contact] | None:
        """See `Duty`. Duty of the very area comes first; another area's is better than nobody."""
        columns = ROSTER.c
        here = case((columns.area == area, 0), (columns.area == "", 1), else_=2)
        bodies: Sequence[str] = conn.scalars(
            select(columns.body).where(columns.role == role).order_by(here, columns.key)
        ).all()
        if not bodies and not conn.scalar(select(func.count()).select_from(ROSTER)):
            return None
        found: dict[str, Contact] = {}
        for body in bodies:
            for turn in _now(body, now):
                if turn.staff not in found:
                    address = self._address(turn.contact) if turn.contact else None
                    found[turn.staff] = Contact(turn.staff, address or turn.staff)
        return list(found.values())

    def without_duty(self, conn: Connection, roles: Collection[str], now: int) -> int:
        """Return how many of the roles no turn covers now; 0 while registry told no roster."""
        rows = conn.execute(select(ROSTER.c.role, ROSTER.c.body)).all()
        covered = {row.role for row in rows if any(_now(row.body, now))}
        return len(set(roles) - covered) if rows else 0


def _now(body: str, now: int) -> Iterator[OnDuty]:
    """Yield the turns of a card that run now."""
    for turn in _duty.decode(body).turns:
        if to_us(turn.start) <= now and (turn.end is None or to_us(turn.end) > now):
            yield turn
