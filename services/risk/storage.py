"""Risk's tables: every fact as a row, the fold's state as a cache, every assessment published.

Rows carry a seal, a hash over what they say, so that `doctor` names one that was altered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    and_,
    func,
    select,
    update,
)

from services.kernel.contracts.records import Outgoing
from services.kernel.contracts.topics import CHANGES
from services.kernel.db.outbox import Outbox
from services.kernel.db.positions import Inbox, Positions
from services.kernel.db.types import Blob, Instant, Serial
from services.kernel.db.write import chunks, insert_new, upsert
from services.risk.domain.state import Household, decode, encode
from services.risk.ports import AssessmentRow, FactRow

TABLES: Final = MetaData()
OUTBOX: Final = Outbox(TABLES)
POSITIONS: Final = Positions(TABLES)
INBOX: Final = Inbox(TABLES)

FACT: Final = Table(
    "fact",
    TABLES,
    Column("household", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("subject", String, nullable=False),
    Column("type", String, nullable=False),
    Column("received", Instant, nullable=False),
    Column("body", Blob, nullable=False),
    Column("left_at", Instant),
    Column("seal", String, nullable=False),
    sqlite_with_rowid=False,
)
HOUSEHOLD: Final = Table(
    "household",
    TABLES,
    Column("id", String, primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("due", Instant, nullable=False),
    Column("state", Blob, nullable=False),
    Column("seal", String, nullable=False),
    Index("ix_household_due", "partition", "due"),
)
ASSESSMENT: Final = Table(
    "assessment",
    TABLES,
    Column("n", Serial, primary_key=True, autoincrement=True),  # order of those at one instant
    Column("id", String, nullable=False, unique=True),
    Column("subject", String, nullable=False),
    Column("household", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("level", Integer, nullable=False),
    Column("cause", String),
    Column("body", Blob, nullable=False),
    Column("seal", String, nullable=False),
    Index("ix_assessment_subject", "subject", "at", "n"),
)
SETTING: Final = Table(
    "setting",
    TABLES,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)
_BATCH: Final = 500


def seal(*parts: object) -> str:
    """Return the hash over the parts of a row."""
    found = hashlib.blake2b(digest_size=12)
    for part in parts:
        blob = part if isinstance(part, bytes) else str(part).encode()
        found.update(len(blob).to_bytes(4, "big") + blob)
    return found.hexdigest()


class SqlStore:
    """The `Store` of `ports` on SQLAlchemy; stateless."""

    def marks(self, conn: Connection) -> dict[int, int]:
        """Return the last mark of each input partition, in microseconds."""
        return POSITIONS.marks(conn, CHANGES.name)

    def mark(self, conn: Connection, partition: int, at: int) -> None:
        """Store a mark; one that is not above the stored one changes nothing."""
        POSITIONS.mark(conn, CHANGES.name, partition, at)

    def send(self, conn: Connection, records: Sequence[Outgoing]) -> None:
        """Queue records for publication once the transaction has committed."""
        OUTBOX.add(conn, records)

    def add_facts(self, conn: Connection, facts: Iterable[FactRow]) -> None:
        """Store facts; one that is there stays as it is, but is of the household again."""
        rows = [{**f._asdict(), "left_at": None, "seal": seal(*f, None)} for f in facts]
        upsert(conn, FACT, rows, ("household", "id"))

    def leave(self, conn: Connection, household: str, subject: str, at: int) -> None:
        """Note that a subject's facts are no longer this household's."""
        found = self._facts(conn, (FACT.c.household == household) & (FACT.c.subject == subject))
        for fact in found:
            here = and_(FACT.c.household == household, FACT.c.id == fact.id)
            conn.execute(update(FACT).where(here).values(left_at=at, seal=seal(*fact, at)))

    def facts_of(self, conn: Connection, ids: Sequence[str]) -> dict[str, list[FactRow]]:
        """Return each household's facts in order of receipt; one without is missing."""
        found: dict[str, list[FactRow]] = {}
        for part in chunks(ids, _BATCH):
            for fact in self._facts(conn, FACT.c.household.in_(part) & FACT.c.left_at.is_(None)):
                found.setdefault(fact.household, []).append(fact)
        return found

    def _facts(self, conn: Connection, where: Any) -> list[FactRow]:  # noqa: ANN401 - a SQL expression
        columns = [FACT.c[name] for name in FactRow._fields]
        rows = conn.execute(select(*columns).where(where).order_by(FACT.c.received, FACT.c.id))
        return [FactRow(*row) for row in rows]

    def load_states(self, conn: Connection, ids: Sequence[str]) -> dict[str, Household]:
        """Return the stored states of these households; unknown ones are missing."""
        found = {}
        for part in chunks(ids, _BATCH):
            for row in conn.execute(
                select(HOUSEHOLD.c.id, HOUSEHOLD.c.state).where(HOUSEHOLD.c.id.in_(part))
            ):
                found[row.id] = decode(row.state)
        return found

    def save_states(self, conn: Connection, partition: int, states: Iterable[Household]) -> None:
        """Store states beside the facts they come from."""
        rows = []
        for state in states:
            blob = encode(state)
            rows.append(
                {
                    "id": state.id,
                    "partition": partition,
                    "due": state.due,
                    "state": blob,
                    "seal": seal(state.id, partition, state.due, blob),
                }
            )
        upsert(conn, HOUSEHOLD, rows, ("id",))

    def due_households(self, conn: Connection, partition: int, until: int, limit: int) -> list[str]:
        """Return households of the partition with work due at or before `until`, earliest first."""
        query = (
            select(HOUSEHOLD.c.id)
            .where(HOUSEHOLD.c.partition == partition, HOUSEHOLD.c.due <= until)
            .order_by(HOUSEHOLD.c.due, HOUSEHOLD.c.id)
            .limit(limit)
        )
        return list(conn.scalars(query))

    def add_assessments(self, conn: Connection, found: Iterable[AssessmentRow]) -> None:
        """Store assessments; one that is there stays as it is."""
        insert_new(conn, ASSESSMENT, [{**a._asdict(), "seal": seal(*a)} for a in found], ("id",))


