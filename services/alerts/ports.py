"""What the handlers of alerts need of the world: a store of alerts, kept-back records, marks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from services.alerts.domain.alert import Alert
from services.alerts.domain.delivery import Contact, Delivery
from services.kernel.contracts.assessments import Moved


class AlertStore(Protocol):
    """Alerts with their deadlines and tasks. What is read for change is locked until commit."""

    def remembered(self, conn: Connection, names: Sequence[str]) -> list[Alert]:
        """Return the alerts that answer for the subjects' reasons.

        All open ones, and of the closed ones the newest of each key (without steps).
        """
        ...

    def reported(
        self, conn: Connection, subject: str, rule: str, instance: str, since: int
    ) -> bool:
        """Return whether a reason that became true then has had an alert already."""
        ...

    def by_ids(
        self, conn: Connection, ids: Sequence[str], *, skip_locked: bool = False
    ) -> list[Alert]:
        """Return alerts for change; with `skip_locked` those that nobody else holds now."""
        ...

    def heads(self, conn: Connection, ids: Sequence[str]) -> list[Alert]:
        """Return alerts for adding lines only: without steps and tasks, which stay as they are."""
        ...

    def due(
        self, conn: Connection, now: int, limit: int | None = None, but: Collection[str] = ()
    ) -> list[str]:
        """Return the ids of alerts with a pending step due at or before `now`, earliest first.

        limit: of steps. but: alerts to leave out.
        """
        ...

    def unreadable(self, conn: Connection, causes: Sequence[str]) -> list[Alert]:
        """Return the open alerts of unreadable messages with these ids."""
        ...

    def save(self, conn: Connection, alerts: Iterable[Alert], now: int) -> None:
        """Write all that changed in bulk: rows, timeline, deliveries, and what is published.

        `now` is the clock's time, stamped on what leaves; it is in no digest.
        """
        ...


class DeliveryStore(Protocol):
    """Deliveries; what is read for change is locked until commit, and what is locked is skipped."""

    def due(
        self, conn: Connection, now: int, limit: int, but: Collection[str] = ()
    ) -> list[Delivery]:
        """Return queued deliveries whose time has come, the earliest first; none to `but`."""
        ...

    def crashed(self, conn: Connection, now: int, but: str | None, limit: int) -> list[Delivery]:
        """Return sendings whose lease is over, or, given `but`, all that other processes began."""
        ...

    def any_due(self, conn: Connection, now: int) -> bool:
        """Return whether a queued delivery's time has come; locks nothing."""
        ...

    def any_crashed(self, conn: Connection, now: int, but: str | None) -> bool:
        """Return whether `crashed` would find one; locks nothing."""
        ...

    def by_ids(self, conn: Connection, ids: Sequence[str]) -> list[Delivery]:
        """Return deliveries."""
        ...

    def save(self, conn: Connection, deliveries: Iterable[Delivery]) -> None:
        """Write deliveries."""
        ...

    def places(self, conn: Connection, households: Sequence[str]) -> Mapping[str, Place]:
        """Return where households are, as far as registry has told."""
        ...


class Place(NamedTuple):
    """Area and grid of a household; empty where unknown."""

    area: str = ""
    grid: str = ""


class Duty(Protocol):
    """Who is on duty."""

    def contacts(self, conn: Connection, role: str, area: str, now: int) -> list[Contact] | None:
        """Return the contacts of a role in the order to try; None when no roster has come."""
        ...


class Waiting(NamedTuple):
    """A move of which one half has come, told by `household`; `names` are its two names."""

    move: str
    half: str
    household: str
    moved: Moved

    @property
    def names(self) -> frozenset[str]:
        """Return the names that what follows is kept back about."""
        return frozenset((self.moved.was, self.moved.became))


class Kept(NamedTuple):
    """Everything that waits: halves, and by household the records kept back, in order."""

    waiting: list[Waiting]
    queues: dict[str, list[bytes]]


class MoveStore(Protocol):
    """Moves that wait for their other half, and the records kept back behind them."""

    def load(self, conn: Connection) -> Kept:
        """Return everything that waits; normally nothing."""
        ...

    def save(self, conn: Connection, kept: Kept) -> None:
        """Store everything that waits instead of what was stored."""
        ...


class MarkStore(Protocol):
    """How far each partition was handled, and its last mark."""

    def marks(self, conn: Connection, topic: str) -> Mapping[int, int]:
        """Return the last mark of each partition that has had one."""
        ...

    def handled(
        self, conn: Connection, topic: str, partition: int, offset: int, mark: int | None
    ) -> None:
        """Note that everything before `offset` was handled, and the highest mark among it."""
        ...


class Transactions(Protocol):
    """The service's database."""

    def begin(self) -> AbstractContextManager[Connection]:
        """Open a write transaction: commits on leaving, rolls back on an error."""
        ...

    def read(self) -> AbstractContextManager[Connection]:
        """Open a read-only snapshot."""
        ...

    def lock(self, conn: Connection, name: str, *, shared: bool) -> None:
        """Hold a name until the transaction ends."""
        ...
