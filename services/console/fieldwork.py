"""What a worker found at the door, as a change for the door of facts; no page, only the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from services.console.desk import SOURCE
from services.kernel.clock import HOUR, rfc3339

RECORDED: Final = "visit.recorded"
FAILED: Final = "visit.failed"
FINDING: Final = "visit.finding"
NOBODY: Final = "nobody"
NO_ANSWER: Final = "no_answer"
REASON_OF: Final = {"no_answer": NO_ANSWER, "refused_visit": "refused"}
"""Why nobody was reached, by what is recorded of the alert."""
TRIED: Final = "all_tried"
"""Whether telephone, neighbours and family were asked too, when nobody opened."""
LONGEST_OFFLINE: Final = 72 * HOUR
_MILLISECOND: Final = 1_000
_FLAGS: Final = ("food_7_days",)
_RATINGS: Final = ("1", "2", "3", "4", "5")
_LEAP: Final = 9
"""Years within which every day of the calendar comes, 29 February across 2100 too."""
_YES_NO: Final = {"yes": True, "no": False}
Json = dict[str, Any]


class Form(NamedTuple):
    """The visit form of a catalogue: which choices and questions it knows."""

    modes: Sequence[str]
    seen: Sequence[str]
    reasons: Sequence[str]
    ratings: Sequence[str]
    flags: Sequence[str]
    findings: Sequence[str]
    known: frozenset[str]
    known_failed: frozenset[str]

    @property
    def asks_tried(self) -> bool:
        """Return whether it asks if every way was tried when nobody opened."""
        return TRIED in self.known_failed


class Visited(NamedTuple):
    """A visit as typed; `answers` by field of the catalogue, '' for what was not asked.

    findings: what was found, of the catalogue's kinds.
    """

    key: str
    at: int
    household: str
    person: str
    visitor: str
    answers: Mapping[str, str]
    findings: Sequence[str] = ()


def form_of(types: Sequence[Json]) -> Form:
    """Return the form that a catalogue allows; empty choices where it knows no visits."""
    fields = {each["type"]: each["fields"] for each in types}
    recorded, failed = fields.get(RECORDED, {}), fields.get(FAILED, {})
    finding = fields.get(FINDING, {})

    def values(of: Json, name: str) -> Sequence[str]:
        found: Sequence[str] = of.get(name, {}).get("values", ())
        return found

    return Form(
        modes=values(recorded, "mode"),
        seen=values(recorded, "person_seen"),
        reasons=values(failed, "reason"),
        ratings=_RATINGS if "self_rated_health" in recorded else (),
        flags=[name for name in _FLAGS if name in recorded],
        findings=values(finding, "kind"),
        known=frozenset(recorded),
        known_failed=frozenset(failed),
    )


def attempt(form: Form, visit: Visited) -> Json | None:
    """Return that nobody was reached, as a change; None where the catalogue has no such fact.

    What was not asked stays unknown: a rule that needs it says so.
    """
    known = form.known_failed and visit.answers["reason"] in form.reasons
    return _change(visit, FAILED, _failed(form, visit)) if known else None


def missing(form: Form, answers: Mapping[str, str]) -> list[str]:
    """Return the required fields that have no answer, or one that is not on the list."""
    if answers.get("person_seen") == NOBODY:
        wanted = {"mode": form.modes, "person_seen": form.seen, "reason": form.reasons}
        if form.asks_tried and answers.get("reason") == NO_ANSWER:
            wanted[TRIED] = tuple(_YES_NO)
    else:
        levels = ("0", "1", "2", "3")
        wanted = {"mode": form.modes, "person_seen": form.seen, "worker_level": levels}
    return [name for name, values in wanted.items() if answers.get(name, "") not in values]


def changes(form: Form, visit: Visited) -> list[Json]:
    """Return the visit as changes: recorded with what was found, or failed; findings first.

    A finding may be graver than the visit's own words, so it goes first.
    """
    if visit.answers.get("person_seen") == NOBODY:
        return [_change(visit, FAILED, _failed(form, visit))]
    found = [
        _change(visit, FINDING, {"kind": kind}, f"-{kind}")
        for kind in form.findings
        if kind in visit.findings
    ]
    return [*found, _change(visit, RECORDED, _recorded(form, visit))]


def _change(visit: Visited, type_: str, data: Json, part: str = "") -> Json:
    who: Json = {"household": visit.household}
    if visit.person:
        who["person"] = visit.person
    return {
        "type": type_,
        "source": SOURCE,
        "sourceid": visit.key + part,
        "time": rfc3339(visit.at),
        "confidence": "confirmed",
        "confidentiality": "S3",
        **who,
        "data": data,
    }


def _recorded(form: Form, visit: Visited) -> Json:
    said = visit.answers
    found: Json = {
        "mode": said["mode"],
        "person_seen": said["person_seen"],
        "visitor": visit.visitor,
        "worker_level": int(said["worker_level"]),
        "next_visit_on": said.get("next_visit_on") or None,
        "self_rated_health": _rating(said.get("self_rated_health", "")),
    }
    for name in form.flags:
        found[name] = _YES_NO.get(said.get(name, ""))
    return {
        name: value for name, value in found.items() if value is not None and name in form.known
    }


def _rating(text: str) -> int | None:
    return int(text) if text in _RATINGS else None


def _failed(form: Form, visit: Visited) -> Json:
    said = visit.answers
    found: Json = {"reason": said["reason"]}
    if said["reason"] == "away":
        found["away_until"] = said.get("next_visit_on") or None
    if said["reason"] == NO_ANSWER:
        found[TRIED] = _YES_NO.get(said.get(TRIED, ""))
    return {
        name: value
        for name, value in found.items()
        if value is not None and name in form.known_failed
    }


def day_of(year: str, month: str, day: str, today: date) -> str:
    """Return a day that was chosen as `YYYY-MM-DD`; '' where none was.

    Without a year it is the next such day.

    Raises:
        ValueError: half a date, one that the calendar does not have, or one that is over.
    """
    if not (year or month or day):
        return ""
    years = [int(year)] if year else range(today.year, today.year + _LEAP)
    for each in years:
        try:
            chosen = date(each, int(month), int(day))
        except ValueError:
            continue  # 29 February is in another year
        if chosen >= today:
            return chosen.isoformat()
    raise ValueError("no such day to come")


def happened(at_ms: str, sent_ms: str, now: int) -> int:
    """Return when a form was filled in, by how long the phone kept it; `now` when it does not say.

    Only the difference of the phone's two readings counts, so a phone whose clock is wrong does no
    harm.
    """
    if not (at_ms.isdecimal() and sent_ms.isdecimal() and len(at_ms + sent_ms) < 40):  # noqa: PLR2004
        return now
    kept = (int(sent_ms) - int(at_ms)) * _MILLISECOND
    return now - kept if 0 <= kept <= LONGEST_OFFLINE else now
