"""The audit: facts by number and seal, the log of looks by its chain, entries by folding again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import tzinfo
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, RowMapping, Table, select

from services.kernel.contracts.changes import MOVED_OUT
from services.kernel.contracts.registry_types import MERGED
from services.registry.domain.entries import (
    Entries,
    Row,
    entries,
    household_row,
    member,
)
from services.registry.domain.facts import Fact, is_place
from services.registry.storage.seals import seal_of
from services.registry.storage.tables import (
    ALIAS,
    AREA,
    DUTY,
    FACT,
    HEAD,
    HOUSEHOLD,
    INBOX,
    LOOKED,
    MEMBERSHIP,
    PERSON,
    STAFF,
    TIE,
)

_ALTERED: Final = "the row does not fit its seal: it was altered"
_MISSING: Final = "the row is missing: it was deleted"
_DERIVED: Final[tuple[tuple[Table, Callable[[Entries], list[Row]]], ...]] = (
    (PERSON, lambda made: made.person),
    (MEMBERSHIP, lambda made: made.membership),
    (TIE, lambda made: made.tie),
    (AREA, lambda made: made.area),
    (STAFF, lambda made: made.staff),
    (DUTY, lambda made: made.duty),
)


class Finding(NamedTuple):
    """One thing wrong. `id` names the row: its id, else its key."""

    table: str
    id: str
    problem: str


def findings(conn: Connection, zone: tzinfo) -> list[Finding]:
    """Return everything wrong in registry's store; cost: it folds the whole book anew."""
    found = list(_chained(conn, FACT, "id", lambda row: row["id"]))
    found += _chained(conn, LOOKED, "seal", lambda row: row["seal"])
    found += _heads(conn)
    facts = [_fact(row) for row in conn.execute(select(FACT).order_by(FACT.c.seq)).mappings()]
    found += _inbox(conn, facts)
    aliases = _aliases(facts)
    found += _compared(ALIAS, [{"was": w, "became": b} for w, b in aliases.items()], conn)
    found += _entries(conn, facts, aliases, zone)
    return found


def _chained(
    conn: Connection, table: Table, names: str, name: Callable[[RowMapping], str]
) -> Iterator[Finding]:
    """Check numbers, predecessors and seals; `names` is the column that the next row repeats."""
    title, expected, before = str(table.name), 1, ""
    rows = conn.execute(select(table).order_by(table.c.seq)).mappings()
    for row in rows:
        for number in range(expected, row["seq"]):
            shown = row["prev"] if number == row["seq"] - 1 else f"number {number}"
            yield Finding(title, shown, f"row number {number} is missing: it was deleted")
        gap = row["seq"] != expected
        seal = seal_of(table, row)
        if row["seal"] not in (seal, seal.hex()):
            yield Finding(title, name(row), _ALTERED)
        elif not gap and row["prev"] != before:
            yield Finding(title, before, "the row after it names another: it was altered")
        expected, before = row["seq"] + 1, row[names]


def _heads(conn: Connection) -> Iterator[Finding]:
    heads = {row["name"]: row for row in conn.execute(select(HEAD)).mappings()}
    for table, names in ((FACT, FACT.c.id), (LOOKED, LOOKED.c.seal)):
        end = conn.execute(
            select(table.c.seq, names).order_by(table.c.seq.desc()).limit(1)
        ).one_or_none()
        title = str(table.name)
        row = heads.get(title)
        if row is None:
            if end is not None:
                yield Finding("head", title, _MISSING)
        elif bytes(row["seal"]) != seal_of(HEAD, row):
            yield Finding("head", title, _ALTERED)
        elif end is None or (row["seq"], row["last"]) != tuple(end):
            yield Finding(title, row["last"], "the last row is missing: it was deleted")


def _inbox(conn: Connection, facts: list[Fact]) -> Iterator[Finding]:
    there = set(conn.scalars(select(INBOX.table.c.id)))
    for fact in facts:
        if fact.id not in there:
            yield Finding("inbox", fact.id, _MISSING)


def _aliases(facts: list[Fact]) -> dict[str, str]:
    """Return what every name became, as the facts have it; merges that were taken back left out."""
    targets = {fact.target for fact in facts if fact.target is not None}
    found: dict[str, str] = {}
    for fact in facts:
        if fact.type == MOVED_OUT:
            was, became = fact.subject, fact.data["became"]
        elif fact.type == MERGED and fact.id not in targets:
            was, became = fact.data["was"], fact.data["became"]
        else:
            continue
        was, became = found.get(was, was), found.get(became, became)
        if was != became:
            found.update({name: became for name, end in found.items() if end == was})
            found[was] = became
    return found


def _entries(
    conn: Connection, facts: list[Fact], aliases: dict[str, str], zone: tzinfo
) -> Iterator[Finding]:
    """Compare every entry with what the facts give."""
    targets = {fact.target for fact in facts}
    killed = {fact.id for fact in facts if fact.id in targets}
    by_subject: defaultdict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        by_subject[aliases.get(fact.subject, fact.subject)].append(fact)

    def resolve(name: str) -> str:
        return aliases.get(name, name)

    made = {
        subject: entries(subject, own, killed, resolve, zone) for subject, own in by_subject.items()
    }
    for table, take in _DERIVED:
        yield from _compared(table, [row for each in made.values() for row in take(each)], conn)
    households = _households(made, by_subject, killed)
    yield from _compared(HOUSEHOLD, households, conn)


def _households(
    made: Mapping[str, Entries], by_subject: Mapping[str, list[Fact]], killed: set[str]
) -> list[Row]:
    members: defaultdict[str, list[Any]] = defaultdict(list)
    for subject in sorted(made):
        for row in made[subject].person:
            now = next(
                (
                    each
                    for each in made[subject].membership
                    if each["until"] is None and each["household"] == row["household"]
                ),
                None,
            )
            members[row["household"]].append(member(row["person"], row["name"], row["kind"], now))
    own = {
        subject: [fact for fact in facts if fact.subject == fact.household]
        for subject, facts in by_subject.items()
        if not is_place(subject)
    }
    lived = {row["household"] for each in made.values() for row in each.membership}
    names = {*members, *lived, *(subject for subject, facts in own.items() if facts)}
    rows = (
        household_row(name, own.get(name, []), killed, members.get(name, []), past=name in lived)
        for name in names
    )
    return [row for row in rows if row is not None]


def _compared(table: Table, expected: list[Row], conn: Connection) -> Iterator[Finding]:
    """Compare a table with the rows it should have."""
    title = str(table.name)
    keys = [column.name for column in table.primary_key.columns]
    wanted = {tuple(row[key] for key in keys): row for row in expected}
    for row in conn.execute(select(table)).mappings():
        key = tuple(row[name] for name in keys)
        should = wanted.pop(key, None)
        if should is None:
            yield Finding(title, _shown(key), "no fact gives this row: it was put in")
        elif dict(row) != {column.name: should[column.name] for column in table.columns}:
            yield Finding(title, _shown(key), "not what the facts give: it was altered")
    for key in wanted:
        yield Finding(title, _shown(key), _MISSING)


def _shown(key: tuple[Any, ...]) -> str:
    return "/".join(str(part) for part in key)


def _fact(row: RowMapping) -> Fact:
    try:
        data = msgspec.json.decode(bytes(row["data"]), type=dict[str, Any])
    except msgspec.MsgspecError:
        data = {}  # altered, which its seal says
    columns = {name: row[name] for name in Fact.__struct_fields__ if name != "data"}
    return Fact(**columns, data=data)
