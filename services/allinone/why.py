"""Why somebody is at a level: the assessment in force, with the rules' words beside their ids."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from services.allinone.apis import Apis
from services.allinone.words import say
from services.kernel.clock import parse_rfc3339, rfc3339
from services.kernel.errors import Fault, WrongUse

NEWEST = "9999-12-31T00:00:00Z"
"""Asked for where no time is given: a replay's last assessment lies in its own time."""


def explain(apis: Apis, subject: str, at: str | None) -> dict[str, Any]:
    """Return the assessment of a subject in force at a time, and `rules`: their titles by id.

    Raises:
        WrongUse: `at` is no time. Refused: there was no assessment by then (404).
    """
    instant = NEWEST if at is None else rfc3339(_instant(at))
    path = f"/v1/subjects/{quote(subject, safe='')}/assessment"
    found: dict[str, Any] = apis.get("risk", path, at=instant)
    language = say("language")
    titles = {
        rule["id"]: rule.get("title", {}).get(language, "")
        for rule in apis.get("risk", "/v1/rules")["items"]
    }
    named = {reason["rule"] for reason in found["reasons"]}
    named |= {unknown["rule"] for unknown in found.get("unknowns", [])}
    return found | {"rules": {rule: titles.get(rule, "") for rule in sorted(named)}}


def _instant(text: str) -> int:
    try:
        return parse_rfc3339(text)
    except ValueError as exc:
        raise WrongUse(
            Fault("--at", "RFC 3339 with offset, such as 2026-11-22T08:00:00+08:00", repr(text),
                  "correct the time")
        ) from exc  # fmt: skip
