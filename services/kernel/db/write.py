"""Many rows into a table at the driver's speed: each statement is compiled once and kept.

SQLite: rows go straight to the driver's `executemany`; against SQLAlchemy's own way that halves the
cost of a row (`python -m tests.support.bench_db` prints both). PostgreSQL: one statement with an
array for each column, because a statement for each row costs the server several times as much. So:
all rows of a call have the same columns, and Python-side column defaults are refused where they
would be left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, Literal, NamedTuple, TypeVar

from sqlalchemy import Connection, Dialect, Insert, LargeBinary, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.dialects.sqlite import pysqlite

from services.kernel.db.types import dumps

T = TypeVar("T")
Row = Mapping[str, Any]
Mode = Literal["insert", "new", "upsert"]
_DIALECTS: Final[dict[str, Callable[[], Dialect]]] = {
    "sqlite": lambda: pysqlite.dialect(paramstyle="qmark", json_serializer=dumps),
    "postgresql": lambda: psycopg.dialect(  # type: ignore[no-untyped-call]
        paramstyle="format", json_serializer=dumps
    ),
}


def insert(conn: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows; a key that is there already raises IntegrityError."""
    _write(conn, table, rows, "insert", ())


def insert_new(conn: Connection, table: Table, rows: Sequence[Row], key: Sequence[str]) -> None:
    """Insert the rows whose `key` is not there yet; the others change nothing."""
    _write(conn, table, rows, "new", tuple(key))


def upsert(conn: Connection, table: Table, rows: Sequence[Row], key: Sequence[str]) -> None:
    """Insert rows, or set all their other columns where `key` is there; the last of equals wins."""
    _write(conn, table, rows, "upsert", tuple(key))


def chunks(seq: Sequence[T], n: int) -> Iterator[Sequence[T]]:
    """Cut `seq` into pieces of at most `n` items, in order."""
    for start in range(0, len(seq), n):
        yield seq[start : start + n]


class _Plan(NamedTuple):
    sql: str
    columns: tuple[str, ...]
    take: Callable[[Row], tuple[Any, ...]]
    converters: tuple[tuple[int, Callable[[Any], Any]], ...]
    identify: Callable[[tuple[Any, ...]], Any]
    """Takes the key's values out of a row's."""


def _write(
    conn: Connection, table: Table, rows: Sequence[Row], mode: Mode, key: tuple[str, ...]
) -> None:
    if not rows:
        return
    plan = _plan(conn.dialect.name, table, tuple(rows[0]), mode, key)
    width = len(plan.columns)
    for row in rows:
        if len(row) != width:
            raise ValueError(
                f"table {table.name!r}: a row has columns {sorted(row)!r}, "
                f"expected {sorted(plan.columns)!r}; give every row of a call the same columns"
            )
    values: list[tuple[Any, ...]] = list(map(plan.take, rows))
    if plan.converters:
        values = [_converted(value, plan.converters) for value in values]
    if conn.dialect.name == "sqlite":
        conn.exec_driver_sql(plan.sql, values)
        return
    if mode == "upsert":  # one statement may touch a row once only
        values = list({plan.identify(value): value for value in values}.values())
    conn.exec_driver_sql(plan.sql, tuple(map(list, zip(*values, strict=True))))


def _converted(
    values: tuple[Any, ...], converters: tuple[tuple[int, Callable[[Any], Any]], ...]
) -> tuple[Any, ...]:
    changed = list(values)
    for place, convert in converters:
        changed[place] = convert(changed[place])
    return tuple(changed)


@lru_cache(maxsize=512)
def _plan(
    dialect_name: str,
    table: Table,
    columns: tuple[str, ...],
    mode: Mode,
    key: tuple[str, ...],
) -> _Plan:
    unknown = [name for name in (*columns, *key) if name not in table.columns]
    forgotten = [c.name for c in table.columns if c.default is not None and c.name not in columns]
    if unknown or forgotten:
        raise ValueError(
            f"table {table.name!r}: unknown columns {unknown!r}, missing columns with a Python "
            f"default {forgotten!r}; name the table's columns"
        )
    dialect = _DIALECTS[dialect_name]()
    compiled = _statement(dialect_name, table, columns, mode, key).compile(
        dialect=dialect, column_keys=list(columns)
    )
    order = tuple(compiled.positiontup or ())
    converters = []
    for place, name in enumerate(order):
        kind = table.columns[name].type
        if isinstance(kind, LargeBinary):
            continue  # both drivers take bytes as they are
        convert = kind.dialect_impl(dialect).bind_processor(dialect)
        if convert is not None:
            converters.append((place, convert))
    take: Callable[[Row], tuple[Any, ...]] = (
        itemgetter(*order) if len(order) > 1 else lambda row: (row[order[0]],)
    )
    sql = str(compiled)
    if dialect_name != "sqlite":
        sql = _of_arrays(sql, table, order, dialect)
    identify = itemgetter(*map(order.index, key or order))
    return _Plan(sql, order, take, tuple(converters), identify)


def _of_arrays(sql: str, table: Table, order: Sequence[str], dialect: Dialect) -> str:
    """Return the statement with one array a column in place of one row's values.

    Rows keep their order, so that numbers drawn for them do.
    """
    arrays = ", ".join(f"%b::{table.columns[name].type.compile(dialect)}[]" for name in order)
    names = ", ".join(f"c{number}" for number in range(len(order)))
    source = f"SELECT {names} FROM unnest({arrays}) WITH ORDINALITY AS r({names}, n) ORDER BY n"  # noqa: S608 - names of our own columns
    written, found, _ = sql.partition(" VALUES (")
    if not found:
        raise ValueError(f"table {table.name!r}: found no VALUES in the statement")
    _, conflict, rest = sql.partition(" ON CONFLICT")
    return f"{written} {source}{conflict}{rest}"


def _statement(
    dialect_name: str, table: Table, columns: tuple[str, ...], mode: Mode, key: tuple[str, ...]
) -> Insert:
    build = sqlite.insert(table) if dialect_name == "sqlite" else postgresql.insert(table)
    build = build.inline()  # nobody asks for the numbers that rows were given
    if mode == "insert":
        return build
    rest = {name: build.excluded[name] for name in columns if name not in key}
    if mode == "new" or not rest:
        return build.on_conflict_do_nothing(index_elements=key)
    return build.on_conflict_do_update(index_elements=key, set_=rest)
