"""Dead letters over HTTP: the bus's `.dlq` topics listed, corrected and published again.

They belong to no service: whichever worker could not handle a record buried it. What a person did
about a letter is kept in a store of its own; the topics themselves are never written from here.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, select

from services.intake.catalogue import protected_fields
from services.kernel.bus.browse import browse
from services.kernel.bus.dead_letters import DeadLetter, read, revive
from services.kernel.bus.port import Bus
from services.kernel.clock import SystemMonotonic, rfc3339
from services.kernel.contracts.changes import MOVED_IN
from services.kernel.contracts.envelope import decode
from services.kernel.contracts.protected import PHONE
from services.kernel.contracts.records import Record, TopicPartition
from services.kernel.contracts.registry import DUTY_CHANGED, HOUSEHOLD_CHANGED
from services.kernel.contracts.topics import ASSESSMENTS, CHANGES, DUTY, HOUSEHOLDS, dead_letters
from services.kernel.db.engine import Database
from services.kernel.db.write import upsert
from services.kernel.errors import Fault, InvalidMessage, Refused, WrongUse
from services.kernel.http import make_app
from services.kernel.runtime import Context, Service, Tick, run

NAME: Final = "dead"
TOPICS: Final = tuple(dead_letters(t.name) for t in (CHANGES, ASSESSMENTS, HOUSEHOLDS, DUTY))
COUNT_S: Final = 5.0
_CARDS: Final = {HOUSEHOLD_CHANGED: (PHONE,), DUTY_CHANGED: ("turns",)}
"""What cards hold encrypted; registry publishes a whole one again at the next change."""
TABLES: Final = MetaData()
LETTER: Final = Table(
    "letter",
    TABLES,
    Column("id", String, primary_key=True),
    Column("fixed", LargeBinary),
    Column("replayed", Integer, nullable=False),
)


class Correction(BaseModel):
    """Corrected bytes of a dead letter, as text."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    value: str


class Letter(NamedTuple):
    """A dead letter with its place, which is its id, and what was done about it."""

    id: str
    dead: DeadLetter
    fixed: bytes | None
    replayed: int


class Letters:
    """Dead letters of every topic, with what people did about them."""

    def __init__(self, bus: Bus, db: Database, protected: Mapping[str, Sequence[str]]) -> None:
        self._bus = bus
        self._db = db
        self._protected = protected
        with db.begin() as conn:
            TABLES.create_all(conn)

    def all(self) -> Iterator[Letter]:
        """Yield every dead letter, topic by topic, oldest first in each partition."""
        with self._db.read() as conn:
            done = {row.id: row for row in conn.execute(select(LETTER))}
        for topic in TOPICS:
            for record in self._records(topic):
                identity = f"{topic}/{record.partition}/{record.offset}"
                row = done.get(identity)
                yield Letter(
                    identity, read(record), row.fixed if row else None, row.replayed if row else 0
                )

    def one(self, identity: str) -> Letter:
        """Return a dead letter; raises Refused (404) when there is none of that name."""
        for letter in self.all():
            if letter.id == identity:
                return letter
        raise Refused(
            Fault(
                "path", "the id of a dead letter", "another text",
                "look it up with `hearthwatch dlq list`", "not_found",
            ),
            404,
        )  # fmt: skip

    def fix(self, identity: str, value: bytes) -> None:
        """Store corrected bytes; they must be a message, or nothing is stored.

        What the door encrypted stays as it came, of whom it came: nothing here may put it on the
        bus in clear, or under another name. What a move carries stays as it is, whole.
        """
        letter = self.one(identity)
        envelope = decode(value)
        carried = ("facts",) if envelope.type == MOVED_IN else ()
        names = (*self._protected.get(envelope.type, ()), *carried)
        before, same = _payload(letter.dead.value or b""), _about(letter.dead.value or b"")
        for name, said in _payload(value).items():
            if name in names and (said != before.get(name) or _about(value) != same):
                raise Refused(_closed(name), 422)
        self._write(letter._replace(fixed=value))

    def replay(self, identity: str) -> None:
        """Publish a letter again, corrected if it was; whoever handled it before skips it."""
        letter = self.one(identity)
        self._bus.publish([revive(letter.dead, letter.fixed)])
        self._write(letter._replace(replayed=letter.replayed + 1))

    def waiting(self) -> int:
        """Return how many dead letters nobody has sent again; reads no letter."""
        with self._db.read() as conn:
            done = [row.id for row in conn.execute(select(LETTER)) if row.replayed]
        total = 0
        for topic in TOPICS:
            try:
                starts, ends = self._bus.starts(topic), self._bus.ends(topic)
            except WrongUse:  # as in `_records`
                continue
            total += sum(ends[where] - starts[where] for where in ends)
            total -= sum(_is_there(identity, topic, starts) for identity in done)
        return total

    def _write(self, letter: Letter) -> None:
        row = {"id": letter.id, "fixed": letter.fixed, "replayed": letter.replayed}
        with self._db.begin() as conn:
            upsert(conn, LETTER, [row], ("id",))

    def _records(self, topic: str) -> Iterator[Record]:
        try:
            yield from browse(self._bus, topic, SystemMonotonic())
        except WrongUse:  # nothing ever died there, so there is no such topic
            return


