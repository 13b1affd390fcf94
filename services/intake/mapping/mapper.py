"""Rows of one kind of file → items for the door, or what is wrong with a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from services.intake.domain.item import Broken
from services.intake.mapping.convert import BadValue
from services.intake.mapping.plan import MISSING, Compiler, Plan, Row, Take
from services.intake.mapping.spec import Log, Map
from services.kernel.clock import rfc3339
from services.kernel.errors import Fault, Faults
from services.kernel.yamlfile import nearest


class Mapped(NamedTuple):
    """One item with its receipt (microseconds since 1970), in order of the file.

    The receipt of what could not be read is that of its row if known, else of the row before.
    """

    received: int
    sent: dict[str, Any] | Broken


class Mapper:
    """Maps the rows of one file. Keeps the last receipt seen; not thread-safe."""

    def __init__(
        self,
        whole: Map,
        log: Log,
        file: str,
        columns: Sequence[str],
        *,
        replay: bool,
        cells: bool = True,
    ) -> None:
        """Compile the map for a file with these columns.

        Args:
            whole: The map.
            log: Its part for this file.
            file: The file's name, for messages.
            columns: What the file has, by position of `Row.values`.
            replay: Whether items bring their receipt along.
            cells: Whether places are told as cells of a table, such as C17.

        Raises:
            Faults: the map names a column that the file does not have.
        """
        self._map = whole
        self._file = file
        self._replay = replay
        self._cells = cells
        self._columns = columns
        self._places = {name: place for place, name in enumerate(columns)}
        self._last = 0
        missing = [
            Fault(
                where=f"map, for file {file}",
                expected="one of its columns: " + ", ".join(columns),
                found=f"column {name!r}{nearest(name, columns)}",
                remedy="correct the column in the map",
                code="unknown_column",
            )
            for name in log.columns()
            if name not in self._places
        ]
        if missing:
            raise Faults(f"map and file {file}", missing)
        compiler = Compiler(self._places, whole.empty, whole.zone)
        self._keep = compiler.only(log.only)
        self._plans = [compiler.change(spec) for spec in log.changes]

    def items(self, row: Row) -> Iterator[Mapped]:
        """Yield what a row gives: none, one or several items, or what is wrong with it."""
        if row.fault is not None:
            yield self._broken(row, row.fault, "", None)
            return
        if not self._keep(row):
            return
        for number, plan in enumerate(self._plans, 1):
            if plan.keep(row):
                part = f" change {number}" if len(self._plans) > 1 else ""
                found = self._item(row, plan, part)
                if found is not None:
                    yield found

    # -- one row -------------------------------------------------------------------------------

    def _item(self, row: Row, plan: Plan, part: str) -> Mapped | None:
        faults: list[Fault] = []
        kind = self._try(plan.type, row, "type", faults)
        if kind is None and not faults:
            return None  # a value that the map says to skip
        occurred = self._try(plan.time, row, "time", faults)
        received = None
        if occurred is not None:
            received = self._try(lambda r: plan.received(r, occurred), row, "received", faults)
        self._last = self._last if received is None else received
        sourceid = self._try(plan.id, row, "id", faults)
        if sourceid is None and not faults:
            faults.append(Fault("id", "a value", MISSING, "fill the id's columns", "missing"))
        known: dict[str, Any] = {
            "source": self._map.source,
            **plan.spec.fixed,
            "type": kind,
            "sourceid": sourceid,
            "time": None if occurred is None else _shown(occurred),
            "origin": f"{self._file}:{row.line}{part}",
            "receivedat": _shown(self._last) if self._replay else None,
            **self._names(row, plan, faults),
            "data": self._payload(row, plan, faults),
        }
        item = {name: value for name, value in known.items() if value is not None}
        if faults:
            return self._broken(row, faults[0], part, item)
        return Mapped(self._last, item)

    def _names(self, row: Row, plan: Plan, faults: list[Fault]) -> dict[str, Any]:
        found = {name: self._try(take, row, name, faults) for name, take in plan.names}
        for name, take in plan.references:
            value = self._try(take, row, name, faults)
            if value is not None:
                found[name] = {"source": self._map.source, "sourceid": value}
        return found

    def _payload(self, row: Row, plan: Plan, faults: list[Fault]) -> dict[str, Any]:
        return {
            name: value
            for name, take in plan.data
            if (value := self._try(take, row, f"data.{name}", faults)) is not None
        }

    def _try(self, take: Take, row: Row, what: str, faults: list[Fault]) -> Any:  # noqa: ANN401
        try:
            return take(row)
        except BadValue as bad:
            where = self._where(row, bad, what)
            faults.append(Fault(where, bad.expected, bad.found, bad.remedy, bad.code))
            return None

    def _where(self, row: Row, bad: BadValue, what: str) -> str:
        if bad.place is None:
            return what
        column = f"column {self._columns[bad.place]!r} for {what}"
        if not self._cells:
            return column
        return f"cell {column_letters(bad.place)}{row.number + 1}, {column}"

    def _broken(self, row: Row, fault: Fault, part: str, item: dict[str, Any] | None) -> Mapped:
        known = item or {}
        return Mapped(
            self._last,
            Broken(
                original=row.text,
                fault=fault,
                origin=f"{self._file}:{row.line}{part}",
                source=self._map.source,
                sourceid=known.get("sourceid"),
                type=known.get("type"),
                person=known.get("person"),
                household=known.get("household"),
                receivedat=_shown(self._last) if self._replay else None,
                draft=item,
            ),
        )


def column_letters(place: int) -> str:
    """Return a spreadsheet's name of a column: A for 0, AA for 26."""
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _shown(at: int) -> str:
    return rfc3339(at)
