"""What every database promises; the same laws on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from services.kernel.clock import NEVER
from services.kernel.contracts.records import Outgoing
from services.kernel.db import write
from services.kernel.db.engine import Database
from services.kernel.db.keys import Stored
from services.kernel.db.positions import Position
from services.kernel.errors import Retryable, Stale
from tests.support.stores import FakeBus, Store, count, in_thread, postgres_schema, put

JOIN_S = 20
ON_SQLITE = "sqlite"
ON_POSTGRES = pytest.param("postgres", marks=pytest.mark.connected)


@pytest.fixture(params=[ON_SQLITE, ON_POSTGRES])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, server_address: Callable[[str], str]
) -> Iterator[Store]:
    if request.param == ON_SQLITE:
        made = Store(f"sqlite:///{tmp_path}/intake.db", None)
        yield made
        made.close()
        return
    address = server_address("postgres")
    with postgres_schema(address) as schema:
        made = Store(address, schema)
        yield made
        made.close()


class TestTransactions:
    def test_a_commit_is_seen_by_the_next_reader(self, store: Store) -> None:
        put(store, "a")
        with store.db.read() as conn:
            assert count(conn, store) == 1

    def test_an_error_rolls_everything_back(self, store: Store) -> None:
        def fail() -> None:
            with store.db.begin() as conn:
                conn.execute(insert(store.things), {"id": "a"})
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        with store.db.read() as conn:
            assert count(conn, store) == 0

    def test_a_reader_sees_one_moment_while_others_write(self, store: Store) -> None:
        put(store, "a")
        with store.db.read() as conn:
            assert count(conn, store) == 1
            in_thread(lambda: put(store, "b")).join(JOIN_S)
            assert count(conn, store) == 1
        with store.db.read() as conn:
            assert count(conn, store) == 2

    def test_writing_in_a_read_is_a_bug_and_not_trouble(self, store: Store) -> None:
        with pytest.raises(DBAPIError), store.db.read() as conn:
            conn.execute(insert(store.things), {"id": "a"})
        put(store, "b")
        with store.db.read() as conn:
            assert count(conn, store) == 1

    def test_a_second_begin_on_the_thread_is_refused_and_the_first_goes_on(
        self, store: Store
    ) -> None:
        with store.db.begin() as conn:
            with pytest.raises(RuntimeError, match="pass `conn` on"), store.db.begin():
                pass
            conn.execute(insert(store.things), {"id": "a"})
        with store.db.read() as conn:
            assert count(conn, store) == 1

    def test_many_threads_that_add_to_one_row_lose_nothing(self, store: Store) -> None:
        put(store, "a")
        one_more = (
            update(store.things)
            .where(store.things.c.id == "a")
            .values(count=store.things.c.count + 1)
        )

        def add() -> None:
            for _ in range(10):
                with store.db.begin() as conn:
                    conn.execute(one_more)

        threads = [in_thread(add) for _ in range(4)]
        for thread in threads:
            thread.join(JOIN_S)
        with store.db.read() as conn:
            assert conn.scalar(select(store.things.c.count)) == 40

    def test_what_is_called_after_a_commit_is_not_called_after_a_rollback(
        self, store: Store
    ) -> None:
        called: list[int] = []
        store.db.after_commit.append(lambda _: called.append(1))
        with pytest.raises(ZeroDivisionError), store.db.begin():
            raise ZeroDivisionError
        assert called == []
        put(store, "a")
        assert called == [1]


class TestTrouble:
    def test_a_double_key_stays_an_integrity_error(self, store: Store) -> None:
        put(store, "a")
        with pytest.raises(IntegrityError):
            put(store, "a")

    def test_a_broken_reference_stays_an_integrity_error(self, store: Store) -> None:
        with pytest.raises(IntegrityError), store.db.begin() as conn:
            conn.execute(insert(store.parts), {"thing": "nobody"})

    def test_wrong_sql_is_a_bug_and_not_trouble(self, store: Store) -> None:
        with pytest.raises(DBAPIError), store.db.begin() as conn:
            conn.execute(text("SELECT * FROM nowhere"))

    def test_an_error_does_not_quote_what_was_stored(self, store: Store) -> None:
        put(store, "张三")
        with pytest.raises(IntegrityError) as caught:
            put(store, "张三")
        assert "张三" not in str(caught.value).replace(str(caught.value.orig), "")

    def test_what_another_writer_holds_too_long_is_retryable(self, store: Store) -> None:
        put(store, "a")
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with store.open().begin() as conn:
                store.db.lock(conn, "x", shared=False)
                held.set()
                done.wait(JOIN_S)

        thread = in_thread(hold)
        assert held.wait(JOIN_S)
        try:
            with pytest.raises(Retryable, match="database of intake"), store.db.begin() as conn:
                store.db.lock(conn, "x", shared=False)
        finally:
            done.set()
            thread.join(JOIN_S)
        put(store, "b")

    def test_the_settings_that_make_a_commit_survive_are_on(self, store: Store) -> None:
        expected = (
            {"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"}
            if store.db.name == "sqlite"
            else {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
        )
        assert store.db.durability() == expected


class TestWrites:
    def test_every_type_comes_back_as_it_went_in(self, store: Store) -> None:
        full = {
            "id": "守望",
            "count": -3,
            "at": NEVER,
            "raw": b"\x00\xff",
            "tree": {"list": [1, 2.5, None, "文"], "deep": {"yes": True}},
            "ok": True,
        }
        empty = {"id": "b", "count": None, "at": None, "raw": None, "tree": None, "ok": None}
        with store.db.begin() as conn:
            write.insert(conn, store.things, [full, empty])
        with store.db.read() as conn:
            rows = [
                dict(row)
                for row in conn.execute(
                    select(store.things).order_by(store.things.c.count)
                ).mappings()
            ]
            assert full in rows
            assert empty in rows
            nulls = conn.scalar(text("SELECT count(*) FROM thing WHERE tree IS NULL"))
            assert nulls == 1

    def test_new_rows_only_leave_those_that_are_there(self, store: Store) -> None:
        put(store, "a", 1)
        with store.db.begin() as conn:
            write.insert_new(
                conn, store.things, [{"id": "a", "count": 9}, {"id": "b", "count": 2}], ["id"]
            )
        with store.db.read() as conn:
            found = conn.execute(select(store.things.c.id, store.things.c.count)).all()
            assert sorted(map(tuple, found)) == [("a", 1), ("b", 2)]

    def test_upsert_sets_the_given_columns_and_the_last_of_equals_wins(self, store: Store) -> None:
        with store.db.begin() as conn:
            write.insert(conn, store.things, [{"id": "a", "count": 1, "at": 5}])
            rows = [{"id": "a", "count": 2}, {"id": "b", "count": 3}, {"id": "a", "count": 4}]
            write.upsert(conn, store.things, rows, ["id"])
        with store.db.read() as conn:
            columns = store.things.c
            found = conn.execute(select(columns.id, columns.count, columns.at)).all()
            assert sorted(map(tuple, found)) == [("a", 4, 5), ("b", 3, None)]

    def test_upsert_of_nothing_but_keys_keeps_the_row(self, store: Store) -> None:
        with store.db.begin() as conn:
            for _ in range(2):
                write.upsert(conn, store.pairs, [{"left": "a", "right": "b"}], ["left", "right"])
        with store.db.read() as conn:
            assert conn.execute(select(store.pairs)).all() == [("a", "b")]

    def test_a_double_in_a_plain_insert_is_an_integrity_error(self, store: Store) -> None:
        with pytest.raises(IntegrityError), store.db.begin() as conn:
            write.insert(conn, store.things, [{"id": "a"}, {"id": "a"}])

    @pytest.mark.parametrize(
        "rows",
        [
            [{"id": "a", "count": 1}, {"id": "b"}],
            [{"id": "a"}, {"id": "b", "count": 1}],
            [{"id": "a", "size": 1}],
        ],
    )
    def test_rows_of_other_columns_are_refused(
        self, store: Store, rows: list[dict[str, object]]
    ) -> None:
        with pytest.raises(ValueError, match="table 'thing'"), store.db.begin() as conn:
            write.insert(conn, store.things, rows)
        with store.db.read() as conn:
            assert count(conn, store) == 0

    def test_no_rows_are_no_statement(self, store: Store) -> None:
        with store.db.begin() as conn:
            write.insert(conn, store.things, [])
            assert count(conn, store) == 0


class TestOutbox:
    def fill(self, store: Store, *keys: str) -> None:
        with store.db.begin() as conn:
            store.outbox.add(conn, [Outgoing("t", key, b"v") for key in keys])

    def unsent(self, store: Store) -> int:
        with store.db.read() as conn:
            return store.outbox.unsent(conn)

    def test_records_reach_the_bus_as_they_were_added_and_in_order(self, store: Store) -> None:
        records = [
            Outgoing("t", "键", b"\x00\xff", (("content-type", b"x"), ("n", b"\xff"))),
            Outgoing("t", "b", None),
            Outgoing("u", None, b"", (), 3),
        ]
        with store.db.begin() as conn:
            store.outbox.add(conn, records)
        bus = FakeBus()
        assert store.relay(bus).run_once() == 3
        assert bus.batches == [records]
        assert self.unsent(store) == 0

    def test_a_relay_takes_batches_until_nothing_is_left(self, store: Store) -> None:
        self.fill(store, *"abcde")
        bus = FakeBus()
        relay = store.relay(bus, batch=2)
        assert [relay.run_once() for _ in range(4)] == [2, 2, 1, 0]
        assert bus.keys == list("abcde")

    def test_rows_stay_while_the_bus_is_away_and_go_once_it_is_back(self, store: Store) -> None:
        self.fill(store, "a", "b")

        def away() -> None:
            raise Retryable("bus away")

        bus = FakeBus(away)
        relay = store.relay(bus)
        with pytest.raises(Retryable, match="bus away"):
            relay.run_once()
        assert self.unsent(store) == 2
        bus.before = lambda: None
        assert relay.run_once() == 2
        assert bus.keys == ["a", "b"]

    def test_a_row_added_while_others_are_published_is_not_lost(self, store: Store) -> None:
        self.fill(store, "a")
        bus = FakeBus(lambda: in_thread(lambda: self.fill(store, "b")).join(JOIN_S))
        relay = store.relay(bus)
        assert relay.run_once() == 1
        bus.before = lambda: None
        assert relay.run_once() == 1
        assert bus.keys == ["a", "b"]

    def test_a_rollback_takes_its_records_along(self, store: Store) -> None:
        def fail() -> None:
            with store.db.begin() as conn:
                store.outbox.add(conn, [Outgoing("t", "a", b"v")])
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert self.unsent(store) == 0

    def test_a_commit_with_records_wakes_the_relay_and_one_without_does_not(
        self, store: Store
    ) -> None:
        relay = store.relay(FakeBus())
        put(store, "a")
        assert not relay.event.is_set()
        self.fill(store, "a")
        assert relay.event.is_set()
        relay.run_once()
        assert not relay.event.is_set()

    def test_two_relays_never_publish_the_same_rows_at_once(self, store: Store) -> None:
        self.fill(store, "a", "b")
        buses = [FakeBus(), FakeBus()]
        other = store.relay(buses[1], db=store.open())
        seen: list[int] = []
        buses[0].before = lambda: seen.append(len(buses[1].keys))
        first = store.relay(buses[0])
        assert first.run_once() == 2
        assert other.run_once() == 0
        assert seen == [0]
        assert buses[1].keys == []

    def test_when_a_relay_has_closed_another_takes_over(self, store: Store) -> None:
        self.fill(store, "a")
        first = store.relay(FakeBus())
        assert first.run_once() == 1
        first.close()
        first.close()
        self.fill(store, "b")
        bus = FakeBus()
        second = store.relay(bus, db=store.open())
        assert second.run_once() == 1
        assert bus.keys == ["b"]


class TestPositions:
    def test_a_partition_begins_at_zero(self, store: Store) -> None:
        with store.db.begin() as conn:
            assert store.positions.load(conn, "t") == {}
            store.positions.move(conn, "t", 0, 0, 7)
            assert store.positions.load(conn, "t") == {0: Position(7, None)}

    def test_a_move_from_elsewhere_is_stale_and_moves_nothing(self, store: Store) -> None:
        with store.db.begin() as conn:
            store.positions.move(conn, "t", 0, 0, 7)
        for expected in (0, 6, 8):
            with pytest.raises(Stale), store.db.begin() as conn:
                store.positions.move(conn, "t", 0, expected, 9)
        with store.db.read() as conn:
            assert store.positions.load(conn, "t")[0].next_offset == 7

    def test_a_first_move_from_an_offset_above_zero_is_stale(self, store: Store) -> None:
        with pytest.raises(Stale), store.db.begin() as conn:
            store.positions.move(conn, "t", 0, 5, 9)

    @pytest.mark.parametrize("start", [0, 7])
    def test_of_two_that_move_from_the_same_place_one_is_stale(
        self, store: Store, start: int
    ) -> None:
        if start:
            with store.db.begin() as conn:
                store.positions.move(conn, "t", 0, 0, start)
        ready = threading.Barrier(2)
        outcomes: list[str] = []

        def move() -> None:
            ready.wait(JOIN_S)
            try:
                with store.db.begin() as conn:
                    store.positions.move(conn, "t", 0, start, start + 1)
                outcomes.append("moved")
            except Stale:
                outcomes.append("stale")

        threads = [in_thread(move) for _ in range(2)]
        for thread in threads:
            thread.join(JOIN_S)
        assert sorted(outcomes) == ["moved", "stale"]

    def test_a_mark_only_rises_and_a_move_without_one_keeps_it(self, store: Store) -> None:
        with store.db.begin() as conn:
            store.positions.mark(conn, "t", 0, 50)
            store.positions.mark(conn, "t", 0, 40)
            store.positions.move(conn, "t", 0, 0, 3)
            store.positions.move(conn, "t", 1, 0, 1)
            assert store.positions.load(conn, "t") == {0: Position(3, 50), 1: Position(1, None)}
            assert store.positions.marks(conn, "t") == {0: 50}
            store.positions.move(conn, "t", 0, 3, 4, mark=60)
            assert store.positions.marks(conn, "t") == {0: 60}
            assert store.positions.marks(conn, "u") == {}


class TestInbox:
    def test_ids_are_new_until_they_are_added(self, store: Store) -> None:
        ids = [f"id-{number}" for number in range(2000)]
        with store.db.begin() as conn:
            assert store.inbox.unseen(conn, ids) == set(ids)
            rows = [{"id": id, "topic": "t", "partition": 0, "offset": 1} for id in ids[:1000]]
            store.inbox.add(conn, rows)
            store.inbox.add(conn, rows[:1])
            assert store.inbox.unseen(conn, ids) == set(ids[1000:])
            assert store.inbox.unseen(conn, []) == set()

    def test_what_the_topic_no_longer_keeps_is_forgotten(self, store: Store) -> None:
        rows = [
            {"id": f"{topic}{offset}", "topic": topic, "partition": 0, "offset": offset}
            for topic in "tu"
            for offset in range(4)
        ]
        with store.db.begin() as conn:
            store.inbox.add(conn, rows)
            assert store.inbox.forget(conn, "t", 0, 3) == 3
            ids = [str(row["id"]) for row in rows]
            assert store.inbox.unseen(conn, ids) == {"t0", "t1", "t2"}


class TestKeys:
    def test_an_answer_is_found_under_its_scope_and_key_until_it_is_forgotten(
        self, store: Store
    ) -> None:
        with store.db.begin() as conn:
            store.keys.save(conn, "ack", "k", 201, b'{"a":1}', 10, digest="d")
            assert store.keys.find(conn, "ack", "k") == Stored(201, b'{"a":1}', "d", 10)
            assert store.keys.find(conn, "close", "k") is None
            assert store.keys.forget(conn, 10) == 0
            assert store.keys.forget(conn, 11) == 1
            assert store.keys.find(conn, "ack", "k") is None

    def test_a_key_is_answered_once(self, store: Store) -> None:
        for number in range(2):
            if number:
                with pytest.raises(IntegrityError), store.db.begin() as conn:
                    store.keys.save(conn, "ack", "k", 201, b"{}", 10)
            else:
                with store.db.begin() as conn:
                    store.keys.save(conn, "ack", "k", 201, b"{}", 10)


@pytest.mark.connected
def test_a_server_that_is_not_there_is_retryable(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    store = Store(f"sqlite:///{tmp_path}/x.db", None)
    db = Database("postgresql://nobody@127.0.0.1:1/none", store.metadata, schema="x")
    with pytest.raises(Retryable, match="database of x"), db.begin():
        pass
    with pytest.raises(Retryable), db.read():
        pass
    store.close()
    db.close()
