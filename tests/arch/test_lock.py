"""The lock is whole: whoever installs from it needs to look for nothing else."""

from __future__ import annotations

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKED = re.compile(r"^([a-z0-9][^ ]*==[^ ]+)(?: ; (.*))? \\$", re.MULTILINE)


def locked(root: Path, name: str) -> dict[str, Requirement]:
    """Return what a lock pins for this machine, by name."""
    lines = LOCKED.findall((root / "requirements" / name).read_text(encoding="utf-8"))
    found = [Requirement(f"{pin} ; {marker}" if marker else pin) for pin, marker in lines]
    return {
        canonicalize_name(each.name): each
        for each in found
        if each.marker is None or each.marker.evaluate()
    }


def asked_for(each: Requirement) -> list[Requirement]:
    """Return what a pinned package, with its extras, asks for on this machine."""
    wanted = [Requirement(text) for text in distribution(each.name).requires or ()]
    return [
        other
        for other in wanted
        if other.marker is None
        or any(other.marker.evaluate({"extra": extra}) for extra in ("", *each.extras))
    ]


@pytest.mark.parametrize(
    "name", ["base.txt", "dev.txt", "kafka-postgres.txt", "kafka-postgres-ml.txt"]
)
def test_whatever_a_pinned_package_asks_for_is_pinned_with_its_extras(
    root: Path, name: str
) -> None:
    # An extra that is asked for and not pinned sends pip to look for the newest release.
    pinned = locked(root, name)
    assert len(pinned) > 20
    lacking = [
        f"{each.name} wants {other}"
        for each in pinned.values()
        for other in asked_for(each)
        if (found := pinned.get(canonicalize_name(other.name))) is None
        or not other.extras <= found.extras
        or not other.specifier.contains(str(found.specifier).removeprefix("=="))
    ]
    assert lacking == []
