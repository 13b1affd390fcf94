"""The zone in which instants are shown: the pack's, UTC without one."""

from __future__ import annotations

from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.kernel.clock import fixed_zone
from services.kernel.errors import Fault
from services.kernel.yamlfile import read


def zone_of(pack: Path | None) -> tzinfo:
    """Return the zone that a pack names; a wrong one is told by who reads the pack to decide."""
    if pack is None:
        return UTC
    faults: list[Fault] = []
    header = read(pack / "pack.yaml", faults)
    node = header.child("zone") if header is not None and not faults else None
    name = node.text() if node is not None else "+00:00"
    try:
        return fixed_zone(name) if name[:1] in "+-" else ZoneInfo(name)
    except (ValueError, ZoneInfoNotFoundError):
        return UTC
