"""The door's store: all of a batch or nothing, whoever else writes, wherever it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select

from services.intake.storage import TABLES, SqlStore
from services.intake.storage.tables import LEDGER
from services.kernel.db.engine import Database
from services.kernel.db.migrate import differences
from services.kernel.errors import Retryable
from tests.support.intake_world import IntakeWorld, intake_world, intake_world_on, item, write_pack


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
def world(
    request: pytest.FixtureRequest, tmp_path: Path, server_address: Callable[[str], str]
) -> Iterator[IntakeWorld]:
    with intake_world_on(request.param, tmp_path, server_address) as made:
        yield made


def accepted(folder: Path) -> int:
    db = Database(f"sqlite:///{folder / 'intake.db'}", TABLES)
    with db.read() as conn:
        found = conn.scalar(select(func.count()).select_from(LEDGER)) or 0
    db.close()
    return found


def test_the_migrations_make_the_tables_of_the_code(world: IntakeWorld) -> None:
    assert differences(world.db) == []


def test_a_batch_that_fails_at_its_end_leaves_nothing(
    world: IntakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise Retryable(name)

    world.one(item("0"))
    before = world.ledger(), len(world.outbox())
    monkeypatch.setattr("services.intake.handlers.accept.crashpoint", fail)
    with pytest.raises(Retryable):
        world.send(item("1"), item("2", type="x"))
    assert (world.ledger(), len(world.outbox())) == before
    monkeypatch.undo()
    assert [a.status for a in world.send(item("1"), item("2", type="x"))] == [
        "accepted",
        "rejected",
    ]
    assert world.audit() == []


def test_many_senders_at_once_are_taken_one_after_the_other(world: IntakeWorld) -> None:
    def send(sender: int) -> list[str]:
        batches = [[item(f"{sender}-{n}-{m}") for m in range(5)] for n in range(10)]
        return [answer.status for batch in batches for answer in world.door.accept(batch)]

    with ThreadPoolExecutor(4) as senders:
        statuses = [status for found in senders.map(send, range(4)) for status in found]
    assert statuses == ["accepted"] * 200
    assert len(world.outbox()) == 200
    assert world.audit() == []


def test_the_same_item_from_many_senders_is_accepted_once(world: IntakeWorld) -> None:
    with ThreadPoolExecutor(4) as senders:
        found = list(senders.map(lambda _: world.door.accept([item("1")])[0].status, range(8)))
    assert sorted(found) == ["accepted"] + ["duplicate"] * 7


def test_a_store_that_is_gone_is_told_as_something_to_wait_for(tmp_path: Path) -> None:
    with intake_world(tmp_path) as world:
        broken = SqlStore(Database(f"sqlite:///{tmp_path}/nowhere/x.db", TABLES))
        world.door._store = broken  # noqa: SLF001 - the disk went away
        with pytest.raises(Retryable):
            world.one(item("1"))


@pytest.mark.parametrize(
    ("point", "there"),
    [("intake.accept.before_commit", 0), ("intake.accept.after_commit", 5)],
)
def test_a_kill_takes_all_of_a_batch_or_nothing_and_sending_again_mends_it(
    tmp_path: Path, point: str, there: int
) -> None:
    write_pack(tmp_path / "pack")

    def run(crash: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tests.support.door_process", str(tmp_path), "0", "5"],
            env={**os.environ, "HEARTHWATCH_CRASH": crash},
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )

    killed = run(point)
    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, "")
    assert accepted(tmp_path) == there
    again = run().stdout.split()
    assert again == ["duplicate" if there else "accepted"] * 5
    assert accepted(tmp_path) == 5
