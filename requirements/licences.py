"""Writes docs/licences.md: every locked dependency, what it is for, and its licence.

Run as `make licences` after `make lock`. Names and versions come from the lock files, licences from
the metadata of what is installed.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "licences.md"
LOCKS: Final = {"product": "base.txt", "extras and tools": "dev.txt"}

_ENTRY: Final = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z0-9,._-]+\])?==(\S+)", re.MULTILINE)
# Old metadata name the licence by a classifier or by the title of its text. A bare "BSD" stays one:
# they do not say which.
_OLD_NAMES: Final = {
    "Apache Software License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "BSD License": "BSD",
    "BSD 3-Clause License": "BSD-3-Clause",
    "DFSG approved": "",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT License (MIT)": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
HEAD: Final = """# Licences of what this project stands on

Written by `make licences` from the lock files and the metadata of the installed packages; a test
fails when it is stale. *Product* is what `requirements/base.txt` installs; *extras and tools* are
the optional extras `kafka`, `postgres` and `ml`, and what tests, checks and builds the project.
Nothing of these packages is copied into this repository. Hearthwatch itself is under
[Apache-2.0](../LICENSE).

| package | versions | for | licence |
| --- | --- | --- | --- |
"""


class Dependency(NamedTuple):
    """One locked package: more than one version where Python versions differ."""

    name: str
    versions: tuple[str, ...]
    purpose: str


def locked(folder: Path = ROOT / "requirements") -> list[Dependency]:
    """Return what the lock files hold, by name; the purpose is the first lock that needs it."""
    versions: dict[str, list[str]] = {}
    purposes: dict[str, str] = {}
    for purpose, lock in LOCKS.items():
        for name, version in _ENTRY.findall((folder / lock).read_text(encoding="utf-8")):
            purposes.setdefault(name, purpose)
            if version not in versions.setdefault(name, []):
                versions[name].append(version)
    return [Dependency(name, tuple(versions[name]), purposes[name]) for name in sorted(versions)]


def licence(name: str) -> str:
    """Return the licence of an installed package, as an SPDX expression where it says so.

    Raises:
        LookupError: not installed here, or its metadata names no licence.
    """
    try:
        found = distribution(name)
    except PackageNotFoundError as exc:
        raise LookupError(f"{name!r} is locked but not installed; run make setup") from exc
    expression = _field(found, "License-Expression")
    for candidate in (expression, _classified(found), _written(found), _title(found)):
        if candidate:
            return candidate
    raise LookupError(f"{name!r}: its metadata names no licence; look it up and say it here")


def _field(found: Distribution, name: str) -> str:
    return next(iter(found.metadata.get_all(name) or ()), "")


def _classified(found: Distribution) -> str:
    names = (
        line.rpartition(" :: ")[2]
        for line in found.metadata.get_all("Classifier") or ()
        if line.startswith("License :: ") and not line.endswith(":: OSI Approved")
    )
    return " OR ".join(filter(None, (_OLD_NAMES.get(name, name) for name in names)))


def _written(found: Distribution) -> str:
    line = _field(found, "License").strip().partition("\n")[0]
    return _OLD_NAMES.get(line, line)


def _title(found: Distribution) -> str:
    """Return the licence by the first line of its text, if that is a name known here."""
    for file in found.metadata.get_all("License-File") or ():
        text = found.read_text(f"licenses/{file}") or ""
        if name := _OLD_NAMES.get(text.strip().partition("\n")[0].strip(), ""):
            return name
    return ""


def row(item: Dependency) -> str:
    """Return the line of one package up to its licence, which may differ between its versions."""
    return f"| {item.name} | {', '.join(item.versions)} | {item.purpose} | "


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(f"{row(item)}{licence(item.name)} |\n" for item in locked())


def main() -> int:
    """Write the page; return the exit code."""
    try:
        PAGE.write_text(page(), encoding="utf-8")
    except LookupError as exc:
        sys.stderr.write(f"make licences: {exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
