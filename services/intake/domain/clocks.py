"""When a life clock starts."""

from __future__ import annotations

from services.intake.domain.item import Item
from services.kernel.clock import to_us


def clock_start(
    item: Item, received: int, own_sources: frozenset[str], earlier: int | None = None
) -> int:
    """Return where a life clock started by this item starts (docs/semantics.md 1).

    Args:
        item: The fact; only a source of our own may say when its device observed it.
        received: Receipt, microseconds since 1970.
        own_sources: The pack's sources whose device time counts.
        earlier: Where the clock of what it repairs or corrects started, if it does either.

    Returns:
        The skew-corrected `observedat`, or the receipt; never later than the receipt or `earlier`.

    Fails towards: starting too early, so escalating too early, never too late.
    """
    start = received
    if item.observedat is not None and item.source in own_sources:
        skew = received - to_us(item.sentat) if item.sentat is not None else 0
        start = min(received, to_us(item.observedat) + skew)
    return start if earlier is None else min(start, earlier)
