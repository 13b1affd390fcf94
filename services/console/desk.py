"""What somebody says on the phone, as changes for the door: no page, no request, only the data.

Whoever it is about may be unknown. Then a household that only stands in is opened, with the place
that was told, so that the clock runs and the right desk sees it; a later merge moves it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from services.kernel.clock import HOUR, parse_rfc3339, rfc3339

SOURCE: Final = "console"
NINE: Final = "child.harm_suspected"
STANDS_IN: Final = "prov:"
"""How intake names a household that is not known yet (docs/semantics.md 7)."""
LONGEST_CALL: Final = 12 * HOUR
Json = dict[str, Any]


class Matter(NamedTuple):
    """Something that can be reported with one press of `press`."""

    press: str
    name: str
    type: str
    data: Mapping[str, Any]
    fields: frozenset[str] = frozenset()

    @property
    def nine(self) -> bool:
        """Whether it is one of the nine kinds that must be reported to the police."""
        return self.type == NINE


_OTHERS: Final = (
    ("q", "fall", "elder.care_risk_event", {"kind": "fall", "resolved": False}),
    ("w", "violence", "family.violence_reported", {"kind": "physical", "order": "none"}),
    ("e", "unattended", "child.unattended", {"ongoing": True}),
    ("r", "smi", "smi.emergency", {"step": "started", "stable": False}),
    ("t", "fire", "home.disaster", {"kind": "fire"}),
    ("y", "matter", "matter.reported", {"tier": 1, "kind": "other"}),
)


class Place(NamedTuple):
    """Where: codes of registry, and what was said of the spot."""

    area: str = ""
    grid: str = ""
    spot: str = ""


class Call(NamedTuple):
    """A report as typed; `started` is when the desk began to write it down."""

    key: str
    matter: Matter
    place: Place
    started: int
    household: str = ""
    person: str = ""
    note: str = ""
    anonymous: bool = False
    ongoing: bool = False


def matters(types: Sequence[Json]) -> list[Matter]:
    """Return what can be reported under this catalogue: the nine kinds first, by their numbers."""
    known = {each["type"]: each for each in types}
    found = []
    if NINE in known:
        fields = frozenset(known[NINE]["fields"])
        kinds = known[NINE]["fields"]["kind"].get("values", ())[:9]
        found = [
            Matter(str(n), kind, NINE, {"kind": kind}, fields)
            for n, kind in enumerate(kinds, start=1)
        ]
    for press, name, type_, data in _OTHERS:
        if type_ in known:
            found.append(Matter(press, name, type_, data, frozenset(known[type_]["fields"])))
    return found


def subject_of(types: Sequence[Json], matter: Matter) -> Literal["person", "household", "place"]:
    """Return what a matter is about."""
    found: Literal["person", "household", "place"] = next(
        each["subject"] for each in types if each["type"] == matter.type
    )
    return found


def changes(call: Call, subject: Literal["person", "household", "place"]) -> list[Json]:
    """Return the report, and with it what is known of an unknown household's place."""
    report: Json = {
        "type": call.matter.type,
        "source": SOURCE,
        "sourceid": call.key,
        "time": rfc3339(call.started),
        "observedat": rfc3339(call.started),
        "confidence": "reported",
        "confidentiality": "S3",
        "data": _data(call),
    }
    if subject == "place" and not call.household:
        return [report | {"place": call.place.grid or call.place.area or call.key}]
    if call.household:
        who = {"household": call.household}
        if call.person and subject == "person":
            who["person"] = call.person
        return [report | who]
    return [report | {"household": STANDS_IN + call.key}, _entry(call)]


def _entry(call: Call) -> Json:
    """Return where the household that stands in is to be found."""
    place = {"area": call.place.area, "grid": call.place.grid, "address": call.place.spot}
    return {
        "type": "registry.household",
        "source": SOURCE,
        "sourceid": f"{call.key}-place",
        "time": rfc3339(call.started),
        "household": STANDS_IN + call.key,
        "confidentiality": "S3",
        "data": {name: value for name, value in place.items() if value},
    }


def _data(call: Call) -> Json:
    fields = call.matter.fields
    said: Json = {
        "place": call.place.spot,
        "note": call.note,
        "anonymous": call.anonymous or None,
        "ongoing": call.ongoing or None,
        "seen_at": None,
        "matter": call.key,
        "urgent": call.ongoing or None,
    }
    found = dict(call.matter.data)
    for name, value in said.items():
        if name in fields and value not in (None, ""):
            found.setdefault(name, value)
    return found


def started(text: str, now: int) -> int:
    """Return when a call began: as the page was told by us, else now; never in the future."""
    try:
        at = parse_rfc3339(text)
    except ValueError:
        return now
    return at if now - LONGEST_CALL <= at <= now else now
