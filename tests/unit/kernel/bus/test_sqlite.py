"""What the SQLite bus promises beyond the port; the port's laws are in tests/contract."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kernel.bus.port import OnAssigned
from services.kernel.bus.sqlite import SqliteBus
from services.kernel.bus.sqlite_group import SqliteConsumer
from services.kernel.clock import SECOND, VirtualClock
from services.kernel.contracts.records import Outgoing, Record, TopicPartition
from services.kernel.errors import Retryable, WrongUse
from tests.support.patience import FakeMonotonic

TOPIC = "test.topic.v1"
ZERO, ONE = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)


class Bench:
    """A bus on virtual clocks and a topic of two partitions."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "bus.db"
        self.clock = VirtualClock(1000 * SECOND)
        self.monotonic = FakeMonotonic()
        self.bus = self.opened()
        self.bus.create_topic(TOPIC, 2)

    def opened(self) -> SqliteBus:
        return SqliteBus(self.path, self.clock, self.monotonic, session_s=30)

    def reopen(self) -> None:
        self.bus.close()
        self.bus = self.opened()

    def write(self, *values: str, partition: int = 0) -> None:
        self.bus.publish(
            [Outgoing(TOPIC, None, value.encode(), partition=partition) for value in values]
        )

    def member(self, group: str = "g", on_assigned: OnAssigned | None = None) -> SqliteConsumer:
        return self.bus.consumer(group, [TOPIC], on_assigned)

    def read(self, consumer: SqliteConsumer | None = None) -> list[str]:
        return text(self.poll(consumer or self.member(f"group at {self.monotonic.now}")))

    def poll(self, consumer: SqliteConsumer) -> list[Record]:
        found: list[Record] = []
        while more := consumer.poll(3, 0):
            found += more
        return found


def text(records: list[Record]) -> list[str]:
    return [(record.value or b"none").decode() for record in records]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.bus.close()


