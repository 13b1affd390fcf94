"""Who lives where and who is tied to whom: homes, moves, merges, ties. All within one session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from services.intake.domain.names import (
    Claim,
    Killed,
    Name,
    Tie,
    fold_ties,
    home_of,
    is_provisional,
    provisional_household,
)
from services.intake.domain.rows import Entry
from services.intake.domain.statements import tie_said
from services.intake.handlers.session import SOURCE, Session, rekeyed
from services.intake.ports import Fact
from services.kernel.contracts import changes
from services.kernel.contracts.envelope import Envelope, decode, encode, moment, raw
from services.kernel.contracts.registry_types import TIE
from services.kernel.ids import derived


class Occasion(NamedTuple):
    """The change that makes something happen, and its receipt (microseconds since 1970)."""

    cause: str
    received: int


class Way(NamedTuple):
    """From one name in one household to one name in another."""

    was: str
    start: str
    became: str
    end: str
    reason: str


class People:
    """Keeps names up to date while facts come in, and publishes what follows from it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def home(self, person: str, claim: str | None) -> Name:
        """Return the person's name; a new one lives where the fact says, else provisionally."""
        found = self._session.name(person)
        if found is None:
            found = Name(person, "person", claim or provisional_household(person))
            self._session.set_name(found)
        return found

    def settle(
        self,
        name: Name,
        on: Occasion,
        claim: tuple[str, Claim] | None = None,
        killed: Mapping[str, Killed] | None = None,
    ) -> None:
        """Move the person if the claims, with a new one or with some killed, say so."""
        found = self._session.unit.claims(self._names_of(name.name))
        if claim is not None:
            found.append(self._in_place_of(claim, found, killed or {}))
        known = [
            self._as_of_now(identity, each, killed or {}, corrected=claim is not None)
            for identity, each in found
        ]
        home = home_of(name.name, known)
        if home != name.household:
            self.move(name, home, on)

    def move(self, name: Name, home: str, on: Occasion) -> None:
        """Carry the person to another household; a provisional one goes with all it has."""
        if is_provisional(name.household) and not is_provisional(home):
            self.merge_households(name.household, home, on)
            return
        if is_provisional(home):
            self._session.set_name(Name(home, "household", home))
        self._carry_home(name, home, on, "moved")

    def merge_households(self, was: str, became: str, on: Occasion) -> None:
        """Carry everybody and everything of a household into another one, for good."""
        session = self._session
        session.flush()
        aliases = session.unit.aliases(was)
        for resident in session.unit.residents(was):
            name = session.name(resident)
            if name is not None:
                self._carry_home(name, became, on, "merged")
        for alias in (was, *aliases):
            session.set_name(Name(alias, "household", became, became))
        session.flush()
        if session.unit.live_facts([was, *aliases]):
            self._carry(Way(was, was, became, became, "merged"), [was, *aliases], on)
        for tied in session.unit.tied_to(was):
            name = session.name(session.resolve(tied))
            if name is not None:
                self.set_ties(name, name.ties, on)

    def merge_people(self, was: str, became: str, on: Occasion) -> None:
        """Carry a person's facts and ties to another name of the same person, for good."""
        session = self._session
        old, new = session.name(was), session.name(became)
        if new is None:
            new = self.home(became, old.household if old is not None else None)
        if old is None:
            session.set_name(Name(was, "person", new.household, became))
            return
        if is_provisional(new.household) and not is_provisional(old.household):
            self.merge_households(new.household, old.household, on)
        for household in sorted(old.tied(on.received)):
            self._uncopy(old, household, on)
        aliases = self._names_of(was)
        start = old.household
        self._carry(Way(was, start, became, new.household, "merged"), aliases, on)
        for alias in aliases:
            session.set_name(Name(alias, "person", new.household, became))
        if is_provisional(start) and start != new.household:
            self.merge_households(start, new.household, on)
        self.set_ties(new, [*new.ties, *old.ties], on)

    def set_ties(self, name: Name, ties: Iterable[Tie], on: Occasion) -> None:
        """Store a person's ties; households gained get the past, households lost a take-back."""
        before = set(name.tied(on.received))
        resolve = self._session.resolve
        name.ties = fold_ties(
            msgspec.structs.replace(tie, household=resolve(tie.household)) for tie in ties
        )
        self._session.set_name(name)
        after = set(name.tied(on.received))
        for household in sorted(before - after):
            self._uncopy(name, household, on)
        self._copy_past(name, after - before, on)

    def refold_ties(self, name: Name, without: str | None, also: Tie | None, on: Occasion) -> None:
        """Fold the person's ties again from the ledger, without one fact and with another."""
        facts = self._session.unit.live_facts(self._names_of(name.name))
        zone = self._session.catalogue.zone
        known = [
            tie_said(bytes(said.data), fact.id, said.occurred_us(), zone)
            for fact in facts
            if fact.type == TIE and fact.id != without
            for said in (decode(fact.envelope),)
        ]
        self.set_ties(name, [*known, also] if also is not None else known, on)

    def copy(self, fact: Fact, household: str, role: str, late: Occasion | None = None) -> None:
        """Publish a person's fact to a household they are tied to.

        `late` is the occasion that made the tie when the fact is of the past: the household learns
        of it only then, so that is its receipt there, and no life clock starts before it. One that
        had the fact before, and had it taken back, gets it under another id.
        """
        session = self._session
        envelope = decode(fact.envelope)
        identity = derived("copy", fact.id, household)
        if late is not None:
            at = moment(late.received)
            envelope = msgspec.structs.replace(envelope, receivedat=at, clockat=None)
            if session.unit.known([identity]):
                identity = derived("copy", fact.id, household, late.cause)
        copied = msgspec.structs.replace(
            envelope,
            id=identity,
            partitionkey=household,
            copyof=fact.id,
            tie=role,
            supersedes=self._copy_of(envelope.supersedes, household),
            retracts=self._copy_of(envelope.retracts, household),
        )
        session.add(
            Entry(
                id=identity,
                kind="copy",
                type=copied.type,
                source=copied.source,
                subject=copied.subject,
                household=household,
                occurred=copied.occurred_us(),
                received=copied.received_us(),
                clock=copied.clock_us(),
                envelope=encode(copied),
                target=copied.retracts or copied.supersedes,
                retracts=copied.retracts is not None,
                cause=fact.id,
            )
        )

    def _copy_of(self, fact: str | None, household: str) -> str | None:
        """Return the id under which a tied household knows, or will know, a fact."""
        if fact is None:
            return None
        self._session.flush()
        for _, copied in self._session.unit.copies([fact]):
            if copied.household == household:
                return copied.id
        return derived("copy", fact, household)

    def _copy_past(self, name: Name, households: set[str], on: Occasion) -> None:
        if not households:
            return
        facts = self._session.unit.live_facts(self._names_of(name.name))
        for household in sorted(households):
            role = next(tie.role for tie in name.ties if tie.household == household)
            for fact in facts:
                envelope = rekeyed(decode(fact.envelope), name.name, name.household)
                self.copy(fact._replace(envelope=encode(envelope)), household, role, on)

    def _uncopy(self, name: Name, household: str, on: Occasion) -> None:
        session = self._session
        facts = [fact.id for fact in session.unit.live_facts(self._names_of(name.name))]
        for _, copied in session.unit.copies(facts):
            if copied.household == household:
                session.take_back(
                    copied.id, copied.subject, household, cause=on.cause, received=on.received
                )

    def _carry_home(self, name: Name, home: str, on: Occasion, reason: str) -> None:
        before = set(name.tied(on.received))
        way = Way(name.name, name.household, name.name, home, reason)
        self._carry(way, self._names_of(name.name), on)
        name.household = home
        self._session.set_name(name)
        self._copy_past(name, set(name.tied(on.received)) - before, on)

    def _carry(self, way: Way, names: list[str], on: Occasion) -> None:
        """Publish both halves of a move with the live facts of `names`."""
        session = self._session
        facts = session.unit.live_facts(names)
        move = derived("move", on.cause, *way)
        at = moment(on.received)
        out = changes.MovedOut(move, way.end, way.became, way.reason)
        carried = [
            msgspec.Raw(encode(rekeyed(decode(fact.envelope), way.became, way.end)))
            for fact in facts
        ]
        into = changes.MovedIn(move, way.start, way.was, carried, way.reason)
        for kind, subject, household, data in (
            (changes.MOVED_OUT, way.was, way.start, raw(out)),
            (changes.MOVED_IN, way.became, way.end, raw(into)),
        ):
            session.control(
                Envelope(
                    id=derived(kind, move),
                    type=kind,
                    source=SOURCE,
                    time=at,
                    subject=subject,
                    partitionkey=household,
                    receivedat=at,
                    data=data,
                ),
                cause=on.cause,
            )

    def _names_of(self, name: str) -> list[str]:
        """Return a name with everything that became it; what was collected is written first."""
        self._session.flush()
        return [name, *self._session.unit.aliases(name)]

    def _in_place_of(
        self,
        claim: tuple[str, Claim],
        found: list[tuple[str, Claim]],
        killed: Mapping[str, Killed],
    ) -> tuple[str, Claim]:
        """Give a correction the place of its original among the mentions."""
        for identity, known in found:
            if killed.get(identity) == "superseded":
                return claim[0], msgspec.structs.replace(claim[1], order=known.order)
        return claim

    def _as_of_now(
        self, identity: str, claim: Claim, killed: Mapping[str, Killed], *, corrected: bool
    ) -> Claim:
        """Return a claim with its household's name of today, and with what kills it now.

        `corrected`: what kills it names a household itself.
        """
        way = killed.get(identity)
        return msgspec.structs.replace(
            claim,
            household=self._session.resolve(claim.household),
            killed=way or claim.killed,
            replaced=claim.replaced or (corrected and way == "superseded"),
        )
