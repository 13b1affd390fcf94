"""The rows of broken glasses, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy.exc import IntegrityError

from services.console.glass import LASTS, Counts, Glass, Review
from services.console.storage import glasses
from services.console.storage.tables import TABLES
from services.kernel.clock import DAY, HOUR, SECOND
from services.kernel.db.engine import Database
from services.kernel.db.migrate import differences
from tests.support.stores import postgres_schema

NOW: Final = 1_790_000_000 * SECOND
_NUMBERS: Final = count(1)


def glass(since: int = NOW, **given: Any) -> Glass:
    number = next(_NUMBERS)
    made = Glass(
        id=f"g{number}", user_name="wang", staff="staff-wang", key=f"k{number}", household="h9",
        area="V9", grid="G91", kind="danger", reason="<b>夜里</b>在村口遇到老人", since=since,
        until=since + LASTS,
    )  # fmt: skip
    return made._replace(**given)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
def db(
    request: pytest.FixtureRequest, tmp_path: Path, server_address: Callable[[str], str]
) -> Iterator[Database]:
    if request.param == "sqlite":
        made = Database(f"sqlite:///{tmp_path}/console.db", TABLES, service="console")
        made.migrate("services.console.migrations")
        yield made
        made.close()
        return
    with postgres_schema(server_address("postgres")) as schema:
        address = server_address("postgres")
        made = Database(address, TABLES, schema=schema, service="console")
        made.migrate("services.console.migrations")
        yield made
        made.close()


def add(db: Database, *made: Glass) -> list[Glass]:
    with db.begin() as conn:
        for each in made:
            glasses.add(conn, each)
    return list(made)


def test_the_migrations_make_the_tables(db: Database) -> None:
    assert differences(db) == []


def test_a_glass_is_open_until_its_last_microsecond_and_no_longer(db: Database) -> None:
    [one] = add(db, glass())
    with db.read() as conn:
        assert glasses.of_user(conn, "wang", one.until - 1) == [one]
        assert glasses.of_user(conn, "wang", one.until) == []
        assert glasses.of_user(conn, "li", NOW) == []
    assert (one.open(one.until - 1), one.open(one.until)) == (True, False)


def test_one_that_is_ended_early_stays_as_it_ended(db: Database) -> None:
    [one] = add(db, glass())
    with db.begin() as conn:
        glasses.end(conn, one.id, "staff-wang", NOW + HOUR)
        glasses.end(conn, one.id, "staff-other", NOW + HOUR + 1)
    with db.read() as conn:
        assert glasses.of_user(conn, "wang", NOW + HOUR) == []
        found = glasses.find(conn, one.id)
        at = (NOW - 1, NOW, NOW + HOUR, NOW + HOUR + 1)
        had = [glasses.had_open(conn, found.glass.staff, each) for each in at if found]
        still = glasses.open_of_staff(conn, "staff-wang", NOW + HOUR)
    assert found is not None
    assert (found.glass.ended_at, found.glass.ended_by) == (NOW + HOUR, "staff-wang")
    assert (had, still) == ([False, True, True, False], 0)
    assert not found.glass.open(NOW + 1)


def test_one_that_time_ended_cannot_be_ended_again(db: Database) -> None:
    [one] = add(db, glass())
    with db.begin() as conn:
        glasses.end(conn, one.id, "staff-wang", one.until)
        found = glasses.find(conn, one.id)
    assert found is not None
    assert (found.glass.ended_at, found.glass.ended_by) == (None, "")


def test_a_form_opens_one(db: Database) -> None:
    [one] = add(db, glass(key="k"))
    with db.read() as conn:
        assert glasses.of_key(conn, "wang", "k") == one
        assert glasses.of_key(conn, "li", "k") is None
    with pytest.raises(IntegrityError):
        add(db, glass(key="k"))


def test_the_first_review_stands(db: Database) -> None:
    [one] = add(db, glass())
    first, second = Review("staff-chen", False, "核实：本人不在场"), Review("staff-ma", True, "")
    with db.begin() as conn:
        assert glasses.review(conn, one.id, first, NOW + 1)
        assert not glasses.review(conn, one.id, second, NOW + 2)
        found = glasses.find(conn, one.id)
    assert found is not None
    assert (found.at, found.review) == (NOW + 1, first)


def test_what_waits_longest_comes_first_and_what_was_reviewed_last(db: Database) -> None:
    done, new, old = add(db, glass(NOW - 2 * DAY), glass(), glass(NOW - DAY))
    elsewhere, nowhere = add(db, glass(area="V1", grid="G11"), glass(NOW + 1, area="", grid=""))
    with db.begin() as conn:
        glasses.review(conn, done.id, Review("staff-chen", True, ""), NOW)
    with db.read() as conn:
        of_v9 = [each.glass.id for each in glasses.to_review(conn, frozenset({"V9"}))]
        of_grid = [each.glass.id for each in glasses.to_review(conn, frozenset({"G11"}))]
        of_all = [each.glass.id for each in glasses.to_review(conn, None)]
        waiting = [glasses.waiting(conn, each) for each in (frozenset({"V9"}), None)]
    assert of_v9 == [old.id, new.id, nowhere.id, done.id]
    assert of_grid == [elsewhere.id, nowhere.id]
    assert (len(of_all), waiting) == (5, [3, 4])


def test_they_are_counted_without_a_name(db: Database) -> None:
    late, ended, _ = add(db, glass(NOW - DAY), glass(NOW - HOUR), glass(NOW - HOUR))
    with db.begin() as conn:
        glasses.end(conn, ended.id, "staff-wang", NOW)
    with db.read() as conn:
        assert glasses.counts(conn, NOW) == Counts(open=1, unreviewed=3, late=1)
    with db.begin() as conn:
        glasses.review(conn, late.id, Review("staff-chen", True, ""), NOW)
        assert glasses.counts(conn, NOW) == Counts(open=1, unreviewed=2, late=0)
