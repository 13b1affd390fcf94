"""The audit: every row against its seal, its number and what it must follow from.

A row that was altered no longer fits its seal. A row that was deleted is missed by its number and
named by the row after it, by the head, or by what the ledger says must be there. The one thing not
seen from here is an unsent message deleted from the very front of the outbox: it looks published,
and is named by the comparison of ids with risk (`hearthwatch doctor`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, RowMapping, Table, select

from services.intake.domain.names import PLACE
from services.intake.domain.statements import merge_said
from services.intake.storage.seals import answer_fits, seal_of
from services.intake.storage.store import HEAD_NAME, REPUBLISHED
from services.intake.storage.tables import HEAD, KEPT, KEYS, LEDGER, NAMES, OUTBOX, TALLY
from services.kernel.contracts.changes import MARK, MOVED_OUT, MovedOut
from services.kernel.contracts.envelope import decode
from services.kernel.contracts.registry_types import MERGED
from services.kernel.errors import InvalidMessage

_moved_out: Final = msgspec.json.Decoder(MovedOut)
_ALTERED: Final = "the row does not fit its seal: it was altered"


class Finding(NamedTuple):
    """One thing wrong. `id` names the row: its id, else its number or key."""

    table: str
    id: str
    problem: str


@dataclass
class _Seen:
    """What the ledger says must be elsewhere."""

    names: set[str] = field(default_factory=set)
    ids: dict[str, int] = field(default_factory=dict)
    published: list[str] = field(default_factory=list)
    accepted: Counter[str] = field(default_factory=Counter)
    targets: set[str] = field(default_factory=set)
    merges: list[tuple[str, bytes]] = field(default_factory=list)
    last: tuple[int, str] = (0, "")


def findings(conn: Connection) -> list[Finding]:
    """Return everything wrong in intake's store; cost: it reads every row once."""
    seen = _Seen()
    found = list(_chained(LEDGER, _ledger(conn, seen)))
    head = conn.execute(select(HEAD)).mappings().one_or_none()
    kept: dict[str, Any] = {"last": (0, ""), "sources": set()}
    found += _chained(KEPT, _kept(conn, seen, kept, found))
    found += _head(head, seen.last, kept["last"])
    found += _names(conn, seen)
    found += _tallies(conn, seen, kept["sources"])
    found += _outbox(conn, seen)
    found += _answers(conn)
    return found


def _chained(table: Table, rows: Iterable[RowMapping]) -> Iterator[Finding]:
    """Check numbers, predecessors and seals of rows in order of number."""
    title, expected, before = str(table.name), 1, ""
    for row in rows:
        for number in range(expected, row["seq"]):
            name = row["prev"] if number == row["seq"] - 1 else f"number {number}"
            yield Finding(title, name, f"row number {number} is missing: it was deleted")
        gap = row["seq"] != expected
        altered = bytes(row["seal"]) != seal_of(table, row)
        if altered:
            yield Finding(title, row["id"], _ALTERED)
        elif not gap and row["prev"] != before:
            yield Finding(title, before, "the row after it names another: it was altered")
        expected, before = row["seq"] + 1, row["id"]


def _ledger(conn: Connection, seen: _Seen) -> Iterator[RowMapping]:
    rows = conn.execution_options(yield_per=2_000).execute(select(LEDGER).order_by(LEDGER.c.seq))
    for row in rows.mappings():
        _note(row, seen)
        yield row


def _note(row: RowMapping, seen: _Seen) -> None:
    seen.last = (row["seq"], row["id"])
    seen.ids[row["id"]] = row["seq"]
    if row["target"] is not None:
        seen.targets.add(row["target"])
    kind = row["kind"]
    if kind != "parked":
        seen.published.append(row["id"])
    if kind in ("fact", "parked"):
        seen.accepted[row["source"]] += 1
    if kind == "fact" and row["subject"] != row["household"] and row["subject"][:6] != PLACE:
        seen.names.add(row["subject"])
    if row["person"] is not None:
        seen.names.add(row["person"])
    if row["type"] == MERGED and kind == "fact":
        seen.merges.append((row["id"], bytes(row["envelope"])))
    if row["type"] == MOVED_OUT:
        try:
            became = _moved_out.decode(decode(bytes(row["envelope"])).data).became
        except (InvalidMessage, msgspec.MsgspecError):
            return  # altered, which its seal says
        if became != row["subject"]:
            seen.names.add(row["subject"])


