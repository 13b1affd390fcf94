"""Mending what was kept: a person corrects a refused item and sends it in again."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from services.intake.domain.check import check
from services.intake.domain.fields import instant_of
from services.intake.domain.item import Refused
from services.intake.domain.rows import Kept
from services.intake.handlers.accept import DUPLICATE, Door
from services.intake.handlers.refusals import Answer
from services.intake.ports import Store
from services.kernel.clock import rfc3339
from services.kernel.errors import Fault, Faults
from services.kernel.errors import Refused as CommandRefused
from services.kernel.protect import Unreadable

_encode: Final = msgspec.json.Encoder().encode


def fix(store: Store, door: Door, kept_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Store the corrected form of a kept item and return it; `replay` sends it in.

    Args:
        store: Where the item is kept.
        door: Whose catalogue the correction is checked against.
        kept_id: The kept item.
        body: The whole item, or {"set": {"data.systolic": 120, ...}} to change parts of it; a part
            set to null is left out.

    Raises:
        Refused: nothing is kept under the id (404), or it was repaired already or cannot be read
            (409).
        Faults: the correction is not a good item either; nothing was stored.
    """
    with store.unit() as unit:
        kept = _open(unit.kept([kept_id]).get(kept_id))
        parts = set(body) == {"set"}
        item = _merged(_clear(kept, door), body["set"]) if parts else dict(body)
        item.pop("repairs", None)
        found = check(_encode(item), door.catalogue, door.guard, replay=door.replay)
        if isinstance(found, Refused):
            raise Faults(f"correction of kept item {kept_id}", found.faults)
        kept.fixed = door.cover.covered(kept_id, "fixed", _encode(item))
        unit.keep([kept])
    return item


def replay(store: Store, door: Door, kept_id: str) -> Answer:
    """Send a kept item in again, as it was fixed; its life clock starts at its first receipt.

    Repeating it changes nothing: an item that was repaired already answers `duplicate`.

    Raises:
        Refused: nothing is kept under the id (404), or it is no item yet and must be fixed, or
            cannot be read (409).
    """
    with store.unit() as unit:
        kept = unit.kept([kept_id]).get(kept_id)
    if kept is None:
        raise _unknown()
    if kept.repaired_by is not None:
        return Answer(DUPLICATE, kept.repaired_by)
    item = current_item(_clear(kept, door))
    if item is None:
        raise CommandRefused(
            Fault(
                where=f"kept item {kept_id}",
                expected="an item that can be read",
                found="bytes that are none",
                remedy="write it with `hearthwatch dlq fix` first",
                code="not_fixed",
            )
        )
    item["repairs"] = kept_id
    if not door.replay:
        item.pop("receivedat", None)
    elif instant_of(item.get("receivedat")) is None:
        item["receivedat"] = rfc3339(kept.received)
    return door.accept([item])[0]


def current_item(kept: Kept) -> dict[str, Any] | None:
    """Return the item as it stands: corrected, else as sent, else as far as a file gave it.

    `kept` is opened (`Cover.opened`).
    """
    for form in (kept.fixed, kept.draft, kept.original):
        if form is None:
            continue
        try:
            found = msgspec.json.decode(form)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    return None


def _clear(kept: Kept, door: Door) -> Kept:
    try:
        return door.cover.opened(kept)
    except Unreadable as exc:
        raise CommandRefused(
            Fault(
                where=f"kept item {kept.id}",
                expected="the key that it was encrypted with",
                found=str(exc),
                remedy="put the key into the keyring, or send the whole item anew",
                code="unreadable",
            )
        ) from exc


def _open(kept: Kept | None) -> Kept:
    if kept is None:
        raise _unknown()
    if kept.repaired_by is not None:
        raise CommandRefused(
            Fault(
                where=f"kept item {kept.id}",
                expected="an item that nobody repaired yet",
                found="one that was repaired",
                remedy=f"correct the change {kept.repaired_by} with `supersedes` instead",
                code="repaired",
            )
        )
    return kept


def _unknown() -> CommandRefused:
    return CommandRefused(
        Fault(
            where="path",
            expected="the id of a kept item",
            found="an id under which nothing is kept",
            remedy="look it up with `hearthwatch dlq list`",
            code="not_found",
        ),
        status=404,
    )


def _merged(kept: Kept, changes: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever was sent
    if not isinstance(changes, dict):
        raise Faults(
            "correction",
            [Fault("set", "an object of parts", "another value", 'send {"set": {"time": ...}}')],
        )
    item = current_item(kept) or {}
    for path, value in changes.items():
        target = item
        *parents, last = path.split(".") if path.startswith("data.") else (path,)
        for parent in parents:
            inner = target.get(parent)
            target[parent] = target = dict(inner) if isinstance(inner, dict) else {}
        if value is None:
            target.pop(last, None)
        else:
            target[last] = value
    return item
