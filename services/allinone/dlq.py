"""What was refused at the door or died on the bus, in one list: shown, corrected, sent again.

A kept item's id is a UUID; a dead letter's is its place, `<topic>.dlq/<partition>/<offset>`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from services.allinone.apis import Apis
from services.intake.files import mapped
from services.intake.mapping import load as load_map
from services.kernel.contracts.topics import DEAD_LETTER_SUFFIX
from services.kernel.errors import Fault, Faults, Refused, WrongUse

CONFLICT: Final = "conflict"


def is_letter(identity: str) -> bool:
    """Tell whether an id is that of a dead letter."""
    return f"{DEAD_LETTER_SUFFIX}/" in identity


def listed(apis: Apis, *, everything: bool) -> Iterator[dict[str, Any]]:
    """Yield kept items, then dead letters; unless `everything` only those still open."""
    state = "all" if everything else "open"
    for item in apis.items("intake", "/v1/kept", state=state):
        yield {"kind": "kept", **item}
    for letter in apis.items("dead", "/v1/letters"):
        done = letter["replayed"] > 0
        if everything or not done:
            yield {"kind": "dead", "state": "replayed" if done else "open", **letter}


def shown(apis: Apis, identity: str) -> dict[str, Any]:
    """Return one of them whole."""
    if is_letter(identity):
        return {"kind": "dead", **apis.get("dead", f"/v1/letters/{quote(identity)}")}
    return {"kind": "kept", **apis.get("intake", f"/v1/kept/{quote(identity, safe='')}")}


def fix(apis: Apis, identity: str, correction: Mapping[str, Any]) -> None:
    """Store a corrected form: of a kept item the whole or {"set": parts}, of a letter its message.

    Raises:
        Faults: the correction is not good either; nothing was stored.
        Refused: there is no such item, or it was repaired already.
    """
    if not is_letter(identity):
        apis.send("POST", "intake", f"/v1/kept/{quote(identity, safe='')}/fix", dict(correction))
        return
    if "set" in correction:
        found = apis.get("dead", f"/v1/letters/{quote(identity)}")
        correction = _merged(found["fixed_value"] or found["value"], correction["set"])
    apis.send("POST", "dead", f"/v1/fix/{quote(identity)}", {"value": json.dumps(correction)})


def fix_from(apis: Apis, log: Path, map_: Path, *, replaying: bool) -> list[str]:
    """Correct every kept item that stands in a corrected copy of its log; return their ids.

    An item is found again by its line (and change of the line), which must not have moved.

    Raises:
        Faults: one correction is not good either; those before it are stored.
        WrongUse: the copy or the map cannot be read.
    """
    kept = {
        _line(item["origin"]): item["id"]
        for item in apis.items("intake", "/v1/kept", state="open")
        if item["origin"] and item["code"] != CONFLICT
    }
    fixed = []
    for each in mapped(load_map(map_), [log], replay=replaying):
        sent = each.sent
        identity = kept.get(_line(sent["origin"])) if isinstance(sent, dict) else None
        if identity is not None and isinstance(sent, dict):
            fix(apis, identity, {name: v for name, v in sent.items() if name != "origin"})
            fixed.append(identity)
    return fixed


def _line(origin: str) -> str:
    """Return line and change of an origin `file:line change n`, without the file's name."""
    return origin.rpartition(":")[2]


def replay(apis: Apis, identities: Iterable[str]) -> tuple[int, dict[str, Fault]]:
    """Send items in again; return how many were taken, and why the others were not."""
    taken, refused = 0, {}
    for identity in identities:
        try:
            if is_letter(identity):
                apis.send("POST", "dead", f"/v1/replay/{quote(identity)}", {})
            else:
                apis.send("POST", "intake", f"/v1/kept/{quote(identity, safe='')}/replay", {})
            taken += 1
        except Refused as exc:
            refused[identity] = exc.fault
        except Faults as exc:
            refused[identity] = exc.faults[0]
    return taken, refused


def parts(assignments: Iterable[str]) -> dict[str, Any]:
    """Return {"set": …} of texts `path=value`; a value is JSON if it can be, else a text.

    Raises:
        WrongUse: a text without an equals sign.
    """
    found: dict[str, Any] = {}
    for text in assignments:
        path, sign, value = text.partition("=")
        if not sign or not path:
            raise WrongUse(
                Fault("--set", "path=value, such as data.systolic=120", "no equals sign",
                      "correct the option")
            )  # fmt: skip
        try:
            found[path] = json.loads(value)
        except ValueError:
            found[path] = value
    return {"set": found}


def _merged(value: str | None, changes: Mapping[str, Any]) -> dict[str, Any]:
    try:
        whole = json.loads(value or "")
    except ValueError as exc:
        raise WrongUse(
            Fault("dead letter", "a message that can be read", "other bytes",
                  "give the whole message with --file")
        ) from exc  # fmt: skip
    for path, new in changes.items():
        *parents, last = path.split(".")
        inner = whole
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = new
    found: dict[str, Any] = whole
    return found
