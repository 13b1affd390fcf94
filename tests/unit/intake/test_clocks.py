"""A life clock starts when our own device saw it, never later than the receipt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.clocks import clock_start
from services.intake.domain.item import Item
from services.kernel.clock import MINUTE, from_us

OWN = frozenset({"phone"})
NOW = 1_800_000_000_000_000


def item(source: str, observed: int | None, sent: int | None = None) -> Item:
    return Item(
        type="a.b",
        source=source,
        sourceid="1",
        time=from_us(NOW),
        observedat=None if observed is None else from_us(observed),
        sentat=None if sent is None else from_us(sent),
    )


def test_another_source_starts_it_at_the_receipt() -> None:
    assert clock_start(item("feed", NOW - MINUTE), NOW, OWN) == NOW


def test_our_own_source_starts_it_when_its_device_saw_it() -> None:
    assert clock_start(item("phone", NOW - MINUTE), NOW, OWN) == NOW - MINUTE


def test_a_device_whose_clock_is_ahead_is_corrected_by_the_skew() -> None:
    ahead = 60 * MINUTE
    found = clock_start(item("phone", NOW - MINUTE + ahead, NOW + ahead), NOW, OWN)
    assert found == NOW - MINUTE


def test_a_repair_keeps_the_first_receipt() -> None:
    assert clock_start(item("feed", None), NOW, OWN, NOW - 5 * MINUTE) == NOW - 5 * MINUTE


@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_it_is_never_later_than_the_receipt(observed: int, sent: int) -> None:
    assert clock_start(item("phone", NOW + observed, NOW + sent), NOW, OWN) <= NOW
