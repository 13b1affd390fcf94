"""The laws of the bus port. Every adapter passes them; they know no adapter.

An adapter's factory makes topics and groups that nobody else uses, and connections. The laws wait
by polling, never by sleeping, and take the time that a real broker takes.
"""

from __future__ import annotations

import threading
from typing import Protocol

import pytest

from services.kernel.bus.browse import browse
from services.kernel.bus.murmur2 import murmur2
from services.kernel.bus.port import Bus, Consumer, Outgoing, Record, TopicPartition
from services.kernel.clock import SystemMonotonic
from services.kernel.errors import WrongUse
from tests.support.patience import POLL_S, collect, collect_all, eventually, place

HEADERS = (("content-type", b"application/cloudevents+json"), ("x", b"\x00\xff"), ("x", b""))


class BusFactory(Protocol):
    """What an adapter gives to be tested."""

    def bus(self) -> Bus:
        """Return the connection used by this test."""
        ...

    def reopened(self) -> Bus:
        """Close that connection and return a new one to the same bus."""
        ...

    def topic(self, partitions: int = 4, *, compacted: bool = False) -> str:
        """Create a topic that no other test uses."""
        ...

    def name(self) -> str:
        """Return a name for a group that no other test uses."""
        ...


def numbered(topic: str, count: int, keys: int = 1) -> list[Outgoing]:
    """Return `count` records whose values are their numbers, over so many keys."""
    return [Outgoing(topic, f"key-{n % keys}", str(n).encode()) for n in range(count)]


def numbers(records: list[Record]) -> list[int]:
    return [int(record.value or b"-1") for record in records]


def commit_read(consumer: Consumer, records: list[Record]) -> None:
    consumer.commit({TopicPartition(r.topic, r.partition): r.offset + 1 for r in records})


class RecordLaws:
    """What happens to a record between publish and poll."""

    def test_records_of_one_key_keep_their_order(self, bus_factory: BusFactory) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic()
        for start in range(0, 300, 50):
            bus.publish(numbered(topic, 300, keys=7)[start : start + 50])
        records = collect(bus.consumer(bus_factory.name(), [topic]), 300, most=37)
        for key in range(7):
            own = [record for record in records if record.key == f"key-{key}"]
            assert numbers(own) == list(range(key, 300, 7))
            assert len({record.partition for record in own}) == 1

    def test_offsets_of_a_partition_grow(self, bus_factory: BusFactory) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic(partitions=2)
        bus.publish(numbered(topic, 100, keys=9))
        records = collect(bus.consumer(bus_factory.name(), [topic]), 100, most=11)
        for partition in range(2):
            offsets = [record.offset for record in records if record.partition == partition]
            assert offsets == sorted(set(offsets))

    @pytest.mark.parametrize("partitions", [1, 3, 8])
    def test_the_key_decides_the_partition_by_murmur2(
        self, bus_factory: BusFactory, partitions: int
    ) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic(partitions)
        keys = ["21", "foobar", "a-little-bit-long-string", "place:grid-7", "户-0001", ""]
        bus.publish([Outgoing(topic, key, b"v") for key in keys])
        records = collect(bus.consumer(bus_factory.name(), [topic]), len(keys))
        assert {record.key: record.partition for record in records} == {
            key: (murmur2(key.encode()) & 0x7FFFFFFF) % partitions for key in keys
        }

    def test_a_record_may_name_its_partition(self, bus_factory: BusFactory) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic()
        bus.publish([Outgoing(topic, None, b"mark", partition=p) for p in range(4)])
        records = collect(bus.consumer(bus_factory.name(), [topic]), 4)
        assert {(record.partition, record.key) for record in records} == {
            (p, None) for p in range(4)
        }

    def test_bytes_come_back_as_they_were(self, bus_factory: BusFactory) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic(partitions=1)
        values = [b"", b"\x00\xff not json", "守望".encode(), None, b"x" * 500_000]
        bus.publish([Outgoing(topic, "k", value, HEADERS) for value in values])
        records = collect(bus.consumer(bus_factory.name(), [topic]), len(values))
        assert [record.value for record in records] == values
        assert {record.headers for record in records} == {HEADERS}

    def test_publishing_nothing_does_nothing(self, bus_factory: BusFactory) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic()
        bus.publish([])
        assert set(bus.ends(topic).values()) == {0}

    def test_writers_at_once_lose_nothing_and_keep_order_per_key(
        self, bus_factory: BusFactory
    ) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic()

        def write(writer: int) -> None:
            for n in range(0, 100, 10):
                bus.publish([Outgoing(topic, f"w{writer}", b"%d" % i) for i in range(n, n + 10)])

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
        for thread in threads:
            thread.start()
        records = collect(bus.consumer(bus_factory.name(), [topic]), 400)
        for thread in threads:
            thread.join()
        for writer in range(4):
            own = [record for record in records if record.key == f"w{writer}"]
            assert numbers(own) == list(range(100))

    def test_what_was_published_is_there_after_reopening(self, bus_factory: BusFactory) -> None:
        bus, topic, group = bus_factory.bus(), bus_factory.topic(), bus_factory.name()
        bus.publish(numbered(topic, 20, keys=5))
        consumer = bus.consumer(group, [topic])
        commit_read(consumer, collect(consumer, 20))
        committed = bus.committed(group, topic)
        again = bus_factory.reopened()
        again.publish(numbered(topic, 3))
        assert len(collect(again.consumer(bus_factory.name(), [topic]), 23)) == 23
        assert again.committed(group, topic) == committed
        assert numbers(collect(again.consumer(group, [topic]), 3)) == [0, 1, 2]


