"""Random lives of a SQLite bus against a model of lists: nothing lost, doubled or out of order."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.kernel.bus.murmur2 import partition_of
from services.kernel.bus.sqlite import SqliteBus
from services.kernel.bus.sqlite_group import SqliteConsumer
from services.kernel.clock import VirtualClock
from services.kernel.contracts.records import Outgoing, TopicPartition
from tests.support.memory import MEMORY
from tests.support.patience import FakeMonotonic

TOPIC: Final = "model.v1"
PARTITIONS: Final = 3
GROUP: Final = "group"
MOST_MEMBERS: Final = 3


@dataclass(eq=False)
class Member:
    """A consumer, where it may stand, and whether partitions may have changed hands since."""

    consumer: SqliteConsumer
    next: dict[int, set[int]] = field(default_factory=dict)
    joined: bool = False
    unsettled: bool = True


class BusMachine(RuleBasedStateMachine):
    """Publishes, polls, commits, seeks, joins, closes, removes and reopens in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY))
        self.logs: list[list[int]] = [[] for _ in range(PARTITIONS)]
        self.starts = [0] * PARTITIONS
        self.stored: dict[int, int] = {}
        self.members: list[Member] = []
        self.number = 0
        self.open()

    def open(self) -> None:
        self.bus = SqliteBus(self.folder / "bus.db", VirtualClock(), FakeMonotonic())
        self.bus.create_topic(TOPIC, PARTITIONS)

    def teardown(self) -> None:
        self.bus.close()
        shutil.rmtree(self.folder)

    def changed(self) -> None:
        for member in self.members:
            member.unsettled = True

    @rule(keys=st.lists(st.integers(0, 9), min_size=1, max_size=12))
    def publish(self, keys: list[int]) -> None:
        records = []
        for key in keys:
            self.number += 1
            records.append(Outgoing(TOPIC, f"key-{key}", b"%d" % self.number))
            self.logs[partition_of(f"key-{key}", PARTITIONS)].append(self.number)
        self.bus.publish(records)

    @precondition(lambda self: len(self.members) < MOST_MEMBERS)
    @rule()
    def join(self) -> None:
        self.members.append(Member(self.bus.consumer(GROUP, [TOPIC])))

    @precondition(lambda self: self.members)
    @rule(data=st.data(), most=st.integers(1, 9))
    def poll(self, data: st.DataObject, most: int) -> None:
        member = data.draw(st.sampled_from(self.members))
        if not member.joined:
            self.changed()
            member.joined = True
        records = member.consumer.poll(most, 0)
        held = {where.partition for where in member.consumer.assignment()}
        assert len(records) <= most
        assert {record.partition for record in records} <= held
        for record in records:
            assert int(record.value or b"-1") == self.logs[record.partition][record.offset]
        before = member.next
        member.next = {}
        for partition in held:
            came = [record.offset for record in records if record.partition == partition]
            begun = self.may_begin(member, partition, before.get(partition, set()))
            member.next[partition] = self.follow(partition, begun, came)
            if len(records) < most:
                member.next[partition] = {len(self.logs[partition])} & member.next[partition]
            assert member.next[partition]
        member.unsettled = False

    def may_begin(self, member: Member, partition: int, before: set[int]) -> set[int]:
        """Return where the member may go on: where it stood, or where the group was put."""
        may = set(before)
        if member.unsettled or not before:
            may.add(self.stored.get(partition, 0))
        end = len(self.logs[partition])
        return {min(max(offset, self.starts[partition]), end) for offset in may}

    def follow(self, partition: int, begun: set[int], came: list[int]) -> set[int]:
        """Check the offsets that came; return where the member may stand now."""
        if not came:
            return begun
        assert came[0] in begun
        assert came == list(range(came[0], came[0] + len(came)))
        return {came[-1] + 1}

    @precondition(lambda self: any(not member.unsettled for member in self.members))
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        member = data.draw(st.sampled_from([m for m in self.members if not m.unsettled]))
        read = {partition: max(offsets) for partition, offsets in member.next.items()}
        member.consumer.commit({TopicPartition(TOPIC, p): n for p, n in read.items()})
        self.stored.update(read)

    @precondition(lambda self: any(member.next for member in self.members))
    @rule(data=st.data())
    def seek(self, data: st.DataObject) -> None:
        member = data.draw(st.sampled_from([m for m in self.members if m.next]))
        partition = data.draw(st.sampled_from(sorted(member.next)))
        offset = data.draw(st.integers(0, len(self.logs[partition])))
        member.consumer.seek(TopicPartition(TOPIC, partition), offset)
        member.next[partition] = {offset}

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        member = data.draw(st.sampled_from(self.members))
        self.members.remove(member)
        member.consumer.close()
        member.consumer.close()
        self.changed()

    @rule(data=st.data(), keep_unread=st.booleans())
    def retain(self, data: st.DataObject, keep_unread: bool) -> None:
        partition = data.draw(st.integers(0, PARTITIONS - 1))
        bound = data.draw(st.integers(0, len(self.logs[partition]) + 3))
        where = TopicPartition(TOPIC, partition)
        kept = self.bus.retain(TOPIC, below={where: bound}, keep_unread=keep_unread)
        expected = min(bound, len(self.logs[partition]))
        if keep_unread and partition in self.stored:
            expected = min(expected, self.stored[partition])
        self.starts[partition] = max(self.starts[partition], expected)
        assert kept[where] == self.starts[partition]

    @rule()
    def reopen(self) -> None:
        self.bus.close()
        self.members.clear()
        self.open()

    @invariant()
    def the_ends_are_those_of_the_model(self) -> None:
        assert list(self.bus.ends(TOPIC).values()) == [len(log) for log in self.logs]

    @invariant()
    def the_group_stands_where_it_was_put(self) -> None:
        committed = self.bus.committed(GROUP, TOPIC)
        assert {where.partition: n for where, n in committed.items()} == self.stored

    @invariant()
    def settled_members_share_no_partition(self) -> None:
        settled = [member for member in self.members if not member.unsettled]
        held = [where for member in settled for where in member.consumer.assignment()]
        assert len(held) == len(set(held))


TestBusMachine = BusMachine.TestCase
TestBusMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