def _is_there(identity: str, topic: str, starts: Mapping[TopicPartition, int]) -> bool:
    """Return whether a letter is in the topic and has not been dropped by retention."""
    name, partition, offset = identity.rsplit("/", 2)
    return name == topic and int(offset) >= starts[TopicPartition(topic, int(partition))]


def build(ctx: Context) -> Service:
    """Return the dead letters of this process's bus as a service."""
    closed = {**protected_fields(ctx.settings.pack), **_CARDS}
    letters = Letters(ctx.bus, ctx.open_db(NAME, TABLES), closed)

    def count() -> None:
        ctx.metrics.set("hearthwatch_dead_letters", letters.waiting())

    api = make_app(
        service=NAME, title="Hearthwatch dead letters", ready=[], metrics=ctx.metrics,
        token=ctx.token,
    )  # fmt: skip
    api.include_router(_routes(letters))
    return Service(name=NAME, api=api, ticks=[Tick("dead.count", COUNT_S, count)])


def _routes(letters: Letters) -> APIRouter:
    routes = APIRouter(prefix="/v1")

    @routes.get("/letters")
    def listed() -> dict[str, Any]:
        """List all dead letters: where they died, why, and what was done about them."""
        return {"items": [_summary(letter) for letter in letters.all()], "next": None}

    @routes.get("/letters/{identity:path}")
    def shown(identity: str) -> dict[str, Any]:
        """Show one dead letter with its bytes."""
        letter = letters.one(identity)
        return _summary(letter) | {
            "key": letter.dead.key,
            "value": _shown(letter.dead.value),
            "fixed_value": _shown(letter.fixed),
        }

    @routes.post("/fix/{identity:path}")
    def fix(identity: str, body: Correction) -> dict[str, str]:
        """Store corrected bytes."""
        letters.fix(identity, body.value.encode())
        return {"id": identity}

    @routes.post("/replay/{identity:path}")
    def replay(identity: str) -> dict[str, str]:
        """Publish a letter again."""
        letters.replay(identity)
        return {"id": identity}

    return routes


def _summary(letter: Letter) -> dict[str, Any]:
    dead = letter.dead
    return {
        "id": letter.id,
        "change": _change(dead),
        "topic": dead.topic,
        "partition": dead.partition,
        "offset": dead.offset,
        "group": dead.group,
        "published": rfc3339(dead.published),
        "died": rfc3339(dead.died),
        "attempts": dead.attempts,
        "code": dead.fault.code,
        "fault": msgspec.to_builtins(dead.fault),
        "fixed": letter.fixed is not None,
        "replayed": letter.replayed,
    }


def _change(dead: DeadLetter) -> str | None:
    """Return the id of the message that died, or None when it cannot be read."""
    try:
        return decode(dead.value).id
    except InvalidMessage:
        return None


def _payload(value: bytes) -> dict[str, Any]:
    """Return the payload of a message, {} where there is none that can be read."""
    try:
        found = msgspec.json.decode(decode(value).data)
    except (InvalidMessage, msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _about(value: bytes) -> tuple[str, str, str] | None:
    """Return what a message is and of whom, None where it cannot be read."""
    try:
        found = decode(value)
    except InvalidMessage:
        return None
    return found.type, found.subject, found.partitionkey


def _closed(name: str) -> Fault:
    return Fault(
        where=f"data.{name}",
        expected="the encrypted value as it came, or none",
        found="another value",
        remedy="leave the field out here; send its new value in at the door as a change of its own",
        code="protected",
    )


def _shown(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(value).decode()


if __name__ == "__main__":  # in a process of its own, beside the services
    sys.exit(run([build], arguments=sys.argv[1:]))
