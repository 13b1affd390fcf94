"""A generated log through the product and through the naive model: the same lines, however the log
is cut into batches, spread over partitions, interleaved and marked.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.alerts.domain.policy import Policy
from services.alerts.handlers.consume import Consumer
from services.alerts.policy_file import load_policy
from services.alerts.storage.audit import findings
from services.alerts.storage.moves import Moves
from services.alerts.storage.progress import Marks
from services.alerts.storage.store import Store
from services.alerts.storage.tables import POSITIONS, TABLES
from services.alerts.views.reports import lines, report
from services.kernel.bus.murmur2 import partition_of
from services.kernel.bus.stores import Batch, Message
from services.kernel.clock import MINUTE, VirtualClock, from_us, rfc3339
from services.kernel.contracts import assessments as a
from services.kernel.contracts import changes as c
from services.kernel.contracts.envelope import Envelope, decode, encode, raw
from services.kernel.contracts.records import Record
from services.kernel.contracts.topics import ASSESSMENTS
from services.kernel.db.engine import Database
from tests.support.effort import examples
from tests.support.memory import folder
from tests.support.naive_alerts import Event, Model
from tests.support.scenario import write_pack

UNTIL = 4000
LEVELS = {"R1": 3, "R2": 2, "R3": 2}
Piece = tuple[int, str, str, object]
"""Minute, household, subject, payload of one message."""


def events(rng: random.Random, size: int) -> list[Event]:
    """Return a log of four people who fall ill, get better, are helped, move and turn out one."""
    found: list[Event] = []
    at, people, true = 1000, [f"p{n}" for n in range(4)], set()
    who, clocks = "p0", [1000]
    for _ in range(size):
        edges = [c + after for c in clocks[-3:] for after in (10, 30, 60, 1440)]
        ahead = [edge for edge in edges if edge >= at]
        if ahead and rng.random() < 0.5:  # exactly when something is due
            at = min(ahead)
        else:
            at += rng.choice([0, 0, 1, 5, 10, 29, 30, 60, 600])
        if at >= UNTIL - 1:
            break
        if who not in people or rng.random() < 0.4:
            who = rng.choice(people)
        rule = rng.choice(list(LEVELS))
        kind = rng.choices(["true", "false", "passed", "moved", "merged"], [5, 3, 4, 1, 1])[0]
        if kind == "true":
            true.add((who, rule))
            clock = at - rng.choice([0, 0, 5, 60, 61, 90])
            clocks.append(clock)
            found.append(Event(at, kind, who, rule, clock))
        elif kind == "false" and (who, rule) in true:
            true.discard((who, rule))
            how = rng.choice(["ended", "withdrawn"])
            found.append(Event(at, kind, who, rule, how=how))
        elif kind == "passed":
            role = rng.choice(["acknowledged", "handled", "handled", "closed"])
            found.append(Event(at, kind, who, rng.choice(["", rule]), role=role))
        elif kind == "moved":
            found.append(Event(at, kind, who))
        elif kind == "merged" and len(people) > 2:
            people.remove(who)
            other = rng.choice(people)
            true |= {(other, r) for w, r in true if w == who}
            found.append(Event(at, kind, who, other=other))
    return found


class Teller:
    """Tells the log as risk would: assessments that list all that holds, in the right household."""

    def __init__(self) -> None:
        self.homes: dict[str, int] = {}
        self.truth: dict[str, dict[str, tuple[int, int]]] = {}
        self.pieces: list[Piece] = []
        self.moves = 0

    def home(self, who: str) -> str:
        moves = self.homes.setdefault(who, 0)
        return f"h-{who}-{moves}" if moves else f"home-of-{int(who[1:]) // 2}"

    def tell(self, event: Event) -> None:
        getattr(self, f"_{event.kind}")(event)

    def _say(self, event: Event, subject: str, payload: object, home: str | None = None) -> None:
        self.pieces.append((event.at, home or self.home(subject), subject, payload))

    def _true(self, event: Event) -> None:
        truth = self.truth.setdefault(event.subject, {})
        since, clock = truth.get(event.rule, (event.at, event.clock))
        truth[event.rule] = (since, min(clock, event.clock))
        self._assess(event, [])

    def _false(self, event: Event) -> None:
        self.truth.setdefault(event.subject, {}).pop(event.rule, None)
        how: a.Ending = "withdrawn" if event.how == "withdrawn" else "ended"
        self._assess(event, [a.Ended(rule=event.rule, how=how)])

    def _assess(self, event: Event, ended: list[a.Ended]) -> None:
        reasons = [
            a.Reason(
                rule=rule,
                level=LEVELS[rule],
                since=from_us(since * MINUTE),
                clock_start=from_us(clock * MINUTE),
            )
            for rule, (since, clock) in self.truth[event.subject].items()
        ]
        level = max((r.level for r in reasons), default=0)
        said = a.Assessment(
            subject=event.subject, household=self.home(event.subject), kind="person", level=level,
            was=0, household_level=level, at=from_us(event.at * MINUTE), reasons=reasons,
            ended=ended,
        )  # fmt: skip
        self._say(event, event.subject, said)

    def _passed(self, event: Event) -> None:
        fact = a.Passed(
            subject=event.subject, household=self.home(event.subject), role=event.role,  # type: ignore[arg-type]
            fact="f", type="t", at=from_us(event.at * MINUTE),
            rules=[event.rule] if event.rule else [],
        )  # fmt: skip
        self._say(event, event.subject, fact)

    def _moved(self, event: Event) -> None:
        before = self.home(event.subject)
        self.homes[event.subject] += 1
        self._halves(event, event.subject, event.subject, before)

    def _merged(self, event: Event) -> None:
        before = self.home(event.subject)
        theirs = self.truth.setdefault(event.other, {})
        for rule, truth in self.truth.pop(event.subject, {}).items():
            theirs.setdefault(rule, truth)
        self._halves(event, event.subject, event.other, before)

    def _halves(self, event: Event, was: str, became: str, before: str) -> None:
        self.moves += 1
        after = self.home(became)
        for half, home in (("out", before), ("in", after)):
            moved = a.Moved(
                move=f"m{self.moves}", half=half, was=was, became=became,  # type: ignore[arg-type]
                from_household=before, to_household=after, at=from_us(event.at * MINUTE),
            )  # fmt: skip
            self._say(event, became if half == "in" else was, moved, home)


TYPES: dict[type, str] = {a.Assessment: a.ASSESSED, a.Passed: a.PASSED, a.Moved: a.MOVED}


def spread(
    pieces: list[Piece], partitions: int, marks: list[int], *, late: bool = False
) -> list[list[tuple[int, bytes]]]:
    """Return each partition's messages with the marks where they belong.

    late: records of a mark's own minute come behind it, as those do that were received before it.
    """
    logs: list[list[tuple[int, bytes]]] = [[] for _ in range(partitions)]
    for n, (at, home, subject, payload) in enumerate(pieces):
        when = from_us(at * MINUTE)
        value = encode(
            Envelope(
                id=f"e{n}", type=TYPES[type(payload)], source="risk", time=when, subject=subject,
                partitionkey=home, receivedat=when, data=raw(payload),
            )
        )  # fmt: skip
        logs[partition_of(home, partitions)].append((at, value))
    for partition, log in enumerate(logs):
        for mark in sorted({*marks, UNTIL}):
            value = encode(c.mark("risk", ASSESSMENTS.name, partition, mark * MINUTE))
            place = sum(1 for at, _ in log if at < mark or (at == mark and not late))
            log.insert(place, (mark, value))
    return logs


def batches(
    rng: random.Random, logs: list[list[tuple[int, bytes]]], sizes: list[int]
) -> Iterator[tuple[int, list[Message]]]:
    """Yield the partitions' messages in batches of random size, partitions in random order."""
    places = [0] * len(logs)
    while live := [p for p, log in enumerate(logs) if places[p] < len(log)]:
        partition = rng.choice(live)
        start = places[partition]
        part = logs[partition][start : start + rng.choice(sizes)]
        places[partition] += len(part)
        yield (
            partition,
            [
                Message(
                    Record(ASSESSMENTS.name, partition, start + n, None, value, (), 0),
                    decode(value),
                )
                for n, (_, value) in enumerate(part)
            ],
        )


