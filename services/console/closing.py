"""What came of a case, as a change for the door of facts; no page, only the data.

Which fact ends a rule is said by the pack (`outcome` of risk's rules, the catalogue of intake), so
a form is made of it: one choice for each field that the fact needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from services.console.desk import SOURCE
from services.kernel.clock import rfc3339

TWO_PERSON_LEVEL: Final = 3
"""From this level on a closing is final only when a second person has confirmed it."""
_NO_DECISION: Final = ("act:note",)
Json = dict[str, Any]


class Choice(NamedTuple):
    """A field to be chosen; `ends` are those of its values with which the reason ends."""

    field: str
    values: Sequence[str]
    ends: Sequence[str]


class Awaited(NamedTuple):
    """The outcome that a rule waits for, about a person or a household."""

    type: str
    subject: str
    fixed: Mapping[str, str]
    choices: Sequence[Choice]

    def ended_by(self, result: Mapping[str, str]) -> bool:
        """Return whether the reason ends with this result."""
        return bool(result) and all(result.get(c.field) in c.ends for c in self.choices)


def awaited(rule: Json | None, types: Sequence[Json]) -> Awaited | None:
    """Return the outcome that a rule of risk waits for; None for a rule that waits for none."""
    said = (rule or {}).get("outcome")
    event = next((e for e in types if said and e["type"] == said["type"]), None)
    if rule is None or not said or event is None:
        return None
    choices = []
    for name, field in event["fields"].items():
        needed = field.get("required") or name in said["ends"]
        if needed and name != said["names"] and field.get("values"):
            values = field["values"]
            choices.append(Choice(name, values, said["ends"].get(name, values)))
    return Awaited(said["type"], event["subject"], {said["names"]: rule["id"]}, choices)


def wrong(asked: Awaited, result: Mapping[str, str]) -> list[str]:
    """Return the fields without a value of the catalogue; nothing for a result that says nothing.

    A result without fields stands for: no agency has said anything yet.
    """
    if not result:
        return []
    found = [each.field for each in asked.choices if result.get(each.field) not in each.values]
    return [*found, *(name for name in result if name not in {c.field for c in asked.choices})]


def proposed(alert: Json, asked: Awaited | None) -> Mapping[str, str] | None:
    """Return the result that waits for a second person; None where none, or no right one, was."""
    found = _last(alert, "act:close") if alert["proposed_by"] else None
    said: Mapping[str, str] | None = ((found or {}).get("detail") or {}).get("result")
    return None if asked is None or said is None or wrong(asked, said) else said


def final(alert: Json, by: str, outcome: str, version: int | None) -> bool:
    """Return whether a closing ends the alert: alerts decides again, and may refuse it."""
    if alert["state"] == "closed" or version not in (None, alert["version"]):
        return False
    if alert["level"] < TWO_PERSON_LEVEL:
        return bool(outcome or alert["outcome"])
    return bool(alert["proposed_by"]) and alert["proposed_by"] != by and not outcome


def change(alert: Json, asked: Awaited, result: Mapping[str, str], now: int) -> Json:
    """Return the fact. Its key names the case and the act that decided, so it comes in once."""
    decided = _last(alert, "act:")
    who = {"household": alert["household"]}
    if asked.subject == "person":
        who["person"] = alert["subject"]
    return {
        "type": asked.type,
        "source": SOURCE,
        "sourceid": f"outcome/{alert['id']}/{decided['n'] if decided else 0}",
        "time": rfc3339(now),
        "confidence": "confirmed",
        "confidentiality": "S3",
        **who,
        "data": {**asked.fixed, **result},
    }


def _last(alert: Json, step: str) -> Json | None:
    """Return the last line of the timeline by which people decided something."""
    lines = [e for e in alert["timeline"] if e["step"].startswith(step)]
    return next((e for e in reversed(lines) if e["step"] not in _NO_DECISION), None)
