"""What the book's readers are shown of protected fields: opened, withheld, or why it cannot be.

Phones and contacts are opened wherever a row is shown for itself. An ID number and who keeps the
key are opened one at a time, by routes of their own.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from services.kernel.contracts.protected import BUILT_IN, CONTACT
from services.kernel.protect import Keyring, Unreadable

Shown = dict[str, Any]


def profiled(row: Shown, kind: str, show: Collection[str], keyring: Keyring) -> Shown:
    """Return a row with the fields of `show` in its profile opened; the others are withheld.

    `withheld` names those that are there and not shown. `unreadable` says by field why one that
    should be shown cannot be.
    """
    profile = dict(row["profile"] or {})
    withheld: list[str] = []
    unreadable: dict[str, dict[str, str]] = {}
    for name in BUILT_IN[kind]:
        value = profile.pop(name, None)
        if value is None:
            continue
        if name not in show:
            withheld.append(name)
            continue
        try:
            profile[name] = keyring.open(value, kind, name).decode()
        except Unreadable as exc:
            unreadable[name] = exc.told()
    return {**row, "profile": profile, **_marks(withheld, unreadable)}


def contacted(row: Shown, kind: str, keyring: Keyring) -> Shown:
    """Return a row of staff or duty with its contact opened; None and why when it cannot be."""
    if row[CONTACT] is None:
        return row
    try:
        return {**row, CONTACT: keyring.open(row[CONTACT], kind, CONTACT).decode()}
    except Unreadable as exc:
        return {**row, CONTACT: None, "unreadable": {CONTACT: exc.told()}}


def one_field(row: Shown, kind: str, name: str, keyring: Keyring) -> Shown:
    """Return one protected field of a row: its value or None, and why it cannot be read."""
    found = profiled(row, kind, (name,), keyring)
    return {name: found["profile"].get(name), "unreadable": found.get("unreadable", {})}


def _marks(withheld: list[str], unreadable: dict[str, dict[str, str]]) -> Shown:
    found: Shown = {}
    if withheld:
        found["withheld"] = withheld
    if unreadable:
        found["unreadable"] = unreadable
    return found
