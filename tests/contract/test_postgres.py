"""What only PostgreSQL can show: several writers at a time, a server that ends sessions or goes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, text

from services.kernel.clock import SystemMonotonic
from services.kernel.contracts.records import Outgoing
from services.kernel.db import outbox
from services.kernel.db.engine import Database
from services.kernel.errors import Retryable, WrongUse
from tests.support.patience import eventually
from tests.support.stores import FakeBus, Store, count, in_thread, postgres_schema, put

pytestmark = pytest.mark.connected
JOIN_S = 20
STANDSTILL_MS = 300
"""Short, so that a test of who stands still does not wait long."""


@pytest.fixture
def address(server_address: Callable[[str], str]) -> str:
    return server_address("postgres")


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    with postgres_schema(address) as schema:
        made = Store(address, schema)
        yield made
        made.close()


def test_a_row_that_commits_after_a_later_one_is_published(store: Store) -> None:
    bus = FakeBus()
    relay = store.relay(bus)
    with store.db.begin() as early:
        store.outbox.add(early, [Outgoing("t", "drew first", b"v")])

        def overtake() -> None:
            with store.db.begin() as late:
                store.outbox.add(late, [Outgoing("t", "drew second", b"v")])
            assert relay.run_once() == 1

        in_thread(overtake).join(JOIN_S)
    assert relay.run_once() == 1
    assert bus.keys == ["drew second", "drew first"]


def test_shared_holders_go_together_and_keep_exclusive_ones_out(store: Store) -> None:
    outcomes: list[str] = []

    def try_for(*, shared: bool) -> None:
        try:
            with store.open().begin() as conn:
                store.db.lock(conn, "x", shared=shared)
            outcomes.append("held")
        except Retryable:
            outcomes.append("kept out")

    with store.db.begin() as conn:
        store.db.lock(conn, "x", shared=True)
        in_thread(lambda: try_for(shared=True)).join(JOIN_S)
        in_thread(lambda: try_for(shared=False)).join(JOIN_S)
    in_thread(lambda: try_for(shared=False)).join(JOIN_S)
    assert outcomes == ["held", "kept out", "held"]


def test_a_session_that_the_server_ended_is_retryable_and_the_next_works(store: Store) -> None:
    def lose_it() -> None:
        with store.db.begin() as conn:
            end(store, conn)
            count(conn, store)

    with pytest.raises(Retryable):
        lose_it()
    assert "database of intake" in str(store.db.ready())
    store.db.try_again()
    assert store.db.ready() is None
    put(store, "a")


def test_a_relay_whose_session_has_died_takes_its_lock_again(store: Store) -> None:
    bus = FakeBus()
    relay = store.relay(bus)
    assert relay.run_once() == 0
    with store.open().begin() as conn:
        conn.execute(
            text(
                "SELECT pg_terminate_backend(l.pid) FROM pg_locks l WHERE l.locktype = "
                "'advisory' AND ((l.classid::bigint << 32) | l.objid::bigint) = :key"
            ),
            {"key": store.db.lock_key("relay")},
        )
    with store.db.begin() as conn:
        store.outbox.add(conn, [Outgoing("t", "a", b"v")])
    with pytest.raises(Retryable):
        relay.run_once()
    assert relay.run_once() == 1
    assert bus.keys == ["a"]


def test_who_stands_still_inside_a_transaction_loses_its_locks(store: Store) -> None:
    put(store, "a", 1)

    def stand_still() -> None:
        with store.open(standstill_ms=STANDSTILL_MS).begin() as conn:
            add_one(conn)
            until_gone(store, conn)
            conn.execute(store.things.select())

    def add_one(conn: Connection) -> None:
        conn.execute(store.things.update().values(count=store.things.c.count + 1))

    with pytest.raises(Retryable):
        stand_still()
    with store.db.begin() as conn:
        add_one(conn)
    with store.db.read() as conn:
        assert conn.scalar(store.things.select().with_only_columns(store.things.c.count)) == 2


def test_a_relay_that_stands_still_hands_over_and_then_stands_by(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_PUBLISHING_MS", 0)
    first, second = FakeBus(), FakeBus()
    still = store.relay(first, db=store.open(standstill_ms=STANDSTILL_MS))
    next_one = store.relay(second, db=store.open())
    add_to_outbox(store, "a")
    assert (still.run_once(), next_one.run_once()) == (1, 0)
    add_to_outbox(store, "b")
    eventually(
        lambda: SystemMonotonic().wait(threading.Event(), 0.02),
        lambda: next_one.run_once() == 1,
        "the other relay takes over",
    )
    with pytest.raises(Retryable):
        still.run_once()
    assert still.run_once() == 0
    assert (first.keys, second.keys) == (["a"], ["b"])


def test_a_server_that_does_not_sync_its_commits_is_refused(store: Store) -> None:
    url = f"{store.url}{'&' if '?' in store.url else '?'}options=-csynchronous_commit%3Doff"
    db = Database(url, store.metadata, schema=store.schema)
    with pytest.raises(WrongUse, match="synchronous_commit: found off, expected on"):
        db.durability()
    db.close()


def add_to_outbox(store: Store, key: str) -> None:
    with store.db.begin() as conn:
        store.outbox.add(conn, [Outgoing("t", key, b"v")])


def until_gone(store: Store, conn: Connection) -> None:
    """Do nothing on a connection until the server has ended its session."""
    number = conn.scalar(text("SELECT pg_backend_pid()"))
    there = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
    with store.db.engine.connect() as other:
        eventually(
            lambda: SystemMonotonic().wait(threading.Event(), 0.02),
            lambda: other.scalar(there, {"pid": number}) == 0,
            "the server ends the session",
        )


def end(store: Store, conn: Connection) -> None:
    number = conn.scalar(text("SELECT pg_backend_pid()"))
    with store.open().read() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": number})
