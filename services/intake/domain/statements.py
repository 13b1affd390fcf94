"""What the built-in event types say about who is who, read from their payloads."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from services.intake.domain.names import Tie
from services.kernel.clock import fixed_zone, to_us
from services.kernel.contracts import registry_types as registry


class Merge(msgspec.Struct, frozen=True):
    """Two names were one. `kind` is missing when the names say it themselves."""

    was: str
    became: str
    kind: str | None = None


class _Living(msgspec.Struct):
    household: str | None = None
    to_household: str | None = None


class _TieSaid(msgspec.Struct):
    household: str
    role: str
    since: date | None = msgspec.field(name="from", default=None)
    until: date | None = msgspec.field(name="to", default=None)


_living: Final = msgspec.json.Decoder(_Living)
_tie: Final = msgspec.json.Decoder(_TieSaid)
_merge: Final = msgspec.json.Decoder(Merge)


def household_stated(event_type: str, data: bytes, named: str | None) -> str | None:
    """Return the household that a fact claims for its person, None when it claims none.

    Args:
        event_type: Any type; ordinary ones claim the household they name.
        data: The payload, checked.
        named: The item's own household.
    """
    if event_type in (registry.PERSON, registry.JOINED):
        return _living.decode(data).household or named
    if event_type in (registry.MOVED, registry.LEFT):
        return _living.decode(data).to_household
    return named


def tie_said(data: bytes, fact: str, occurred: int, zone: tzinfo) -> Tie:
    """Return the tie that a registry.tie states; its dates hold from their first to last moment."""
    said = _tie.decode(data)
    start = None if said.since is None else _midnight(said.since, zone)
    end = None if said.until is None else _midnight(said.until + timedelta(days=1), zone)
    return Tie(said.household, said.role, start, end, occurred, fact)


def merge_said(data: bytes) -> Merge:
    """Return the merge that a registry.merged states."""
    return _merge.decode(data)


def zone_named(name: str) -> tzinfo:
    """Return the zone of an offset such as +08:00 or of an IANA name; ValueError otherwise."""
    return fixed_zone(name) if name[:1] in "+-" else ZoneInfo(name)


def _midnight(day: date, zone: tzinfo) -> int:
    return to_us(datetime.combine(day, time(0), zone))
