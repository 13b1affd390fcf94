"""Glasses as rows: opened, ended, reviewed; none is ever deleted."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, func, or_, select, true, update

from services.console.glass import REVIEW_WITHIN, Counts, Glass, Review
from services.console.storage.tables import GLASS
from services.kernel.db.write import insert

REVIEWED_SHOWN: Final = 50
UNREVIEWED_SHOWN: Final = 200
_NOT_YET: Final = {"reviewed_at": None, "reviewed_by": "", "justified": None, "note": ""}


class Reviewed(NamedTuple):
    """A glass and what became of its review; `at` is None until somebody has reviewed it."""

    glass: Glass
    at: int | None
    review: Review | None


def of_user(conn: Connection, user_name: str, now: int) -> list[Glass]:
    """Return what is open for somebody, the oldest first."""
    wanted = (GLASS.c.user_name == user_name) & _open(now)
    return _glasses(conn, wanted)


def open_of_staff(conn: Connection, staff: str, now: int) -> int:
    """Return how many a member of staff has open, under whichever of their names."""
    return _count(conn, (GLASS.c.staff == staff) & _open(now))


def had_open(conn: Connection, staff: str, at: int) -> bool:
    """Return whether a member of staff had one open at an instant, its last one included."""
    c = GLASS.c
    there = (c.since <= at) & (c.until >= at) & (c.ended_at.is_(None) | (c.ended_at >= at))
    return _count(conn, (c.staff == staff) & there) > 0


def of_key(conn: Connection, user_name: str, key: str) -> Glass | None:
    """Return what somebody opened with a form of this key."""
    found = _glasses(conn, (GLASS.c.user_name == user_name) & (GLASS.c.key == key))
    return found[0] if found else None


def find(conn: Connection, identity: str) -> Reviewed | None:
    """Return one by its id."""
    row = conn.execute(select(GLASS).where(GLASS.c.id == identity)).one_or_none()
    return None if row is None else _reviewed(row)


def add(conn: Connection, glass: Glass) -> None:
    """Store a new one, not reviewed yet."""
    insert(conn, GLASS, [glass._asdict() | _NOT_YET])


def end(conn: Connection, identity: str, by: str, now: int) -> None:
    """End one that is open; one that ended before stays as it was."""
    ended = {"ended_at": now, "ended_by": by}
    conn.execute(update(GLASS).where((GLASS.c.id == identity) & _open(now)).values(ended))


def review(conn: Connection, identity: str, said: Review, now: int) -> bool:
    """Store what a head said; return False where somebody was first."""
    values = {
        "reviewed_at": now,
        "reviewed_by": said.by,
        "justified": said.justified,
        "note": said.note,
    }
    open_ = (GLASS.c.id == identity) & GLASS.c.reviewed_at.is_(None)
    return bool(conn.execute(update(GLASS).where(open_).values(values)).rowcount)


def to_review(conn: Connection, areas: frozenset[str] | None) -> list[Reviewed]:
    """Return those of some areas: first what nobody has reviewed, the oldest ahead, then the rest.

    `areas` are codes with all below them, None for everywhere; what lay nowhere is in all of them.
    """
    c, here = GLASS.c, _in(areas)
    open_ = select(GLASS).where(here & c.reviewed_at.is_(None)).order_by(c.since, c.id)
    done = select(GLASS).where(here & c.reviewed_at.is_not(None)).order_by(c.reviewed_at.desc())
    rows = [
        *conn.execute(open_.limit(UNREVIEWED_SHOWN)),
        *conn.execute(done.limit(REVIEWED_SHOWN)),
    ]
    return [_reviewed(row) for row in rows]


def waiting(conn: Connection, areas: frozenset[str] | None) -> int:
    """Return how many of some areas nobody has reviewed; `areas` as for `to_review`."""
    return _count(conn, _in(areas) & GLASS.c.reviewed_at.is_(None))


def counts(conn: Connection, now: int) -> Counts:
    """Return how many are open, and how many wait for a review."""
    unread = GLASS.c.reviewed_at.is_(None)
    late = unread & (GLASS.c.since <= now - REVIEW_WITHIN)
    return Counts(*(_count(conn, which) for which in (_open(now), unread, late)))


def _open(now: int) -> ColumnElement[bool]:
    return GLASS.c.ended_at.is_(None) & (GLASS.c.until > now)


def _in(areas: frozenset[str] | None) -> ColumnElement[bool]:
    if areas is None:
        return true()
    codes = sorted(areas)
    nowhere = (GLASS.c.area == "") & (GLASS.c.grid == "")
    return or_(GLASS.c.area.in_(codes), GLASS.c.grid.in_(codes), nowhere)


def _count(conn: Connection, which: ColumnElement[bool]) -> int:
    return conn.scalar(select(func.count()).select_from(GLASS).where(which)) or 0


def _glasses(conn: Connection, which: ColumnElement[bool]) -> list[Glass]:
    wanted = select(GLASS).where(which).order_by(GLASS.c.since, GLASS.c.id)
    return [_glass(row) for row in conn.execute(wanted)]


def _glass(row: Row[Any]) -> Glass:
    return Glass(**{name: row._mapping[name] for name in Glass._fields})  # noqa: SLF001 - public in 2.x


def _reviewed(row: Row[Any]) -> Reviewed:
    said = None
    if row.reviewed_at is not None:
        said = Review(row.reviewed_by, bool(row.justified), row.note)
    return Reviewed(_glass(row), row.reviewed_at, said)
