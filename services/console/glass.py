"""Breaking the glass: a reason opens one household of elsewhere for three hours; pure parts only.

What stands here decides who may look, so it knows neither database nor clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from services.kernel.clock import DAY, HOUR, parse_rfc3339

LASTS: Final = 3 * HOUR
"""Of domain time; one does not grow longer, the next one needs a reason of its own."""
MOST_OPEN: Final = 5
"""Open at once for one person: more than a night brings, fewer than somebody curious wants."""
SHORTEST: Final = 10
LONGEST: Final = 500
REVIEW_WITHIN: Final = DAY
KINDS: Final = ("found_elsewhere", "danger", "asked_to_help", "nobody_there", "other")
"""What a reason is about; the words say the rest."""
WHY: Final = "glass"
"""Before what the log of looks says of a look through an open glass."""
_OWNED: Final = ("act:take", "act:handover")
"""Lines of an alert's timeline by which it gets another owner."""


class Glass(NamedTuple):
    """One household opened for one person: `area` and `grid` are where it lay then.

    key: of the form, so that a double click is one. ended_by: staff id of who ended it before
    `until`; '' while it runs, and where time ended it.
    """

    id: str
    user_name: str
    staff: str
    key: str
    household: str
    area: str
    grid: str
    kind: str
    reason: str
    since: int
    until: int
    ended_at: int | None = None
    ended_by: str = ""

    def open(self, now: int) -> bool:
        """Return whether it is open; at `until` it is not any more."""
        return self.ended_at is None and now < self.until


class Review(NamedTuple):
    """What a head said of one: `note` may be '' where it was justified."""

    by: str
    justified: bool
    note: str


class Counts(NamedTuple):
    """How many are open and how many nobody has reviewed; `late`: of these older than a day."""

    open: int
    unreviewed: int
    late: int


def lacking(kind: str, reason: str, *, confirmed: bool) -> list[str]:
    """Return which parts of a reason are wrong or missing."""
    found = []
    if kind not in KINDS:
        found.append("kind")
    if not SHORTEST <= len(reason) <= LONGEST:
        found.append("reason")
    if not confirmed:
        found.append("confirm")
    return found


def plain(text: str) -> str:
    """Return a text with its lines ended as a browser counts them: one character each."""
    return text.replace("\r\n", "\n")


def took_at(alert: Mapping[str, Any], staff: str) -> int | None:
    """Return when somebody made an alert their own; None where another gave it to them."""
    owned = [line for line in alert["timeline"] if line["step"] in _OWNED]
    return parse_rfc3339(owned[-1]["at"]) if owned and owned[-1]["actor"] == staff else None


def same(one: Glass, other: Glass) -> bool:
    """Return whether two say the same of the same household: the form was sent twice."""
    return (one.household, one.kind, one.reason) == (other.household, other.kind, other.reason)
