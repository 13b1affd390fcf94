"""Taking one good item: whose it is, what it corrects, where it is published."""

from __future__ import annotations

from typing import Final, NamedTuple

from services.intake.domain.item import Checked
from services.intake.domain.names import (
    PLACE,
    PROVISIONAL,
    Claim,
    Killed,
    Name,
    is_provisional,
    place_key,
    provisional_person,
)
from services.intake.domain.rows import Entry
from services.intake.domain.statements import household_stated, merge_said, tie_said
from services.intake.domain.types import STATEMENTS
from services.intake.handlers.people import Occasion, People
from services.intake.handlers.session import Session
from services.intake.ports import Fact, Killer, Known
from services.kernel.contracts.changes import RETRACTED
from services.kernel.contracts.envelope import Envelope, encode, moment
from services.kernel.contracts.registry_types import MERGED, TIE
from services.kernel.errors import Fault
from services.kernel.ids import derived

PARKED: Final = "parked"
"""Subject of a retraction whose original nobody has sent yet."""
_LAST: Final = 1 << 62


class Place(NamedTuple):
    """Whom a fact is about, and in which household; `person` when it is about a person."""

    subject: str
    household: str
    person: Name | None = None


class Taking:
    """Takes good items one after the other within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._people = People(session)

    def take(self, checked: Checked, received: int, clock: int) -> Fault | None:
        """Publish an item and all that follows from it; or say why it cannot be taken.

        Args:
            checked: Neither a duplicate nor a conflict of what the ledger has.
            received: Its receipt, microseconds since 1970.
            clock: Where its life clock starts, before a correction's original is looked at.
        """
        original = self._original(checked)
        fault = self._unfit(checked, original)
        if fault is not None:
            return fault
        on = Occasion(checked.id, received)
        place = self._place(checked, original, on)
        if place is None:
            self._park(checked, received, clock)
            return None
        if original is not None and not self._takes_back(checked):
            clock = min(clock, original.clock)
        killers = self._session.killers.get(checked.id, [])
        self._overtaken(checked, place, killers, received)
        self._publish(checked, place, received, clock)
        if original is not None:
            self._clean_up(checked, original, place, on)
        return None

    # -- whose it is ---------------------------------------------------------------------------

    def _original(self, checked: Checked) -> Known | None:
        found = self._session.known.get(checked.target) if checked.target else None
        return found if found is not None and found.kind == "fact" else None

    def _unfit(self, checked: Checked, original: Known | None) -> Fault | None:
        item = checked.item
        if original is not None and original.type == MERGED:
            return Fault(
                "retracts" if item.retracts else "supersedes",
                "a fact other than a merge",
                "a merge, which cannot be undone by taking it back",
                "give the person an id of their own again with a registry.person entry",
                "merged",
            )
        keyless = item.person is None and item.household is None and item.place is None
        if keyless and original is None and not self._takes_back(checked):
            return Fault(
                "supersedes",
                "a person or a household, or the id of a change that was accepted",
                "the id of a change that nobody has sent yet",
                "say whom the correction is about",
                "missing",
            )
        return None

    def _takes_back(self, checked: Checked) -> bool:
        return checked.item.retracts is not None

    def _place(self, checked: Checked, original: Known | None, on: Occasion) -> Place | None:
        item, session = checked.item, self._session
        if checked.kind.name == MERGED:
            return self._merged(checked, on)
        keyless = item.person is None and item.household is None and item.place is None
        if original is not None and (keyless or checked.kind.name == RETRACTED):
            return self._same(checked, original, on)
        if keyless:
            return None
        subject = checked.kind.subject
        if checked.kind.name == RETRACTED and item.person is None:
            subject = "household" if item.household is not None else "place"
        if subject == "place" and item.place is not None:
            key = place_key(item.place)
            return Place(key, key)
        household = session.resolve(item.household) if item.household is not None else None
        if item.person is None:
            if household is None:  # the check lets a place pass only where it was handled above
                return None
            if subject == "person":
                return self._person(checked, provisional_person(checked.id), original, on)
            return Place(household, household)
        if subject != "person" and household is not None:
            return Place(household, household)
        place = self._person(checked, session.resolve(item.person), original, on)
        return place if subject == "person" else Place(place.household, place.household)

    def _same(self, checked: Checked, original: Known, on: Occasion) -> Place:
        """Return the place of the original, wherever its subject is by now."""
        subject = self._session.resolve(original.subject)
        if original.subject == original.household or subject.startswith(PLACE):
            return Place(subject, subject)
        return self._person(checked, subject, original, on)

    def _merged(self, checked: Checked, on: Occasion) -> Place:
        session = self._session
        said = merge_said(bytes(checked.data))
        was, became = session.resolve(said.was), session.resolve(said.became)
        overtaken = checked.id in session.killers
        known = session.name(was)
        household = said.kind == "household" or (
            said.kind is None
            and (was.startswith(PROVISIONAL) or (known is not None and known.kind == "household"))
        )
        if household:
            if was != became and not overtaken:
                self._people.merge_households(was, became, on)
            return Place(became, became)
        if was != became and not overtaken:
            self._people.merge_people(was, became, on)
        home = self._people.home(became, None)
        return Place(home.name, home.household, home)

    def _person(self, checked: Checked, person: str, original: Known | None, on: Occasion) -> Place:
        """Return the person's place after everything that the item says about it."""
        session, item, kind = self._session, checked.item, checked.kind.name
        stated = household_stated(kind, bytes(checked.data), item.household)
        claim = session.resolve(stated) if stated is not None else None
        killed = self._killed(checked)
        before = session.name(person)
        name = self._people.home(person, claim)
        about = {} if original is None else {original.id: self._way(checked)}
        said = (
            (checked.id, Claim(claim, kind, checked.occurred, _LAST, killed))
            if claim is not None
            else None
        )
        moves = (
            before is not None
            and claim is not None
            and claim != name.household
            and (kind in STATEMENTS or is_provisional(name.household))
        )
        if moves or (original is not None and self._moved_somebody(original, name)):
            self._people.settle(name, on, said, about)
        if kind == TIE and killed is None:
            zone = session.catalogue.zone
            tie = tie_said(bytes(checked.data), checked.id, checked.occurred, zone)
            if original is not None and original.type == TIE:
                self._people.refold_ties(name, original.id, tie, on)
            else:
                self._people.set_ties(name, [*name.ties, tie], on)
        return Place(name.name, name.household, name)

    def _moved_somebody(self, original: Known, name: Name) -> bool:
        return original.claim is not None and self._session.resolve(original.subject) == name.name

    def _killed(self, checked: Checked) -> Killed | None:
        killers = self._session.killers.get(checked.id)
        if not killers:
            return None
        ways = {killer.how for killer in killers}
        return "superseded" if "superseded" in ways else "retracted"

    def _way(self, checked: Checked) -> Killed:
        return "retracted" if self._takes_back(checked) else "superseded"

    # -- where it is published -----------------------------------------------------------------

    def _publish(self, checked: Checked, place: Place, received: int, clock: int) -> None:
        item, session = checked.item, self._session
        envelope = encode(_envelope(checked, place, received, clock))
        claim = household_stated(checked.kind.name, bytes(checked.data), item.household)
        session.add(
            Entry(
                id=checked.id,
                kind="fact",
                type=item.type,
                source=item.source,
                subject=place.subject,
                household=place.household,
                occurred=checked.occurred,
                received=received,
                clock=clock,
                envelope=envelope,
                claim=claim if place.person is not None else None,
                target=checked.target,
                retracts=item.retracts is not None,
                content=checked.content,
                person=self._mentioned(checked, place),
                related="\x1f".join(item.related) or None,
                origin=item.origin,
            )
        )
        if place.person is not None and place.person.ties:
            fact = Fact(checked.id, item.type, place.household, envelope)
            for household, role in sorted(place.person.tied(received).items()):
                self._people.copy(fact, household, role)

    def _mentioned(self, checked: Checked, place: Place) -> str | None:
        """Return the person who decided where a household's fact went, for the audit."""
        person, household = checked.item.person, checked.item.household
        if place.person is not None or person is None or household is not None:
            return None
        return self._session.resolve(person)

    def _park(self, checked: Checked, received: int, clock: int) -> None:
        place = Place(PARKED, PARKED)
        self._session.add(
            Entry(
                id=checked.id,
                kind="parked",
                type=checked.item.type,
                source=checked.item.source,
                subject=PARKED,
                household=PARKED,
                occurred=checked.occurred,
                received=received,
                clock=clock,
                envelope=encode(_envelope(checked, place, received, clock)),
                target=checked.target,
                retracts=True,
                content=checked.content,
                origin=checked.item.origin,
            )
        )

    # -- corrections across households ---------------------------------------------------------

    def _overtaken(
        self, checked: Checked, place: Place, killers: list[Killer], received: int
    ) -> None:
        """Tell the households of a late original that it was corrected or taken back before.

        Where the correction went to the same person it is there already. A parked retraction had
        nowhere to go, and one about somebody else went elsewhere.
        """
        session = self._session
        elsewhere = [
            k for k in killers if k.kind == "parked" or session.resolve(k.subject) != place.subject
        ]
        for killer in elsewhere:
            session.take_back(
                checked.id, place.subject, place.household, cause=killer.id, received=received
            )
            if place.person is not None:
                for household in sorted(place.person.tied(received)):
                    session.take_back(
                        derived("copy", checked.id, household), place.subject, household,
                        cause=killer.id, received=received,
                    )  # fmt: skip

    def _clean_up(self, checked: Checked, original: Known, place: Place, on: Occasion) -> None:
        """Take the original back wherever its correction did not go."""
        session = self._session
        subject = session.resolve(original.subject)
        name = session.name(subject)
        if (
            name is not None
            and original.type == TIE
            and (checked.kind.name != TIE or subject != place.subject)
        ):
            self._people.refold_ties(name, original.id, None, on)
        if subject != place.subject:
            home = subject if name is None or name.kind == "household" else name.household
            session.take_back(original.id, subject, home, cause=on.cause, received=on.received)
            if name is not None and original.claim is not None:
                self._people.settle(name, on)
        session.flush()
        reached = place.person.tied(on.received) if place.person is not None else {}
        for _, copied in session.unit.copies([original.id]):
            if copied.household not in reached:
                session.take_back(
                    copied.id, copied.subject, copied.household,
                    cause=on.cause, received=on.received,
                )  # fmt: skip


def _envelope(checked: Checked, place: Place, received: int, clock: int) -> Envelope:
    item = checked.item
    return Envelope(
        id=checked.id,
        type=item.type,
        source=item.source,
        sourceid=item.sourceid,
        time=item.time,
        subject=place.subject,
        partitionkey=place.household,
        receivedat=moment(received),
        clockat=None if clock == received else moment(clock),
        observedat=item.observedat,
        precision=item.precision,
        confidence=item.confidence,
        legalbasis=item.legalbasis,
        confidentiality=item.confidentiality,
        supersedes=checked.target if item.supersedes is not None else None,
        retracts=checked.target if item.retracts is not None else None,
        traceparent=item.traceparent,
        data=checked.data,
    )
