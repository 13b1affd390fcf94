"""What the engine promises on every database: each step once, whoever fires it, whatever dies."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row, delete, func, insert, select, update

from services.alerts.domain.acts import Act
from services.alerts.engine.aside import AGAIN
from services.alerts.engine.auditing import OVERDUE
from services.alerts.engine.delivering import UNREADABLE
from services.alerts.handlers.command import carry_out, carry_out_many
from services.alerts.senders.port import Result
from services.alerts.storage.audit import findings
from services.alerts.storage.overdue import overdue_steps
from services.alerts.storage.tables import ALERT, DELIVERY, LADDER, STEP, TABLES, TIMELINE
from services.alerts.views import queue as queues
from services.alerts.views import reports
from services.alerts.views.reports import digest
from services.kernel.bus.stores import Batch
from services.kernel.clock import HOUR, MINUTE, from_us
from services.kernel.contracts import assessments as a
from services.kernel.contracts import changes as c
from services.kernel.contracts.topics import ASSESSMENTS
from services.kernel.db.migrate import differences
from services.kernel.errors import Refused
from tests.support.alert_desk import Desk
from tests.support.scenario import START, FakeSender
from tests.support.stores import postgres_schema

POSTGRES = pytest.param("postgres", marks=pytest.mark.connected)
JOIN_S = 50


@pytest.fixture(params=["sqlite", POSTGRES])
def desk(
    request: pytest.FixtureRequest, tmp_path: Path, server_address: Callable[[str], str]
) -> Iterator[Desk]:
    if request.param == "sqlite":
        made = Desk(f"sqlite:///{tmp_path}/alerts.db", None, tmp_path)
        yield made
        sound(made)
        made.close()
        return
    address = server_address("postgres").replace("postgresql://", "postgresql+psycopg://")
    with postgres_schema(address) as schema:
        made = Desk(address, schema, tmp_path)
        yield made
        sound(made)
        made.close()


def sound(desk: Desk) -> None:
    """No test leaves a row that is out of order; positions are the worker's and not moved here."""
    with desk.db.read() as conn:
        found = [f for f in findings(conn) if f.table not in ("position", "progress")]
    assert found == []


def together(calls: Sequence[Callable[[], object]]) -> None:
    """Run calls at the same time; fail with what any of them raised."""
    failed: list[BaseException] = []

    def run(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as exc:  # noqa: BLE001 - shown by the test
            failed.append(exc)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_S)
    assert failed == []
    assert not any(thread.is_alive() for thread in threads)


def test_the_migrations_make_the_tables(desk: Desk) -> None:
    assert differences(desk.db) == []


def test_three_engines_fire_each_step_once(desk: Desk) -> None:
    desk.raise_alerts(300)
    desk.forward(30)
    engines = [desk.engine() for _ in range(3)]
    fired: list[int] = []
    together([lambda e=e: fired.append(e.tick()) for e in engines])  # type: ignore[misc]
    desk.engine().tick()
    assert sum(fired) == 300 * 3, "second, head, and the warning task of each"
    lines = desk.scalar(select(func.count()).select_from(TIMELINE).where(TIMELINE.c.what == "head"))
    assert lines == 300
    assert desk.scalar(select(func.count()).select_from(DELIVERY)) == 300 * 3


def test_one_engine_and_three_give_the_same_digest(desk: Desk) -> None:
    desk.raise_alerts(40)
    for minutes in (5, 5, 25, 40):
        desk.forward(minutes)
        together([desk.engine().tick for _ in range(3)])
    with desk.db.read() as conn:
        found = digest(conn)
    assert found["lines"] == 40 * 6
    steps = [
        ("opened", 0, "assessed"),
        ("notify", 0, "due"),
        ("second", 10, "due"),
        ("head", 30, "due"),
        ("escalate", 60, "due"),
        ("deadline:on_site", 60, "missed"),
    ]
    expected = sorted(
        f"p{n:06}|R1|{step}|{from_us(START + at * MINUTE).isoformat()[:19]}Z|{reason}"
        for n in range(40)
        for step, at, reason in steps
    )
    assert found["digest"] == hashlib.sha256("\n".join(expected).encode()).hexdigest()


@pytest.mark.parametrize("desk", [POSTGRES], indirect=True)  # SQLite has one writer at a time
def test_an_engine_does_not_wait_for_alerts_that_somebody_holds(desk: Desk) -> None:
    desk.raise_alerts(10)
    desk.forward(10)
    held = desk.scalar(select(func.min(ALERT.c.id)))
    other = desk.open()
    with other.begin() as conn:
        conn.execute(select(ALERT).where(ALERT.c.id == held).with_for_update())
        assert desk.engine().tick() == 9 * 2
    assert desk.engine().tick() == 2


