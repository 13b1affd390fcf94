"""The book's fold: profiles, memberships, ties, areas and turns from facts in any order."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.kernel.contracts import registry_types as types
from services.kernel.contracts.changes import MOVED_OUT, RETRACTED
from services.registry.domain import book
from services.registry.domain.entries import entries, household_row, member
from services.registry.domain.facts import PLACED, Fact, home, live

CHINA = timezone(timedelta(hours=8))


def fact(kind: str, occurred: int, at: str = "h1", /, subject: str = "p1", **data: Any) -> Fact:
    return Fact(
        seq=occurred,
        id=f"{kind}-{occurred}",
        type=kind,
        subject=subject,
        household=at,
        occurred=occurred,
        received=occurred,
        data=data,
    )


def person(occurred: int, /, **data: Any) -> Fact:
    return fact(types.PERSON, occurred, **data)


class TestProfile:
    def test_the_latest_value_that_is_not_null_counts(self) -> None:
        facts = [person(1, name="a", kind="child"), person(2, name="b", kind=None)]
        assert book.profile(facts, types.PERSON) == {"name": "b", "kind": "child"}

    def test_the_household_is_no_part_of_it(self) -> None:
        assert book.profile([stated(1, "h1")], types.PERSON) == {}

    @given(st.permutations([person(n, name=f"n{n}") for n in range(5)]))
    def test_the_order_of_arrival_does_not_matter(self, facts: list[Fact]) -> None:
        assert book.profile(live(facts, set()), types.PERSON) == {"name": "n4"}

    def test_killed_facts_do_not_count(self) -> None:
        facts = [person(1, name="a"), person(2, name="b")]
        assert book.profile(live(facts, {facts[1].id}), types.PERSON) == {"name": "a"}


def lived(*facts: Fact, home: str | None = None) -> list[tuple[str, int | None, int | None]]:
    return [(m.household, m.since, m.until) for m in book.memberships(facts, home)]


def stated(occurred: int, where: str) -> Fact:
    return person(occurred, household=where)


class TestMemberships:
    def test_without_a_statement_one_is_assumed_where_the_person_was_seen(self) -> None:
        assert lived(fact(PLACED, 1), home="h1") == [("h1", None, None)]

    def test_a_statement_begins_one_and_another_household_ends_it(self) -> None:
        moved = fact(types.MOVED, 5, to_household="h2")
        assert lived(stated(1, "h1"), moved) == [("h1", 1, 5), ("h2", 5, None)]

    def test_the_same_household_again_changes_nothing(self) -> None:
        assert lived(stated(1, "h1"), stated(3, "h1")) == [("h1", 1, None)]

    def test_who_left_lives_nowhere_that_is_known(self) -> None:
        assert lived(stated(1, "h1"), fact(types.LEFT, 5), home="h1") == [("h1", 1, 5)]

    def test_who_left_for_somewhere_lives_there(self) -> None:
        left = fact(types.LEFT, 5, to_household="h2")
        assert lived(stated(1, "h1"), left) == [("h1", 1, 5), ("h2", 5, None)]

    def test_reason_and_relation_are_kept(self) -> None:
        joined = fact(types.JOINED, 2, household="h1", relation="aunt")
        [found] = book.memberships([joined, fact(types.LEFT, 3, reason="work")], "h1")
        assert (found.relation, found.reason) == ("aunt", "work")


class TestTies:
    def test_the_latest_said_of_a_household_and_role_counts(self) -> None:
        def tie(occurred: int, household: str, **dates: str) -> Fact:
            return fact(types.TIE, occurred, household=household, role="parent", **dates)

        found = book.ties([tie(1, "h8"), tie(2, "h9"), tie(3, "h9", to="2026-01-01")], CHINA)
        assert [(t.household, t.until is None) for t in found] == [("h8", True), ("h9", False)]


class TestHome:
    def test_the_latest_receipt_decides_and_leaving_says_nothing(self) -> None:
        facts = [fact(PLACED, 1, "h1"), fact(MOVED_OUT, 3, "h1"), fact(types.PERSON, 2, "h2")]
        assert home([*facts, fact(RETRACTED, 9, "h7")]) == "h2"

    def test_of_somebody_nobody_heard_of_it_is_nothing(self) -> None:
        assert home([]) is None


class TestEntries:
    def test_a_households_own_facts_make_no_person(self) -> None:
        own = fact(types.HOUSEHOLD, 1, subject="h1")
        assert entries("h1", [own], set(), str, CHINA).person == []

    def test_a_household_that_only_stood_in_is_gone_with_its_last_member(self) -> None:
        assert household_row("prov:x", [], set(), [], past=True) is None
        assert household_row("h1", [], set(), [], past=True) is not None
        assert household_row("h1", [], set(), [], past=False) is None

    def test_another_member_makes_another_card(self) -> None:
        one, two = ([member(name, None, None, None)] for name in ("p1", "p2"))
        first = household_row("h1", [], set(), one, past=True)
        second = household_row("h1", [], set(), two, past=True)
        assert first is not None
        assert second is not None
        assert first["card"] != second["card"]