class TopicLaws:
    """Topics and what can be asked about them."""

    def test_creating_a_topic_again_is_harmless(self, bus_factory: BusFactory) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic(partitions=3)
        bus.create_topic(topic, 3)
        assert bus.partitions(topic) == 3

    def test_another_partition_count_is_refused(self, bus_factory: BusFactory) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic(partitions=3)
        with pytest.raises(WrongUse, match=r"found 3 .*expected 4 ") as refused:
            bus.create_topic(topic, 4)
        assert topic in refused.value.fault.where
        assert bus.partitions(topic) == 3

    def test_a_topic_that_was_not_created_is_refused(self, bus_factory: BusFactory) -> None:
        with pytest.raises(WrongUse, match="nowhere"):
            bus_factory.bus().partitions("nowhere.v1")

    def test_ends_count_what_was_published(self, bus_factory: BusFactory) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic(partitions=3)
        bus.publish([Outgoing(topic, None, b"v", partition=1)] * 5)
        bus.publish([Outgoing(topic, None, b"v", partition=2)])
        assert bus.ends(topic) == {TopicPartition(topic, p): n for p, n in enumerate([0, 5, 1])}

    def test_starts_are_the_beginning_of_what_is_there(self, bus_factory: BusFactory) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic(partitions=2)
        bus.publish([Outgoing(topic, None, b"v", partition=1)] * 5)
        assert bus.starts(topic) == {TopicPartition(topic, p): 0 for p in range(2)}

    def test_browsing_reads_everything_and_leaves_no_trace(self, bus_factory: BusFactory) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic(partitions=3)
        assert list(browse(bus, topic, SystemMonotonic())) == []
        bus.publish(numbered(topic, 40, keys=9))
        for _ in range(2):
            found: list[Record] = []
            for record in browse(bus, topic, SystemMonotonic()):
                if not found:
                    bus.publish(numbered(topic, 5, keys=5))
                found.append(record)
            assert len({place(record) for record in found}) == len(found)
            assert len(found) in {40, 45}
            for key in range(9):
                own = numbers([record for record in found if record.key == f"key-{key}"])
                assert own[:4] == list(range(key, 40, 9))[:4]

    def test_the_age_of_the_oldest_unread_record_follows_the_group(
        self, bus_factory: BusFactory
    ) -> None:
        bus, topic, group = bus_factory.bus(), bus_factory.topic(), bus_factory.name()
        assert bus.oldest_unread_at(group, topic) is None
        bus.publish(numbered(topic, 4, keys=4))
        consumer = bus.consumer(group, [topic])
        records = collect(consumer, 4)
        assert bus.oldest_unread_at(group, topic) == min(r.published for r in records)
        late = max(records, key=lambda r: (r.published, r.partition, r.offset))
        for record in sorted(records, key=lambda r: r.offset):
            if record.partition != late.partition:
                commit_read(consumer, [record])
        assert bus.oldest_unread_at(group, topic) == min(
            r.published for r in records if r.partition == late.partition
        )
        commit_read(consumer, sorted(records, key=lambda r: r.offset))
        assert bus.oldest_unread_at(group, topic) is None


