"""One delivery: a fired step told to one target, exactly one row; how often its sending may repeat.

Policy (docs/adr/0011): a sending whose end nobody saw, because the process died, is repeated at
level 3 with the same idempotency key and counted; below that it stays unconfirmed, at most once.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import msgspec

from services.alerts.domain.alert import DeliveryState
from services.kernel.clock import MINUTE, SECOND

REPEAT_LEVEL: Final = 3
"""From this level on a duplicate is better than silence."""
BACK_OFF: Final = (5 * SECOND, 15 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE)
"""Pauses after the 1st, 2nd, ... failed attempt; then the contact is given up."""
LEASE: Final = 30 * SECOND
"""How long a sending may last before it counts as crashed; three times the webhook's timeout."""

Became = Literal["delivered", "retry", "next_contact", "failed"]


class Contact(NamedTuple):
    """Where a target is reached: a member of staff (or the role itself) and the address."""

    staff: str
    address: str


class Delivery(msgspec.Struct):
    """The row of a delivery; instants in microseconds. `tried` are contacts given up."""

    id: str
    alert_id: str
    step: str
    target: str
    level: int
    due_at: int
    state: DeliveryState
    attempts: int
    repeats: int
    next_at: int
    contact: str
    tried: list[str]
    sender: str
    claimed_by: str
    sent_at: int | None
    problem: str
    with_contact: int = 0


def claim(delivery: Delivery, by: str, sender: str, now: int) -> None:
    """Mark as being sent by the process `by`; crashed unless settled before its lease ends."""
    delivery.state, delivery.claimed_by, delivery.sender = "sending", by, sender
    delivery.attempts += 1
    delivery.next_at = now + LEASE


def choose(delivery: Delivery, contacts: list[Contact]) -> Contact | None:
    """Return the first contact not given up, or None when all are."""
    for contact in contacts:
        if contact.staff not in delivery.tried:
            if delivery.contact != contact.staff:
                delivery.contact, delivery.with_contact = contact.staff, 0
            return contact
    return None


def settle(delivery: Delivery, outcome: str, problem: str, now: int) -> Became:
    """Take in the result of a sending; return what becomes of the delivery."""
    delivery.claimed_by, delivery.problem = "", problem
    if outcome == "delivered":
        delivery.state, delivery.sent_at, delivery.next_at = "delivered", now, now
        return "delivered"
    delivery.state = "queued"
    delivery.with_contact += 1
    if outcome == "temporary" and delivery.with_contact <= len(BACK_OFF):
        delivery.next_at = now + BACK_OFF[delivery.with_contact - 1]
        return "retry"
    delivery.tried = [*delivery.tried, delivery.contact]
    delivery.next_at = now
    return "next_contact"


def give_up(delivery: Delivery, problem: str, now: int) -> None:
    """Nobody is left to try."""
    delivery.state, delivery.problem, delivery.next_at = "failed", problem, now
    delivery.claimed_by = ""


def crashed(delivery: Delivery, now: int) -> bool:
    """Decide on a sending whose end nobody saw; return whether it is sent again."""
    delivery.claimed_by, delivery.next_at = "", now
    if delivery.level >= REPEAT_LEVEL:
        delivery.state, delivery.problem = "queued", "crashed"
        delivery.repeats += 1
        return True
    delivery.state, delivery.problem = "unconfirmed", "crashed"
    return False
