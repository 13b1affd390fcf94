"""Where a person's facts go follows from what was stated and mentioned, whatever came first."""

from __future__ import annotations

from datetime import timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.names import (
    Claim,
    Killed,
    Name,
    Tie,
    fold_ties,
    home_of,
    is_provisional,
    place_key,
    provisional_household,
)
from services.intake.domain.statements import household_stated, tie_said
from services.kernel.clock import DAY, parse_rfc3339
from services.kernel.contracts.registry_types import LEFT, MOVED, PERSON

CHINA = timezone(timedelta(hours=8))


def stated(household: str, occurred: int, order: int, *, killed: bool = False) -> Claim:
    return Claim(household, PERSON, occurred, order, "retracted" if killed else None)


def mentioned(household: str, order: int, *, replaced: bool = False) -> Claim:
    killed: Killed | None = "superseded" if replaced else None
    return Claim(household, "health.vitals", 0, order, killed, replaced)


class TestHome:
    def test_without_any_claim_it_is_provisional(self) -> None:
        assert home_of("p", []) == provisional_household("p")
        assert is_provisional(home_of("p", []))

    def test_the_latest_statement_decides(self) -> None:
        assert home_of("p", [stated("h1", 1, 9), stated("h2", 2, 3), mentioned("h3", 1)]) == "h2"

    def test_of_statements_of_one_instant_the_one_received_last_decides(self) -> None:
        assert home_of("p", [stated("h1", 1, 2), stated("h2", 1, 1)]) == "h1"

    def test_a_statement_taken_back_does_not_count(self) -> None:
        assert home_of("p", [stated("h1", 1, 1), stated("h2", 2, 2, killed=True)]) == "h1"

    def test_the_first_mention_holds_without_a_statement(self) -> None:
        assert home_of("p", [mentioned("h1", 1), mentioned("h2", 2)]) == "h1"

    def test_a_mention_replaced_by_its_correction_gives_way(self) -> None:
        claims = [mentioned("h1", 1, replaced=True), mentioned("h2", 1)]
        assert home_of("p", claims) == "h2"

    @given(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.booleans(), st.booleans()),
            unique_by=lambda claim: claim[:2],
        ),
        st.randoms(),
    )
    def test_the_order_of_claims_does_not_matter(
        self, drawn: list[tuple[str, int, bool, bool]], random: st.DataObject
    ) -> None:
        claims = [
            stated(h, n, order, killed=k) if explicit else mentioned(h, order)
            for order, (h, n, explicit, k) in enumerate(drawn)
        ]
        shuffled = claims[:]
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        assert home_of("p", shuffled) == home_of("p", claims)


class TestTies:
    def tie(self, household: str, occurred: int, **more: int | None) -> Tie:
        given = {"since": None, "until": None, **more}
        return Tie(household, "parent", given["since"], given["until"], occurred, str(occurred))

    def test_the_latest_said_of_a_household_and_role_counts(self) -> None:
        ended = self.tie("h1", 2, until=5)
        assert fold_ties([ended, self.tie("h1", 1), self.tie("h2", 1)]) == [
            ended,
            self.tie("h2", 1),
        ]

    def test_a_tie_holds_from_its_first_up_to_but_not_including_its_end(self) -> None:
        name = Name("p", "person", "h0", ties=[self.tie("h1", 0, since=3, until=5)])
        assert [sorted(name.tied(at)) for at in (2, 3, 4, 5)] == [[], ["h1"], ["h1"], []]

    def test_ones_own_household_is_no_tie(self) -> None:
        assert Name("p", "person", "h1", ties=[self.tie("h1", 0)]).tied(1) == {}

    def test_its_dates_hold_from_the_first_to_the_last_moment_of_the_zone(self) -> None:
        said = b'{"household":"h","role":"r","from":"2026-01-01","to":"2026-01-01"}'
        tie = tie_said(said, "f", 0, CHINA)
        assert tie.since == parse_rfc3339("2026-01-01T00:00:00+08:00")
        assert tie.until == tie.since + DAY


class TestStatements:
    def test_an_entry_states_its_own_household_or_the_changes(self) -> None:
        assert household_stated(PERSON, b'{"household":"h1"}', None) == "h1"
        assert household_stated(PERSON, b"{}", "h2") == "h2"

    def test_a_move_states_where_to_and_not_where_from(self) -> None:
        assert household_stated(MOVED, b'{"to_household":"h2"}', "h1") == "h2"

    def test_who_left_without_saying_where_to_states_nothing(self) -> None:
        assert household_stated(LEFT, b"{}", "h1") is None

    def test_an_ordinary_fact_mentions_the_household_it_names(self) -> None:
        assert household_stated("health.vitals", b"{}", "h1") == "h1"


def test_a_places_key_is_the_same_with_and_without_its_prefix() -> None:
    assert place_key("g1") == place_key("place:g1") == "place:g1"