def _kept(
    conn: Connection, seen: _Seen, kept: dict[str, Any], found: list[Finding]
) -> Iterator[RowMapping]:
    for row in conn.execute(select(KEPT).order_by(KEPT.c.seq)).mappings():
        kept["last"] = (row["seq"], row["id"])
        kept["sources"].add(row["source"])
        if row["repaired_by"] is not None and row["repaired_by"] not in seen.ids:
            found.append(
                Finding("ledger", row["repaired_by"], "a kept item says that it took its place")
            )
        yield row


def _head(
    head: RowMapping | None, ledger: tuple[int, str], kept: tuple[int, str]
) -> Iterator[Finding]:
    if head is None:
        if ledger[0] or kept[0]:
            yield Finding("head", HEAD_NAME, "the row is missing: it was deleted")
        return
    if bytes(head["seal"]) != seal_of(HEAD, head):
        yield Finding("head", head["name"], _ALTERED)
        return
    if head["rebuilt"]:
        yield Finding("head", head["name"], "the row was missing once and was made again")
    for table, last in (("ledger", ledger), ("kept", kept)):
        if (head[f"{table}_seq"], head[f"{table}_id"]) != last:
            name = head[f"{table}_id"]
            yield Finding(table, name, "the last row is missing: it was deleted")


def _names(conn: Connection, seen: _Seen) -> Iterator[Finding]:
    there = set()
    for row in conn.execute(select(NAMES)).mappings():
        there.add(row["name"])
        if bytes(row["seal"]) != seal_of(NAMES, row):
            yield Finding("name", row["name"], _ALTERED)
    wanted = set(seen.names)
    for identity, envelope in seen.merges:
        try:
            said = merge_said(bytes(decode(envelope).data))
        except (InvalidMessage, msgspec.MsgspecError):
            continue  # altered, which its seal says
        if identity not in seen.targets and said.was != said.became:
            wanted.add(said.was)
    for name in sorted(wanted - there):
        yield Finding("name", name, "the ledger knows the name, but its row is missing")


def _tallies(conn: Connection, seen: _Seen, kept: set[str]) -> Iterator[Finding]:
    there = set()
    for row in conn.execute(select(TALLY)).mappings():
        there.add(row["source"])
        if bytes(row["seal"]) != seal_of(TALLY, row):
            yield Finding("tally", row["source"], _ALTERED)
        elif row["accepted"] != seen.accepted[row["source"]]:
            problem = (
                f"counts {row['accepted']} accepted, the ledger {seen.accepted[row['source']]}"
            )
            yield Finding("tally", row["source"], problem)
    for source in sorted((set(seen.accepted) | kept) - there):
        yield Finding("tally", source, "the row is missing: it was deleted")


def _outbox(conn: Connection, seen: _Seen) -> Iterator[Finding]:
    """Check that unsent messages are the last ones published, each as the ledger has it."""
    table = OUTBOX.table
    places = {identity: place for place, identity in enumerate(seen.published)}
    expected: int | None = None
    for row in conn.execute(select(table).order_by(table.c.seq)):
        try:
            envelope = decode(row.value)
        except InvalidMessage:
            yield Finding("outbox", str(row.seq), "the message cannot be read: it was altered")
            continue
        if envelope.type == MARK:
            continue
        place = places.get(envelope.id)
        if place is None or not _as_in_ledger(conn, envelope.id, row.key, row.value):
            yield Finding("outbox", envelope.id, "not as the ledger has it: it was altered")
            continue
        if row.headers is not None and REPUBLISHED.encode() in row.headers:
            continue
        for missing in seen.published[expected if expected is not None else place : place]:
            yield Finding("outbox", missing, "the message is missing: it was deleted unsent")
        expected = place + 1
    for missing in seen.published[expected:] if expected is not None else ():
        yield Finding("outbox", missing, "the message is missing: it was deleted unsent")


def _as_in_ledger(conn: Connection, identity: str, key: str | None, value: bytes) -> bool:
    row = conn.execute(
        select(LEDGER.c.household, LEDGER.c.envelope).where(LEDGER.c.id == identity)
    ).one()
    return row.household == key and bytes(row.envelope) == bytes(value)


def _answers(conn: Connection) -> Iterator[Finding]:
    columns = KEYS.table.c
    for row in conn.execute(select(columns.key, columns.digest, columns.body)):
        if not answer_fits(row.digest, bytes(row.body)):
            yield Finding("idempotency", row.key, "the stored answer was altered")
