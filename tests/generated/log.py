"""The generated log: seeded, synthetic, and full of what goes wrong on the way to the door."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.generated.naive.facts import DAY, HOUR, MINUTE, SECOND, Row, local, moment, text_of

BEGIN: Final = moment("2026-10-05T06:00:00+00:00")
LAST: Final = moment("2026-11-12T00:00:00+00:00")
END: Final = moment("2026-11-25T00:00:00+00:00")
"""Silence from `LAST` to here; the map says the same."""
ROLL_CALL: Final = moment("2026-10-20T10:00:00+00:00")
"""When everybody's answer is due."""
PHONE: Final = "phone-"
"""Rows whose id begins so come from the town's own phones."""

Draw = Callable[[random.Random, int], dict[str, Any]]


def _maybe(chance: random.Random, value: Any) -> Any:
    return None if chance.random() < 0.15 else value


def _date(instant: int) -> str:
    return local(instant).date().isoformat()


_PERSONAL: Final[Mapping[str, Draw]] = {
    "health.vitals": lambda c, _: {
        "systolic": _maybe(c, c.choice([120, 150, 160, 170, 179, 180, 185])),
        "glucose": _maybe(c, c.choice([3.8, 3.9, 4.0, 6.0, 9.0, 16.6, 16.7])),
    },
    "care.fall": lambda c, _: {"injury": _maybe(c, c.randrange(4))},
    "device.false_alarm": lambda c, _: {},
    "school.enrolled": lambda c, _: {"attends": c.random() < 0.7},
    "school.attendance": lambda c, _: {
        "present": c.random() < 0.3,
        "excused": _maybe(c, c.random() < 0.2),
    },
    "contact.expected": lambda c, _: {"weekly": _maybe(c, c.random() < 0.7)},
    "parent.contact": lambda c, _: {"mode": _maybe(c, c.choice(["call", "video", "visit"]))},
    "work.assigned": lambda c, at: {
        "task": c.choice(["one", "two"]),
        "deadline": _maybe(c, text_of(at + c.choice([-HOUR, HOUR, DAY, 3 * DAY]))),
        "due_on": _maybe(c, _date(at + c.choice([0, DAY, 4 * DAY]))),
    },
    "work.done": lambda c, _: {
        "task": c.choice(["one", "two"]),
        "good": _maybe(c, c.random() < 0.6),
    },
    "medication.planned": lambda c, _: {},
    "medication.taken": lambda c, _: {},
    "rollcall.called": lambda c, at: {"answer_by": text_of(at + c.choice([0, HOUR, DAY]))},
    "rollcall.answered": lambda c, _: {},
    "visit.promised": lambda c, _: {},
    "visit.recorded": lambda c, _: {"seen": _maybe(c, c.random() < 0.7)},
    "income.told": lambda c, _: {"amount": _maybe(c, c.choice([100_000, 200_000, 300_000]))},
    "leave.taken": lambda c, at: {"until": _maybe(c, _date(at + c.choice([0, 3 * DAY])))},
    "case.acknowledged": lambda c, _: {},
    "case.handled": lambda c, _: {},
    "case.closed": lambda c, _: {},
}
_SHARED: Final[Mapping[str, Draw]] = {
    "meter.reading": lambda c, _: {"quantity": _maybe(c, c.choice([0, 2, 3, 5, 40]))},
    "home.hazard": lambda c, _: {"severity": c.choice([1, 2, 3])},
    "home.handled": lambda c, _: {},
}
_EARLY: Final = ("health.vitals",)


