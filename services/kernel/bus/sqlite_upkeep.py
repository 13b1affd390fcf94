"""Upkeep of the SQLite bus: what time removes from a topic. The file's pages are used again.

Long removals are cut into short transactions, so that publishing goes on between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.kernel.bus.sqlite_log import SqliteLog, Topic
from services.kernel.contracts.records import TopicPartition

_CHUNK: Final = 10_000


def starts(log: SqliteLog, name: str) -> dict[TopicPartition, int]:
    """Return the offset of the first record still there per partition, its end when none is."""
    found = {}
    with log.writing("read the starts of a topic") as connection:
        for where in log.partitions_of(name):
            first, last = log.span(where)
            row = connection.execute(
                "select min(id) from record where id >= ? and id < ?", (first, last)
            ).fetchone()
            found[where] = log.end(where) if row[0] is None else row[0] - first
    return found


def retain(
    log: SqliteLog,
    name: str,
    *,
    below: Mapping[TopicPartition, int],
    published_before: int | None,
    keep_unread: bool,
) -> None:
    """Remove from the start of each partition what is old by offset or by time."""
    for where in log.partitions_of(name):
        bound = below.get(where, 0)
        if published_before is not None:
            bound = max(bound, _first_since(log, where, published_before))
        bound = min(bound, log.end(where))
        if keep_unread:
            bound = min([bound, *_read_by_groups(log, where)])
        _remove_below(log, where, bound)


def compact(log: SqliteLog, topic: Topic, tombstones_before: int) -> int:
    """Keep the last record of each key; drop tombstones older than the instant; return how many."""
    removed = 0
    for where in log.partitions_of(topic.name):
        first, last = log.span(where)
        with log.writing("compact a topic") as connection:
            removed += connection.execute(
                "delete from record where id >= ? and id < ? and id not in"
                " (select max(id) from record where id >= ? and id < ? group by key)",
                (first, last, first, last),
            ).rowcount
            removed += connection.execute(
                "delete from record where id >= ? and id < ? and value is null and published < ?",
                (first, last, tombstones_before),
            ).rowcount
    return removed


def _first_since(log: SqliteLog, where: TopicPartition, instant: int) -> int:
    """Return the offset of the first record published at `instant` or later, else the end."""
    first, last = log.span(where)
    with log.writing("look for old records") as connection:
        row = connection.execute(
            "select id from record where id >= ? and id < ? and published >= ? order by id limit 1",
            (first, last, instant),
        ).fetchone()
        return row[0] - first if row else log.end(where)


def _read_by_groups(log: SqliteLog, where: TopicPartition) -> list[int]:
    with log.writing("read group offsets") as connection:
        rows = connection.execute("select next from committed where log = ?", (log.number(where),))
        return [offset for (offset,) in rows]


def _remove_below(log: SqliteLog, where: TopicPartition, bound: int) -> None:
    first, _ = log.span(where)
    while True:
        with log.writing("remove old records") as connection:
            gone = connection.execute(
                "delete from record where id in"
                " (select id from record where id >= ? and id < ? order by id limit ?)",
                (first, first + bound, _CHUNK),
            ).rowcount
        if gone < _CHUNK:
            return
