"""What the door asks of its tables; lists of ids go in as one parameter, whatever their length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, text

from services.intake.domain.names import Claim, Killed, Name, Tie
from services.intake.domain.rows import Kept, Tally
from services.intake.ports import Fact, Killer, Known

_KNOWN: Final = "id, kind, type, subject, household, clock, claim, content"
_LIVE: Final = (
    "NOT EXISTS (SELECT 1 FROM ledger k WHERE k.target = l.id)"
    " AND NOT (l.retracts AND EXISTS (SELECT 1 FROM ledger o WHERE o.id = l.target))"
)
_encode: Final = msgspec.json.Encoder().encode


def rows(conn: Connection, sql: str, values: Sequence[str]) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return the rows of a statement whose `IN :values` stands for the given texts."""
    if not values:
        return []
    if conn.dialect.name == "sqlite":
        wanted, given = "IN (SELECT value FROM json_each(:values))", _encode(values).decode()
        return conn.execute(text(sql.replace("IN :values", wanted)), {"values": given}).all()
    return conn.execute(
        text(sql.replace("IN :values", "= ANY(:values)")), {"values": list(values)}
    ).all()


def known(conn: Connection, ids: Sequence[str]) -> dict[str, Known]:
    """Return the ledger's lines with these ids."""
    found = rows(conn, f"SELECT {_KNOWN} FROM ledger WHERE id IN :values", ids)  # noqa: S608
    return {row[0]: Known._make((*row[:7], _bytes(row[7]))) for row in found}


def killers(conn: Connection, ids: Sequence[str]) -> dict[str, list[Killer]]:
    """Return, by id, the lines that correct or take back these."""
    sql = (
        "SELECT target, id, kind, subject, retracts FROM ledger"
        " WHERE target IN :values AND kind IN ('fact', 'parked') ORDER BY seq"
    )
    found: dict[str, list[Killer]] = {}
    for target, identity, kind, subject, retracts in rows(conn, sql, ids):
        how: Killed = "retracted" if retracts else "superseded"
        found.setdefault(target, []).append(Killer(target, identity, kind, subject, how))
    return found


def names(conn: Connection, wanted: Sequence[str]) -> dict[str, Name]:
    """Return the people and households known by these names."""
    sql = "SELECT name, kind, household, became, ties FROM name WHERE name IN :values"
    return {
        row[0]: Name(row[0], row[1], row[2], row[3], [] if row[4] == "[]" else _ties(row[4]))
        for row in rows(conn, sql, wanted)
    }


def aliases(conn: Connection, name: str) -> list[str]:
    """Return the names that became this one."""
    sql = "SELECT name FROM name WHERE became IN :values ORDER BY name"
    return [row[0] for row in rows(conn, sql, [name])]


def residents(conn: Connection, household: str) -> list[str]:
    """Return the people whose facts go to this household."""
    sql = (
        "SELECT name FROM name WHERE household IN :values AND kind = 'person'"
        " AND became IS NULL ORDER BY name"
    )
    return [row[0] for row in rows(conn, sql, [household])]


def tied_to(conn: Connection, household: str) -> list[str]:
    """Return the people of whom the household ever got copies."""
    sql = (
        "SELECT DISTINCT subject FROM ledger WHERE household IN :values AND kind = 'copy'"
        " ORDER BY subject"
    )
    return [row[0] for row in rows(conn, sql, [household])]


def live_facts(conn: Connection, subjects: Sequence[str]) -> list[Fact]:
    """Return the facts about these names that nobody corrected or took back, by receipt."""
    sql = (
        "SELECT l.id, l.type, l.household, l.envelope FROM ledger l"  # noqa: S608
        f" WHERE l.subject IN :values AND l.kind = 'fact' AND {_LIVE} ORDER BY l.seq"
    )
    return [Fact(row[0], row[1], row[2], bytes(row[3])) for row in rows(conn, sql, subjects)]


