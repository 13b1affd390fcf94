"""The bus contract over every adapter (the fixture `bus_factory` of this folder)."""

from __future__ import annotations

from tests.contract.bus_laws import GroupLaws, ReadingLaws, RecordLaws, TopicLaws


class TestRecords(RecordLaws):
    pass


class TestTopics(TopicLaws):
    pass


class TestReading(ReadingLaws):
    pass


class TestGroups(GroupLaws):
    pass
