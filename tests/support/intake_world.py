"""A door on a real database in a folder of the test, and short ways to write items."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from sqlalchemy import select

from services.intake.catalogue import load
from services.intake.domain.types import Catalogue
from services.intake.handlers.accept import Door
from services.intake.handlers.marks import Marker
from services.intake.handlers.refusals import Answer
from services.intake.storage import TABLES, SqlStore
from services.intake.storage.audit import Finding, findings
from services.intake.storage.tables import LEDGER, OUTBOX
from services.kernel.clock import MINUTE, VirtualClock, parse_rfc3339, rfc3339
from services.kernel.contracts.envelope import Envelope, decode
from services.kernel.db.engine import Database
from tests.support.keys import KEYRING
from tests.support.stores import postgres_schema

START: Final = parse_rfc3339("2026-11-01T00:00:00Z")

PACK: Final[Mapping[str, str]] = {
    "pack.yaml": """
name: test
version: "1"
zone: "+08:00"
own_sources: [phone-app]
unreadable: emergency
""",
    "events.yaml": """
- type: health.vitals
  subject: person
  title: {zh: 生命体征, en: vital signs}
  fields:
    systolic: {type: integer, unit: mmHg, min: 40, max: 300}
    glucose: {type: number, unit: mmol/L, min: 0.5, max: 60}
    seen_by: {type: text, max_length: 20}
    kind: {type: enum, values: [routine, urgent]}
- type: visit.recorded
  subject: person
  title: {zh: 走访, en: visit}
  max_ahead: 60m
  fields:
    note: {type: text, required: true}
- type: home.hazard
  subject: household
  title: {zh: 隐患, en: hazard}
  fields:
    severity: {type: integer, min: 1, max: 3}
- type: matter.reported
  subject: place
  title: {zh: 事项, en: matter}
  fields:
    kind: {type: text}
""",
    "rules.yaml": """
- id: S1
  level: 3
  when: {ge: [{latest: health.vitals.systolic}, 180]}
- id: W1
  level: 1
  when: {exists: {type: visit.recorded}}
""",
}


def write_pack(folder: Path, **files: str) -> Path:
    """Write the test's pack, with some files of its own, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**PACK, **{f"{key}.yaml": text for key, text in files.items()}}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def item(sourceid: str, **fields: Any) -> dict[str, Any]:
    """Return a good item about person p1; a field given as None is left out."""
    found = {
        "type": "health.vitals",
        "source": "clinic",
        "sourceid": sourceid,
        "time": rfc3339(START),
        "person": "p1",
        "data": {"systolic": 120},
        **fields,
    }
    return {key: value for key, value in found.items() if value is not None}


def ref(sourceid: str, source: str = "clinic") -> dict[str, str]:
    """Return how an item names another one."""
    return {"source": source, "sourceid": sourceid}


@dataclass
class IntakeWorld:
    """A door with its store and its clock."""

    db: Database
    store: SqlStore
    catalogue: Catalogue
    clock: VirtualClock
    door: Door
    marker: Marker

    def send(self, *items: dict[str, Any] | bytes) -> list[Answer]:
        """Send items in one batch, a minute after whatever was before."""
        self.clock.advance_to(self.clock.now() + MINUTE)
        return self.door.accept(list(items))

    def one(self, sent: dict[str, Any] | bytes) -> Answer:
        """Send one item."""
        return self.send(sent)[0]

    def outbox(self) -> list[Envelope]:
        """Return what waits to be published, in order, marks too."""
        with self.db.read() as conn:
            wanted = select(OUTBOX.table.c.value).order_by(OUTBOX.table.c.seq)
            return [decode(value) for value in conn.scalars(wanted)]

    def ledger(self) -> list[tuple[Any, ...]]:
        """Return the ledger without numbers, seals and receipts."""
        columns = LEDGER.c
        wanted = select(
            columns.id, columns.kind, columns.type, columns.subject, columns.household,
            columns.claim, columns.target, columns.cause, columns.content,
        ).order_by(columns.seq)  # fmt: skip
        with self.db.read() as conn:
            return [tuple(row) for row in conn.execute(wanted)]

    def audit(self) -> list[Finding]:
        """Return what the audit finds."""
        with self.db.read() as conn:
            return findings(conn)

    def sql(self, statement: str) -> None:
        """Do something to the store behind the door's back; bytes are written x'7b7d'."""
        if self.db.name == "postgresql":
            statement = re.sub(r"x'([0-9a-f]*)'", r"'\\x\1'::bytea", statement)
        with self.db.begin() as conn:
            changed = conn.exec_driver_sql(statement).rowcount
        assert changed == 1, f"{statement!r} changed {changed} rows, expected 1"


@cache
def empty_database() -> bytes:
    """Return a migrated database without rows, made once for all tests of a process."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "intake.db"
        db = Database(f"sqlite:///{path}", TABLES)
        db.migrate("services.intake.migrations")
        db.close()
        return path.read_bytes()


@contextmanager
def intake_world_on(
    kind: str, folder: Path, server_address: Callable[[str], str]
) -> Iterator[IntakeWorld]:
    """Open a door on `sqlite` in a folder, or on `postgres` in a schema of its own."""
    if kind == "sqlite":
        with intake_world(folder) as made:
            yield made
        return
    address = server_address("postgres").replace("postgresql://", "postgresql+psycopg://")
    with postgres_schema(address) as schema:
        db = Database(address, TABLES, schema=schema)
        db.migrate("services.intake.migrations")
        with intake_world(folder, db=db) as made:
            yield made


@contextmanager
def intake_world(
    folder: Path,
    *,
    replay: bool = False,
    partitions: int = 2,
    db: Database | None = None,
    **pack: str,
) -> Iterator[IntakeWorld]:
    """Open a door in a folder."""
    catalogue = load(write_pack(folder / "pack", **pack))
    if db is None:
        (folder / "intake.db").write_bytes(empty_database())
        db = Database(f"sqlite:///{folder / 'intake.db'}", TABLES)
    store, clock = SqlStore(db), VirtualClock(START)
    try:
        yield IntakeWorld(
            db=db,
            store=store,
            catalogue=catalogue,
            clock=clock,
            door=Door(store, catalogue, clock, KEYRING, replay=replay),
            marker=Marker(store, clock, partitions),
        )
    finally:
        db.close()
