"""Marks: into every partition, never back, never before a record that they speak for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from services.intake.storage.tables import OUTBOX
from services.kernel.clock import MINUTE, from_us
from services.kernel.contracts.changes import MARK
from tests.support.intake_world import START, IntakeWorld, intake_world, item


@pytest.fixture
def world(tmp_path: Path) -> Iterator[IntakeWorld]:
    with intake_world(tmp_path, partitions=3) as made:
        yield made


def marks(world: IntakeWorld) -> list[int]:
    return [int(e.subject.partition(":")[2]) for e in world.outbox() if e.type == MARK]


def test_a_mark_goes_into_every_partition_by_number(world: IntakeWorld) -> None:
    world.marker.tick()
    columns = OUTBOX.table.c
    with world.db.read() as conn:
        rows = conn.execute(select(columns.partition, columns.key).order_by(columns.seq)).all()
    assert [tuple(row) for row in rows] == [(0, None), (1, None), (2, None)]


def test_a_mark_that_is_not_above_the_last_is_ignored(world: IntakeWorld) -> None:
    assert world.marker.mark(START)
    assert not world.marker.mark(START)
    assert not world.marker.mark(START - 1)
    assert marks(world) == [0, 1, 2]


def test_the_same_mark_has_the_same_id_in_every_run(world: IntakeWorld, tmp_path: Path) -> None:
    world.marker.mark(START)
    with intake_world(tmp_path / "other", partitions=3) as other:
        other.marker.mark(START)
        assert [e.id for e in other.outbox()] == [e.id for e in world.outbox()]


def test_a_mark_stands_after_everything_received_up_to_it(world: IntakeWorld) -> None:
    world.send(item("1"), item("2"))
    world.marker.tick()
    world.send(item("3"))
    last_mark = None
    for envelope in world.outbox():
        if envelope.type == MARK:
            last_mark = envelope.time
        elif last_mark is not None:
            assert envelope.receivedat > last_mark
    assert last_mark == from_us(START + MINUTE)


def test_a_mark_is_not_before_what_was_received_with_a_clock_ahead(world: IntakeWorld) -> None:
    world.send(item("1"))
    world.marker._clock = type(world.clock)(START)  # noqa: SLF001 - the machine's clock was set back
    world.marker.tick()
    assert world.outbox()[-1].time >= world.outbox()[0].receivedat
