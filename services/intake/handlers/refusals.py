"""Keeping what cannot be taken: bytes, first receipt, reason; and telling when it is mended.

A kept item that could have been a cry for help is reported on the one-hour clock: a control message
`fact.unreadable` about its person or household if that is known, else about `kept:<id>`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from services.intake.domain.item import Refused
from services.intake.domain.rows import Kept
from services.intake.handlers.session import SOURCE, Session
from services.kernel.clock import to_us
from services.kernel.contracts.changes import UNREADABLE, Unreadable
from services.kernel.contracts.envelope import Envelope, moment, raw
from services.kernel.errors import Fault
from services.kernel.ids import derived

KEPT: Final = "kept:"
REPAIRED: Final = "repaired"
CONFLICT: Final = "conflict"


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one item. `id` is its change, `kept` where a refused one is kept."""

    status: str
    id: str | None = None
    kept: str | None = None
    fault: Fault | None = None


class Refusals:
    """Keeps refused items within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def refuse(self, refused: Refused, received: int) -> Answer:
        """Keep an item with its faults; the same bytes from the same place are kept once."""
        fault = _told(refused)
        if refused.repairs is not None and self.find(refused.repairs) is not None:
            return Answer("rejected", kept=refused.repairs, fault=fault)
        cover = self._session.cover
        identity = cover.kept_id(refused)
        if self.find(identity) is None:
            draft = refused.draft
            faults = [msgspec.to_builtins(each) for each in refused.faults]
            self._keep(
                Kept(
                    id=identity,
                    received=received,
                    source=refused.source,
                    type=refused.type,
                    change=refused.id,
                    code=fault.code,
                    fault=msgspec.to_builtins(fault),
                    faults=faults,
                    original=cover.covered(identity, "original", refused.original),
                    origin=refused.origin,
                    draft=None if draft is None else cover.covered(identity, "draft", draft),
                ),
                refused,
                received,
            )
        return Answer("rejected", kept=identity, fault=fault)

    def find(self, kept: str) -> Kept | None:
        """Return a kept item of this batch or of the store."""
        if kept not in self._session.kept:
            self._session.kept.update(self._session.unit.kept([kept]))
        return self._session.kept.get(kept)

    def repaired(self, kept: Kept, change: str, received: int) -> None:
        """Note that a change took the kept item's place, and tell whoever was alarmed by it."""
        if kept.repaired_by is not None:
            return
        kept.repaired_by = change
        self._session.keep(kept)
        if kept.reported and kept.subject is not None and kept.household is not None:
            subject = self._session.resolve(kept.subject)
            name = self._session.name(subject)
            home = name.household if name is not None else self._session.resolve(kept.household)
            self._report(kept, subject, home, REPAIRED, received)

    def _keep(self, kept: Kept, refused: Refused, received: int) -> None:
        session = self._session
        if kept.code != CONFLICT and session.catalogue.can_be_red(refused.type):
            kept.reported = True
            kept.subject, kept.household = self._about(kept.id, refused)
        session.keep(kept)
        if kept.reported:
            assert kept.subject is not None  # noqa: S101 - set above
            assert kept.household is not None  # noqa: S101 - set above
            self._report(kept, kept.subject, kept.household, kept.code, received)

    def _about(self, kept: str, refused: Refused) -> tuple[str, str]:
        session = self._session
        if refused.person is not None:
            name = session.name(session.resolve(refused.person))
            if name is not None:
                return name.name, name.household
        if refused.household is not None:
            household = session.resolve(refused.household)
            return household, household
        return KEPT + kept, KEPT + kept

    def _report(self, kept: Kept, subject: str, household: str, code: str, received: int) -> None:
        kind = REPAIRED if code == REPAIRED else "unreadable"
        self._session.control(
            Envelope(
                id=derived(kind, kept.id),
                type=UNREADABLE,
                source=SOURCE,
                time=moment(kept.received),
                subject=subject,
                partitionkey=household,
                receivedat=moment(received),
                clockat=moment(kept.received) if kept.received != received else None,
                data=raw(Unreadable(kept.id, code, str(kept.fault["where"]), kept.type)),
            ),
            cause=kept.id,
        )


def receipt_of(refused: Refused, default: int) -> int:
    """Return the receipt that a replayed item brought along, else the door's."""
    return to_us(refused.receivedat) if refused.receivedat is not None else default


def conflict(original: bytes, change: str, source: str, origin: str | None) -> Refused:
    """Return the refusal of an item whose key was used before for something else."""
    fault = Fault(
        where="sourceid",
        expected="the same content as before under the same source and sourceid",
        found="other content",
        remedy="give a new fact a sourceid of its own; send a correction with `supersedes`",
        code=CONFLICT,
    )
    return Refused(original, [fault], id=change, source=source, origin=origin)


def _told(refused: Refused) -> Fault:
    first: Fault = refused.faults[0]
    if refused.origin is None:
        return first
    return msgspec.structs.replace(first, where=f"{refused.origin} {first.where}")


def fields_of(original: bytes) -> Any:  # noqa: ANN401 - whatever JSON it is
    """Return the JSON value of a kept item, or its text when it is no JSON."""
    try:
        return msgspec.json.decode(original)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return original.decode("utf-8", "replace")
