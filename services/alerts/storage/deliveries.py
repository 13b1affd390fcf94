"""Deliveries in the database: claimed by one process at a time, settled in bulk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import ColumnElement, Connection, Select, TextClause, func, select

from services.alerts.domain.delivery import Delivery
from services.alerts.ports import Place
from services.alerts.storage import rows
from services.alerts.storage.tables import DELIVERY, PLACE, QUEUED, SENDING
from services.kernel.db.write import upsert


class Deliveries:
    """Reads and writes delivery rows."""

    def due(
        self, conn: Connection, now: int, limit: int, but: Collection[str] = ()
    ) -> list[Delivery]:
        """See `DeliveryStore`."""
        others = [DELIVERY.c.target.not_in(sorted(but))] if but else []
        return self._read(conn, limit, QUEUED, DELIVERY.c.next_at <= now, *others)

    def crashed(self, conn: Connection, now: int, but: str | None, limit: int) -> list[Delivery]:
        """Return sendings whose lease is over, or, given `but`, all that others began."""
        return self._read(conn, limit, SENDING, _lost(now, but))

    def any_due(self, conn: Connection, now: int) -> bool:
        """See `DeliveryStore`."""
        query = select(DELIVERY.c.id).where(QUEUED, DELIVERY.c.next_at <= now).limit(1)
        return conn.scalar(query) is not None

    def any_crashed(self, conn: Connection, now: int, but: str | None) -> bool:
        """See `DeliveryStore`."""
        query = select(DELIVERY.c.id).where(SENDING, _lost(now, but)).limit(1)
        return conn.scalar(query) is not None

    def by_ids(self, conn: Connection, ids: Sequence[str]) -> list[Delivery]:
        """Return deliveries, locked."""
        return self._read(conn, len(ids), DELIVERY.c.id.in_(ids))

    def save(self, conn: Connection, deliveries: Iterable[Delivery]) -> None:
        """Write rows."""
        upsert(conn, DELIVERY, [rows.stored_delivery(d) for d in deliveries], ("id",))

    def unsent(self, conn: Connection) -> tuple[int, int | None]:
        """Return how many wait to be sent, and since when the longest."""
        found = [
            conn.execute(select(func.count(), func.min(DELIVERY.c.due_at)).where(state)).one()
            for state in (QUEUED, SENDING)
        ]
        oldest = [since for _, since in found if since is not None]
        return sum(count for count, _ in found), min(oldest, default=None)

    def places(self, conn: Connection, households: Sequence[str]) -> dict[str, Place]:
        """Return area and grid of households that registry has told."""
        found = conn.execute(
            select(PLACE.c.household, PLACE.c.area, PLACE.c.grid).where(
                PLACE.c.household.in_(households)
            )
        )
        return {household: Place(area, grid) for household, area, grid in found}

    def _read(
        self, conn: Connection, limit: int, *where: ColumnElement[bool] | TextClause
    ) -> list[Delivery]:
        query: Select[tuple[object, ...]] = (
            select(DELIVERY)
            .where(*where)
            .order_by(DELIVERY.c.next_at, DELIVERY.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return [rows.delivery_of(row) for row in conn.execute(query).all()]


def _lost(now: int, but: str | None) -> ColumnElement[bool]:
    return DELIVERY.c.next_at <= now if but is None else DELIVERY.c.claimed_by != but
