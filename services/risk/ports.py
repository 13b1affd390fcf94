"""What risk needs of others: a store for facts, states and assessments; somebody who scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from services.kernel.contracts.assessments import ModelSays
from services.kernel.contracts.records import Outgoing
from services.risk.domain.state import Household

Row = tuple[float | None, ...]


class FactRow(NamedTuple):
    """One fact as it came: the whole envelope in `body`; received in microseconds."""

    household: str
    id: str
    subject: str
    type: str
    received: int
    body: bytes


class AssessmentRow(NamedTuple):
    """One published assessment; `body` is its payload; at in microseconds."""

    id: str
    subject: str
    household: str
    at: int
    level: int
    cause: str | None
    body: bytes


class Store(Protocol):
    """Risk's rows. Every call works inside the caller's transaction and may be repeated."""

    def marks(self, conn: Connection) -> dict[int, int]:
        """Return the last mark of each input partition, in microseconds."""
        ...

    def mark(self, conn: Connection, partition: int, at: int) -> None:
        """Store a mark; one that is not above the stored one changes nothing."""
        ...

    def add_facts(self, conn: Connection, facts: Iterable[FactRow]) -> None:
        """Store facts; one that is there stays as it is, but is of the household again."""
        ...

    def leave(self, conn: Connection, household: str, subject: str, at: int) -> None:
        """Note that a subject's facts are no longer this household's."""
        ...

    def facts_of(self, conn: Connection, ids: Sequence[str]) -> dict[str, list[FactRow]]:
        """Return each household's facts in order of receipt; one without is missing."""
        ...

    def load_states(self, conn: Connection, ids: Sequence[str]) -> dict[str, Household]:
        """Return the stored states of these households; unknown ones are missing."""
        ...

    def save_states(self, conn: Connection, partition: int, states: Iterable[Household]) -> None:
        """Store states beside the facts they come from."""
        ...

    def due_households(self, conn: Connection, partition: int, until: int, limit: int) -> list[str]:
        """Return households with work due at or before `until`, earliest first."""
        ...

    def add_assessments(self, conn: Connection, found: Iterable[AssessmentRow]) -> None:
        """Store assessments; one that is there stays as it is."""
        ...

    def send(self, conn: Connection, records: Sequence[Outgoing]) -> None:
        """Queue records for publication once the transaction has committed."""
        ...


class Scorer(Protocol):
    """The model's slot. Pure, may be slow per call: both are called once per batch.

    A row gets the same answer in every batch.
    """

    name: str

    def score(self, rows: Sequence[Row]) -> Sequence[ModelSays]:
        """Return for each row (features in the pack's order, None unknown) what the model says.

        `level` is after the cap (never 3); `contributions` are signed, largest first.
        """
        ...

    def levels(self, rows: Sequence[Row]) -> Sequence[int]:
        """Return the `level` that `score` gives each row, without the work of explaining it."""
        ...
