"""Entries of the book, each folded anew from its subject's live facts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, Final, NamedTuple

from services.kernel.clock import parse_rfc3339, to_us
from services.kernel.contracts import registry_types as types
from services.registry.domain.facts import PLACE, Fact

_PLUMBING: Final = frozenset({"household"})


class Membership(NamedTuple):
    """A person's time in a household; None is open or not known. Instants in microseconds."""

    household: str
    since: int | None
    until: int | None
    relation: str | None
    reason: str | None
    assumed: bool


class Tie(NamedTuple):
    """A person's tie to another household; holds from `since` up to but not including `until`."""

    household: str
    role: str
    since: int | None
    until: int | None


class Area(NamedTuple):
    """An area or grid; `parent` is another area's code."""

    code: str
    name: str | None
    kind: str | None
    parent: str | None
    closed_on: str | None


class Staff(NamedTuple):
    """Somebody who works for an area."""

    staff: str
    name: str | None
    roles: tuple[str, ...]
    contact: str | None
    since: int | None
    until: int | None


class Turn(NamedTuple):
    """One turn of duty of a role, from `since` up to but not including `until`."""

    role: str
    staff: str
    contact: str | None
    since: int
    until: int | None


def profile(facts: Iterable[Fact], event_type: str) -> dict[str, Any]:
    """Return the latest value that is not null of each field of facts of one type."""
    found: dict[str, Any] = {}
    for fact in facts:
        if fact.type == event_type:
            found.update({k: v for k, v in fact.data.items() if v is not None})
    return {name: value for name, value in found.items() if name not in _PLUMBING}


def memberships(facts: Iterable[Fact], home: str | None) -> list[Membership]:
    """Return where a person lived and when, by statements in order; one assumed without any.

    Args:
        facts: Live facts of the person, in the order in which later ones win.
        home: Where the person was last heard of; stands alone when nobody ever stated a household.
    """
    found: list[Membership] = []
    stated = False
    for fact in facts:
        where, leaves, reason = _stated(fact)
        stated = stated or where is not None
        current = found[-1] if found and found[-1].until is None else None
        if current is not None and (leaves or (where is not None and where != current.household)):
            found[-1] = current._replace(until=fact.occurred, reason=reason)
            current = None
        relation = fact.data.get("relation")
        if where is not None and current is None:
            found.append(Membership(where, fact.occurred, None, relation, None, assumed=False))
        elif current is not None and relation is not None and where == current.household:
            found[-1] = current._replace(relation=relation)
    if not stated and home is not None:
        return [Membership(home, None, None, None, None, assumed=True)]
    return found


def _stated(fact: Fact) -> tuple[str | None, bool, str | None]:
    """Return the household a fact states, whether it ends the one before, and why."""
    data = fact.data
    if fact.type in (types.PERSON, types.JOINED):
        return data.get("household"), False, None
    if fact.type == types.MOVED:
        return data.get("to_household"), False, data.get("reason") or "moved"
    if fact.type == types.LEFT:
        return data.get("to_household"), True, data.get("reason") or "left"
    return None, False, None


def ties(facts: Iterable[Fact], zone: tzinfo) -> list[Tie]:
    """Return a person's ties: per household and role the latest said, in a fixed order."""
    found: dict[tuple[str, str], Tie] = {}
    for fact in facts:
        if fact.type == types.TIE:
            key = (fact.data["household"], fact.data["role"])
            first, last = fact.data.get("from"), fact.data.get("to")
            found[key] = Tie(*key, _start(first, zone), _end(last, zone))
    return [found[key] for key in sorted(found)]


def area(facts: Iterable[Fact], subject: str) -> Area | None:
    """Return the entry of an area, or None when nobody entered it."""
    known = [fact for fact in facts if fact.type == types.AREA]
    if not known:
        return None
    said = profile(known, types.AREA)
    return Area(
        subject.removeprefix(PLACE),
        said.get("name"), said.get("kind"), said.get("parent"), said.get("closed_on"),
    )  # fmt: skip


def staff(facts: Iterable[Fact], zone: tzinfo) -> list[Staff]:
    """Return who works for an area, by id; the latest that is not null of each field."""
    said: dict[str, dict[str, Any]] = {}
    for fact in facts:
        if fact.type == types.STAFF:
            entry = said.setdefault(fact.data["staff"], {})
            entry.update({k: v for k, v in fact.data.items() if v is not None})
    return [
        Staff(
            name,
            entry.get("name"),
            tuple(entry.get("roles", ())),
            entry.get("contact"),
            _start(entry.get("from"), zone),
            _end(entry.get("to"), zone),
        )
        for name, entry in sorted(said.items())
    ]


def turns(facts: Iterable[Fact]) -> list[Turn]:
    """Return the turns of duty of an area, by role and start; the latest said of a turn wins."""
    found: dict[tuple[str, int, str], Turn] = {}
    for fact in facts:
        if fact.type == types.DUTY:
            data = fact.data
            since = parse_rfc3339(data["from"])
            until = parse_rfc3339(data["to"]) if data.get("to") else None
            key = (data["role"], since, data["staff"])
            found[key] = Turn(data["role"], data["staff"], data.get("contact"), since, until)
    return [found[key] for key in sorted(found)]


def _start(text: str | None, zone: tzinfo) -> int | None:
    return None if text is None else _midnight(date.fromisoformat(text), zone)


def _end(text: str | None, zone: tzinfo) -> int | None:
    """Return the end of a last day: its last moment is still in."""
    return None if text is None else _midnight(date.fromisoformat(text) + timedelta(days=1), zone)


def _midnight(day: date, zone: tzinfo) -> int:
    return to_us(datetime.combine(day, time(0), zone))