def assessment_at(conn: Connection, subject: str, at: int) -> bytes | None:
    """Return the payload of the assessment in force for a subject at an instant, or None."""
    query = (
        select(ASSESSMENT.c.body)
        .where(ASSESSMENT.c.subject == subject, ASSESSMENT.c.at <= at)
        .order_by(ASSESSMENT.c.at.desc(), ASSESSMENT.c.n.desc())
        .limit(1)
    )
    return conn.scalar(query)


def setting(conn: Connection, name: str) -> str | None:
    """Return a stored setting, or None."""
    return conn.scalar(select(SETTING.c.value).where(SETTING.c.name == name))


def activate(conn: Connection, pack: str) -> bool:
    """Note which pack decides; when it is another than before, make every household due at once."""
    if setting(conn, "pack") == pack:
        return False
    upsert(conn, SETTING, [{"name": "pack", "value": pack}], ("name",))
    conn.execute(update(HOUSEHOLD).values(due=0, seal=""))
    return True


def page_of_ids(conn: Connection, table: Table, column: str, after: str, limit: int) -> list[str]:
    """Return up to `limit` distinct ids above `after`, in order."""
    wanted = table.c[column]
    query = select(wanted).where(wanted > after).distinct().order_by(wanted).limit(limit)
    return list(conn.scalars(query))


def count(conn: Connection, table: Table) -> int:
    """Return the number of rows."""
    return conn.scalar(select(func.count()).select_from(table)) or 0


def audit(conn: Connection) -> Iterator[dict[str, str]]:
    """Yield what is wrong: altered rows, and those that another row says must exist."""
    for row in conn.execute(select(FACT)):
        if row.seal != seal(
            row.household, row.id, row.subject, row.type, row.received, row.body, row.left_at
        ):
            yield {"table": "fact", "id": row.id, "problem": "altered"}
    for row in conn.execute(select(HOUSEHOLD)):
        expected = seal(row.id, row.partition, row.due, row.state)
        waiting = row.due == 0 and not row.seal  # a new pack was activated, see `activate`
        if not waiting and row.seal != expected:
            yield {"table": "household", "id": row.id, "problem": "altered"}
    for row in conn.execute(select(ASSESSMENT)):
        if row.seal != seal(
            row.id, row.subject, row.household, row.at, row.level, row.cause, row.body
        ):
            yield {"table": "assessment", "id": row.id, "problem": "altered"}
    known = select(HOUSEHOLD.c.id)
    orphans = select(FACT.c.household).where(FACT.c.household.not_in(known)).distinct()
    for household in conn.scalars(orphans):
        yield {"table": "household", "id": household, "problem": "missing, though it has facts"}
    without = select(ASSESSMENT.c.cause).where(
        ASSESSMENT.c.cause.is_not(None), ASSESSMENT.c.cause.not_in(select(INBOX.table.c.id))
    )
    for cause in conn.scalars(without.distinct()):
        yield {
            "table": "inbox",
            "id": cause,
            "problem": "missing, though an assessment stands on it",
        }
