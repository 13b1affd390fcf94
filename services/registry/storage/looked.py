"""The log of who looked at whom: append-only, each row sealed over the one before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from services.kernel.db.write import insert
from services.registry.storage.seals import head, seal_of, set_head
from services.registry.storage.tables import LOOKED


class Look(NamedTuple):
    """Somebody looked: who, at which route, whose records it showed."""

    viewer: str
    what: str
    subjects: Sequence[str]


def log(conn: Connection, look: Look, at: int) -> None:
    """Append a look; the seal of each row covers the seal of the one before."""
    seq, last = head(conn, LOOKED.name)
    row: dict[str, Any] = {
        "seq": seq + 1,
        "at": at,
        "viewer": look.viewer,
        "what": look.what,
        "subjects": list(look.subjects),
        "prev": last,
    }
    row["seal"] = seal_of(LOOKED, row).hex()
    insert(conn, LOOKED, [row])
    set_head(conn, LOOKED.name, seq + 1, row["seal"])


def looks(
    conn: Connection, after: int, limit: int, subject: str | None = None
) -> list[tuple[int, dict[str, Any]]]:
    """Return number and content of looks after a number, oldest first; only at a subject if given.

    Cost: with a subject it reads every look after the number until it has found `limit`.
    """
    wanted = select(LOOKED).where(LOOKED.c.seq > after).order_by(LOOKED.c.seq)
    if subject is None:
        wanted = wanted.limit(limit)
    found: list[tuple[int, dict[str, Any]]] = []
    for row in conn.execution_options(yield_per=1_000).execute(wanted).mappings():
        if subject is None or subject in row["subjects"]:
            found.append((row["seq"], dict(row)))
            if len(found) == limit:
                break
    return found
