from __future__ import annotations

from services.kernel.bus.course import Course, Cut
from services.kernel.contracts.records import Record
from tests.support.patience import FakeMonotonic


def records(*offsets: int) -> list[Record]:
    return [Record("t.v1", 0, offset, None, b"", (), 0) for offset in offsets]


def course(position: int, *, compacted: bool = False) -> Course:
    made = Course("t.v1", FakeMonotonic(), compacted)
    made.begin(0, position)
    return made


def test_records_below_the_position_are_known() -> None:
    assert course(3).cut(0, records(1, 2, 3, 4)) == Cut(2, records(3, 4), None)


def test_nothing_is_due_when_all_is_known() -> None:
    assert course(9).cut(0, records(1, 2)) == Cut(2, [], None)


def test_a_hole_cuts_the_batch() -> None:
    (beyond,) = records(6)
    assert course(3).cut(0, records(3, 4, 6, 7)) == Cut(0, records(3, 4), beyond)


def test_a_hole_at_the_start_leaves_nothing_due() -> None:
    (beyond,) = records(5)
    assert course(3).cut(0, records(2, 5)) == Cut(1, [], beyond)


def test_a_partition_that_was_never_read_begins_with_its_first_record() -> None:
    made = course(0)
    (lost,) = records(5)
    assert made.cut(0, records(5, 6)) == Cut(0, [], lost)
    made.begin(0, 0, first=5)
    assert made.cut(0, records(5, 6)) == Cut(0, records(5, 6), None)
    (beyond,) = records(6)
    assert made.cut(0, records(6, 7)) == Cut(0, [], beyond)
    assert "records 5..5 of" in made.lose(0, 6).reason


def test_a_compacted_topic_has_holes() -> None:
    assert course(3, compacted=True).cut(0, records(5, 9)) == Cut(0, records(5, 9), None)


def test_a_gap_is_looked_at_again_at_once_and_then_every_few_seconds() -> None:
    made = course(3)
    assert made.retries() == []
    made.lose(0, 5)
    assert made.retries() == [0]
    gap = made.lose(0, 5)
    assert made.resting(0)
    assert made.retries() == []
    assert "records 3..4 of t.v1/0 are missing: expected offset 3, found 5" in gap.reason
    assert isinstance(made.monotonic, FakeMonotonic)
    made.monotonic.now += 5
    assert made.retries() == [0]


def test_a_new_start_forgets_the_gap() -> None:
    made = course(3)
    made.lose(0, 5)
    made.begin(0, 5)
    assert made.gaps == {}
    assert not made.resting(0)
