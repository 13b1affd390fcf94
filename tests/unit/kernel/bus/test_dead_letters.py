from __future__ import annotations

import msgspec
import pytest

from services.kernel.bus.dead_letters import DeadLetter, bury, read, revive
from services.kernel.contracts.records import Outgoing, Record
from services.kernel.errors import Fault, InvalidMessage

FAULT = Fault("data.amount", "fen", "text of 3 characters", "correct it", code="type")
RECORD = Record("a.b.v1", 3, 17, "house-1", b"\x00bytes", (("trace", b"\xff"),), 1_000)


def as_record(out: Outgoing) -> Record:
    return Record(out.topic, 0, 5, out.key, out.value, out.headers, 9_000)


def test_a_dead_letter_tells_where_it_was_and_why_it_is_there() -> None:
    out = bury(RECORD, FAULT, group="risk", attempts=3, now=2_000)
    assert (out.topic, out.key, out.partition) == ("a.b.v1.dlq", "house-1", None)
    assert read(as_record(out)) == DeadLetter(
        "a.b.v1", 3, 17, 1_000, 2_000, "risk", 3, FAULT, "house-1", b"\x00bytes", RECORD.headers
    )
    assert dict(out.headers)["dead-reason"].decode() == FAULT.sentence()
    assert dict(out.headers)["dead-code"] == b"type"


def test_a_record_without_a_key_keeps_its_partition() -> None:
    out = bury(RECORD._replace(key=None), FAULT, group="risk", attempts=1, now=0)
    assert (out.key, out.partition) == (None, 3)
    assert revive(read(as_record(out))).partition == 3


def test_a_revived_letter_is_the_original_with_its_count() -> None:
    dead = read(as_record(bury(RECORD, FAULT, group="risk", attempts=3, now=0)))
    assert revive(dead) == Outgoing(
        "a.b.v1", "house-1", b"\x00bytes", (*RECORD.headers, ("dead-attempts", b"3"))
    )
    assert revive(dead, b"mended").value == b"mended"


def test_attempts_add_up_over_lives() -> None:
    dead = read(as_record(bury(RECORD, FAULT, group="risk", attempts=3, now=0)))
    second = RECORD._replace(headers=revive(dead).headers)
    again = read(as_record(bury(second, FAULT, group="risk", attempts=1, now=0)))
    assert (again.attempts, again.headers) == (4, RECORD.headers)


def test_a_broken_count_counts_as_none() -> None:
    record = RECORD._replace(headers=(("dead-attempts", b"many"),))
    assert read(as_record(bury(record, FAULT, group="g", attempts=2, now=0))).attempts == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dead-topic", None),
        ("dead-offset", b"first"),
        ("dead-fault", b"{"),
        ("dead-group", b"\xff"),
        ("dead-fault", msgspec.json.encode({"where": 1})),
    ],
)
def test_a_letter_with_a_broken_header_says_which_place(name: str, value: bytes | None) -> None:
    out = bury(RECORD, FAULT, group="risk", attempts=1, now=0)
    headers = {**dict(out.headers), name: value}
    broken = tuple((key, value) for key, value in headers.items() if value is not None)
    with pytest.raises(InvalidMessage, match=r"a\.b\.v1\.dlq/0 offset 5"):
        read(as_record(out._replace(headers=broken)))