class TestFile:
    def test_it_is_synced_at_every_publish(self, bench: Bench) -> None:
        assert bench.bus.durability() == {"journal_mode": "wal", "synchronous": "2"}

    def test_a_second_opener_is_refused_with_the_holder_named(self, bench: Bench) -> None:
        with pytest.raises(WrongUse, match=r"bus\.db held by process \d+") as refused:
            bench.opened()
        assert refused.value.fault.code == "held"
        assert "over HTTP" in refused.value.fault.remedy

    def test_a_second_process_is_refused(self, bench: Bench) -> None:
        code = (
            "import sys; from pathlib import Path\n"
            "from services.kernel.bus.sqlite import SqliteBus\n"
            "from services.kernel.clock import SystemClock\n"
            "SqliteBus(Path(sys.argv[1]), SystemClock())"
        )
        told = subprocess.run(
            [sys.executable, "-c", code, str(bench.path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode != 0
        assert "held by process" in told.stderr

    def test_a_closed_bus_lets_the_next_one_in_and_refuses_work(self, bench: Bench) -> None:
        closed = bench.bus
        bench.reopen()
        closed.close()
        bench.write("a")
        for call in (
            lambda: closed.publish([]),
            lambda: closed.create_topic(TOPIC, 2),
            lambda: closed.partitions(TOPIC),
            lambda: closed.ends(TOPIC),
            lambda: closed.consumer("g", [TOPIC]),
            closed.durability,
        ):
            with pytest.raises(Retryable, match="bus is closed"):
                call()

    def test_closing_the_bus_closes_its_members(self, bench: Bench) -> None:
        member = bench.member()
        bench.bus.close()
        assert list(member.poll(1, 0)) == []

    def test_a_file_of_something_else_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "photo.db"
        path.write_bytes(b"no database at all" * 100)
        for _ in range(2):  # the first refusal must not keep the lock
            with pytest.raises(WrongUse, match="expected a Hearthwatch bus"):
                SqliteBus(path, VirtualClock())

    def test_a_failing_file_is_trouble_and_writes_nothing(self, bench: Bench) -> None:
        bench.write("a")
        member = bench.member()
        other = sqlite3.connect(bench.path, isolation_level=None)
        other.execute("alter table record rename to gone")
        with pytest.raises(Retryable, match="cannot write records"):
            bench.write("b")
        with pytest.raises(Retryable, match="cannot read"):
            member.poll(1, 0)
        other.execute("alter table gone rename to record")
        other.close()
        bench.write("c")
        assert bench.read(member) == ["a", "c"]
        assert bench.bus.ends(TOPIC)[ZERO] == 2

    def test_an_offset_that_is_taken_is_a_bug_and_never_overwritten(self, bench: Bench) -> None:
        bench.write("a")
        other = sqlite3.connect(bench.path, isolation_level=None)
        other.execute(
            "insert into record select id + 1, published, key, value, headers from record"
        )
        other.close()
        with pytest.raises(sqlite3.IntegrityError):
            bench.write("b")
        assert bench.bus.ends(TOPIC)[ZERO] == 1

    def test_a_publish_with_one_impossible_record_writes_none(self, bench: Bench) -> None:
        good = Outgoing(TOPIC, "k", b"v")
        for bad in (
            Outgoing(TOPIC, None, b"v"),
            Outgoing(TOPIC, None, b"v", partition=2),
            Outgoing(TOPIC, None, b"v", partition=-1),
        ):
            with pytest.raises(ValueError, match=TOPIC):
                bench.bus.publish([good, bad])
        with pytest.raises(WrongUse, match="nowhere"):
            bench.bus.publish([good, Outgoing("nowhere.v1", "k", b"v")])
        assert set(bench.bus.ends(TOPIC).values()) == {0}

    def test_the_published_time_is_the_clock_of_the_bus(self, bench: Bench) -> None:
        bench.write("a")
        bench.clock.advance_to(1005 * SECOND)
        bench.write("b")
        published = [record.published for record in bench.member().poll(9, 0)]
        assert published == [1000 * SECOND, 1005 * SECOND]


class TestTopics:
    @pytest.mark.parametrize("partitions", [0, -1, 1025])
    def test_a_partition_count_out_of_range_is_refused(self, bench: Bench, partitions: int) -> None:
        with pytest.raises(WrongUse, match=r"expected 1\.\.1024 partitions"):
            bench.bus.create_topic("other.v1", partitions)

    def test_another_kind_is_refused(self, bench: Bench) -> None:
        with pytest.raises(WrongUse, match="found 2 partitions, kept whole"):
            bench.bus.create_topic(TOPIC, 2, compacted=True)

    def test_topics_and_partitions_do_not_mix(self, bench: Bench) -> None:
        bench.bus.create_topic("other.v1", 1024)
        last = TopicPartition("other.v1", 1023)
        bench.bus.publish([Outgoing("other.v1", None, b"x", partition=1023)] * 2)
        bench.write("a")
        bench.reopen()
        assert bench.read() == ["a"]
        assert bench.bus.ends("other.v1")[last] == 2
        assert [r.offset for r in bench.poll(bench.bus.consumer("o", ["other.v1"]))] == [0, 1]


class TestMembers:
    def test_a_poll_is_bounded_in_bytes(self, bench: Bench) -> None:
        bench.bus.publish([Outgoing(TOPIC, None, b"x" * (6 << 20), partition=0)] * 5)
        member = bench.member()
        assert [len(member.poll(500, 0)) for _ in range(3)] == [3, 2, 0]

    def test_seeking_elsewhere_than_in_ones_own_partitions_is_a_mistake(self, bench: Bench) -> None:
        with pytest.raises(ValueError, match="not assigned"):
            bench.member().seek(ZERO, 0)

    def test_a_member_that_falls_silent_is_replaced_and_may_come_back(self, bench: Bench) -> None:
        silent, other = bench.member(), bench.member()
        silent.poll(1, 0)
        other.poll(1, 0)
        silent.poll(1, 0)
        assert silent.assignment() == {ZERO}
        bench.monotonic.now += 31
        bench.write("a")
        assert bench.read(other) == ["a"]
        assert other.assignment() == {ZERO, ONE}
        silent.commit({ZERO: 1})
        assert bench.bus.committed("g", TOPIC) == {}
        silent.poll(1, 0)
        other.poll(1, 0)
        assert [silent.assignment(), other.assignment()] == [{ONE}, {ZERO}]

    def test_a_member_that_waits_long_is_not_silent(self, bench: Bench) -> None:
        member = bench.member()
        member.poll(1, 95)
        assert bench.monotonic.now == 1095
        assert max(bench.monotonic.waits) <= 10

    def test_a_partition_lost_and_won_again_starts_from_what_is_stored(self, bench: Bench) -> None:
        bench.write("a", "b", partition=1)
        first = bench.member()
        assert bench.read(first) == ["a", "b"]
        second = bench.member()
        assert bench.read(second) == ["a", "b"]
        second.commit({ONE: 1})
        second.close()
        first.commit({ONE: 0})
        assert bench.bus.committed("g", TOPIC) == {ONE: 1}
        assert bench.read(first) == ["b"]

    def test_a_member_closed_while_it_polls_does_not_come_back(self, bench: Bench) -> None:
        closed, other = bench.member(), bench.member()
        closed.poll(1, 0)
        closed.close()
        closed.group.attend(closed)  # what a poll does that had begun before
        other.poll(1, 0)
        assert other.assignment() == {ZERO, ONE}

    def test_a_member_closed_while_it_is_assigned_reads_nothing(self, bench: Bench) -> None:
        bench.write("a")
        members: list[SqliteConsumer] = []

        def assigned(gained: frozenset[TopicPartition]) -> dict[TopicPartition, int]:
            members[0].close()
            return {}

        members.append(bench.member(on_assigned=assigned))
        assert list(members[0].poll(1, 0)) == []

    def test_a_partition_that_is_kept_goes_on_where_it_was(self, bench: Bench) -> None:
        bench.write("a", "b")
        told: list[frozenset[TopicPartition]] = []

        def assigned(gained: frozenset[TopicPartition]) -> dict[TopicPartition, int]:
            told.append(gained)
            return {}

        first = bench.member(on_assigned=assigned)
        assert bench.read(first) == ["a", "b"]
        second = bench.member()
        bench.read(second)
        bench.write("c")
        assert bench.read(first) == ["c"]
        second.close()
        assert bench.read(first) == []
        assert told == [{ZERO, ONE}, {ONE}]

    def test_an_assignment_that_fails_is_told_again(self, bench: Bench) -> None:
        bench.write("a")
        calls: list[frozenset[TopicPartition]] = []

        def assigned(gained: frozenset[TopicPartition]) -> dict[TopicPartition, int]:
            calls.append(gained)
            if len(calls) == 1:
                raise Retryable("database out of reach")
            return {}

        member = bench.member(on_assigned=assigned)
        with pytest.raises(Retryable):
            member.poll(1, 0)
        assert member.assignment() == frozenset()
        assert bench.read(member) == ["a"]
        assert calls == [frozenset({ZERO, ONE})] * 2

    def test_members_of_one_group_may_read_different_topics(self, bench: Bench) -> None:
        bench.bus.create_topic("other.v1", 1)
        both, one = bench.bus.consumer("g", [TOPIC, "other.v1"]), bench.member()
        both.poll(1, 0)
        one.poll(1, 0)
        both.poll(1, 0)
        assert both.assignment() == {ZERO, TopicPartition("other.v1", 0)}
        assert one.assignment() == {ONE}

    def test_committing_nothing_stores_nothing(self, bench: Bench) -> None:
        member = bench.member()
        member.poll(1, 0)
        member.commit({})
        assert bench.bus.committed("g", TOPIC) == {}


class TestRetention:
    def test_records_below_an_offset_go_and_offsets_go_on(self, bench: Bench) -> None:
        bench.write("a", "b", "c")
        assert bench.bus.retain(TOPIC, below={ZERO: 2}) == {ZERO: 2, ONE: 0}
        assert bench.read() == ["c"]
        assert bench.bus.retain(TOPIC, below={ZERO: 99}) == {ZERO: 3, ONE: 0}
        bench.reopen()
        bench.write("d")
        member = bench.member()
        assert [(r.offset, r.value) for r in member.poll(9, 0)] == [(3, b"d")]
        assert bench.bus.starts(TOPIC) == {ZERO: 3, ONE: 0}

    def test_records_before_an_instant_go(self, bench: Bench) -> None:
        bench.write("a", "b")
        bench.write("c", partition=1)
        bench.clock.advance_to(2000 * SECOND)
        bench.write("d")
        bench.bus.retain(TOPIC, published_before=2000 * SECOND)
        assert bench.read() == ["d"]
        assert bench.bus.starts(TOPIC) == {ZERO: 2, ONE: 1}

    def test_what_a_group_has_not_read_stays_unless_told_otherwise(self, bench: Bench) -> None:
        bench.write("a", "b", "c")
        member = bench.member()
        bench.read(member)
        member.commit({ZERO: 1})
        assert bench.bus.retain(TOPIC, below={ZERO: 3})[ZERO] == 1
        assert bench.bus.oldest_unread_at("g", TOPIC) == 1000 * SECOND
        assert bench.bus.retain(TOPIC, below={ZERO: 3}, keep_unread=False)[ZERO] == 3
        assert bench.bus.oldest_unread_at("g", TOPIC) is None

    def test_a_reader_below_the_start_goes_on_at_the_start(self, bench: Bench) -> None:
        bench.write("a", "b", "c")
        member = bench.member()
        assert text(list(member.poll(1, 0))) == ["a"]
        bench.bus.retain(TOPIC, below={ZERO: 2})
        assert bench.read(member) == ["c"]
        bench.write("d", "e")
        bench.bus.retain(TOPIC, below={ZERO: 5})
        assert bench.read(member) == []
        bench.write("f")
        assert bench.read(member) == ["f"]

    def test_many_records_go_in_several_short_transactions(self, bench: Bench) -> None:
        bench.write(*map(str, range(20_005)))
        bench.bus.retain(TOPIC, below={ZERO: 20_003})
        assert bench.read() == ["20003", "20004"]


class TestCompaction:
    def test_the_last_record_of_each_key_stays(self, bench: Bench) -> None:
        bus = bench.bus
        bus.create_topic("latest.v1", 1, compacted=True)
        bus.publish([Outgoing("latest.v1", f"k{n % 3}", b"%d" % n) for n in range(9)])
        bus.publish([Outgoing("latest.v1", "k1", None)])
        assert bus.compact("latest.v1") == 7
        assert bus.compact("latest.v1") == 0
        records = bench.poll(bus.consumer("g", ["latest.v1"]))
        assert [(r.key, r.value, r.offset) for r in records] == [
            ("k0", b"6", 6), ("k2", b"8", 8), ("k1", None, 9),
        ]  # fmt: skip

    def test_old_tombstones_go(self, bench: Bench) -> None:
        bus = bench.bus
        bus.create_topic("latest.v1", 1, compacted=True)
        bus.publish([Outgoing("latest.v1", "a", None)])
        bench.clock.advance_to(2000 * SECOND)
        bus.publish([Outgoing("latest.v1", "b", None), Outgoing("latest.v1", "c", b"")])
        assert bus.compact("latest.v1", tombstones_before=2000 * SECOND) == 1
        records = bench.poll(bus.consumer("g", ["latest.v1"]))
        assert [(r.key, r.value) for r in records] == [("b", None), ("c", b"")]

    def test_a_topic_kept_whole_is_not_compacted(self, bench: Bench) -> None:
        with pytest.raises(ValueError, match="kept whole"):
            bench.bus.compact(TOPIC)

    def test_a_compacted_topic_takes_no_record_without_key(self, bench: Bench) -> None:
        bench.bus.create_topic("latest.v1", 1, compacted=True)
        with pytest.raises(ValueError, match="without a key"):
            bench.bus.publish([Outgoing("latest.v1", None, b"v", partition=0)])