class ReadingLaws:
    """Positions of a single member."""

    def test_a_poll_gives_no_more_than_asked_for(self, bus_factory: BusFactory) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic()
        bus.publish(numbered(topic, 50, keys=8))
        consumer = bus.consumer(bus_factory.name(), [topic])
        sizes: list[int] = []
        eventually(
            lambda: sizes.append(len(consumer.poll(7, POLL_S))),
            lambda: sum(sizes) == 50,
            "50 records",
        )
        assert max(sizes) <= 7

    def test_a_full_partition_does_not_starve_the_others(self, bus_factory: BusFactory) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic(partitions=2)
        bus.publish([Outgoing(topic, None, b"v", partition=0)] * 3000)
        bus.publish([Outgoing(topic, None, b"v", partition=1)] * 3)
        consumer = bus.consumer(bus_factory.name(), [topic])
        records: list[Record] = []
        eventually(
            lambda: records.extend(consumer.poll(100, POLL_S)),
            lambda: any(record.partition == 1 for record in records),
            "a record of the short partition",
        )
        assert len(records) < 3000

    def test_a_waiting_poll_wakes_when_something_is_published(
        self, bus_factory: BusFactory
    ) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic()
        consumer = bus.consumer(bus_factory.name(), [topic])
        assert list(consumer.poll(10, 0)) == []
        found: list[Record] = []
        reader = threading.Thread(target=lambda: found.extend(collect(consumer, 1)))
        reader.start()
        bus.publish(numbered(topic, 1))
        reader.join(timeout=30)
        assert numbers(found) == [0]

    def test_what_was_not_committed_comes_again(self, bus_factory: BusFactory) -> None:
        bus, topic, group = bus_factory.bus(), bus_factory.topic(1), bus_factory.name()
        bus.publish(numbered(topic, 10))
        first = bus.consumer(group, [topic])
        commit_read(first, collect(first, 10)[:4])
        first.close()
        assert numbers(collect(bus.consumer(group, [topic]), 6)) == [4, 5, 6, 7, 8, 9]

    def test_seek_reads_from_there_next(self, bus_factory: BusFactory) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic(1)
        bus.publish(numbered(topic, 10))
        consumer = bus.consumer(bus_factory.name(), [topic])
        collect(consumer, 10)
        consumer.seek(TopicPartition(topic, 0), 3)
        assert numbers(collect(consumer, 7)) == [3, 4, 5, 6, 7, 8, 9]
        consumer.seek(TopicPartition(topic, 0), 8)
        assert numbers(collect(consumer, 2)) == [8, 9]

    def test_the_callback_says_where_new_partitions_start(self, bus_factory: BusFactory) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic(partitions=2)
        bus.publish([Outgoing(topic, None, b"%d" % n, partition=n % 2) for n in range(20)])
        told: list[TopicPartition] = []

        def assigned(gained: frozenset[TopicPartition]) -> dict[TopicPartition, int]:
            told.extend(gained)
            return {where: 7 for where in gained if where.partition == 1}

        consumer = bus.consumer(bus_factory.name(), [topic], assigned)
        records = collect(consumer, 13)
        assert sorted(told) == [TopicPartition(topic, 0), TopicPartition(topic, 1)]
        assert consumer.assignment() == frozenset(told)
        assert numbers([r for r in records if r.partition == 0]) == list(range(0, 20, 2))
        assert numbers([r for r in records if r.partition == 1]) == [15, 17, 19]

    def test_one_member_reads_several_topics(self, bus_factory: BusFactory) -> None:
        bus, one, two = bus_factory.bus(), bus_factory.topic(2), bus_factory.topic(3)
        bus.publish(numbered(one, 5, keys=5) + numbered(two, 6, keys=6))
        records = collect(bus.consumer(bus_factory.name(), [one, two]), 11)
        assert len({place(record) for record in records}) == 11
        assert sum(record.topic == one for record in records) == 5


