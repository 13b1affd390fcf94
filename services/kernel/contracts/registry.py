"""Messages on registry's compacted topics: who a household is, who is on duty. Never a level.

The record's key is the household, or `<role>:<area>`; a newer message replaces an older one, and a
tombstone says that the household became another. Instants are RFC 3339 datetimes in JSON.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

HOUSEHOLD_CHANGED: Final = "registry.household_changed"
DUTY_CHANGED: Final = "registry.duty_changed"


class Member(msgspec.Struct, frozen=True, omit_defaults=True):
    """A person who lives in the household; `since` None: not known since when."""

    person: str
    name: str | None = None
    kind: str | None = None
    relation: str | None = None
    since: datetime | None = None


class HouseholdCard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What people who come to the door need; `provisional`: only stands in for an unknown one."""

    household: str
    name: str | None = None
    address: str | None = None
    area: str | None = None
    grid: str | None = None
    phone: str | None = None
    categories: list[str] = []
    provisional: bool = False
    members: list[Member] = []


class OnDuty(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn of duty, from `start` up to but not including `end` (None: open)."""

    staff: str
    start: datetime
    end: datetime | None = None
    name: str | None = None
    contact: str | None = None


class DutyCard(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody who has or had a turn in a role of an area, in order of start."""

    role: str
    area: str
    turns: list[OnDuty]