def test_an_acknowledgement_and_the_engine_at_the_same_time_agree(desk: Desk) -> None:
    desk.raise_alerts(60)
    desk.forward(11)
    with desk.db.read() as conn:
        ids = list(conn.scalars(select(ALERT.c.id).order_by(ALERT.c.id)))
    deed = Act(action="acknowledge", by="li", at=desk.clock.now())

    def acknowledge() -> None:
        db = desk.open()
        for start in range(0, len(ids), 7):
            with db.begin() as conn:
                carry_out_many(conn, desk.store, ids[start : start + 7], deed)

    together([acknowledge, desk.engine().tick, desk.engine().tick])
    assert desk.scalar(
        select(func.count()).select_from(ALERT).where(ALERT.c.state == "acknowledged")
    ) == len(ids)
    fired = select(func.count()).select_from(STEP).where(STEP.c.name == "second")
    assert desk.scalar(fired.where(STEP.c.state == "fired")) == len(ids)


def test_of_two_people_at_once_one_is_first(desk: Desk) -> None:
    desk.raise_alerts(1)
    id_ = desk.scalar(select(ALERT.c.id))
    refused: list[str] = []

    def acknowledge(who: str) -> None:
        deed = Act(action="acknowledge", by=who, name=who.title(), at=desk.clock.now())
        try:
            with desk.open().begin() as conn:
                carry_out(conn, desk.store, id_, deed, None)
        except Refused as exc:
            refused.append(exc.fault.found)

    together([lambda: acknowledge("li"), lambda: acknowledge("wang")])
    first = desk.scalar(select(ALERT.c.acknowledged_name))
    assert refused == [f"already acknowledged by {first}"]


def test_the_auditor_counts_by_another_way_what_the_engine_left(desk: Desk) -> None:
    desk.raise_alerts(3)
    desk.clock.advance_to(START + 10 * MINUTE + OVERDUE + 1)
    with desk.db.read() as conn:
        assert overdue_steps(conn, desk.clock.now() - OVERDUE) == 6
        assert overdue_steps(conn, desk.clock.now() - OVERDUE - 1) == 0
    desk.engine().tick()
    with desk.db.read() as conn:
        assert overdue_steps(conn, desk.clock.now() - OVERDUE) == 0


@contextmanager
def damaged(desk: Desk, id_: str) -> Iterator[None]:
    """Give one alert a ladder that nobody can read, for a while."""
    whole = desk.scalar(select(ALERT.c.ladder).where(ALERT.c.id == id_))

    def set_ladder(ladder: str) -> None:
        with desk.db.begin() as conn:
            conn.execute(update(ALERT).where(ALERT.c.id == id_).values(ladder=ladder))

    with desk.db.begin() as conn:
        conn.execute(insert(LADDER), {"id": "damaged", "body": "{"})
    set_ladder("damaged")
    yield
    set_ladder(whole)
    with desk.db.begin() as conn:
        conn.execute(delete(LADDER).where(LADDER.c.id == "damaged"))


