"""`fire_due`: the one code path by which time acts, for marks, the wall clock and the auditor."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import Connection

from services.alerts.domain.course import fire_due as fire_alert
from services.alerts.domain.ladder import Step
from services.alerts.ports import AlertStore

BATCH: Final = 500
"""Steps looked for in one transaction: some 0.2 s, for an acknowledgement waits no longer."""


def fire_due(
    conn: Connection, store: AlertStore, now: int, told_at: int, *, but: Collection[str] = ()
) -> list[Step]:
    """Fire some 500 steps due at or before `now`, of alerts nobody else holds, except `but`.

    Returns:
        The steps that fired; none when nothing is due, or others are at it.
    """
    return fire_alerts(conn, store, store.due(conn, now, BATCH, but), now, told_at)


def fire_alerts(
    conn: Connection, store: AlertStore, ids: Sequence[str], now: int, told_at: int
) -> list[Step]:
    """Fire what is due of these alerts, as far as nobody else holds them."""
    return _fire(conn, store, ids, now, told_at, skip_locked=True)


def fire_all_due(
    conn: Connection, store: AlertStore, now: int, told_at: int, but: Collection[str] = ()
) -> list[Step]:
    """Fire everything due at or before `now` in this transaction, except for the alerts `but`."""
    ids = [id_ for id_ in store.due(conn, now) if id_ not in but]
    return [
        step
        for start in range(0, len(ids), BATCH)
        for step in _fire(conn, store, ids[start : start + BATCH], now, told_at, skip_locked=False)
    ]


def _fire(
    conn: Connection,
    store: AlertStore,
    ids: Sequence[str],
    now: int,
    told_at: int,
    *,
    skip_locked: bool,
) -> list[Step]:
    if not ids:
        return []
    alerts = store.by_ids(conn, ids, skip_locked=skip_locked)
    fired = [
        step for alert in alerts for step in fire_alert(alert, now, inclusive=True, told_at=told_at)
    ]
    store.save(conn, alerts, told_at)
    return fired
