"""Read-only questions to the book."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, Select, select

from services.kernel.clock import rfc3339
from services.registry.storage.tables import (
    ALIAS,
    AREA,
    DUTY,
    HOUSEHOLD,
    INBOX,
    MEMBERSHIP,
    PERSON,
    STAFF,
    TIE,
)

Found = list[dict[str, Any]]


def became(conn: Connection, name: str) -> str | None:
    """Return what a name became, or None."""
    return conn.scalar(select(ALIAS.c.became).where(ALIAS.c.was == name))


class Which(NamedTuple):
    """Which households to list; None, '' and no names leave a filter out.

    called: exactly the id or name of a household, or the name of somebody who lives there.
    """

    area: str | None = None
    grid: str | None = None
    names: tuple[str, ...] = ()
    called: str = ""


def households(conn: Connection, which: Which, after: str, limit: int) -> Found:
    """Return households after a name, in order of name; without their members."""
    wanted = select(HOUSEHOLD).where(HOUSEHOLD.c.household > after)
    if which.area is not None:
        wanted = wanted.where(HOUSEHOLD.c.area == which.area)
    if which.grid is not None:
        wanted = wanted.where(HOUSEHOLD.c.grid == which.grid)
    if which.names:
        wanted = wanted.where(HOUSEHOLD.c.household.in_(which.names))
    if which.called:
        living = select(PERSON.c.household).where(PERSON.c.name == which.called)
        own = (HOUSEHOLD.c.household == which.called) | (HOUSEHOLD.c.name == which.called)
        wanted = wanted.where(own | HOUSEHOLD.c.household.in_(living))
    rows = conn.execute(wanted.order_by(HOUSEHOLD.c.household).limit(limit)).mappings()
    return [_household(row) for row in rows]


def household(conn: Connection, name: str) -> dict[str, Any] | None:
    """Return a household with everybody who lives or lived there, and who is tied to it."""
    row = conn.execute(select(HOUSEHOLD).where(HOUSEHOLD.c.household == name)).mappings()
    found = row.one_or_none()
    if found is None:
        return None
    lived = _all(conn, select(MEMBERSHIP).where(MEMBERSHIP.c.household == name))
    tied = _all(conn, select(TIE).where(TIE.c.household == name))
    living = _all(conn, select(PERSON).where(PERSON.c.household == name))
    return {
        **_household(found),
        "members": [{"person": p["person"], "name": p["name"], "kind": p["kind"]} for p in living],
        "memberships": [_membership(row) for row in lived],
        "ties": [_tie(row) for row in tied],
    }


def people(conn: Connection, household: str | None, after: str, limit: int) -> Found:
    """Return people after a name, in order of name."""
    wanted = select(PERSON).where(PERSON.c.person > after)
    if household is not None:
        wanted = wanted.where(PERSON.c.household == household)
    rows = conn.execute(wanted.order_by(PERSON.c.person).limit(limit)).mappings()
    return [dict(row) for row in rows]


def person(conn: Connection, name: str) -> dict[str, Any] | None:
    """Return a person with where they lived and whom they are tied to."""
    found = conn.execute(select(PERSON).where(PERSON.c.person == name)).mappings().one_or_none()
    if found is None:
        return None
    lived = _all(
        conn,
        select(MEMBERSHIP).where(MEMBERSHIP.c.person == name).order_by(MEMBERSHIP.c.number),
    )
    tied = _all(conn, select(TIE).where(TIE.c.person == name))
    return {
        **dict(found),
        "memberships": [_membership(row) for row in lived],
        "ties": [_tie(row) for row in tied],
    }


def areas(conn: Connection) -> Found:
    """Return the areas as trees: each with the areas below it."""
    rows = _all(conn, select(AREA).order_by(AREA.c.code))
    codes = {row["code"] for row in rows}
    below: defaultdict[str | None, list[RowMapping]] = defaultdict(list)
    for row in rows:
        parent = row["parent"] if row["parent"] in codes and row["parent"] != row["code"] else None
        below[parent].append(row)
    shown: set[str] = set()

    def tree(parent: str | None) -> Found:
        found = []
        for row in below[parent]:
            if row["code"] not in shown:  # areas that are each other's parents end here
                shown.add(row["code"])
                found.append({**dict(row), "areas": tree(row["code"])})
        return found

    roots = tree(None)
    for row in rows:
        if row["code"] not in shown:
            shown.add(row["code"])
            roots.append({**dict(row), "areas": tree(row["code"])})
    return roots


def staff(conn: Connection, area: str | None, after: tuple[str, str], limit: int) -> Found:
    """Return staff after an (area, staff), in that order."""
    later = (STAFF.c.area > after[0]) | ((STAFF.c.area == after[0]) & (STAFF.c.staff > after[1]))
    wanted = select(STAFF).where(later)
    if area is not None:
        wanted = wanted.where(STAFF.c.area == area)
    rows = _all(conn, wanted.order_by(STAFF.c.area, STAFF.c.staff).limit(limit))
    return [_timed(row, "since", "until") for row in rows]


def duty(conn: Connection, role: str | None, area: str | None, at: int | None) -> Found:
    """Return turns of duty by area, role and start; only those that hold at an instant if given."""
    wanted = select(DUTY)
    if role is not None:
        wanted = wanted.where(DUTY.c.role == role)
    if area is not None:
        wanted = wanted.where(DUTY.c.area == area)
    if at is not None:
        open_then = DUTY.c.until.is_(None) | (DUTY.c.until > at)
        wanted = wanted.where((DUTY.c.since <= at) & open_then)
    rows = _all(conn, wanted.order_by(DUTY.c.area, DUTY.c.role, DUTY.c.since, DUTY.c.staff))
    return [_timed(row, "since", "until") for row in rows]


def ids(conn: Connection, after: str, limit: int) -> list[str]:
    """Return ids of the messages taken in, after an id, in order."""
    columns = INBOX.table.c
    wanted = select(columns.id).where(columns.id > after).order_by(columns.id).limit(limit)
    return list(conn.scalars(wanted))


def _all(conn: Connection, wanted: Select[Any]) -> list[RowMapping]:
    return list(conn.execute(wanted).mappings())


def _household(row: RowMapping) -> dict[str, Any]:
    return {
        key: row[key] for key in ("household", "provisional", "name", "area", "grid", "profile")
    }


def _membership(row: RowMapping) -> dict[str, Any]:
    found = _timed(row, "since", "until")
    del found["number"]
    return found


def _tie(row: RowMapping) -> dict[str, Any]:
    return _timed(row, "since", "until")


def _timed(row: Mapping[str, Any] | RowMapping, *names: str) -> dict[str, Any]:
    times = {name: None if row[name] is None else rfc3339(row[name]) for name in names}
    return {**dict(row), **times}
