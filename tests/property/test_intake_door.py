"""Laws of the door: nothing twice, batches do not matter, corrections may come in any order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.kernel.clock import MINUTE, rfc3339
from services.kernel.contracts.changes import RETRACTED
from services.kernel.contracts.envelope import Envelope
from tests.support.intake_world import START, IntakeWorld, intake_world, item, ref
from tests.support.memory import folder

SLOW = settings(max_examples=40, suppress_health_check=list(HealthCheck))
PEOPLE = st.sampled_from(["p1", "p2", "p3"])
HOMES = st.sampled_from(["h1", "h2", "h3"])
NUMBERS = st.integers(1, 6).map(str)


@contextmanager
def world() -> Iterator[IntakeWorld]:
    with folder() as path, intake_world(path, replay=True) as made:
        yield made


def merged(was: str, became: str) -> dict[str, Any]:
    data = {"was": was, "became": became}
    return item("", type="registry.merged", person=became, data=data)


def facts() -> st.SearchStrategy[dict[str, Any]]:
    """Return strategies for items of every kind, also wrong ones; few names, so that they meet."""
    homes = st.none() | HOMES
    values = st.sampled_from([120, 190, 9999]).map(lambda value: {"systolic": value})
    ordinary = st.builds(lambda p, h, data: item("", person=p, household=h, data=data), PEOPLE,
                         homes, values)  # fmt: skip
    entry = st.builds(
        lambda p, h: item("", type="registry.person", person=p, household=h, data={}), PEOPLE, homes
    )
    tie = st.builds(
        lambda person, home: item(
            "", type="registry.tie", person=person, data={"household": home, "role": "parent"}
        ),
        PEOPLE, HOMES,
    )  # fmt: skip
    move = st.builds(
        lambda person, home: item(
            "", type="member.moved", person=person, data={"to_household": home}
        ),
        PEOPLE, HOMES,
    )  # fmt: skip
    hazard = st.builds(
        lambda person, home: item("", type="home.hazard", person=person, household=home, data={}),
        PEOPLE, st.none() | HOMES,
    )  # fmt: skip
    back = st.builds(
        lambda number: item("", type=RETRACTED, person=None, retracts=ref(number), data={}), NUMBERS
    )
    fixed = st.builds(
        lambda made, number: {**made, "supersedes": ref(number)},
        st.one_of(ordinary, entry, tie), NUMBERS,
    )  # fmt: skip
    merge = st.builds(merged, PEOPLE, PEOPLE)
    return st.one_of(ordinary, entry, tie, move, hazard, back, fixed, merge)


def numbered(drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each item a number of its own and a receipt a minute after the one before."""
    return [
        {**made, "sourceid": str(n), "receivedat": rfc3339(START + n * MINUTE)}
        for n, made in enumerate(drawn, 1)
        if made.get("retracts") != ref(str(n)) and made.get("supersedes") != ref(str(n))
    ]


logs = st.lists(facts(), min_size=1, max_size=10).map(numbered)


@SLOW
@given(logs)
def test_the_same_batch_twice_changes_nothing(log: list[dict[str, Any]]) -> None:
    with world() as door:
        first = door.door.accept(log)
        ledger, outbox = door.ledger(), door.outbox()
        again = door.door.accept(log)
        assert door.ledger() == ledger
        assert door.outbox() == outbox
        for before, after in zip(first, again, strict=True):
            expected = "duplicate" if before.status == "accepted" else before.status
            assert (after.status, after.kept) == (expected, before.kept)
        assert door.audit() == []


@SLOW
@given(logs, st.lists(st.integers(1, 4), min_size=12, max_size=12))
def test_any_split_into_batches_gives_the_same_ledger_and_outbox(
    log: list[dict[str, Any]], sizes: list[int]
) -> None:
    with world() as whole, world() as split:
        answers = whole.door.accept(log)
        rest, parts = log, []
        for size in sizes:
            parts += split.door.accept(rest[:size]) if rest[:size] else []
            rest = rest[size:]
        assert parts == answers
        assert split.ledger() == whole.ledger()
        assert split.outbox() == whole.outbox()
        assert split.audit() == []


def living(outbox: list[Envelope]) -> dict[str, set[str]]:
    """Return the facts that stand, by household, after everything published is carried out."""
    gone = {e.retracts for e in outbox if e.retracts} | {e.supersedes for e in outbox}
    found: defaultdict[str, set[str]] = defaultdict(set)
    for envelope in outbox:
        if envelope.type == "health.vitals" and envelope.id not in gone:
            found[envelope.partitionkey].add(envelope.id)
    return dict(found)


@SLOW
@given(
    st.permutations(
        [
            item("1", household="h1", receivedat=rfc3339(START)),
            item("2", household="h1", supersedes=ref("1"), receivedat=rfc3339(START)),
            item("3", person="p2", household="h2", supersedes=ref("4"), receivedat=rfc3339(START)),
            item("4", household="h1", data={"systolic": 99}, receivedat=rfc3339(START)),
            item("5", household="h1", data={"systolic": 98}, receivedat=rfc3339(START)),
            item("6", type=RETRACTED, person=None, data={}, retracts=ref("5"),
                 receivedat=rfc3339(START)),
            item("7", person="p2", household="h2", receivedat=rfc3339(START)),
        ]
    )
)  # fmt: skip
def test_corrections_may_come_in_any_order(log: list[dict[str, Any]]) -> None:
    with world() as door:
        answers = {
            sent["sourceid"]: answer.id
            for sent, answer in zip(log, door.door.accept(log), strict=True)
        }
        assert living(door.outbox()) == {
            "h1": {answers["2"]},
            "h2": {answers["3"], answers["7"]},
        }


@SLOW
@given(logs)
@example(
    numbered(
        [
            item("", type="registry.merged", person="p1", data={"was": "p2", "became": "p1"}),
            item("", person="p2"),
        ]
    )
)
def test_every_persons_facts_lie_in_one_household_and_each_id_is_published_once(
    log: list[dict[str, Any]],
) -> None:
    with world() as door:
        door.door.accept(log)
        outbox = door.outbox()
        ids = [envelope.id for envelope in outbox]
        assert len(set(ids)) == len(ids)
        homes: dict[str, str] = {}
        for envelope in outbox:
            if envelope.type == "subject.moved_in":
                homes[envelope.subject] = envelope.partitionkey
            elif envelope.type == "subject.moved_out":
                assert homes.pop(envelope.subject, envelope.partitionkey) == envelope.partitionkey
            elif envelope.sourceid and not envelope.copyof and envelope.subject[:1] == "p":
                known = homes.setdefault(envelope.subject, envelope.partitionkey)
                if not envelope.subject.startswith("prov:"):
                    assert known == envelope.partitionkey
        receipts = [e.receivedat for e in outbox if e.sourceid and not e.copyof]
        assert all(before <= after for before, after in pairwise(receipts))
