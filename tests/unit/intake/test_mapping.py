"""Maps are read strictly; rows become items, and what is wrong with a row is told by its cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.intake.domain.item import Broken
from services.intake.mapping import Mapped, Mapper, Row, load
from services.intake.mapping.mapper import column_letters
from services.kernel.clock import DAY, HOUR, parse_rfc3339
from services.kernel.errors import Faults

HEAD = 'source: log\nzone: "+08:00"\n'
GOOD = (
    HEAD
    + """
changes:
  - id: {column: nr}
    person: {column: who}
    time: {column: at}
    type: health.vitals
"""
)


def loaded(folder: Path, text: str) -> Any:
    path = folder / "map.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def told(folder: Path, text: str) -> str:
    with pytest.raises(Faults) as refusal:
        loaded(folder, text)
    return str(refusal.value)


def mapped(
    folder: Path, change: str, columns: str, *cells: Any, head: str = HEAD, replay: bool = False
) -> list[Mapped]:
    """Map one row by one change (YAML in flow style)."""
    whole = loaded(folder, f"{head}changes:\n  - {change}\n")
    mapper = Mapper(whole, whole.logs[0], "log.csv", columns.split(), replay=replay)
    return list(mapper.items(Row(3, 4, cells, "the line")))


def item(found: list[Mapped]) -> dict[str, Any]:
    [one] = found
    assert isinstance(one.sent, dict), one.sent
    return one.sent


def broken(found: list[Mapped]) -> Broken:
    [one] = found
    assert isinstance(one.sent, Broken)
    return one.sent


BASE = "id: {column: nr}, person: {column: who}, time: {column: at}, type: a.b"
COLUMNS = "nr who at"
ROW = ("7", "p1", "2026-11-01 08:00:00")


class TestItems:
    def test_a_row_becomes_an_item_with_its_origin(self, tmp_path: Path) -> None:
        assert item(mapped(tmp_path, f"{{{BASE}}}", COLUMNS, *ROW)) == {
            "source": "log",
            "type": "a.b",
            "sourceid": "7",
            "time": "2026-11-01T00:00:00Z",
            "person": "p1",
            "data": {},
            "origin": "log.csv:4",
        }

    def test_in_replay_it_brings_its_receipt_which_is_its_time(self, tmp_path: Path) -> None:
        [found] = mapped(tmp_path, f"{{{BASE}}}", COLUMNS, *ROW, replay=True)
        assert found.received == parse_rfc3339("2026-11-01T00:00:00Z")
        assert isinstance(found.sent, dict)
        assert found.sent["receivedat"] == "2026-11-01T00:00:00Z"

    def test_the_receipt_may_come_later(self, tmp_path: Path) -> None:
        change = f"{{{BASE}, received: {{plus: 1h}}}}"
        [found] = mapped(tmp_path, change, COLUMNS, *ROW)
        assert found.received == parse_rfc3339("2026-11-01T01:00:00Z")

    def test_the_receipt_may_have_a_column_of_its_own(self, tmp_path: Path) -> None:
        change = f"{{{BASE}, received: {{column: got, plus: 1h}}}}"
        [found] = mapped(tmp_path, change, "nr who at got", *ROW, "2026-11-02 08:00:00")
        assert found.received == parse_rfc3339("2026-11-02T01:00:00Z")
        [without] = mapped(tmp_path, change, "nr who at got", *ROW, "")
        assert without.received == parse_rfc3339("2026-11-01T00:00:00Z")

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("{column: a}", "x"),
            ('{columns: [a, b], join: "-"}', "x-y"),
            ('{template: "{b}/{a}"}', "y/x"),
            ('{row: true, prefix: "r", suffix: ":s"}', "r3:s"),
            ("{value: same}", "same"),
        ],
    )
    def test_texts_are_made_of_columns(self, tmp_path: Path, words: str, expected: str) -> None:
        change = f"{{id: {words}, person: who, time: {{column: at}}, type: a.b}}"
        assert item(mapped(tmp_path, change, "a b at", "x", "y", ROW[2]))["sourceid"] == expected

    @pytest.mark.parametrize(
        ("when", "cell", "expected"),
        [
            ("{column: at}", "2026-11-01", "2026-10-31T16:00:00Z"),
            ("{column: at}", "2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z"),
            ('{column: at, format: "%m/%d/%Y"}', "11/1/2026", "2026-10-31T16:00:00Z"),
            ('{column: at, at: "09:30"}', "2026-11-01", "2026-11-01T01:30:00Z"),
            ("{column: at, plus: 2d}", "2026-11-01", "2026-11-02T16:00:00Z"),
            ("{column: at, format: unix}", "1793491200", "2026-11-01T00:00:00Z"),
        ],
    )
    def test_times_are_read_in_the_maps_zone(
        self, tmp_path: Path, when: str, cell: str, expected: str
    ) -> None:
        change = f"{{id: {{column: nr}}, person: who, time: {when}, type: a.b}}"
        assert item(mapped(tmp_path, change, "nr at", "7", cell))["time"] == expected

    @pytest.mark.parametrize(
        ("how", "cell", "expected"),
        [
            ("{column: c}", "007", "007"),
            ("{column: c, as: integer}", "60618.0", 60618),
            ("{column: c, as: number}", "1.5", 1.5),
            ("{column: c, as: boolean}", "True", True),
            ("{column: c, as: boolean}", "否", False),
            ('{column: c, as: date, format: "%d.%m.%Y"}', "1.11.2026", "2026-11-01"),
            ("{column: c, as: time}", "2026-11-01 08:00", "2026-11-01T08:00:00+08:00"),
            ("{column: c, as: list}", "a; b;", ["a", "b"]),
            ("{column: c, values: {Y: urgent, N: null}}", "Y", "urgent"),
        ],
    )
    def test_cells_are_converted(self, tmp_path: Path, how: str, cell: str, expected: Any) -> None:
        change = f"{{{BASE}, data: {{x: {how}}}}}"
        assert item(mapped(tmp_path, change, f"{COLUMNS} c", *ROW, cell))["data"] == {"x": expected}

    @pytest.mark.parametrize("cell", ["", "NA", None])
    def test_an_empty_cell_is_missing(self, tmp_path: Path, cell: str | None) -> None:
        change = f"{{{BASE}, data: {{x: {{column: c, as: integer}}, y: 5}}}}"
        head = HEAD + 'empty: ["NA"]\n'
        found = item(mapped(tmp_path, change, f"{COLUMNS} c", *ROW, cell, head=head))
        assert found["data"] == {"y": 5}

    def test_a_type_comes_from_a_table_and_other_rows_are_named_or_skipped(
        self, tmp_path: Path
    ) -> None:
        base = "id: {column: nr}, person: who, time: {column: at}"
        table = "type: {column: t, values: {A: a.b}"
        columns, row = "nr at t", ("7", ROW[2])
        assert item(mapped(tmp_path, f"{{{base}, {table}}}}}", columns, *row, "A"))["type"] == "a.b"
        other = f"{{{base}, {table}, other: c.d}}}}"
        assert item(mapped(tmp_path, other, columns, *row, "Z"))["type"] == "c.d"
        skip = f"{{{base}, {table}, other: skip}}}}"
        assert mapped(tmp_path, skip, columns, *row, "Z") == []
        fault = broken(mapped(tmp_path, f"{{{base}, {table}}}}}", columns, *row, "Z")).fault
        assert fault.code == "unknown_type"

    def test_a_change_is_there_only_where_its_columns_are(self, tmp_path: Path) -> None:
        change = f"{{{BASE}, if_present: done, only: {{column: s, values: [x, 1]}}}}"
        columns = f"{COLUMNS} done s"
        assert len(mapped(tmp_path, change, columns, *ROW, "d", "x")) == 1
        assert len(mapped(tmp_path, change, columns, *ROW, "d", "1")) == 1
        assert mapped(tmp_path, change, columns, *ROW, "", "x") == []
        assert mapped(tmp_path, change, columns, *ROW, "d", "y") == []

    def test_a_correction_names_its_original_by_its_id(self, tmp_path: Path) -> None:
        change = f"{{{BASE}, supersedes: {{column: was}}}}"
        found = item(mapped(tmp_path, change, f"{COLUMNS} was", *ROW, "6"))
        assert found["supersedes"] == {"source": "log", "sourceid": "6"}
        assert "supersedes" not in item(mapped(tmp_path, change, f"{COLUMNS} was", *ROW, ""))

    def test_one_row_gives_several_changes(self, tmp_path: Path) -> None:
        both = (
            GOOD + '  - {id: {column: nr, suffix: ":b"}, place: g, time: {column: at}, type: c.d}'
        )
        whole = loaded(tmp_path, both)
        mapper = Mapper(whole, whole.logs[0], "log.csv", COLUMNS.split(), replay=False)
        found = [each.sent for each in mapper.items(Row(1, 2, ROW, "line"))]
        assert [f["sourceid"] for f in found if isinstance(f, dict)] == ["7", "7:b"]
        assert [f["origin"] for f in found if isinstance(f, dict)] == [
            "log.csv:2 change 1", "log.csv:2 change 2",
        ]  # fmt: skip


class TestBrokenRows:
    def test_a_bad_time_is_told_by_its_cell_and_the_rest_is_kept_as_a_draft(
        self, tmp_path: Path
    ) -> None:
        found = broken(mapped(tmp_path, f"{{{BASE}}}", COLUMNS, "7", "p1", "tomorrow"))
        assert found.fault.where == "cell C4, column 'at' for time"
        assert found.fault.code == "not_time"
        assert found.original == "the line"
        assert (found.source, found.sourceid, found.person) == ("log", "7", "p1")
        assert found.draft is not None
        assert found.draft["person"] == "p1"
        assert "time" not in found.draft

    def test_an_id_that_a_spreadsheet_spoiled_is_told_by_its_cell(self, tmp_path: Path) -> None:
        fault = broken(mapped(tmp_path, f"{{{BASE}}}", COLUMNS, "7", "5.22E+17", ROW[2])).fault
        assert fault.code == "id_as_number"
        assert fault.where.startswith("cell B4")

    @pytest.mark.parametrize("kind", ["integer", "number", "boolean", "date", "time"])
    def test_a_cell_of_another_kind_is_told_without_its_value(
        self, tmp_path: Path, kind: str
    ) -> None:
        change = f"{{{BASE}, data: {{x: {{column: c, as: {kind}}}}}}}"
        fault = broken(mapped(tmp_path, change, f"{COLUMNS} c", *ROW, "Zhang San")).fault
        assert fault.code == f"not_{kind}"
        assert "Zhang" not in fault.sentence()

    def test_a_row_without_an_id_is_told(self, tmp_path: Path) -> None:
        assert (
            broken(mapped(tmp_path, f"{{{BASE}}}", COLUMNS, "", "p1", ROW[2])).fault.where == "id"
        )

    def test_in_replay_its_receipt_is_its_own_when_known(self, tmp_path: Path) -> None:
        change = f"{{{BASE}, data: {{x: {{column: c, as: integer}}}}}}"
        found = broken(mapped(tmp_path, change, f"{COLUMNS} c", *ROW, "x", replay=True))
        assert found.receivedat == "2026-11-01T00:00:00Z"


class TestLoading:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("source: x\n", "zone"),
            (HEAD, "either `logs` or `changes`"),
            (HEAD + "changes: []\n", "at least one change"),
            (GOOD.replace("+08:00", "Mars"), "map.yaml:2"),
            (GOOD + "    persona: {column: x}\n", "did you mean person"),
            (GOOD.replace("{column: nr}", "{colum: nr}"), "unknown field 'colum'"),
            (GOOD.replace("{column: nr}", "{column: nr, row: true}"), "column and row"),
            (GOOD.replace("    person: {column: who}\n", ""), "person, household or place"),
            (GOOD + "    precision: days\n", "instant, day, month"),
            (GOOD + "    data: {x: {column: c, as: integr}}\n", "did you mean integer"),
            (GOOD + "until: soon\n", "duration"),
            (GOOD + "encoding: utf-99\n", "gb18030"),
            (GOOD + 'delimiter: "ab"\n', "one character"),
            (GOOD.replace("{column: at}", "{plus: 1h}"), "say where the time stands"),
            (GOOD.replace("{column: at}", '{column: at, at: "noon"}'), "time of day"),
            (GOOD + "    only: {column: x}\n", "'values'"),
            ("source: [", "map.yaml"),
        ],
    )
    def test_a_fault_is_told_by_line(self, tmp_path: Path, text: str, expected: str) -> None:
        assert expected in told(tmp_path, text)

    def test_a_column_the_file_does_not_have_is_told_with_the_nearest(self, tmp_path: Path) -> None:
        with pytest.raises(Faults) as refusal:
            mapped(tmp_path, f"{{{BASE}}}", "nr whom at", *ROW)
        assert "column 'who' (did you mean whom?)" in str(refusal.value)

    def test_the_end_is_a_day_after_the_last_receipt_or_as_said(self, tmp_path: Path) -> None:
        last = parse_rfc3339("2026-11-01T00:00:00Z")
        assert loaded(tmp_path, GOOD).end(last) == last + DAY
        assert loaded(tmp_path, GOOD + "until: 1h\n").end(last) == last + HOUR
        fixed = loaded(tmp_path, GOOD + 'until: "2026-12-01T00:00:00Z"\n')
        assert fixed.end(last) == parse_rfc3339("2026-12-01T00:00:00Z")
        assert fixed.end(last + 100 * DAY) == last + 100 * DAY


@pytest.mark.parametrize(("place", "letters"), [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ")])
def test_columns_are_called_as_in_a_spreadsheet(place: int, letters: str) -> None:
    assert column_letters(place) == letters
