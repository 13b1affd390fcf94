"""The doctor after everything went well, and after one row was deleted or altered behind it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from services.allinone.replay.run import begun, replay, run_for
from services.allinone.replay.target import run_of
from tests.support.replay import Toy, command, toy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DELETED = (
    ("intake", "ledger", "id"),
    ("intake", "name", "name"),
    ("registry", "fact", "id"),
    ("registry", "household", "household"),
    ("registry", "inbox", "id"),
    ("risk", "fact", "id"),
    ("risk", "inbox", "id"),
    ("risk", "household", "id"),
    ("alerts", "alert", "id"),
    ("alerts", "timeline", "alert_id"),
    ("alerts", "delivery", "alert_id"),
    ("alerts", "step", "alert_id"),
    ("alerts", "task", "alert_id"),
)
ALTERED = (
    ("intake", "ledger", "id", "received = received + 60000000"),
    ("registry", "person", "person", "household = 'room-0'"),
    ("registry", "fact", "id", "received = received + 60000000"),
    ("risk", "fact", "id", "received = received + 60000000"),
    ("risk", "assessment", "id", "level = 0"),
    ("risk", "household", "id", "due = due + 1"),
    ("alerts", "alert", "id", "opened_at = opened_at + 60000000"),
    ("alerts", "timeline", "alert_id", "reason = 'because'"),
    ("alerts", "delivery", "id", "target = 'nobody'"),
    ("alerts", "step", "alert_id", "due_at = due_at + 60000000"),
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return toy(tmp_path_factory.mktemp("bells"))


@pytest.fixture(scope="module")
def kept(log: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "kept"
    replay(log.plan(keep=folder))
    return folder


@pytest.fixture
def copy(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "copy"))


def vandalise(folder: Path, service: str, table: str, key: str, change: str) -> str:
    """Delete or alter one row in the middle of a table; return the row's id."""
    with closing(sqlite3.connect(folder / f"{service}.db")) as store:
        columns = store.execute(f"PRAGMA table_info({table})").fetchall()
        primary = [column[1] for column in columns if column[5]]
        count = store.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        identity, *keys = store.execute(
            f"SELECT {key}, {', '.join(primary)} FROM {table} LIMIT 1 OFFSET ?", (count // 2,)
        ).fetchone()
        where = " AND ".join(f"{column} = ?" for column in primary)
        assert store.execute(f"{change} WHERE {where}", keys).rowcount == 1
        store.commit()
    return str(identity)


def diagnosed(folder: Path) -> tuple[int, dict[str, object], str]:
    found = command("doctor", "--data", folder, "--json")
    return found.code, json.loads(found.out), found.out


def test_all_is_accounted_for(kept: Path) -> None:
    code, answer, _ = diagnosed(kept)
    assert code == 0
    assert answer == {
        "ok": True, "accepted": 34, "assessed": 34, "accounted": 34, "difference": 0,
        "findings": [],
    }  # fmt: skip


@pytest.mark.parametrize(("service", "table", "key"), DELETED)
def test_a_deleted_row_is_named(copy: Path, service: str, table: str, key: str) -> None:
    identity = vandalise(copy, service, table, key, f"DELETE FROM {table}")
    code, answer, text = diagnosed(copy)
    assert (code, answer["ok"]) == (1, False)
    assert identity in text


@pytest.mark.parametrize(("service", "table", "key", "change"), ALTERED)
def test_an_altered_row_is_named(
    copy: Path, service: str, table: str, key: str, change: str
) -> None:
    identity = vandalise(copy, service, table, key, f"UPDATE {table} SET {change}")
    code, answer, text = diagnosed(copy)
    assert (code, answer["ok"]) == (1, False)
    assert identity in text


def test_a_row_that_cannot_be_read_hides_no_other_service(copy: Path) -> None:
    vandalise(copy, "risk", "assessment", "id", "UPDATE assessment SET body = x'00'")
    identity = vandalise(copy, "alerts", "timeline", "alert_id", "DELETE FROM timeline")
    code, _, text = diagnosed(copy)
    assert code == 1
    assert identity in text
    assert '"service": "risk"' in text


def test_what_was_never_assessed_is_published_again(log: Toy, copy: Path) -> None:
    run = run_of(copy)
    assert run is not None
    item = {
        "type": "bell.rung", "source": "bells", "sourceid": "lost", "person": "guest-99",
        "household": "room-99", "time": "2030-01-02T08:00:00Z", "data": {"loudness": 5},
        "receivedat": "2030-01-02T08:00:00Z",
    }  # fmt: skip
    with begun(copy, run_for(log.plan())) as going:
        going.apis.send("POST", "intake", "/v1/changes", item, key="lost")
    with closing(sqlite3.connect(copy / "intake.db")) as store:  # as if it had been published
        store.execute("DELETE FROM outbox")
        store.commit()
    code, answer, _ = diagnosed(copy)
    assert (code, answer["difference"]) == (1, 1)
    assert command("doctor", "--data", copy, "--repair").code == 0
    code, answer, _ = diagnosed(copy)
    assert (code, answer["accepted"], answer["assessed"]) == (0, 35, 35)
    assert json.loads(command("why", "guest-99", "--data", copy, "--json").out)["level"] == 3
