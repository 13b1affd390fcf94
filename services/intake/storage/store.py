"""Units of work of the door over SQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from msgspec.structs import astuple
from sqlalchemy import Connection, func, select

from services.intake.domain.names import Claim, Name
from services.intake.domain.rows import Entry, Kept, Tally, seal
from services.intake.ports import Answered, Clocks, Fact, Killer, Known, Unit
from services.intake.storage import reading
from services.intake.storage.seals import answer_digest, request_of, sealed
from services.intake.storage.tables import HEAD, KEPT, KEYS, LEDGER, NAMES, OUTBOX, TALLY
from services.kernel.contracts.records import Outgoing
from services.kernel.db.engine import Database
from services.kernel.db.write import insert, upsert

HEAD_NAME: Final = "intake"
SCOPE: Final = "accept"
REPUBLISHED: Final = "republished"
"""Header of a message that was published again, out of its order."""
_LEDGER: Final = ("seq", *Entry.__struct_fields__, "prev", "seal")
"""The ledger's columns, in the table's order, which is the order of a seal."""
_KEPT: Final = Kept.__struct_fields__


class SqlStore:
    """The door's store in one database; see ports.Store for the contract."""

    def __init__(self, db: Database) -> None:
        self.db = db

    @contextmanager
    def unit(self) -> Iterator[Unit]:
        """Open a unit of work; see ports.Store."""
        with self.db.begin() as conn:
            self.db.lock(conn, "intake.write", shared=False)
            yield SqlUnit(conn)


class SqlUnit:
    """One write transaction; see ports.Unit."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._head = _head(conn)

    def clocks(self) -> Clocks:
        return Clocks(self._head["received"], self._head["marked"])

    def set_clocks(self, clocks: Clocks) -> None:
        self._head["received"], self._head["marked"] = clocks
        self._store_head()

    def known(self, ids: Sequence[str]) -> dict[str, Known]:
        return reading.known(self._conn, ids)

    def killers(self, ids: Sequence[str]) -> dict[str, list[Killer]]:
        return reading.killers(self._conn, ids)

    def names(self, names: Sequence[str]) -> dict[str, Name]:
        return reading.names(self._conn, names)

    def aliases(self, name: str) -> list[str]:
        return reading.aliases(self._conn, name)

    def residents(self, household: str) -> list[str]:
        return reading.residents(self._conn, household)

    def tied_to(self, household: str) -> list[str]:
        return reading.tied_to(self._conn, household)

    def live_facts(self, names: Sequence[str]) -> list[Fact]:
        return reading.live_facts(self._conn, names)

    def claims(self, names: Sequence[str]) -> list[tuple[str, Claim]]:
        return reading.claims(self._conn, names)

    def copies(self, ids: Sequence[str]) -> list[tuple[str, Known]]:
        return reading.copies(self._conn, ids)

    def kept(self, ids: Sequence[str]) -> dict[str, Kept]:
        return reading.kept(self._conn, ids)

    def open_kept(self, changes: Sequence[str]) -> dict[str, Kept]:
        return reading.open_kept(self._conn, changes)

    def write(self, entries: Sequence[Entry], names: Iterable[Name]) -> None:
        seq, last = self._head["ledger_seq"], self._head["ledger_id"]
        rows = []
        for entry in entries:
            seq += 1
            values = [seq, *astuple(entry), last]
            values.append(seal(LEDGER.name, values))
            rows.append(dict(zip(_LEDGER, values, strict=True)))
            last = entry.id
        insert(self._conn, LEDGER, rows)
        self._head["ledger_seq"], self._head["ledger_id"] = seq, last
        if rows:
            self._store_head()
        upsert(self._conn, NAMES, [_name_row(name) for name in names], ("name",))

    def keep(self, kept: Iterable[Kept]) -> None:
        news, olds = [], []
        given = list(kept)
        places = reading.kept_places(self._conn, [each.id for each in given])
        for each in given:
            row: dict[str, Any] = {name: getattr(each, name) for name in _KEPT}
            if each.id in places:
                row["seq"], row["prev"] = places[each.id]
                olds.append(sealed(KEPT, row))
            else:
                self._head["kept_seq"] += 1
                row["seq"], row["prev"] = self._head["kept_seq"], self._head["kept_id"]
                self._head["kept_id"] = each.id
                news.append(sealed(KEPT, row))
        insert(self._conn, KEPT, news)
        upsert(self._conn, KEPT, olds, ("seq",))
        if news:
            self._store_head()

    def tally(self, tallies: Mapping[str, Tally]) -> None:
        before = reading.tallies(self._conn, list(tallies))
        rows = []
        for source, more in tallies.items():
            have = before.get(source, Tally())
            row: dict[str, Any] = {"source": source}
            for name in Tally.__struct_fields__:
                row[name] = getattr(have, name) + getattr(more, name)
            rows.append(sealed(TALLY, row))
        upsert(self._conn, TALLY, rows, ("source",))

    def publish(self, records: Sequence[Outgoing]) -> None:
        OUTBOX.add(self._conn, records)

    def answered(self, key: str) -> Answered | None:
        found = KEYS.find(self._conn, SCOPE, key)
        return None if found is None else Answered(request_of(found.digest), found.body)

    def answer(self, key: str, answered: Answered, now: int) -> None:
        digest = answer_digest(answered.digest, answered.body)
        KEYS.save(self._conn, SCOPE, key, 200, answered.body, now, digest=digest)

    def _store_head(self) -> None:
        upsert(self._conn, HEAD, [sealed(HEAD, dict(self._head))], ("name",))


def _head(conn: Connection) -> dict[str, Any]:
    """Return the head; one that is gone is made again, and says so for ever (audit.py)."""
    row = conn.execute(select(HEAD)).mappings().one_or_none()
    if row is not None:
        head = dict(row)
        del head["seal"]
        return head
    seq, last, received = 0, "", 0
    end = conn.execute(
        select(LEDGER.c.seq, LEDGER.c.id).order_by(LEDGER.c.seq.desc()).limit(1)
    ).one_or_none()
    if end is not None:
        seq, last = end
        received = conn.scalar(select(func.max(LEDGER.c.received))) or 0
    kept = conn.execute(
        select(KEPT.c.seq, KEPT.c.id).order_by(KEPT.c.seq.desc()).limit(1)
    ).one_or_none()
    return {
        "name": HEAD_NAME,
        "ledger_seq": seq,
        "ledger_id": last,
        "kept_seq": kept[0] if kept is not None else 0,
        "kept_id": kept[1] if kept is not None else "",
        "received": received,
        "marked": received,
        "rebuilt": int(end is not None or kept is not None),
    }


def _name_row(name: Name) -> dict[str, Any]:
    return sealed(
        NAMES,
        {
            "name": name.name,
            "kind": name.kind,
            "household": name.household,
            "became": name.became,
            "ties": msgspec.to_builtins(name.ties),
        },
    )
