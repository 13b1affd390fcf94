"""Finds any row that was deleted or altered behind our back, and names it.

An alert's lines are chained by hash and counted in its row; its deadlines and tasks follow from its
frozen ladder; its deliveries follow from its lines; every row that changes carries a seal; what a
partition has been read to is kept twice. Deleting an alert leaves its parts as witnesses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, Table, func, select

from services.alerts.domain.ladder import Ladder, urgent
from services.alerts.domain.timeline import chained
from services.alerts.storage import rows
from services.alerts.storage.seal import seal_of
from services.alerts.storage.tables import (
    ALERT,
    DELIVERY,
    INBOX,
    KEYS,
    LADDER,
    MOVE,
    PARKED,
    PLACE,
    POSITIONS,
    PROGRESS,
    QUEUE,
    ROSTER,
    STEP,
    TASK,
    TIMELINE,
)

CHUNK: Final = 500
_PARTS: Final = (STEP, TASK, TIMELINE, DELIVERY)
Parts = dict[str, list[Row[Any]]]


class Finding(NamedTuple):
    """One row that is not as it must be; `id` names it by its key, parts joined by a slash."""

    table: str
    id: str
    problem: str


def findings(conn: Connection) -> list[Finding]:
    """Return everything that is wrong; empty when all is well. Cost: some 20 us a row."""
    found: list[Finding] = []
    ladders = _ladders(conn, found)
    for alerts, parts in _chunks(conn):
        known = {alert.id for alert in alerts}
        orphans = {row.alert_id for of in parts.values() for row in of} - known
        found += [Finding("alert", o, "is missing: its parts are there") for o in sorted(orphans)]
        grouped = {name: _by_alert(of) for name, of in parts.items()}
        for alert in alerts:
            mine = {name: of.get(alert.id, []) for name, of in grouped.items()}
            found.extend(_check(alert, mine, ladders))
        found.extend(_answers(conn, alerts, grouped["timeline"]))
    for row in conn.execute(select(INBOX.table)):
        found += _sealed(INBOX.table, row, row.id)
    found.extend(_moves(conn))
    found.extend(_reading(conn))
    return found


def _chunks(conn: Connection) -> Iterator[tuple[list[Row[Any]], Parts]]:
    """Yield alerts in order of id with the parts whose alert lies in the same range of ids."""
    after = ""
    while True:
        alerts = list(
            conn.execute(select(ALERT).where(ALERT.c.id > after).order_by(ALERT.c.id).limit(CHUNK))
        )
        last = len(alerts) < CHUNK
        parts = {}
        for table in _PARTS:
            query = select(table).where(table.c.alert_id > after)
            if not last:
                query = query.where(table.c.alert_id <= alerts[-1].id)
            parts[table.name] = list(conn.execute(query))
        yield alerts, parts
        if last:
            return
        after = alerts[-1].id


def _by_alert(found: list[Row[Any]]) -> dict[str, list[Row[Any]]]:
    grouped: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in found:
        grouped[row.alert_id].append(row)
    return grouped


def _ladders(conn: Connection, found: list[Finding]) -> dict[str, Ladder]:
    ladders = {}
    for row in conn.execute(select(LADDER)):
        if rows.ladder_id(row.body.encode()) != row.id:
            found.append(Finding("ladder", row.id, "was altered: its id is another hash"))
        try:
            ladders[row.id] = rows.ladder_of(row.body)
        except msgspec.MsgspecError:
            continue  # told above
    return ladders


def _check(
    alert: Row[Any], parts: dict[str, list[Row[Any]]], ladders: dict[str, Ladder]
) -> Iterator[Finding]:
    yield from _sealed(ALERT, alert, alert.id)
    ladder = ladders.get(alert.ladder)
    if ladder is None:
        yield Finding("ladder", alert.ladder, f"is missing or unreadable: alert {alert.id} has it")
    else:
        yield from _planned(alert.id, ladder, parts)
    deadlines = [rows.step_of(row) for row in parts["step"]]
    if alert.urgent_at != urgent(deadlines, handled=alert.handled_at is not None):
        yield Finding("alert", alert.id, "its place in the queue is not that of its deadlines")
    for step in parts["step"]:
        yield from _sealed(STEP, step, f"{alert.id}/{step.name}")
    for task in parts["task"]:
        yield from _sealed(TASK, task, f"{alert.id}/{task.stage}")
    yield from _chain(alert, parts["timeline"])
    yield from _delivered(alert.id, parts)


def _sealed(table: Table, row: Row[Any], name: str) -> Iterator[Finding]:
    if seal_of(table, row) != row.seal:
        yield Finding(str(table.name), name, "was altered: its seal is another")


def _planned(alert_id: str, ladder: Ladder, parts: dict[str, list[Row[Any]]]) -> Iterator[Finding]:
    """Compare deadlines and tasks with the frozen ladder."""
    wanted = {(d.name, "deadline") for d in ladder.deadlines}
    wanted |= {(r.step, "ladder") for r in ladder.rungs}
    wanted |= {(t.stage, "task") for t in ladder.tasks}
    if ladder.emergency is not None:
        wanted.add(("emergency", "emergency"))
    held = {(row.name, row.kind) for row in parts["step"]}
    for name, kind in sorted(wanted - held):
        yield Finding("step", f"{alert_id}/{name}", f"is missing: the ladder has this {kind}")
    for name, _ in sorted(held - wanted):
        yield Finding("step", f"{alert_id}/{name}", "is not in the alert's ladder")
    stages = {t.stage for t in ladder.tasks}
    there = {row.stage for row in parts["task"]}
    for stage in sorted(stages - there):
        yield Finding("task", f"{alert_id}/{stage}", "is missing: the ladder has it")
    for stage in sorted(there - stages):
        yield Finding("task", f"{alert_id}/{stage}", "is not in the alert's ladder")


def _chain(alert: Row[Any], lines: list[Row[Any]]) -> Iterator[Finding]:
    by_number = {row.n: row for row in lines}
    before: str | None = ""
    for n in range(1, alert.lines + 1):
        row = by_number.pop(n, None)
        if row is None:
            yield Finding("timeline", f"{alert.id}/{n}", "is missing")
            before = None
            continue
        if before is not None and not _follows(before, alert.id, row):
            yield Finding("timeline", f"{alert.id}/{n}", "was altered: the chain breaks here")
        before = row.hash
    for n in sorted(by_number):
        yield Finding("timeline", f"{alert.id}/{n}", "is more than the alert knows of")
    if before is not None and before != alert.head:
        yield Finding("alert", alert.id, "has another head than its last line")


def _follows(before: str, alert_id: str, row: Row[Any]) -> bool:
    try:
        whole = row.counted in (0, 1) and chained(before, alert_id, rows.entry_of(row)) == row.hash
    except msgspec.MsgspecError:  # the detail is no JSON any more
        return False
    return bool(whole)


def _delivered(alert_id: str, parts: dict[str, list[Row[Any]]]) -> Iterator[Finding]:
    """Compare deliveries with the lines of the rungs that fired: one for each step and target."""
    held = {row.id: row for row in parts["delivery"]}
    for line in parts["timeline"]:
        if line.detail == "{}" or not line.counted:
            continue
        for target in _targets(line.detail):
            id_ = rows.delivery_id(alert_id, line.what, target)
            row = held.pop(id_, None)
            if row is None:
                yield Finding("delivery", id_, f"is missing: {line.what} of alert {alert_id}")
            else:
                yield from _sealed(DELIVERY, row, id_)
    for id_ in sorted(held):
        yield Finding("delivery", id_, f"belongs to no fired step of alert {alert_id}")


def _targets(detail: str) -> list[str]:
    found = _detail(detail)
    return [str(target) for target in found.get("to", ())] if found.get("kind") == "ladder" else []


def _detail(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError:  # told by the chain
        return {}


def _answers(
    conn: Connection, alerts: list[Row[Any]], lines: dict[str, list[Row[Any]]]
) -> Iterator[Finding]:
    """Compare the stored answers of acts with the lines that the acts wrote."""
    wanted = set()
    for alert in alerts:
        for line in lines.get(alert.id, ()):
            if line.what.startswith("act:") and '"key":"' in line.detail:
                found = _detail(line.detail)
                if found.get("scope"):
                    wanted.add((found["scope"], found["key"]))
    keys = KEYS.table.c
    for scope, key in sorted(wanted):
        mine = (keys.scope == scope) & (keys.key == key)
        row = conn.execute(select(KEYS.table).where(mine)).one_or_none()
        if row is None:
            yield Finding("idempotency", f"{scope}/{key}", "is missing: its act was carried out")
        else:
            yield from _sealed(KEYS.table, row, f"{scope}/{key}")


def _moves(conn: Connection) -> Iterator[Finding]:
    """Check what waits for moves: numbered from 1 for each household, as many as were kept."""
    numbers: dict[str, set[int]] = defaultdict(set)
    for row in conn.execute(select(PARKED)):
        yield from _sealed(PARKED, row, f"{row.household}/{row.n}")
        numbers[row.household].add(row.n)
    told = {}
    for row in conn.execute(select(QUEUE)):
        yield from _sealed(QUEUE, row, row.household)
        told[row.household] = row.kept
        for n in sorted(set(range(1, row.kept + 1)) - numbers[row.household]):
            yield Finding("parked", f"{row.household}/{n}", "is missing")
    for household in sorted(numbers.keys() - told.keys()):
        yield Finding("queue", household, "is missing: records of it are kept back")
    homes = set()
    for row in conn.execute(select(MOVE)):
        yield from _sealed(MOVE, row, row.move)
        homes.add(row.household)
    for household in sorted(told.keys() - homes):
        yield Finding("move", household, "no move of this household is there to wait for")


def _reading(conn: Connection) -> Iterator[Finding]:
    """Check how far partitions were read, and what was folded from compacted topics."""
    positions, inbox = POSITIONS.table, INBOX.table.c
    stood = {(r.topic, r.partition): r for r in conn.execute(select(positions))}
    done = {(r.topic, r.partition): r for r in conn.execute(select(PROGRESS))}
    seen = {
        (topic, partition): offset
        for topic, partition, offset in conn.execute(
            select(inbox.topic, inbox.partition, func.max(inbox.offset)).group_by(
                inbox.topic, inbox.partition
            )
        )
    }
    for key in sorted(stood.keys() | done.keys() | seen.keys()):
        name, position, progress = f"{key[0]}/{key[1]}", stood.get(key), done.get(key)
        if progress is not None:
            yield from _sealed(PROGRESS, progress, name)
        elif key in seen:
            yield Finding("progress", name, "is missing: messages of it are in")
        if position is None:
            yield Finding("position", name, "is missing: messages of it are in")
        elif position.next_offset <= max(
            seen.get(key, -1), progress.handled - 1 if progress is not None else -1
        ):
            yield Finding("position", name, "was altered: it stands before what was handled")
        elif progress is not None and position.mark_us != progress.mark:
            yield Finding("position", name, "was altered: its mark is another")
    yield from _folded(conn, PLACE, "household", done)
    yield from _folded(conn, ROSTER, "key", done)


def _folded(
    conn: Connection, table: Table, key: str, done: dict[tuple[str, int], Row[Any]]
) -> Iterator[Finding]:
    """Rows folded from a compacted topic are numbered per partition without a hole."""
    numbers: dict[tuple[str, int], set[int]] = defaultdict(set)
    for row in conn.execute(select(table)):
        yield from _sealed(table, row, str(getattr(row, key)))
        numbers[row.topic, row.partition].add(row.n)
    for (topic, partition), progress in done.items():
        if progress.holder != table.name:
            continue
        missing = set(range(1, progress.rows + 1)) - numbers[topic, partition]
        for n in sorted(missing):
            yield Finding(str(table.name), f"{topic}/{partition}/{n}", "is missing")
