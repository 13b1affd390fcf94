"""Whichever row is deleted or altered behind the service's back: the audit names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, delete, select, text, update

from services.alerts.storage.audit import Finding, findings
from services.alerts.storage.tables import TABLES
from services.kernel.clock import from_us
from services.kernel.contracts import assessments as a
from services.kernel.db.engine import Database
from tests.support.scenario import World

NAMES: dict[str, Callable[[Any], str]] = {
    "alert": lambda row: row.id,
    "step": lambda row: f"{row.alert_id}/{row.name}",
    "task": lambda row: f"{row.alert_id}/{row.stage}",
    "timeline": lambda row: f"{row.alert_id}/{row.n}",
    "delivery": lambda row: row.id,
    "ladder": lambda row: row.id,
    "move": lambda row: row.move,
    "queue": lambda row: row.household,
    "parked": lambda row: f"{row.household}/{row.n}",
    "position": lambda row: f"{row.topic}/{row.partition}",
    "progress": lambda row: f"{row.topic}/{row.partition}",
    "inbox": lambda row: row.id,
    "idempotency": lambda row: f"{row.scope}/{row.key}",
}
"""How the audit names a row of each table."""


@pytest.fixture
def w(tmp_path: Path) -> Iterator[World]:
    """A store in which every table has rows."""
    made = World(tmp_path, partitions=1)
    made.raise_alert("p1").raise_alert("p2", "R2", level=2).raise_alert("p3")
    made.act("p1", "acknowledge")
    made.mark(minutes=1)
    made.forward(minutes=30)
    made.act("p3", "close", outcome="no_need")
    made.say(half(made), "p2")
    made.raise_alert("p2", "R1", household="home-of-p2")
    assert made.get("/v1/audit") == {"ok": True, "findings": []}
    yield made
    made.close()


def half(w: World) -> a.Moved:
    return a.Moved(
        move="m1", half="out", was="p2", became="p2", from_household="home-of-p2",
        to_household="elsewhere", at=from_us(w.clock.now()),
    )  # fmt: skip


def database(w: World) -> Database:
    return w.context.open_db("alerts", TABLES)


def audited(db: Database) -> list[Finding]:
    with db.read() as conn:
        return findings(conn)


def key_of(table: Table, row: Any) -> Any:
    tests = [column == getattr(row, column.name) for column in table.primary_key]
    return tests[0] if len(tests) == 1 else tests[0] & tests[1]


def rows_of(db: Database, table: Table) -> list[Any]:
    with db.read() as conn:
        return list(conn.execute(select(table)))


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_deleted_row_is_named(w: World, name: str) -> None:
    db, table = database(w), TABLES.tables[name]
    found = rows_of(db, table)
    assert found, f"{name} has rows"
    for row in found:
        with db.engine.begin() as conn:
            conn.execute(delete(table).where(key_of(table, row)))
        named = {f.id for f in audited(db)}
        if name == "inbox":  # known from the topic: see the last test
            assert named == set()
        elif name == "move":  # what waits behind it is named by its household
            assert row.household in named
        else:
            assert NAMES[name](row) in named
        with db.engine.begin() as conn:
            conn.execute(table.insert(), row._asdict())
        assert audited(db) == []


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_altered_column_of_each_row_is_named(w: World, name: str) -> None:
    db, table = database(w), TABLES.tables[name]
    for row in rows_of(db, table):
        for column in table.columns:
            if column.primary_key or (name, column.name) == ("position", "next_offset"):
                continue
            other = _altered(getattr(row, column.name), column.type.python_type)
            with db.engine.begin() as conn:
                conn.execute(update(table).where(key_of(table, row)).values({column.name: other}))
            named = {f.id for f in audited(db)}
            assert NAMES[name](row) in named, f"{name}.{column.name} was altered"
            with db.engine.begin() as conn:
                conn.execute(
                    update(table)
                    .where(key_of(table, row))
                    .values({column.name: getattr(row, column.name)})
                )
    assert audited(db) == []


def _altered(value: object, kind: type) -> object:
    if kind is int:
        return value + 1 if isinstance(value, int) else 1
    if kind is bytes:
        return (value if isinstance(value, bytes) else b"") + b"x"
    return f"{value or ''}x"


def test_alerts_of_the_first_version_get_their_place_in_the_queue(w: World) -> None:
    w.raise_alert("p4").forward(minutes=70).raise_alert("p5").act("p5", "on_site")
    db, alert = database(w), TABLES.tables["alert"]
    before = {row.id: row for row in rows_of(db, alert)}
    assert len({row.urgent_at for row in before.values()}) > 3
    with db.engine.begin() as conn:
        conn.execute(text("DROP INDEX ix_alert_queue"))
        conn.execute(text("ALTER TABLE alert DROP COLUMN urgent_at"))
        columns = "level DESC, next_due_at, id) WHERE closed_at IS NULL"
        conn.execute(text(f"CREATE INDEX ix_alert_queue ON alert ({columns}"))
        conn.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    db.migrate("services.alerts.migrations")
    assert {row.id: row for row in rows_of(db, alert)} == before
    assert audited(db) == []


def test_findings_are_told_over_http(w: World) -> None:
    db, table = database(w), TABLES.tables["alert"]
    row = rows_of(db, table)[0]
    with db.engine.begin() as conn:
        conn.execute(update(table).where(key_of(table, row)).values(level=0))
    assert w.get("/v1/audit") == {
        "ok": False,
        "findings": [
            {"table": "alert", "id": row.id, "problem": "was altered: its seal is another"}
        ],
    }


def test_a_position_set_back_is_named(w: World) -> None:
    db, table = database(w), TABLES.tables["position"]
    with db.engine.begin() as conn:
        conn.execute(update(table).values(next_offset=0))
    assert [f.table for f in audited(db)] == ["position"]


def test_a_line_too_many_is_named(w: World) -> None:
    db, table = database(w), TABLES.tables["timeline"]
    row = max(rows_of(db, table), key=lambda r: (r.alert_id, r.n))._asdict()
    with db.engine.begin() as conn:
        conn.execute(table.insert(), row | {"n": row["n"] + 1})
    assert [f.id for f in audited(db)] == [f"{row['alert_id']}/{row['n'] + 1}"]


def test_a_delivery_too_many_is_named(w: World) -> None:
    db, table = database(w), TABLES.tables["delivery"]
    row = rows_of(db, table)[0]._asdict()
    with db.engine.begin() as conn:
        conn.execute(table.insert(), row | {"id": "extra", "target": "somebody"})
    assert "extra" in {f.id for f in audited(db)}


def test_a_consumed_id_that_is_gone_is_missing_from_the_list(w: World) -> None:
    db, table = database(w), TABLES.tables["inbox"]
    before = w.get("/v1/ids", kind="consumed")["items"]
    with db.engine.begin() as conn:
        conn.execute(delete(table).where(table.c.id == before[0]))
    assert set(before) - set(w.get("/v1/ids", kind="consumed")["items"]) == {before[0]}
