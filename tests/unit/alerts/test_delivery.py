from __future__ import annotations

import pytest

from services.alerts.domain.delivery import (
    BACK_OFF,
    LEASE,
    Contact,
    Delivery,
    choose,
    claim,
    crashed,
    give_up,
    settle,
)

ZHAO, QIAN = Contact("zhao", "1"), Contact("qian", "2")


def delivery(level: int = 3) -> Delivery:
    return Delivery(
        id="d1", alert_id="a1", step="head", target="station_head", level=level, due_at=0,
        state="queued", attempts=0, repeats=0, next_at=0, contact="", tried=[], sender="",
        claimed_by="", sent_at=None, problem="",
    )  # fmt: skip


def test_a_claim_holds_until_its_lease_ends() -> None:
    found = delivery()
    claim(found, "process-1", "webhook", 100)
    assert (found.state, found.attempts, found.next_at) == ("sending", 1, 100 + LEASE)


def test_a_temporary_failure_waits_longer_each_time_then_the_next_contact_is_tried() -> None:
    found, now = delivery(), 0
    for pause in BACK_OFF:
        assert choose(found, [ZHAO, QIAN]) == ZHAO
        assert settle(found, "temporary", "timeout", now) == "retry"
        assert found.next_at == now + pause
        now = found.next_at
    assert settle(found, "temporary", "timeout", now) == "next_contact"
    assert (found.tried, found.next_at) == (["zhao"], now)
    assert choose(found, [ZHAO, QIAN]) == QIAN
    assert settle(found, "temporary", "timeout", now) == "retry", "a new contact starts anew"


def test_a_permanent_failure_goes_to_the_next_contact_at_once_and_then_to_nobody() -> None:
    found = delivery()
    choose(found, [ZHAO, QIAN])
    assert settle(found, "permanent", "http_404", 7) == "next_contact"
    assert choose(found, [ZHAO, QIAN]) == QIAN
    settle(found, "permanent", "http_404", 8)
    assert choose(found, [ZHAO, QIAN]) is None
    give_up(found, "http_404", 9)
    assert (found.state, found.problem) == ("failed", "http_404")


def test_delivered_is_final() -> None:
    found = delivery()
    claim(found, "process-1", "webhook", 100)
    assert settle(found, "delivered", "", 120) == "delivered"
    assert (found.state, found.sent_at, found.claimed_by) == ("delivered", 120, "")


@pytest.mark.parametrize(
    ("level", "again", "state", "repeats"),
    [(3, True, "queued", 1), (2, False, "unconfirmed", 0), (1, False, "unconfirmed", 0)],
)
def test_a_sending_whose_end_nobody_saw_is_repeated_for_red_only(
    level: int, again: bool, state: str, repeats: int
) -> None:
    found = delivery(level)
    claim(found, "process-1", "webhook", 100)
    assert crashed(found, 200) is again
    assert (found.state, found.repeats, found.id) == (state, repeats, "d1")
