"""The audit names any one row of the book that was deleted or altered behind its back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.kernel.contracts.changes import RETRACTED
from services.registry.storage.tables import TABLES
from tests.support.intake_world import item, ref
from tests.support.registry_world import RegistryWorld, registry_world_on


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
def world(
    request: pytest.FixtureRequest, tmp_path: Path, server_address: Callable[[str], str]
) -> Iterator[RegistryWorld]:
    """Return a book that has seen a bit of everything."""
    turn = {"role": "duty", "staff": "s1", "from": "2026-11-01T00:00:00Z"}
    with registry_world_on(request.param, tmp_path, server_address) as made:
        made.send(
            item("1"),
            item("2", type="registry.person", household="h1", data={"name": "Li", "kind": "x"}),
            item("3", type="registry.tie", data={"household": "h9", "role": "parent"}),
            item("4", type="registry.household", person=None, household="h1", data={"area": "v1"}),
            item("5", type="registry.person", person="p2", household="h2", data={"name": "Li M"}),
            item("6", type="member.moved", person="p2", data={"to_household": "h1"}),
            item("7", type="registry.area", person=None, place="v1", data={"name": "V"}),
            item("8", type="registry.staff", person=None, place="v1", data={"staff": "s1"}),
            item("9", type="registry.duty", person=None, place="v1", data=turn),
            item("a", type=RETRACTED, person=None, data={}, retracts=ref("1")),
        )
        merged = {"was": "p2", "became": "p1"}
        made.send(item("m", type="registry.merged", data=merged))
        made.get("/people/p1")
        made.get("/people")
        assert made.get("/audit") == {"ok": True, "findings": []}
        yield made


def findings(world: RegistryWorld, table: str) -> list[dict[str, Any]]:
    found = world.get("/audit")["findings"]
    return [finding for finding in found if finding["table"] == table]


ROWS = {
    "fact": ("subject = 'p9'", "seq = 2", None),
    "alias": ("became = 'p9'", "was = 'p2'", "p2"),
    "person": ("name = 'other'", "person = 'p1'", "p1"),
    "membership": ("household = 'h7'", "person = 'p1' AND number = 1", "p1/1"),
    "tie": ("role = 'aunt'", "person = 'p1'", "p1/h9/parent"),
    "household": ("area = 'v2'", "household = 'h1'", "h1"),
    "area": ("name = 'W'", "code = 'v1'", "v1"),
    "staff": ("contact = '1'", "staff = 's1'", "v1/s1"),
    "duty": ("contact = '1'", "staff = 's1'", None),
    "looked": ("viewer = 'w2'", "seq = 1", None),
    "head": ("seq = seq + 1", "name = 'fact'", "fact"),
}


@pytest.mark.parametrize("table", ROWS)
def test_an_altered_row_is_named(world: RegistryWorld, table: str) -> None:
    change, which, name = ROWS[table]
    assert world.sql(f"UPDATE {table} SET {change} WHERE {which}") == 1
    found = findings(world, table)
    assert found
    if name is not None:
        assert name in [finding["id"] for finding in found]


@pytest.mark.parametrize("table", ROWS)
def test_a_deleted_row_is_named(world: RegistryWorld, table: str) -> None:
    _, which, name = ROWS[table]
    assert world.sql(f"DELETE FROM {table} WHERE {which}") == 1
    found = findings(world, table)
    assert found
    if name is not None:
        assert name in [finding["id"] for finding in found]


@pytest.mark.parametrize("table", ["fact", "looked"])
def test_the_last_row_of_a_numbered_table_is_missed_too(world: RegistryWorld, table: str) -> None:
    last = f"seq = (SELECT max(seq) FROM {table})"
    assert world.sql(f"DELETE FROM {table} WHERE {last}") == 1
    assert findings(world, table)


def test_a_message_taken_out_of_the_inbox_is_named(world: RegistryWorld) -> None:
    [victim] = world.send(item("z", type="registry.person", data={"name": "Z"}))
    assert world.sql(f"DELETE FROM inbox WHERE id = '{victim}'") == 1
    assert [finding["id"] for finding in findings(world, "inbox")] == [victim]


def test_every_table_of_ours_is_covered() -> None:
    kernel = {"inbox", "outbox", "position"}
    assert set(ROWS) == set(TABLES.tables) - kernel