def test_one_that_cannot_be_read_keeps_no_other_from_escalation_and_fires_once_mended(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.raise_alerts(5)
    ids = sorted(desk.all(select(ALERT.c.id)))
    engine = desk.engine()
    with damaged(desk, ids[2]):
        desk.forward(10)
        engine.tick()
        fired = select(STEP.c.alert_id).where(STEP.c.name == "second", STEP.c.state == "fired")
        assert sorted(desk.all(fired)) == [*ids[:2], *ids[3:]]
        engine.tick()  # it is not tried at each turn
        told = [record for record in caplog.records if "set aside" in record.getMessage()]
        assert (len(told), ids[2] in told[0].getMessage()) == (1, True)
    desk.forward(AGAIN / MINUTE)
    engine.tick()
    assert sorted(desk.all(fired)) == ids


class TestDelivering:
    def test_of_one_that_cannot_be_read_people_are_told_that(self, desk: Desk) -> None:
        desk.raise_alerts(3)
        id_ = desk.scalar(select(func.min(ALERT.c.id)))
        sender = FakeSender()
        with damaged(desk, id_):
            until_rest(desk.deliverer(sender, "p").run_once)
        titles = {message.alert: message.title for message in sender.sent}
        assert (len(sender.sent), titles.pop(id_)) == (3, UNREADABLE)
        assert all(title == {"zh": "红", "en": "red"} for title in titles.values())
        assert {message.level for message in sender.sent} == {3}
        delivered = (
            select(func.count()).select_from(DELIVERY).where(DELIVERY.c.state == "delivered")
        )
        assert desk.scalar(delivered) == 3

    def test_two_deliverers_send_each_message_once(self, desk: Desk) -> None:
        desk.raise_alerts(150)
        sender = FakeSender()
        deliverers = [desk.deliverer(sender, f"process-{n}") for n in range(2)]
        together([lambda d=d: until_rest(d.run_once) for d in deliverers])  # type: ignore[misc]
        assert len(sender.sent) == 150
        assert max(Counter(m.key for m in sender.sent).values()) == 1

    @pytest.mark.parametrize(
        ("rule", "level", "state", "sent", "repeats"),
        [("R1", 3, "delivered", 1, 1), ("R2", 2, "unconfirmed", 0, 0)],
    )
    def test_a_sending_whose_process_died_is_repeated_for_red_only(
        self, desk: Desk, rule: str, level: int, state: str, sent: int, repeats: int
    ) -> None:
        desk.raise_alerts(1, rule, level)
        dying = FakeSender(instant=False)
        dying.hangs["duty"] = threading.Event()
        first = desk.deliverer(dying, "dies")
        first.run_once(0)
        assert first.in_flight() == 1
        after = FakeSender()
        second = desk.deliverer(after, "lives", alone=True)
        until_rest(second.run_once)
        (row,) = deliveries(desk)
        assert (row.state, len(after.sent), row.repeats) == (state, sent, repeats)
        assert {m.key for m in after.sent} <= {row.id}, "the same key again"
        dying.close()
        while first.in_flight():
            first.run_once(1)
        assert deliveries(desk)[0].state == state, "what comes back too late changes nothing"

    def test_beside_other_processes_a_sending_is_lost_only_after_its_lease(
        self, desk: Desk
    ) -> None:
        desk.raise_alerts(1)
        dying = FakeSender(instant=False)
        dying.hangs["duty"] = threading.Event()
        first = desk.deliverer(dying, "dies")
        first.run_once(0)
        after = FakeSender()
        second = desk.deliverer(after, "lives")
        desk.forward(0.49)
        assert until_rest(second.run_once) == 0
        desk.forward(0.01)
        until_rest(second.run_once)
        assert len(after.sent) == 1
        dying.close()

    def test_a_bug_of_a_channel_is_a_failure_to_be_retried(self, desk: Desk) -> None:
        class Broken(FakeSender):
            def send(self, message: object) -> Result:
                raise RuntimeError("bug")

        desk.raise_alerts(1)
        deliverer = desk.deliverer(Broken(instant=False), "process")
        while not deliverer.in_flight():
            deliverer.run_once(0)
        while deliverer.in_flight():
            deliverer.run_once(1)
        (row,) = deliveries(desk)
        assert (row.state, row.problem) == ("queued", "sender_bug")


class TestMarks:
    def test_partitions_handled_at_the_same_time_fire_everything_at_the_last_mark(
        self, desk: Desk
    ) -> None:
        desk.raise_alerts(20)
        end = START + 2 * HOUR

        def settle(partition: int) -> None:
            consumer = desk.consumer("marks", partitions=4)
            message = desk.message(
                c.Mark(from_us(end)), c.MARK, ASSESSMENTS.name, ASSESSMENTS.name, partition
            )
            with desk.open().begin() as conn:
                consumer.handle(conn, Batch(ASSESSMENTS.name, partition, [message]))

        together([lambda n=n: settle(n) for n in range(4)])  # type: ignore[misc]
        late = (
            select(func.count())
            .select_from(STEP)
            .where((STEP.c.state == "pending") & (STEP.c.due_at <= end))
        )
        assert desk.scalar(late) == 0
        assert (
            desk.scalar(
                select(func.count()).select_from(ALERT).where(ALERT.c.escalated_at == START + HOUR)
            )
            == 20
        )

    def test_nothing_fires_before_the_slowest_partition_has_come_so_far(self, desk: Desk) -> None:
        desk.raise_alerts(1)
        consumer = desk.consumer("marks", partitions=2)
        for partition, minutes, fired in ((0, 60, 0), (1, 9, 0), (1, 10, 1), (1, 29, 1)):
            mark = c.Mark(from_us(START + minutes * MINUTE))
            message = desk.message(mark, c.MARK, "x", "x", partition)
            with desk.db.begin() as conn:
                consumer.handle(conn, Batch(ASSESSMENTS.name, partition, [message]))
            second = (
                select(func.count())
                .select_from(STEP)
                .where((STEP.c.name == "second") & (STEP.c.state == "fired"))
            )
            assert desk.scalar(second) == fired


class TestReading:
    def test_pages_of_every_list_show_everything_once_and_in_order(self, desk: Desk) -> None:
        desk.raise_alerts(7)
        desk.raise_alerts(6, "R2", level=2, first=7)
        desk.forward(61)
        desk.engine().tick()
        until_rest(desk.deliverer(FakeSender(), "process").run_once)
        policy = desk.policy
        with desk.db.read() as conn:
            lists: list[tuple[Callable[[Any, int], list[dict[str, Any]]], int]] = [
                (lambda after, n: queues.queue(conn, policy, queues.Wanted(), after, n), 13),
                (lambda after, n: queues.tasks(conn, None, None, after, n), 21),
                (lambda after, n: queues.deliveries(conn, None, None, after, n), 7 * 5 + 6),
                (
                    lambda after, n: reports.timeline(conn, None, after, n, whole=True),
                    sum(conn.scalars(select(ALERT.c.lines))),
                ),
            ]
            for found, whole in lists:
                keys: list[tuple[object, ...]] = []
                after = None
                while page := found(after, 4):
                    keys += [item["_key"] for item in page]
                    after = keys[-1]
                assert len(keys) == len(set(keys)) == whole
                assert keys == [item["_key"] for item in found(None, 1000)]

    def test_the_queue_begins_with_the_highest_level_and_what_is_due_first(
        self, desk: Desk
    ) -> None:
        desk.raise_alerts(2, "R2", level=2)
        desk.raise_alerts(2, first=2)
        desk.forward(1)
        desk.raise_alerts(1, first=4)
        with desk.db.read() as conn:
            found = queues.queue(conn, desk.policy, queues.Wanted(), None, 10)
        assert [item["level"] for item in found] == [3, 3, 3, 2, 2]
        assert found[2]["subject"] == "p000004"

    def test_the_report_and_one_alert_whole(self, desk: Desk) -> None:
        desk.raise_alerts(3)
        with desk.db.read() as conn:
            ids = list(conn.scalars(select(ALERT.c.id).order_by(ALERT.c.subject)))
        for id_, minutes in ((ids[0], 20), (ids[1], 70)):
            desk.clock.advance_to(START + minutes * MINUTE)
            with desk.db.begin() as conn:
                deed = Act(action="on_site", by="li", at=desk.clock.now())
                carry_out(conn, desk.store, id_, deed, None)
        with desk.db.read() as conn:
            numbers = reports.report(conn, START + 2 * HOUR)
            assert numbers["alerts"] == {
                "opened": 3, "in_time": 1, "escalated": 2, "late": 1, "never": 1, "pending": 0,
                "open": 3, "merged": 0,
            }  # fmt: skip
            assert numbers["deadlines"] == {
                "on_site": {"met": 1, "late": 1, "never": 1, "pending": 0}
            }
            whole = queues.whole(conn, desk.store, desk.policy, ids[0])
            assert whole is not None
            assert [line["step"] for line in whole["timeline"] if line["counted"]] == [
                "opened", "notify", "second", "acknowledged", "handled",
            ]  # fmt: skip
            assert queues.whole(conn, desk.store, desk.policy, "none") is None
            none = reports.Standing()
            assert reports.standing(conn) == {
                0: none, 1: none, 2: none, 3: reports.Standing(3, 1, START),
            }  # fmt: skip
            assert reports.ids(conn, "alerts", None, 2) == sorted(ids)[:2]


def test_a_failed_batch_leaves_nothing_behind(desk: Desk) -> None:
    said = a.Assessment(
        subject="p1", household="h1", kind="person", level=3, was=0, household_level=3,
        at=from_us(START),
        reasons=[
            a.Reason(rule="R1", level=3, since=from_us(START), clock_start=from_us(START)),
            a.Reason(rule="unheard-of", level=3, since=from_us(START), clock_start=from_us(START)),
        ],
    )  # fmt: skip
    message = desk.message(said, a.ASSESSED, "p1", "h1")
    with pytest.raises(Exception, match="unheard-of"), desk.db.begin() as conn:
        desk.consumer().handle(conn, Batch(ASSESSMENTS.name, 0, [message]))
    for name in ("alert", "step", "timeline", "delivery", "outbox"):
        assert desk.scalar(select(func.count()).select_from(TABLES.tables[name])) == 0


def until_rest(turn: Callable[[float], int]) -> int:
    total = 0
    while moved := turn(0):
        total += moved
    return total


def deliveries(desk: Desk) -> list[Row[Any]]:
    with desk.db.read() as conn:
        return list(conn.execute(select(DELIVERY)))
