"""One batch being taken: what has been read of the store, and what is to be written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import msgspec

from services.intake.domain.names import Killed, Name
from services.intake.domain.rows import Entry, Kept, Tally
from services.intake.domain.types import Catalogue
from services.intake.handlers.covering import Cover
from services.intake.ports import Killer, Known, Unit
from services.kernel.clock import to_us
from services.kernel.contracts.changes import RETRACTED, Retracted
from services.kernel.contracts.envelope import HEADERS, Envelope, encode, moment, raw
from services.kernel.contracts.records import Outgoing
from services.kernel.contracts.topics import CHANGES
from services.kernel.ids import derived

SOURCE: Final = "intake"


class Session:
    """Caches what the batch refers to, and collects its effect until `flush` and `close`."""

    def __init__(self, unit: Unit, catalogue: Catalogue, cover: Cover) -> None:
        self.unit = unit
        self.catalogue = catalogue
        self.cover = cover
        self.known: dict[str, Known] = {}
        self.killers: dict[str, list[Killer]] = {}
        self.kept: dict[str, Kept] = {}
        self.tallies: defaultdict[str, Tally] = defaultdict(Tally)
        self._names: dict[str, Name | None] = {}
        self._changed: dict[str, Name] = {}
        self._entries: list[Entry] = []
        self._outgoing: list[Outgoing] = []
        self._keep: dict[str, Kept] = {}

    def prepare(self, ids: list[str], targets: list[str], names: Iterable[str]) -> None:
        """Read at once what the batch's items refer to."""
        self.known = self.unit.known([*ids, *targets])
        self.killers = self.unit.killers(ids)
        self.need(names)
        ahead = {
            found
            for name in self._names.values()
            if name is not None
            for found in (name.became, name.household, *(tie.household for tie in name.ties))
            if found is not None
        }
        self.need(ahead)

    def need(self, names: Iterable[str]) -> None:
        """Read the names that are not in memory yet."""
        wanted = [name for name in set(names) if name not in self._names]
        if wanted:
            self._names.update(dict.fromkeys(wanted))
            self._names.update(self.unit.names(wanted))

    def name(self, name: str) -> Name | None:
        """Return what is known of a name."""
        if name not in self._names:
            self.need([name])
        return self._names[name]

    def set_name(self, name: Name) -> None:
        """Note that a name is new or changed."""
        self._names[name.name] = name
        self._changed[name.name] = name

    def resolve(self, name: str) -> str:
        """Return what a name became, else the name itself."""
        found = self.name(name)
        return found.became if found is not None and found.became else name

    def add(self, entry: Entry) -> None:
        """Append to the ledger and publish, except what is parked."""
        self._entries.append(entry)
        self.known[entry.id] = Known(
            entry.id, entry.kind, entry.type, entry.subject, entry.household,
            entry.clock, entry.claim, entry.content,
        )  # fmt: skip
        if entry.target is not None:
            how: Killed = "retracted" if entry.retracts else "superseded"
            self.killers.setdefault(entry.target, []).append(
                Killer(entry.target, entry.id, entry.kind, entry.subject, how)
            )
        if entry.kind != "parked":
            self._outgoing.append(Outgoing(CHANGES.name, entry.household, entry.envelope, HEADERS))

    def control(self, envelope: Envelope, *, cause: str) -> None:
        """Publish a control message once; the same id again changes nothing."""
        if envelope.id in self.known or envelope.id in self.unit.known([envelope.id]):
            return
        received = to_us(envelope.receivedat)
        self.add(
            Entry(
                id=envelope.id,
                kind="control",
                type=envelope.type,
                source=SOURCE,
                subject=envelope.subject,
                household=envelope.partitionkey,
                occurred=to_us(envelope.time),
                received=received,
                clock=envelope.clock_us(),
                envelope=encode(envelope),
                target=envelope.retracts,
                retracts=envelope.retracts is not None,
                cause=cause,
            )
        )

    def take_back(
        self, what: str, subject: str, household: str, *, cause: str, received: int
    ) -> None:
        """Publish that the record `what` in a household never was."""
        self.control(
            Envelope(
                id=derived("take_back", cause, what, household),
                type=RETRACTED,
                source=SOURCE,
                time=moment(received),
                subject=subject,
                partitionkey=household,
                receivedat=moment(received),
                retracts=what,
                data=raw(Retracted()),
            ),
            cause=cause,
        )

    def keep(self, kept: Kept) -> None:
        """Store a refused item, new or changed."""
        self.kept[kept.id] = kept
        self._keep[kept.id] = kept

    def flush(self) -> None:
        """Write what was collected so far, so that the store's answers count it."""
        if self._entries or self._changed:
            self.unit.write(self._entries, self._changed.values())
            self._entries, self._changed = [], {}

    def close(self) -> None:
        """Write everything."""
        self.flush()
        self.unit.keep(self._keep.values())
        self.unit.tally(self.tallies)
        self.unit.publish(self._outgoing)


def rekeyed(envelope: Envelope, subject: str, household: str) -> Envelope:
    """Return the same message as another household shall know it."""
    return msgspec.structs.replace(envelope, subject=subject, partitionkey=household)