def claims(conn: Connection, subjects: Sequence[str]) -> list[tuple[str, Claim]]:
    """Return, with the ids of the facts, the households claimed for these people."""
    sql = (
        "SELECT l.id, l.claim, l.type, l.occurred, l.seq, o.seq,"
        " (SELECT max(CASE WHEN k.retracts THEN 1 ELSE 2 END) FROM ledger k WHERE k.target = l.id),"
        " EXISTS (SELECT 1 FROM ledger k WHERE k.target = l.id AND k.kind = 'fact'"
        " AND NOT k.retracts AND k.claim IS NOT NULL AND k.subject IN :values)"
        " FROM ledger l LEFT JOIN ledger o ON o.id = l.target AND NOT l.retracts"
        " WHERE l.subject IN :values AND l.kind = 'fact' AND l.claim IS NOT NULL ORDER BY l.seq"
    )
    found = []
    for identity, claim, kind, occurred, seq, original, way, replaced in rows(conn, sql, subjects):
        killed: Killed | None = {1: "retracted", 2: "superseded"}.get(way or 0)  # type: ignore[assignment]
        order = min(seq, original) if original is not None else seq
        found.append((identity, Claim(claim, kind, occurred, order, killed, bool(replaced))))
    return found


def copies(conn: Connection, ids: Sequence[str]) -> list[tuple[str, Known]]:
    """Return the copies of these facts that were not taken back, with the fact's id."""
    columns = ", ".join(f"l.{name}" for name in _KNOWN.split(", "))
    sql = (
        f"SELECT l.cause, {columns} FROM ledger l"  # noqa: S608
        f" WHERE l.cause IN :values AND l.kind = 'copy'"
        " AND NOT EXISTS (SELECT 1 FROM ledger k WHERE k.target = l.id) ORDER BY l.seq"
    )
    return [(row[0], Known._make((*row[1:8], _bytes(row[8])))) for row in rows(conn, sql, ids)]


def kept(conn: Connection, ids: Sequence[str]) -> dict[str, Kept]:
    """Return refused items by their own ids."""
    columns = ", ".join(Kept.__struct_fields__)
    found = rows(conn, f"SELECT {columns} FROM kept WHERE id IN :values", ids)  # noqa: S608
    return {row.id: _kept(row) for row in found}


def open_kept(conn: Connection, changes: Sequence[str]) -> dict[str, Kept]:
    """Return the first unrepaired refused item by the change id it would have had."""
    columns = ", ".join(Kept.__struct_fields__)
    sql = (
        f"SELECT {columns} FROM kept WHERE change IN :values"  # noqa: S608
        " AND repaired_by IS NULL AND code <> 'conflict' ORDER BY seq"
    )
    found: dict[str, Kept] = {}
    for row in rows(conn, sql, changes):
        found.setdefault(row.change, _kept(row))
    return found


def count_kept(conn: Connection, *, grave: bool, most: int) -> int:
    """Return how many kept items are unrepaired, counted up to `most`; grave: were reported."""
    sql = (
        "SELECT count(*) FROM (SELECT 1 FROM kept WHERE repaired_by IS NULL"
        " AND reported = :grave LIMIT :most) AS counted"
    )
    return int(conn.scalar(text(sql), {"grave": grave, "most": most}) or 0)


def kept_places(conn: Connection, ids: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Return number and predecessor of kept items."""
    found = rows(conn, "SELECT id, seq, prev FROM kept WHERE id IN :values", ids)
    return {row[0]: (row[1], row[2]) for row in found}


def tallies(conn: Connection, sources: Sequence[str]) -> dict[str, Tally]:
    """Return the counts of these sources."""
    columns = ", ".join(f'"{name}"' for name in Tally.__struct_fields__)
    sql = f"SELECT source, {columns} FROM tally WHERE source IN :values"  # noqa: S608
    return {row[0]: Tally(*row[1:]) for row in rows(conn, sql, sources)}


def _ties(stored: Any) -> list[Tie]:  # noqa: ANN401 - text on SQLite, parsed on PostgreSQL
    value = msgspec.json.decode(stored) if isinstance(stored, (str, bytes)) else stored
    return msgspec.convert(value, list[Tie]) if value else []


def _bytes(value: Any) -> bytes | None:  # noqa: ANN401 - bytes, or a view of the driver's
    return None if value is None else bytes(value)


def _kept(row: Row[*tuple[Any, ...]]) -> Kept:
    values = dict(zip(Kept.__struct_fields__, row, strict=True))
    for name in ("fault", "faults"):
        if isinstance(values[name], str):
            values[name] = msgspec.json.decode(values[name])
    for name in ("original", "draft", "fixed"):
        values[name] = _bytes(values[name])
    values["reported"] = bool(values["reported"])
    return Kept(**values)
