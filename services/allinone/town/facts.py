"""One fact of the town before it is an item, and the item that it becomes at the door."""

from __future__ import annotations

from typing import Any, NamedTuple

from services.allinone.town.plan import SOURCE
from services.kernel.clock import rfc3339


class Fact(NamedTuple):
    """What happened to whom; instants in microseconds since 1970.

    late: microseconds between happening and receipt. name: what `supersedes` of another calls it;
    it must be the only one of that name in the town. instead: the name of the fact it corrects.
    """

    at: int
    type: str
    data: dict[str, Any]
    person: str | None = None
    household: str | None = None
    place: str | None = None
    late: int = 0
    name: str = ""
    instead: str = ""


def item_of(fact: Fact, sourceid: str) -> dict[str, Any]:
    """Return the fact as the door takes it."""
    found: dict[str, Any] = {
        "type": fact.type,
        "source": SOURCE,
        "sourceid": sourceid,
        "time": rfc3339(fact.at),
        "receivedat": rfc3339(fact.at + fact.late),
    }
    for field in ("person", "household", "place"):
        value = getattr(fact, field)
        if value is not None:
            found[field] = value
    if fact.instead:
        found["supersedes"] = {"source": SOURCE, "sourceid": fact.instead}
    found["data"] = fact.data
    return found
