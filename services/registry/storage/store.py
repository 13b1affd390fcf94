"""The book's tables behind ports.Store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, Table, select, text, union, update

from services.kernel.contracts.records import Outgoing
from services.kernel.db.engine import Database
from services.kernel.db.write import insert, upsert
from services.registry.domain.entries import Entries
from services.registry.domain.entries import Row as Entry
from services.registry.domain.facts import Fact, is_place
from services.registry.storage.seals import head, sealed, set_head
from services.registry.storage.tables import (
    ALIAS,
    AREA,
    DUTY,
    FACT,
    HOUSEHOLD,
    MEMBERSHIP,
    OUTBOX,
    PERSON,
    STAFF,
    TIE,
)

_encode: Final = msgspec.json.Encoder().encode
_PERSONAL: Final = ((PERSON, "person"), (MEMBERSHIP, "person"), (TIE, "person"))
_LOCAL: Final = ((AREA, "code"), (STAFF, "area"), (DUTY, "area"))
_Part = Callable[[Entries], list[Entry]]
_PERSONAL_PARTS: Final[tuple[_Part, ...]] = (
    lambda e: e.person,
    lambda e: e.membership,
    lambda e: e.tie,
)
_LOCAL_PARTS: Final[tuple[_Part, ...]] = (lambda e: e.area, lambda e: e.staff, lambda e: e.duty)


class SqlStore:
    """The book in one database; see ports.Store for the contract."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def exclude(self, conn: Connection) -> None:
        self.db.lock(conn, "registry.write", shared=False)

    def became(self, conn: Connection, names: Iterable[str]) -> dict[str, str]:
        found = rows(conn, "SELECT was, became FROM alias WHERE was IN :values", list(names))
        return {row[0]: row[1] for row in found}

    def names_of(self, conn: Connection, names: Sequence[str]) -> dict[str, list[str]]:
        sql = "SELECT became, was FROM alias WHERE became IN :values ORDER BY was"
        found: dict[str, list[str]] = {}
        for became, was in rows(conn, sql, names):
            found.setdefault(became, []).append(was)
        return found

    def add_alias(self, conn: Connection, was: str, became: str) -> None:
        conn.execute(update(ALIAS).where(ALIAS.c.became == was).values(became=became))
        upsert(conn, ALIAS, [{"was": was, "became": became}], ("was",))

    def unknown(self, conn: Connection, subjects: Iterable[str]) -> set[str]:
        wanted = list(subjects)
        sql = "SELECT DISTINCT subject FROM fact WHERE subject IN :values"
        return set(wanted).difference(row[0] for row in rows(conn, sql, wanted))

    def add(self, conn: Connection, facts: Sequence[Fact]) -> None:
        ids = [fact.id for fact in facts]
        there = {row[0] for row in rows(conn, "SELECT id FROM fact WHERE id IN :values", ids)}
        seq, last = head(conn, FACT.name)
        new = []
        for fact in facts:
            if fact.id in there:
                continue
            there.add(fact.id)
            seq += 1
            row = msgspec.structs.asdict(fact)
            row.update(seq=seq, prev=last, data=_encode(fact.data))
            new.append(sealed(FACT, row))
            last = fact.id
        if new:
            insert(conn, FACT, new)
            set_head(conn, FACT.name, seq, last)

    def subject_of(self, conn: Connection, fact: str) -> str | None:
        return conn.scalar(select(FACT.c.subject).where(FACT.c.id == fact))

    def facts(self, conn: Connection, names: Sequence[str]) -> tuple[list[Fact], set[str]]:
        sql = (
            "SELECT f.seq, f.id, f.type, f.subject, f.household, f.occurred, f.received, f.data,"
            " f.target, EXISTS (SELECT 1 FROM fact k WHERE k.target = f.id)"
            " FROM fact f WHERE f.subject IN :values ORDER BY f.seq"
        )
        found, killed = [], set()
        for row in rows(conn, sql, names):
            found.append(fact_of(row))
            if row[9]:
                killed.add(row[1])
        return found, killed

    def touched_by(self, conn: Connection, household: str) -> set[str]:
        wanted = union(
            *(
                select(table.c.person).where(table.c.household == household)
                for table in (PERSON, MEMBERSHIP, TIE)
            )
        )
        return set(conn.scalars(wanted))

    def homes(self, conn: Connection, people: Sequence[str]) -> dict[str, set[str]]:
        sql = (
            "SELECT person, household FROM person WHERE person IN :values"
            " UNION SELECT person, household FROM membership WHERE person IN :values"
        )
        found: dict[str, set[str]] = {}
        for person, household in rows(conn, sql, people):
            found.setdefault(person, set()).add(household)
        return found

    def enter(self, conn: Connection, made: Mapping[str, Entries]) -> set[tuple[str, str]]:
        places = {s.partition(":")[2]: e for s, e in made.items() if is_place(s)}
        people = {s: e for s, e in made.items() if not is_place(s)}
        sql = "SELECT DISTINCT role, area FROM duty WHERE area IN :values"
        roles = {(row[0], row[1]) for row in rows(conn, sql, list(places))}
        roles |= {(row["role"], row["area"]) for e in places.values() for row in e.duty}
        local = [[r for e in places.values() for r in part(e)] for part in _LOCAL_PARTS]
        self._replace(conn, _LOCAL, list(places), local)
        personal = [[r for e in people.values() for r in part(e)] for part in _PERSONAL_PARTS]
        self._replace(conn, _PERSONAL, list(people), personal)
        return roles

    def members(self, conn: Connection, households: Sequence[str]) -> dict[str, list[Entry]]:
        sql = (
            "SELECT p.household, p.person, p.name, p.kind, m.person, m.since, m.relation"
            " FROM person p LEFT JOIN membership m ON m.person = p.person"
            " AND m.household = p.household AND m.until IS NULL"
            " WHERE p.household IN :values ORDER BY p.person"
        )
        found: dict[str, list[Entry]] = {}
        for household, person, name, kind, is_member, since, relation in rows(
            conn, sql, households
        ):
            now = None if is_member is None else {"since": since, "relation": relation}
            found.setdefault(household, []).append(
                {"person": person, "name": name, "kind": kind, "now": now}
            )
        return found

    def lived_in(self, conn: Connection, households: Sequence[str]) -> set[str]:
        sql = "SELECT DISTINCT household FROM membership WHERE household IN :values"
        return {row[0] for row in rows(conn, sql, households)}

    def enter_households(self, conn: Connection, made: Mapping[str, Entry | None]) -> list[str]:
        sql = "SELECT household, card FROM household WHERE household IN :values"
        before = {row[0]: row[1] for row in rows(conn, sql, list(made))}
        gone = [name for name, row in made.items() if row is None and name in before]
        rows(conn, "DELETE FROM household WHERE household IN :values", gone, answers=False)
        upsert(conn, HOUSEHOLD, [r for r in made.values() if r is not None], ("household",))
        return [
            name
            for name, row in made.items()
            if (name in gone if row is None else before.get(name) != row["card"])
        ]

    def turns(self, conn: Connection, role: str, area: str) -> list[Entry]:
        wanted = select(DUTY).where(DUTY.c.role == role, DUTY.c.area == area)
        found = conn.execute(wanted.order_by(DUTY.c.since, DUTY.c.staff)).mappings()
        return [dict(row) for row in found]

    def staff(self, conn: Connection, area: str) -> dict[str, Entry]:
        found = conn.execute(select(STAFF).where(STAFF.c.area == area)).mappings()
        return {row["staff"]: dict(row) for row in found}

    def publish(self, conn: Connection, records: Sequence[Outgoing]) -> None:
        OUTBOX.add(conn, records)

    def _replace(
        self,
        conn: Connection,
        tables: Sequence[tuple[Table, str]],
        keys: Sequence[str],
        made: Sequence[list[Entry]],
    ) -> None:
        for (table, column), new in zip(tables, made, strict=True):
            rows(conn, f"DELETE FROM {table.name} WHERE {column} IN :values", keys, answers=False)  # noqa: S608 - names of ours
            insert(conn, table, new)


def rows(
    conn: Connection, sql: str, values: Sequence[str], *, answers: bool = True
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Run a statement whose `IN :values` stands for the given texts; return its rows, if any."""
    if not values:
        return []
    if conn.dialect.name == "sqlite":
        wanted = sql.replace("IN :values", "IN (SELECT value FROM json_each(:values))")
        found = conn.execute(text(wanted), {"values": _encode(values).decode()})
    else:
        wanted = sql.replace("IN :values", "= ANY(:values)")
        found = conn.execute(text(wanted), {"values": list(values)})
    return found.all() if answers else []


def fact_of(row: Row[*tuple[Any, ...]]) -> Fact:
    """Return the fact of a row: its columns up to `target`, in the table's order."""
    return Fact(
        seq=row[0],
        id=row[1],
        type=row[2],
        subject=row[3],
        household=row[4],
        occurred=row[5],
        received=row[6],
        data=msgspec.json.decode(bytes(row[7])),
        target=row[8],
    )