class GroupLaws:
    """Several members, and members that leave."""

    def test_every_group_gets_everything(self, bus_factory: BusFactory) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic()
        bus.publish(numbered(topic, 30, keys=9))
        for _ in range(2):
            assert sorted(numbers(collect(bus.consumer(bus_factory.name(), [topic]), 30))) == list(
                range(30)
            )

    def test_two_members_divide_the_partitions(self, bus_factory: BusFactory) -> None:
        bus, topic, group = bus_factory.bus(), bus_factory.topic(), bus_factory.name()
        members = [bus.consumer(group, [topic]) for _ in range(2)]

        def step() -> None:
            for member in members:
                member.poll(1, POLL_S)

        eventually(
            step,
            lambda: [len(member.assignment()) for member in members] == [2, 2],
            "two partitions each",
        )
        assert not members[0].assignment() & members[1].assignment()
        bus.publish(numbered(topic, 40, keys=20))
        got = collect_all(members, 40)
        assert len(got[0]) + len(got[1]) == 40
        for member, records in zip(members, got, strict=True):
            held = member.assignment()
            assert all(TopicPartition(topic, record.partition) in held for record in records)

    def test_a_member_closed_in_mid_batch_is_replaced(self, bus_factory: BusFactory) -> None:
        bus, topic, group = bus_factory.bus(), bus_factory.topic(), bus_factory.name()
        gone, staying = (bus.consumer(group, [topic]) for _ in range(2))
        bus.publish(numbered(topic, 40, keys=20))
        before = collect_all([gone, staying], 40)
        commit_read(staying, before[1])
        commit_read(gone, before[0][:2])
        gone.close()
        committed = bus.committed(group, topic)
        due = {
            place(record)
            for records in before
            for record in records
            if record.offset >= committed.get(TopicPartition(topic, record.partition), 0)
        }
        assert due
        after: set[tuple[str, int, int]] = set()
        eventually(
            lambda: after.update(place(record) for record in staying.poll(500, POLL_S)),
            lambda: due <= after,
            "what the closed member had not committed",
        )
        assert len(staying.assignment()) == 4

    def test_a_member_that_joins_later_gets_its_share(self, bus_factory: BusFactory) -> None:
        bus, topic, group = bus_factory.bus(), bus_factory.topic(), bus_factory.name()
        bus.publish(numbered(topic, 40, keys=20))
        first = bus.consumer(group, [topic])
        commit_read(first, collect(first, 40))
        second = bus.consumer(group, [topic])

        def step() -> None:
            assert not [*first.poll(10, POLL_S), *second.poll(10, POLL_S)]

        eventually(step, lambda: len(second.assignment()) == 2, "two partitions for the second")
        eventually(step, lambda: len(first.assignment()) == 2, "two left for the first")

    def test_closing_ends_a_waiting_poll_and_may_be_repeated(self, bus_factory: BusFactory) -> None:
        bus, topic = bus_factory.bus(), bus_factory.topic()
        consumer = bus.consumer(bus_factory.name(), [topic])
        consumer.poll(1, 0)
        reader = threading.Thread(target=lambda: consumer.poll(10, 20))
        reader.start()
        consumer.close()
        reader.join(timeout=15)
        assert not reader.is_alive()
        consumer.close()
