"""Carries out what people do: one transaction, bus or no bus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from services.alerts.domain.acts import Act, act, check
from services.alerts.domain.alert import Alert
from services.alerts.domain.course import fire_due
from services.alerts.ports import AlertStore
from services.kernel.errors import Fault, Refused

MOST_AT_ONCE: Final = 1000


class Refusal(NamedTuple):
    """Why one alert of many was left as it is."""

    alert: str
    status: int
    fault: Fault


def carry_out(
    conn: Connection, store: AlertStore, alert_id: str, deed: Act, expected: int | None
) -> Alert:
    """Carry out an act on one alert.

    Args:
        conn: Of the transaction it belongs to.
        store: The alerts.
        alert_id: Which alert.
        deed: What is done, by whom, when. What is due before that instant fires first.
        expected: The version that the person saw, or None not to ask.

    Raises:
        Refused: 404 no such alert; 412 somebody changed it since; 409 its state does not allow it.
    """
    alerts = store.by_ids(conn, [alert_id])
    if not alerts:
        raise Refused(_missing(alert_id), 404)
    alert = alerts[0]
    if deed.action == "acknowledge":
        check(alert, deed)  # the name of who was first helps more than a stale version
    if expected is not None and expected != alert.version:
        raise Refused(_changed(alert, expected), 412)
    fire_due(alert, deed.at, inclusive=False, told_at=deed.at)
    act(alert, deed)
    store.save(conn, [alert], deed.at)
    return alert


def carry_out_many(
    conn: Connection, store: AlertStore, ids: Sequence[str], deed: Act
) -> tuple[list[str], list[Refusal]]:
    """Carry out the same act on many alerts; return which were changed, and why others were not."""
    wanted = list(dict.fromkeys(ids))
    alerts = {alert.id: alert for alert in store.by_ids(conn, wanted)}
    refused: list[Refusal] = []
    for id_ in wanted:
        alert = alerts.get(id_)
        if alert is None:
            refused.append(Refusal(id_, 404, _missing(id_)))
            continue
        try:
            check(alert, deed)
        except Refused as exc:
            refused.append(Refusal(id_, exc.status, exc.fault))
            del alerts[id_]
            continue
        fire_due(alert, deed.at, inclusive=False, told_at=deed.at)
        act(alert, deed)
    store.save(conn, alerts.values(), deed.at)
    return [id_ for id_ in wanted if id_ in alerts], refused


def looked_at(conn: Connection, store: AlertStore, alert_id: str, person: str, at: int) -> None:
    """Note on the timeline who looked at an alert; outside the digest, without a new version."""
    for alert in store.by_ids(conn, [alert_id]):
        alert.write("viewed", at, "person", actor=person)
        store.save(conn, [alert], at)


def _missing(alert_id: str) -> Fault:
    return Fault(
        where="path",
        expected="the id of an alert",
        found=f"text of length {len(alert_id)}",
        remedy="take an id from GET /v1/alerts",
        code="not_found",
    )


def _changed(alert: Alert, expected: int) -> Fault:
    fault = Fault(
        where=f"alert {alert.id}",
        expected=f"version {expected}, as in If-Match",
        found=f"version {alert.version}",
        remedy="read the alert again and decide anew",
    )
    return msgspec.structs.replace(fault, code="stale")
