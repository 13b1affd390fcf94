"""All entries of one subject, as rows of the book."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import tzinfo
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from services.kernel.clock import from_us
from services.kernel.contracts import registry_types as types
from services.kernel.contracts.registry import DutyCard, HouseholdCard, Member, OnDuty
from services.registry.domain import book
from services.registry.domain.facts import PLACE, PROVISIONAL, Fact, home, is_place, live

Row = dict[str, Any]
Resolve = Callable[[str], str]


class Entries(NamedTuple):
    """Rows by table; empty where there is nothing to enter."""

    person: list[Row]
    membership: list[Row]
    tie: list[Row]
    area: list[Row]
    staff: list[Row]
    duty: list[Row]


NOTHING = Entries([], [], [], [], [], [])


def entries(
    subject: str, facts: list[Fact], killed: set[str], resolve: Resolve, zone: tzinfo
) -> Entries:
    """Return the entries of a person or a place; a household's own row is made by `household_row`.

    Args:
        subject: The name that counts, not one that became another.
        facts: Everything known about it and about the names that became it.
        killed: Ids among them that were corrected or taken back.
        resolve: What a household's name became.
        zone: Of dates.
    """
    valid = [_resolved(fact, resolve) for fact in live(facts, killed)]
    if is_place(subject):
        return _of_place(subject, valid, zone)
    if is_household(facts):
        return NOTHING
    heard = home(facts)
    if heard is None:
        return NOTHING
    return _of_person(subject, valid, resolve(heard), zone)


def is_household(facts: Iterable[Fact]) -> bool:
    """Tell whether the subject of these facts is a household, which is its own home."""
    return any(fact.subject == fact.household for fact in facts)


def household_row(
    household: str, facts: list[Fact], killed: set[str], members: list[Member], *, past: bool
) -> Row | None:
    """Return a household's row, or None for one that there is nothing to say about.

    `past`: somebody lives or lived there, which keeps a household; one that only stood in is gone
    with its last member.
    """
    stays = past and not household.startswith(PROVISIONAL)
    if not facts and not members and not stays:
        return None
    profile = book.profile(live(facts, killed), types.HOUSEHOLD)
    row = {
        "household": household,
        "provisional": household.startswith(PROVISIONAL),
        "name": profile.get("name"),
        "area": profile.get("area"),
        "grid": profile.get("grid"),
        "profile": profile,
    }
    row["card"] = fingerprint(household_card(row, members))
    return row


def household_card(row: Row, members: list[Member]) -> HouseholdCard:
    """Return what is published about a household."""
    profile = row["profile"]
    return HouseholdCard(
        household=row["household"],
        name=row["name"],
        address=profile.get("address"),
        area=row["area"],
        grid=row["grid"],
        phone=profile.get("phone"),
        categories=list(profile.get("categories") or []),
        provisional=row["provisional"],
        members=members,
    )


def member(person: str, name: str | None, kind: str | None, now: Row | None) -> Member:
    """Return a person as a household's card lists them; `now` is the open membership."""
    since = now["since"] if now is not None else None
    return Member(
        person=person,
        name=name,
        kind=kind,
        relation=now["relation"] if now is not None else None,
        since=None if since is None else from_us(since),
    )


def duty_card(role: str, area: str, turns: list[Row], names: dict[str, Row]) -> DutyCard:
    """Return who is on duty in a role of an area; a turn's own contact goes before the entry's."""
    return DutyCard(
        role=role,
        area=area,
        turns=[
            OnDuty(
                staff=turn["staff"],
                start=from_us(turn["since"]),
                end=None if turn["until"] is None else from_us(turn["until"]),
                name=names.get(turn["staff"], {}).get("name"),
                contact=turn["contact"] or names.get(turn["staff"], {}).get("contact"),
            )
            for turn in turns
        ],
    )


def fingerprint(card: HouseholdCard | DutyCard) -> str:
    """Return a fingerprint of what is published: another content, another fingerprint."""
    return blake2b(msgspec.json.encode(card), digest_size=16).hexdigest()


def _of_person(person: str, valid: list[Fact], household: str, zone: tzinfo) -> Entries:
    profile = book.profile(valid, types.PERSON)
    return Entries(
        person=[
            {
                "person": person,
                "household": household,
                "name": profile.get("name"),
                "kind": profile.get("kind"),
                "profile": profile,
            }
        ],
        membership=[
            {"person": person, "number": number, **each._asdict()}
            for number, each in enumerate(book.memberships(valid, household), 1)
        ],
        tie=[{"person": person, **each._asdict()} for each in book.ties(valid, zone)],
        area=[],
        staff=[],
        duty=[],
    )


def _of_place(subject: str, valid: list[Fact], zone: tzinfo) -> Entries:
    code = subject.removeprefix(PLACE)
    area = book.area(valid, subject)
    return Entries(
        person=[],
        membership=[],
        tie=[],
        area=[area._asdict()] if area is not None else [],
        staff=[
            {"area": code, **each._asdict(), "roles": list(each.roles)}
            for each in book.staff(valid, zone)
        ],
        duty=[{"area": code, **each._asdict()} for each in book.turns(valid)],
    )


def _resolved(fact: Fact, resolve: Resolve) -> Fact:
    """Return a fact whose households are called as they are now."""
    changed = {
        name: resolve(fact.data[name])
        for name in ("household", "to_household")
        if isinstance(fact.data.get(name), str)
    }
    if all(fact.data[name] == value for name, value in changed.items()):
        return fact
    return msgspec.structs.replace(fact, data={**fact.data, **changed})
