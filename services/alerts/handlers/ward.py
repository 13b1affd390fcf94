"""The alerts a batch of messages is about, read in one query and written in bulk at the end."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from services.alerts.domain.alert import Alert
from services.alerts.domain.course import fire_due
from services.alerts.domain.merge import carry_over
from services.alerts.ports import AlertStore

Key = tuple[str, str]


class Ward:
    """Working set of one transaction, by subject and (rule, instance).

    `watermark` is how far marks have come; each subject is brought up to it when it is touched, so
    that the result does not depend on how messages are cut into batches.
    """

    def __init__(self, conn: Connection, store: AlertStore, told_at: int) -> None:
        self.watermark: int | None = None
        self._conn = conn
        self._store = store
        self._told_at = told_at
        self._names: dict[str, dict[Key, Alert]] = {}
        self._all: dict[str, Alert] = {}
        self._brought_to: dict[str, int | None] = {}

    def need(self, names: Iterable[str]) -> None:
        """Load the alerts of subjects not loaded yet."""
        missing = [name for name in dict.fromkeys(names) if name not in self._names]
        if not missing:
            return
        for name in missing:
            self._names[name] = {}
        for alert in self._store.remembered(self._conn, missing):
            self._all[alert.id] = alert
            self._names[alert.memory or alert.subject][alert.rule, alert.instance] = alert

    def of(self, name: str, at: int) -> dict[Key, Alert]:
        """Return what answers for a subject, after firing all of it that is due before `at`."""
        self.need((name,))
        alerts = self._names[name]
        marked = self._behind(name)
        for alert in alerts.values():
            if alert.closed_at is None:
                if marked is not None:
                    fire_due(alert, marked, inclusive=True, told_at=self._told_at)
                fire_due(alert, at, inclusive=False, told_at=self._told_at)
        self._brought_to[name] = self.watermark
        return alerts

    def add(self, alert: Alert, replaced: Alert | None) -> None:
        """Take in a new alert; a closed one it replaces answers no more."""
        if replaced is not None:
            replaced.memory, replaced.changed = None, True
        self._all[alert.id] = alert
        self._names[alert.subject][alert.rule, alert.instance] = alert

    def reported(self, name: str, key: Key, since: int) -> bool:
        """Return whether a reason that became true then has had an alert under this name."""
        reason = (name, *key, since)
        here = ((a.subject, a.rule, a.instance, a.since) for a in self._all.values())
        return reason in here or self._store.reported(self._conn, *reason)

    def move(self, was: str, became: str, household: str, at: int) -> None:
        """Carry the alerts of one name over to another name or household."""
        old, new = self.of(was, at), self.of(became, at)
        carry_over(
            list(old.values()), list(new.values()), became=became, household=household, at=at
        )
        if was == became:
            return
        self._names[was], self._names[became] = {}, {}
        for alert in (*old.values(), *new.values()):
            if alert.memory is not None:
                self._names[alert.memory][alert.rule, alert.instance] = alert

    def finish(self) -> None:
        """Bring every subject up to the watermark and write what changed."""
        for name, alerts in self._names.items():
            marked = self._behind(name)
            if marked is not None:
                for alert in alerts.values():
                    if alert.closed_at is None:
                        fire_due(alert, marked, inclusive=True, told_at=self._told_at)
        self._store.save(self._conn, self._all.values(), self._told_at)

    def ids(self) -> set[str]:
        """Return the ids of the loaded alerts, which need no further firing."""
        return set(self._all)

    def _behind(self, name: str) -> int | None:
        """Return the watermark that the subject has yet to be brought to, if any."""
        return self.watermark if self._brought_to.get(name) != self.watermark else None