class Log:
    """Rows in the making. `grain`: everything happens on whole multiples of it."""

    def __init__(self, seed: int, *, grain: int = 1, phones: bool = False) -> None:
        self.chance = random.Random(seed)
        self.rows: list[Row] = []
        self.grain = grain
        self.phones = phones
        self._number = 0

    def tell(self, type_: str, at: int, person: str | None = None, **more: Any) -> Row:
        """Add a row; more: late (receipt after `at`), id, household, data, supersedes, bad, …"""
        late = more.pop("late", 0)
        self._number += 1
        number = more.pop("id", f"r{self._number:06}")
        row = Row(number, type_, at, at + late, person, **more)
        self.rows.append(row)
        return row

    def some_time(self, first: int, last: int) -> int:
        """Return an instant between two others, on the grain."""
        return self.chance.randrange(first // self.grain, last // self.grain) * self.grain

    # -- single matters ------------------------------------------------------------------------

    def edges(self) -> None:
        """Red at one instant, handled around the hour; each household has its own."""
        offsets = {"early": -SECOND, "sharp": 0, "late": SECOND, "just-late": 1, "just-early": -1}
        for name, offset in offsets.items():
            for rule, data in {"high": {"systolic": 190}, "low": {"glucose": 3.0}}.items():
                person, at = f"edge-{rule}-{name}", self.some_time(BEGIN + DAY, LAST - DAY)
                self.tell("registry.person", BEGIN, person, data={"household": f"home-{person}"})
                self.tell("health.vitals", at, person, data=data)
                self.tell("case.acknowledged", at + 10 * MINUTE + offset, person)
                self.tell("case.handled", at + 60 * MINUTE + offset, person)
        self.tell("registry.person", BEGIN, "edge-silent", data={"household": "home-silent"})
        self.tell("care.fall", BEGIN + DAY, "edge-silent", data={"injury": 3})

    def roll_call(self, number: int) -> None:
        """Everybody's answer is due at one instant; few answer, fewer are seen to."""
        chance = self.chance
        for n in range(number):
            person = f"called-{n}"
            called = self.some_time(BEGIN, ROLL_CALL - HOUR)
            self.tell(
                "rollcall.called",
                called,
                person,
                household=f"home-called-{n}",
                data={"answer_by": text_of(ROLL_CALL)},
                late=chance.choice([0, 0, MINUTE]),
            )
            match n % 60:
                case 0:
                    self.tell("rollcall.answered", ROLL_CALL, person)  # in time to the instant
                case 1:
                    self.tell("rollcall.answered", ROLL_CALL - 1, person)
                case 2:
                    self.tell("rollcall.answered", ROLL_CALL - 1, person, late=2 * MINUTE)
                case 3 | 4 | 5:
                    after = (59 * MINUTE + 59 * SECOND, HOUR, HOUR + SECOND)[n % 60 - 3]
                    self.tell("case.handled", ROLL_CALL + after, person)
                case _:
                    pass

    def refusals(self, number: int) -> None:
        """What cannot be read: kept, told of, and sometimes mended; and a key used twice."""
        for n in range(number):
            person, at = f"garbled-{n}", self.some_time(BEGIN + DAY, LAST - 3 * DAY)
            self.tell("registry.person", BEGIN, person, data={"household": f"home-{person}"})
            wrong = self.tell("health.vitals", at, person, data={"systolic": 999}, bad=True)
            if n % 3:
                mended = wrong._replace(data={"systolic": 185}, bad=False)
                after = self.chance.choice([5 * MINUTE, 45 * MINUTE, 90 * MINUTE])
                self.rows.append(mended._replace(received=at + after))
                self.rows.append(mended._replace(received=at + after + HOUR))
            if n % 3 == 2:
                self.tell("case.handled", at + HOUR, person)
            told = self.tell("income.told", at, person, data={"amount": 100_000})
            other = told._replace(data={"amount": 200_000}, received=at + 2 * HOUR)
            self.rows.append(other)
            ahead = self.tell("income.told", at + DAY, person, data={"amount": 1}, late=-DAY)
            self.rows[-1] = ahead._replace(bad=True)

    def twins(self, number: int) -> None:
        """Two names of one person, each with an open red, that become one name within the hour."""
        for n in range(number):
            stranger, known = f"twin-{n}-unknown", f"twin-{n}"
            self.tell("registry.person", BEGIN, known, data={"household": f"home-{known}"})
            at = self.some_time(BEGIN + DAY, LAST - 3 * DAY)
            first, second = (stranger, known) if n % 4 else (known, stranger)
            gap = 7 * MINUTE if n % 3 else 0
            self.tell("health.vitals", at, first, data={"systolic": 185})
            self.tell("health.vitals", at + gap, second, data={"systolic": 190})
            if n % 4 == 3:
                self.tell("case.closed", at + 9 * MINUTE, (stranger, known)[n // 4 % 2])
            elif n % 4 == 2:
                self.tell("case.closed", at + 9 * MINUTE, known)
                self.tell("case.closed", at + 11 * MINUTE, stranger)
            merge = {"kind": "person", "was": stranger, "became": known}
            self.tell("registry.merged", at + 20 * MINUTE, known, data=merge)
            self.tell("case.handled", at + HOUR + (n % 5 - 2) * MINUTE, stranger)
            self.tell("case.closed", at + 2 * DAY, known)

    def mixups(self, number: int) -> None:
        """A correction that overtakes its original, in one batch with what is really red."""
        for n in range(number):
            person, at = f"mixup-{n}", self.some_time(BEGIN + DAY, LAST - 3 * DAY)
            self.tell("registry.person", BEGIN, person, data={"household": f"home-{person}"})
            late, before = f"{PHONE}mixup-{n}", 50 * MINUTE
            readings = {"red": {"systolic": 185}, "green": {"systolic": 120}}
            for name in ("red", "green") if n % 2 else ("green", "red"):
                more = {"supersedes": late} if name == "green" else {}
                self.tell("health.vitals", at, person, data=readings[name], **more)
            high = {"systolic": 190 if n % 3 else 130}
            self.tell(
                "health.vitals", at - before, person, id=late, late=before + 5 * MINUTE,
                observed=at - before, data=high,
            )  # fmt: skip
            self.tell("case.handled", at + 30 * MINUTE, person)

    def lessons(self) -> None:
        """Matters that look settled until a correction or a move brings them up again."""
        home, at = "lesson-meter", self.some_time(BEGIN + 2 * DAY, LAST - 9 * DAY)
        low = {"quantity": 3}
        first = self.tell("meter.reading", at, household=home, data=low)
        much = {"quantity": 40}  # leaves its window before the low one does
        self.tell("meter.reading", at - 21 * HOUR, household=home, late=30 * HOUR, data=much)
        self.tell(
            "meter.reading", at, household=home, late=2 * DAY, data=low, supersedes=first.id
        )  # fmt: skip
        person, at = "lesson-task", self.some_time(BEGIN + DAY, LAST - 21 * DAY)
        self.tell("registry.person", BEGIN, person, data={"household": "lesson-old"})
        task = {"task": "one", "deadline": text_of(at + DAY)}
        self.tell("work.assigned", at, person, data=task)
        done = self.tell("work.done", at + 3 * DAY, person, data={"task": "one", "good": True})
        self.tell(
            "work.done", done.time, person, late=MINUTE, data={"task": "one", "good": False},
            supersedes=done.id,
        )  # fmt: skip
        self.tell("case.closed", at + 9 * DAY, person)
        self.tell("member.moved", at + 20 * DAY, person, data={"to_household": "lesson-new"})

    def guests(self, number: int) -> None:
        """Relatives elsewhere who are hurt: before the tie, after it, corrected, not at all."""
        for n in range(number):
            parent, child, home = f"parent-{n}", f"child-{n}", f"home-child-{n}"
            at = self.some_time(BEGIN + 4 * DAY, LAST - 3 * DAY)
            self.tell("registry.person", BEGIN, child, data={"household": home})
            self.tell("registry.person", BEGIN, parent, data={"household": f"home-parent-{n}"})
            tied = at + (HOUR if n % 2 else -HOUR)
            tie = {"household": home, "role": "parent"}
            self.tell("registry.tie", tied, parent, data=tie)
            fall = self.tell("care.fall", at, parent, data={"injury": 3 if n % 3 else 0})
            match n % 5:
                case 0 | 1:
                    injury = {"injury": 0 if n % 3 else 2}
                    self.tell(
                        "care.fall", at, parent, late=3 * HOUR, data=injury, supersedes=fall.id
                    )
                case 2:
                    self.tell("fact.retracted", at + 3 * HOUR, None, retracts=fall.id)
                case _:
                    self.tell("device.false_alarm", at + 3 * HOUR, parent)

    # -- lives ---------------------------------------------------------------------------------

    def families(self, number: int, events: int) -> None:
        """Households of one to three people with random lives; some know some of the others."""
        for n in range(number):
            home = f"family-{n}"
            people = [f"{home}-{name}" for name in "abc"[: self.chance.randrange(1, 4)]]
            for person in people:
                self._enter(person, home)
            for person in people:
                self.life(person, None, self.chance.randrange(events), _PERSONAL)
            self.life(None, home, self.chance.randrange(events // 2), _SHARED)
            if n % 3 == 1:
                at = self.some_time(BEGIN, LAST)
                tie = {"household": f"family-{n - 1}", "role": "parent"}
                self.tell("registry.tie", at, people[0], data=tie)

    def movers(self, number: int, events: int) -> None:
        """People who move to another household in the middle of everything, or so it is told."""
        for n in range(number):
            person, to = f"mover-{n}", f"family-{self.chance.randrange(1, 4)}"
            self._enter(person, f"left-{n}")
            self.life(person, None, events, _PERSONAL)
            moves = []
            for at in sorted(self.some_time(BEGIN + 5 * DAY, LAST) for _ in range(1 + n % 2)):
                moves.append(self.tell("member.moved", at, person, data={"to_household": to}))
                to = f"new-{n}"
            self._unmove(moves[-1], n)

    def _unmove(self, moved: Row, n: int) -> None:
        """Let it turn out that somebody never moved, or elsewhere; at times before it came."""
        after = self.chance.choice([2 * HOUR, 3 * DAY, -DAY])
        match n % 4:
            case 0:
                self.tell("fact.retracted", moved.received + after, None, retracts=moved.id)
            case 1:
                there = {"to_household": f"elsewhere-{n}"}
                self.tell(
                    "member.moved", moved.time, moved.person, late=abs(after), data=there,
                    supersedes=moved.id,
                )  # fmt: skip
            case _:
                pass

    def strangers(self, number: int, events: int) -> None:
        """People of whom nobody knows where they live, or who they are, until later."""
        for n in range(number):
            person = f"stranger-{n}"
            self.life(person, None, events, _PERSONAL)
            first = min(r.received for r in self.rows if r.person == person)
            at = self.some_time(max(first, BEGIN + DAY), LAST) + self.grain
            match n % 4:
                case 0:  # turns out to live somewhere
                    self.tell("registry.person", at, person, data={"household": f"found-{n}"})
                case 1 | 2:  # turns out to be somebody known, of whom much or little was told
                    known = f"known-{n}"
                    self._enter(known, f"home-{known}")
                    self.life(known, None, events if n % 4 == 1 else 1, _PERSONAL)
                    merge = {"kind": "person", "was": person, "became": known}
                    self.tell("registry.merged", at, known, data=merge)
                case _:
                    pass  # stays unknown

    def _enter(self, person: str, home: str) -> None:
        chance = self.chance
        data = {
            "household": home,
            "kind": _maybe(chance, chance.choice(["elder", "child"])),
            "birth_date": _maybe(chance, chance.choice(["1956-10-20", "1956-02-29", "1990-01-01"])),
        }
        self.tell("registry.person", BEGIN - chance.randrange(DAY), person, data=data)

    def life(
        self, person: str | None, home: str | None, events: int, kinds: Mapping[str, Draw]
    ) -> None:
        """Tell random facts: late, early, twice, corrected and taken back in either order."""
        chance = self.chance
        names = chance.sample(sorted(kinds), k=min(len(kinds), 6))
        names += [n for n in names if n in ("health.vitals", "care.fall")]
        for _ in range(events):
            kind, at = chance.choice(names), self.some_time(BEGIN, LAST)
            about: dict[str, Any] = {"household": home} if home else {}
            late = chance.choice([0, 0, 0, 0, SECOND, 20 * MINUTE, 30 * HOUR])
            late -= late % self.grain
            if kind in _EARLY and chance.random() < 0.2:
                late = -chance.choice([MINUTE, HOUR, 2 * HOUR])
            if self.phones and chance.random() < 0.3:
                self._number += 1
                about |= {
                    "id": f"{PHONE}{self._number:06}",
                    "observed": at - chance.randrange(HOUR),
                }
            row = self.tell(kind, at, person, late=late, data=kinds[kind](chance, at), **about)
            self._aftermath(row, kinds)

    def _aftermath(self, row: Row, kinds: Mapping[str, Draw]) -> None:
        chance, about = self.chance, {"household": row.household}
        fate = chance.random()
        # Some come before what they are about.
        after = chance.choice([MINUTE, 2 * HOUR, 3 * DAY, -MINUTE, -DAY])
        at = max(row.received + after, BEGIN)
        if fate < 0.10:
            self.rows.append(row._replace(received=row.received + abs(after)))
        elif fate < 0.20:
            data = kinds[row.type](chance, row.time)
            late = at - row.time
            if late >= -5 * MINUTE:
                self.tell(
                    row.type, row.time, row.person, late=late, data=data, supersedes=row.id, **about
                )
        elif fate < 0.28:
            self.tell("fact.retracted", at, None, retracts=row.id)

    def finished(self) -> list[Row]:
        """Return the rows in order of receipt; of one instant as they were told."""
        return sorted(self.rows, key=lambda row: row.received)


def generated(
    seed: int, *, size: int = 6, called: int = 60, grain: int = 1, phones: bool = False
) -> list[Row]:
    """Return a whole log. size: households of each kind; called: people in the roll call."""
    log = Log(seed, grain=grain, phones=phones)
    log.edges()
    log.roll_call(called)
    log.refusals(size // 2)
    log.twins(size)
    log.lessons()
    if phones:
        log.mixups(size)
    log.guests(size)
    log.families(size, 40)
    log.movers(size, 25)
    log.strangers(size, 20)
    return log.finished()


def fields(row: Row) -> dict[str, Any]:
    """Return a row as it stands in the JSONL file."""
    return {
        "id": row.id,
        "type": row.type,
        "time": text_of(row.time),
        "received": text_of(row.received),
        "person": row.person,
        "household": row.household,
        "supersedes": row.supersedes,
        "retracts": row.retracts,
        "data": dict(row.data),
    }


def write(rows: Sequence[Row], path: Path) -> Path:
    """Write the log as JSONL."""
    lines = (json.dumps(fields(row), ensure_ascii=False) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def item(row: Row) -> dict[str, Any]:
    """Return a row as its source sends it to the door."""
    sent = {
        "type": row.type,
        "source": source(row.id),
        "sourceid": row.id,
        "time": text_of(row.time),
        "receivedat": text_of(row.received),
        "observedat": None if row.observed is None else text_of(row.observed),
        "person": row.person,
        "household": row.household,
        "data": dict(row.data),
    }
    for name, target in (("supersedes", row.supersedes), ("retracts", row.retracts)):
        if target is not None:
            sent[name] = {"source": source(target), "sourceid": target}
    return {name: value for name, value in sent.items() if value is not None}


def source(row_id: str) -> str:
    """Return who sent a row: only a phone of the town's own may start a life clock early."""
    return "phone" if row_id.startswith(PHONE) else "generated"
