"""The audit names any one row that was deleted or altered behind the door's back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.intake import views
from services.intake.storage.audit import Finding
from services.intake.storage.tables import TABLES
from services.kernel.contracts.changes import RETRACTED
from tests.support.intake_world import IntakeWorld, intake_world_on, item, ref


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
def world(
    request: pytest.FixtureRequest, tmp_path: Path, server_address: Callable[[str], str]
) -> Iterator[IntakeWorld]:
    """Return a door that has seen a bit of everything."""
    with intake_world_on(request.param, tmp_path, server_address) as made:
        made.send(item("1", household="h1"), item("2"), item("1"), b"{", item("3", type="x"))
        made.send(
            item("4", type="registry.tie", data={"household": "h9", "role": "parent"}),
            item("5", type="member.moved", data={"to_household": "h2"}),
            item("6", supersedes=ref("2"), data={"systolic": 121}),
        )
        merge = {"was": "p1", "became": "p2"}
        made.send(
            item("7", type="registry.merged", person="p2", data=merge),
            item("8", type=RETRACTED, person=None, retracts=ref("later"), data={}),
            item("3"),
        )
        made.door.accept([item("9")], idempotency_key="k")
        made.marker.tick()
        assert made.audit() == []
        yield made


def tables(found: list[Finding]) -> set[str]:
    return {finding.table for finding in found}


ALTERATIONS = {
    "ledger": [
        "UPDATE ledger SET household = 'h3' WHERE seq = 2",
        "UPDATE ledger SET envelope = x'7b7d' WHERE seq = 3",
        "UPDATE ledger SET prev = 'other' WHERE seq = 4",
        "UPDATE ledger SET kind = 'fact' WHERE kind = 'parked'",
    ],
    "name": [
        "UPDATE name SET household = 'h3' WHERE name = 'p2'",
        "UPDATE name SET became = NULL WHERE name = 'p1'",
    ],
    "kept": [
        "UPDATE kept SET original = x'7b' WHERE seq = 3",
        "UPDATE kept SET repaired_by = 'nothing' WHERE seq = 1",
    ],
    "tally": ["UPDATE tally SET duplicate = 7 WHERE source = 'clinic'"],
    "head": ["UPDATE head SET received = received + 1"],
    "outbox": [
        "UPDATE outbox SET value = x'7b7d' WHERE seq = 3",
        "UPDATE outbox SET value = (SELECT value FROM outbox WHERE seq = 1) WHERE seq = 3",
        "UPDATE outbox SET key = 'h3' WHERE seq = 2",
    ],
    "idempotency": ["UPDATE idempotency SET body = x'5b5d'"],
}
DELETIONS = {
    "ledger": ["WHERE seq = 1", "WHERE seq = 5", "WHERE seq = (SELECT max(seq) FROM ledger)"],
    "name": ["WHERE name = 'p1'", "WHERE name = 'p2'"],
    "kept": ["WHERE seq = 1", "WHERE seq = 2"],
    "tally": ["WHERE source = 'clinic'", "WHERE source = ''"],
    "head": [""],
    "outbox": [
        "WHERE seq = 3",
        "WHERE seq = (SELECT max(seq) FROM outbox WHERE partition IS NULL)",
    ],
}


@pytest.mark.parametrize(
    ("table", "statement"), [(t, s) for t, statements in ALTERATIONS.items() for s in statements]
)
def test_an_altered_row_is_named(world: IntakeWorld, table: str, statement: str) -> None:
    world.sql(statement)
    assert table in tables(world.audit())


@pytest.mark.parametrize(
    ("table", "which"), [(t, s) for t, statements in DELETIONS.items() for s in statements]
)
def test_a_deleted_row_is_named(world: IntakeWorld, table: str, which: str) -> None:
    with world.db.read() as conn:
        column = next(iter(TABLES.tables[table].columns)).name
        name = "id" if table in ("ledger", "kept") else column
        gone = conn.exec_driver_sql(f"SELECT {name}, {column} FROM {table} {which}").one()
    world.sql(f"DELETE FROM {table} {which}")
    found = [finding for finding in world.audit() if finding.table == table]
    assert found
    if table != "outbox":
        assert gone[0] in [finding.id for finding in found]


def test_every_table_of_ours_is_covered() -> None:
    assert set(ALTERATIONS) == set(TABLES.tables)
    assert set(DELETIONS) == set(TABLES.tables) - {"idempotency"}, "an answer may be forgotten"


def test_a_head_that_was_deleted_is_told_even_after_more_was_taken(world: IntakeWorld) -> None:
    world.sql("DELETE FROM head")
    assert world.one(item("10")).status == "accepted"
    assert "head" in tables(world.audit())


def test_a_deleted_message_is_named_by_its_id(world: IntakeWorld) -> None:
    victim = world.outbox()[3].id
    world.sql("DELETE FROM outbox WHERE seq = 4")
    assert [(f.table, f.id) for f in world.audit()] == [("outbox", victim)]


def test_publishing_again_is_no_finding(world: IntakeWorld) -> None:
    with world.db.read() as conn:
        records = views.records(conn, [world.outbox()[0].id])
    with world.store.unit() as unit:
        unit.publish(records)
    world.one(item("11"))
    assert world.audit() == []
