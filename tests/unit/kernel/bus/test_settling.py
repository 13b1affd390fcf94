from __future__ import annotations

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from services.kernel.bus.blame import is_trouble, place_of
from services.kernel.bus.settling import item_of
from services.kernel.bus.stores import TOMBSTONE
from services.kernel.contracts.records import Record
from services.kernel.errors import Retryable, Stale

GONE = Exception("gone")


@pytest.mark.parametrize(
    ("exc", "trouble"),
    [
        (Retryable("away"), True),
        (OperationalError("select", {}, GONE), True),
        (DBAPIError("select", {}, GONE, connection_invalidated=True), True),
        (ConnectionResetError(), True),
        (MemoryError(), True),
        (IntegrityError("insert", {}, GONE), False),
        (DBAPIError("select", {}, GONE), False),
        (Stale("moved"), False),
        (ValueError("text"), False),
    ],
    ids=repr,
)
def test_infrastructure_is_told_from_bugs(exc: Exception, trouble: bool) -> None:
    assert is_trouble(exc) is trouble


def test_the_place_of_an_error_has_no_words_of_it() -> None:
    assert place_of(ValueError("what somebody typed")) == "ValueError"
    with pytest.raises(AttributeError) as caught:
        item_of(None, compacted=False)  # type: ignore[arg-type]
    assert place_of(caught.value).startswith("AttributeError at kernel/bus/settling.py:")


def test_a_tombstone_of_a_compacted_topic_is_a_message() -> None:
    record = Record("names.v1", 2, 9, "house-1", None, (), 5_000_000)
    message = item_of(record, compacted=True).message
    assert message is not None
    assert (message.envelope.type, message.envelope.subject) == (TOMBSTONE, "house-1")
    assert message.envelope.received_us() == 5_000_000
    other = item_of(record._replace(offset=10), compacted=True).message
    assert other is not None
    assert other.envelope.id != message.envelope.id
    assert item_of(record, compacted=False).fault is not None
