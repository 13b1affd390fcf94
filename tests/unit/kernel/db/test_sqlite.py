from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import MetaData, insert, select, text
from sqlalchemy.exc import OperationalError

from services.kernel.db import connecting
from services.kernel.db.engine import Database
from services.kernel.errors import Retryable, WrongUse
from tests.support.stores import FakeBus, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/intake.db", None)
    yield made
    made.close()


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?uri=true", "mysql://h/x", "nonsense", ""],
)
def test_a_url_of_another_kind_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(WrongUse, match=r"expected sqlite:///path/to/file\.db or postgresql://"):
        Database(url, MetaData())


@pytest.mark.parametrize(
    "found",
    [
        {"journal_mode": "delete", "synchronous": "2", "foreign_keys": "1"},
        {"journal_mode": "wal", "synchronous": "1", "foreign_keys": "1"},
        {"journal_mode": "wal", "synchronous": "2", "foreign_keys": "0"},
        {"fsync": "off", "full_page_writes": "on", "synchronous_commit": "on"},
        {"fsync": "on", "full_page_writes": "off", "synchronous_commit": "on"},
        {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "off"},
    ],
)
def test_settings_under_which_a_commit_can_be_lost_are_refused(found: dict[str, str]) -> None:
    with pytest.raises(WrongUse, match="would not survive a power cut"):
        connecting.refuse_unsafe(found)


def test_a_commit_that_waits_for_a_copy_elsewhere_is_safe_too() -> None:
    connecting.refuse_unsafe(
        {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "remote_apply"}
    )


def test_every_connection_has_the_settings(store: Store) -> None:
    expected = {"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"}
    with store.db.begin() as writer, store.db.read() as reader:
        for conn in (writer, reader):
            found = {
                name: str(conn.exec_driver_sql(f"PRAGMA {name}").scalar()) for name in expected
            }
            assert found == expected


def test_a_full_disk_is_retryable_and_keeps_what_was_there(store: Store) -> None:
    with store.db.begin() as conn:
        conn.execute(insert(store.things), {"id": "a"})
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar()

    def fill() -> None:
        with store.db.begin() as conn:
            conn.exec_driver_sql(f"PRAGMA max_page_count={pages}")
            conn.execute(insert(store.things), {"id": "b", "raw": bytes(1 << 20)})

    with pytest.raises(Retryable, match="database of intake: SQLITE_FULL"):
        fill()
    with store.db.begin() as conn:
        conn.exec_driver_sql("PRAGMA max_page_count=1000000")
        assert conn.scalars(select(store.things.c.id)).all() == ["a"]


def test_a_file_that_another_program_locks_is_retryable(store: Store, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "intake.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Retryable, match="SQLITE_BUSY"), store.db.begin():
        pass
    other.rollback()
    other.close()
    with store.db.begin() as conn:
        conn.execute(insert(store.things), {"id": "a"})


def test_a_file_that_is_no_database_is_retryable(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database" * 1000)
    db = Database(f"sqlite:///{tmp_path}/x.db", MetaData())
    with pytest.raises(Retryable, match="SQLITE_NOTADB"), db.begin():
        pass
    db.close()


def test_a_missing_folder_is_retryable(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path}/none/x.db", MetaData())
    with pytest.raises(Retryable, match="SQLITE_CANTOPEN"), db.read():
        pass


def test_wrong_sql_keeps_its_own_error(store: Store) -> None:
    with pytest.raises(OperationalError, match="no such table"), store.db.read() as conn:
        conn.execute(text("SELECT * FROM nowhere"))


def test_writers_of_two_databases_on_one_file_take_turns(store: Store, tmp_path: Path) -> None:
    """The second waits for the first, also for longer than SQLite's own busy steps."""
    alias = Database(f"sqlite:///{tmp_path}/./intake.db", store.metadata, busy_ms=10_000)
    inside, go_on = threading.Event(), threading.Event()

    def first() -> None:
        with store.db.begin() as conn:
            inside.set()
            go_on.wait(20)
            conn.execute(insert(store.things), {"id": "a"})

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(20)
    waiting = threading.Thread(target=go_on.set)
    waiting.start()
    with alias.begin() as conn:
        assert conn.scalars(select(store.things.c.id)).all() == ["a"]
    for each in (thread, waiting):
        each.join(20)
    alias.close()


def test_relays_of_one_process_on_one_file_share_a_lock(store: Store) -> None:
    one, other = store.relay(FakeBus()), store.relay(FakeBus(), db=store.open())
    held = store.db.process_lock("relay")
    assert held.acquire(timeout=1)
    try:
        threads = [threading.Thread(target=each.run_once) for each in (one, other)]
        for thread in threads:
            thread.start()
            thread.join(0.05)
            assert thread.is_alive()
    finally:
        held.release()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def query_only(store: Store, *, on: bool) -> None:
    with store.db.engine.connect() as conn:  # the same one each time: the pool gives the last back
        conn.exec_driver_sql(f"PRAGMA query_only={int(on)}")


def test_a_write_that_did_not_come_through_is_told_until_one_does(store: Store) -> None:
    assert store.db.ready() is None
    query_only(store, on=True)
    with pytest.raises(Retryable), store.db.begin() as conn:
        conn.execute(insert(store.things), {"id": "a"})
    assert "database of intake: SQLITE_READONLY" in str(store.db.ready())
    store.db.try_again()
    assert store.db.ready() is not None
    query_only(store, on=False)
    store.db.try_again()
    assert store.db.ready() is None


def test_trouble_of_others_inside_a_write_is_not_the_databases(store: Store) -> None:
    with pytest.raises(Retryable), store.db.begin():
        raise Retryable("bus away")
    assert store.db.ready() is None


def test_a_reading_connection_keeps_fewer_pages_than_the_writing_one(store: Store) -> None:
    with store.db.begin() as conn:
        writing = conn.scalar(text("PRAGMA cache_size"))
    with store.db.read() as conn:
        reading = conn.scalar(text("PRAGMA cache_size"))
    assert (writing, reading) == (-16_384, -4_096)  # KiB; sixty connections are 250 MB at most
