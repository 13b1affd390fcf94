"""Read-only questions about what the door took and what it kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, select

from services.intake.domain.fields import Field
from services.intake.domain.rows import Kept, Tally
from services.intake.domain.types import Catalogue
from services.intake.handlers.covering import Cover
from services.intake.handlers.mending import current_item
from services.intake.handlers.refusals import fields_of
from services.intake.storage import reading
from services.intake.storage.store import REPUBLISHED
from services.intake.storage.tables import KEPT, LEDGER, TALLY
from services.kernel.clock import rfc3339
from services.kernel.contracts.envelope import HEADERS
from services.kernel.contracts.records import Outgoing
from services.kernel.contracts.topics import CHANGES
from services.kernel.protect import Unreadable

IdKind = Literal["published", "accepted", "parked"]
_KINDS: Final[dict[IdKind, tuple[str, ...]]] = {
    "published": ("fact", "copy", "control"),
    "accepted": ("fact", "parked"),
    "parked": ("parked",),
}


class KeptFilter(NamedTuple):
    """Which kept items are asked for."""

    source: str | None = None
    code: str | None = None
    state: Literal["open", "repaired", "all"] = "open"


def change(conn: Connection, identity: str) -> dict[str, Any] | None:
    """Return a change with its message, what corrected it, and where copies of it went."""
    row = conn.execute(select(LEDGER).where(LEDGER.c.id == identity)).mappings().one_or_none()
    if row is None:
        return None
    killers = reading.killers(conn, [identity]).get(identity, [])
    copies = [copied for _, copied in reading.copies(conn, [identity])]
    return {
        "id": identity,
        "kind": row["kind"],
        "receivedat": rfc3339(row["received"]),
        "clockat": rfc3339(row["clock"]),
        "envelope": msgspec.Raw(bytes(row["envelope"])),
        "corrected_by": [killer.id for killer in killers if killer.how == "superseded"],
        "retracted_by": [killer.id for killer in killers if killer.how == "retracted"],
        "copies": [{"id": copied.id, "household": copied.household} for copied in copies],
        "cause": row["cause"],
        "related": row["related"].split("\x1f") if row["related"] else [],
        "origin": row["origin"],
    }


def ids(conn: Connection, kind: IdKind, after: int, limit: int) -> list[tuple[int, str]]:
    """Return number and id of the ledger's lines after a number, in order of receipt."""
    wanted = (
        select(LEDGER.c.seq, LEDGER.c.id)
        .where(LEDGER.c.seq > after, LEDGER.c.kind.in_(_KINDS[kind]))
        .order_by(LEDGER.c.seq)
        .limit(limit)
    )
    return [(row.seq, row.id) for row in conn.execute(wanted)]


def kept_list(
    conn: Connection, which: KeptFilter, after: int, limit: int
) -> list[tuple[int, dict[str, Any]]]:
    """Return number and summary of kept items after a number, oldest first."""
    wanted = select(KEPT.c.seq, KEPT.c.id).where(KEPT.c.seq > after)
    if which.source is not None:
        wanted = wanted.where(KEPT.c.source == which.source)
    if which.code is not None:
        wanted = wanted.where(KEPT.c.code == which.code)
    if which.state != "all":
        mended = KEPT.c.repaired_by.is_not(None)
        wanted = wanted.where(mended if which.state == "repaired" else ~mended)
    rows = conn.execute(wanted.order_by(KEPT.c.seq).limit(limit)).all()
    found = reading.kept(conn, [row.id for row in rows])
    return [(row.seq, summary(found[row.id])) for row in rows]


def kept_one(conn: Connection, identity: str, cover: Cover) -> dict[str, Any] | None:
    """Return a kept item whole: original, corrected form, every fault; what cannot be read said."""
    kept = reading.kept(conn, [identity]).get(identity)
    if kept is None:
        return None
    content: dict[str, Any] = {"original": None, "item": None}
    try:
        clear = cover.opened(kept)
        content = {"original": fields_of(clear.original), "item": current_item(clear)}
    except Unreadable as exc:
        content["unreadable"] = str(exc)
    return {
        **summary(kept),
        "faults": kept.faults,
        **content,
        "fixed": kept.fixed is not None,
        "change": kept.change,
    }


def summary(kept: Kept) -> dict[str, Any]:
    """Return what a list shows of a kept item: no content."""
    return {
        "id": kept.id,
        "receivedat": rfc3339(kept.received),
        "source": kept.source,
        "type": kept.type,
        "origin": kept.origin,
        "code": kept.code,
        "fault": kept.fault,
        "reported": kept.reported,
        "state": "open" if kept.repaired_by is None else "repaired",
        "repaired_by": kept.repaired_by,
    }


def report(conn: Connection) -> dict[str, Any]:
    """Return the counts per source and in all; rejected includes conflicts."""
    sources: dict[str, dict[str, int]] = {}
    total = dict.fromkeys(Tally.__struct_fields__, 0)
    for row in conn.execute(select(TALLY).order_by(TALLY.c.source)).mappings():
        sources[row["source"]] = {name: row[name] for name in total}
        for name in total:
            total[name] += row[name]
    return {"total": total, "sources": sources}


def records(conn: Connection, identities: list[str]) -> list[Outgoing]:
    """Return the messages of published lines as they were published, by order of receipt."""
    sql = (
        "SELECT household, envelope FROM ledger WHERE id IN :values AND kind <> 'parked'"
        " ORDER BY seq"
    )
    rows = reading.rows(conn, sql, identities)
    headers = (*HEADERS, (REPUBLISHED, b"1"))
    return [Outgoing(CHANGES.name, row[0], bytes(row[1]), headers) for row in rows]


def types(catalogue: Catalogue) -> dict[str, Any]:
    """Return the event catalogue as data."""
    return {
        "pack": {"name": catalogue.name, "version": catalogue.version, "digest": catalogue.digest},
        "types": [
            {
                "type": kind.name,
                "subject": kind.subject,
                "title": kind.title,
                "max_ahead_s": kind.max_ahead // 1_000_000,
                "red": kind.red,
                "fields": {field.name: _field(field) for field in kind.fields},
            }
            for kind in catalogue.types.values()
        ],
    }


def _field(field: Field) -> Mapping[str, Any]:
    values = msgspec.to_builtins(field)
    del values["name"]
    return {name: value for name, value in values.items() if value not in (None, "", [])}
