"""Facts that an alert stands on, read at the door: who visited, where exactly, what a caller said.

A spot told at the report desk may be the only way to a door, and is shown to those alone who need
it: whoever has the alert, and the desk itself. It is in no address and in no log. A broken glass
shows the spot and not the caller's words, for they may name the caller.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from services.console.desk import SOURCE
from services.console.gateway import Json
from services.console.web.visit import Visit
from services.kernel.errors import Refused

MOST: Final = 40
"""Facts that are asked for of one alert."""
_NOT_FOUND: Final = 404


class Report(NamedTuple):
    """What was told at the report desk: when, where exactly, in which words ('' for neither)."""

    at: str
    spot: str
    note: str


async def read(visit: Visit, ids: Iterable[str]) -> dict[str, Json]:
    """Return changes by id; those that intake does not have, or cannot tell now, are left out."""
    wanted = list(dict.fromkeys(ids))[:MOST]
    found = await asyncio.gather(*(visit.attempt(_one(visit, each), None) for each in wanted))
    return {name: change for name, change in zip(wanted, found, strict=True) if change is not None}


async def _one(visit: Visit, identity: str) -> Json | None:
    try:
        return await visit.gateway.change(identity)
    except Refused as exc:
        if exc.status == _NOT_FOUND:  # a report that nobody could read is none
            return None
        raise


def may_see(visit: Visit, alert: Json) -> bool:
    """Return whether somebody may read what a caller told: who has the alert, and the desk."""
    return alert["owner"] == visit.user.staff or visit.may("report", "see")


async def reports(visit: Visit, alert: Json, said: Json | None = None) -> list[Report]:
    """Return what the desk was told about an alert, newest first; nothing for who may not see it.

    The assessment in force, if it is given, knows of calls that came after the alert opened.
    """
    if not may_see(visit, alert):
        return []
    own = (alert["rule"], alert["instance"])
    facts = [*((alert["evidence"] or {}).get("facts") or ())]
    for reason in (said or {}).get("reasons", ()):
        if (reason["rule"], reason.get("instance", "")) == own:
            facts += reason.get("facts") or ()
    found = (_report(change) for change in (await read(visit, facts)).values())
    told = {each for each in found if each is not None}
    if visit.why(alert["household"]):  # who called in may be named in the caller's words
        told = {each._replace(note="") for each in told}
    return sorted((each for each in told if each.spot or each.note), reverse=True)


def _report(change: Json) -> Report | None:
    """Return what was told, or None for what came from elsewhere or was taken back."""
    envelope: Json = change["envelope"]
    if envelope["source"] != SOURCE or change["corrected_by"] or change["retracted_by"]:
        return None
    data: dict[str, Any] = envelope["data"] or {}
    return Report(envelope["time"], str(data.get("place") or ""), str(data.get("note") or ""))