@cache
def policy() -> Policy:
    """Return the policy of the scenarios."""
    with folder() as path:
        return load_policy(write_pack(path / "pack"))


@contextmanager
def product(partitions: int) -> Iterator[tuple[Database, Consumer]]:
    with folder() as path:
        db = Database(f"sqlite:///{path}/alerts.db", TABLES)
        with db.begin() as conn:
            TABLES.create_all(conn)
        consumer = Consumer(
            store=Store(db.name), moves=Moves(), marks=Marks(POSITIONS), db=db,
            policy=policy(), topic=ASSESSMENTS.name,
            partitions=partitions, drive="marks", clock=VirtualClock(),
        )  # fmt: skip
        try:
            yield db, consumer
        finally:
            db.close()


def run(
    rng: random.Random, logs: list[list[tuple[int, bytes]]], sizes: list[int] | None = None
) -> list[str]:
    """Return the product's lines for a log told in one of its many ways."""
    with product(len(logs)) as (db, consumer):
        for partition, messages in batches(rng, logs, sizes or [1, 2, 3, 7, 50]):
            with db.begin() as conn:
                consumer.handle(conn, Batch(ASSESSMENTS.name, partition, messages))
        with db.read() as conn:
            assert [f for f in findings(conn) if f.table not in ("position", "progress")] == []
            counted = report(conn, UNTIL * MINUTE)["alerts"]
            assert counted["merged"] + counted["opened"] >= counted["in_time"]
            return sorted(lines(conn))


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 60))
def test_the_product_gives_the_lines_of_the_naive_model_however_the_log_is_told(
    seed: int, size: int
) -> None:
    rng = random.Random(seed)
    log = events(rng, size)
    model, teller = Model(), Teller()
    model.run(log, UNTIL)
    for event in log:
        teller.tell(event)
    expected = model.text(lambda minute: rfc3339(minute * MINUTE))
    for partitions in (1, 3, 8):
        marks = sorted(rng.sample(range(1000, UNTIL), rng.choice([0, 2, 15])))
        assert run(rng, spread(teller.pieces, partitions, marks)) == expected


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32), size=st.integers(10, 60))
def test_records_behind_their_mark_give_the_same_in_batches_of_any_size(
    seed: int, size: int
) -> None:
    rng = random.Random(seed)
    log = events(rng, size)
    teller = Teller()
    for event in log:
        teller.tell(event)
    marks = [event.at for event in log[::2]]
    logs = spread(teller.pieces, 1, marks, late=True)
    assert run(rng, logs, [1]) == run(rng, logs, [2, 5]) == run(rng, logs, [1000])


@pytest.mark.parametrize("sizes", [[1], [2], [1000]])
def test_a_promise_due_at_the_minute_of_a_late_record_can_be_kept_in_any_batch(
    sizes: list[int],
) -> None:
    teller = Teller()
    teller.tell(Event(1060, "true", "p1", "R1", 1000))
    teller.tell(Event(1060, "passed", "p1", role="handled"))
    found = run(random.Random(0), spread(teller.pieces, 1, [1060], late=True), sizes)
    assert not any("missed" in line for line in found)


@pytest.mark.slow
@pytest.mark.timeout(600)
@examples(100)
@given(seed=st.integers(0, 2**32), size=st.integers(50, 200))
def test_the_same_for_long_logs(seed: int, size: int) -> None:
    rng = random.Random(seed)
    log = events(rng, size)
    model, teller = Model(), Teller()
    model.run(log, UNTIL)
    for event in log:
        teller.tell(event)
    expected = model.text(lambda minute: rfc3339(minute * MINUTE))
    assert run(rng, spread(teller.pieces, 4, [2000, 3000])) == expected
