"""Files are read row by row; a broken row is told by its line and never stops the rest."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from services.intake.domain.item import Broken
from services.intake.files import mapped
from services.intake.mapping import Mapped, load
from services.kernel.errors import Faults, WrongUse

MAP = """
source: log
zone: "+00:00"
changes:
  - id: {column: nr}
    person: {column: who}
    time: {column: at}
    type: a.b
    data: {note: {column: note}}
"""
HEAD = "nr,who,at,note\n"
ROW = "{},p1,2026-11-01,{}\n"


def rows(
    folder: Path, content: str | bytes, name: str = "log.csv", map_text: str = MAP
) -> list[Mapped]:
    (folder / "map.yaml").write_text(map_text, encoding="utf-8")
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return list(mapped(load(folder / "map.yaml"), [folder / name], replay=False))


def ids(found: list[Mapped]) -> list[str]:
    return [f.sent["sourceid"] if isinstance(f.sent, dict) else f.sent.fault.code for f in found]


def notes(found: list[Mapped]) -> list[str | None]:
    return [f.sent["data"].get("note") for f in found if isinstance(f.sent, dict)]


class TestTables:
    def test_a_plain_and_a_packed_file_say_the_same(self, tmp_path: Path) -> None:
        content = HEAD + ROW.format(1, "a") + ROW.format(2, "b")
        assert ids(rows(tmp_path, content)) == ["1", "2"]
        assert ids(rows(tmp_path, content, "log.csv.gz")) == ["1", "2"]

    def test_a_byte_order_mark_and_windows_lines_are_fine(self, tmp_path: Path) -> None:
        content = "\ufeff" + (HEAD + ROW.format(1, "a")).replace("\n", "\r\n")
        assert notes(rows(tmp_path, content)) == ["a"]

    def test_a_quoted_cell_may_hold_separators_quotes_and_lines(self, tmp_path: Path) -> None:
        content = HEAD + ROW.format(1, '"a, ""b""\nc"') + ROW.format(2, "d")
        assert notes(rows(tmp_path, content)) == ['a, "b"\nc', "d"]

    def test_an_open_quote_costs_one_line_only(self, tmp_path: Path) -> None:
        content = HEAD + ROW.format(1, '"a') + ROW.format(2, "b") + ROW.format(3, "c")
        found = rows(tmp_path, content)
        assert ids(found) == ["bad_quote", "2", "3"]
        assert isinstance(found[0].sent, Broken)
        assert found[0].sent.origin == "log.csv:2"
        assert found[0].sent.original == '1,p1,2026-11-01,"a'

    def test_two_open_quotes_apart_cost_their_two_lines(self, tmp_path: Path) -> None:
        content = HEAD + ROW.format(1, '"a') + ROW.format(2, "b") + ROW.format(3, '"c')
        assert ids(rows(tmp_path, content)) == ["bad_quote", "2", "bad_quote"]

    def test_a_quote_in_the_middle_of_a_cell_is_told(self, tmp_path: Path) -> None:
        assert ids(rows(tmp_path, HEAD + ROW.format(1, '"a"b"c"'))) == ["bad_quote"]

    @pytest.mark.parametrize("line", ["1,p1,2026-11-01\n", "1,p1,2026-11-01,a,b\n"])
    def test_another_number_of_cells_is_told(self, tmp_path: Path, line: str) -> None:
        assert ids(rows(tmp_path, HEAD + line + ROW.format(2, "b"))) == ["cell_count", "2"]

    def test_bytes_of_another_encoding_cost_one_line_only(self, tmp_path: Path) -> None:
        content = (HEAD + ROW.format(1, "走访")).encode("gb18030") + ROW.format(2, "b").encode()
        assert ids(rows(tmp_path, content)) == ["not_text", "2"]

    def test_chinese_sheets_are_read_when_the_map_says_so(self, tmp_path: Path) -> None:
        content = (HEAD + ROW.format(1, "走访")).encode("gb18030")
        found = rows(tmp_path, content, map_text=MAP + "encoding: gb18030\n")
        assert notes(found) == ["走访"]

    def test_empty_lines_are_no_rows(self, tmp_path: Path) -> None:
        assert ids(rows(tmp_path, HEAD + "\n" + ROW.format(1, "a") + "\n\n")) == ["1"]

    def test_a_column_that_is_not_there_is_told_before_any_row(self, tmp_path: Path) -> None:
        with pytest.raises(Faults, match="did you mean note"):
            rows(tmp_path, "nr,who,at,notes\n")

    def test_a_column_twice_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(WrongUse, match="twice"):
            rows(tmp_path, "nr,nr,at,note\n")

    def test_an_empty_file_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(WrongUse, match="column names"):
            rows(tmp_path, "")


class TestJsonLines:
    def test_fields_are_columns_and_may_be_nested(self, tmp_path: Path) -> None:
        text = MAP.replace("{column: note}", "{column: more.note}")
        line = '{"nr": 1, "who": "p1", "at": "2026-11-01", "more": {"note": "a"}}\n'
        found = rows(tmp_path, line, "log.jsonl", text)
        assert (ids(found), notes(found)) == (["1"], ["a"])

    def test_a_broken_line_costs_itself_only(self, tmp_path: Path) -> None:
        good = '{"nr": "1", "who": "p1", "at": "2026-11-01", "note": "a"}\n'
        found = rows(tmp_path, '{"nr": \n' + good + "[1]\n", "log.jsonl")
        assert ids(found) == ["not_json", "1", "invalid"]

    def test_a_field_that_never_turns_up_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(Faults, match="column 'note'"):
            rows(tmp_path, '{"nr": "1", "who": "p1", "at": "2026-11-01"}\n', "log.jsonl")

    def test_a_field_missing_in_some_rows_is_empty_there(self, tmp_path: Path) -> None:
        base = '{"nr": "%s", "who": "p1", "at": "2026-11-01"%s}\n'
        content = base % (1, "") + base % (2, ', "note": "b"')
        assert notes(rows(tmp_path, content, "log.jsonl")) == [None, "b"]


class TestFiles:
    def test_a_file_takes_the_first_log_its_name_fits(self, tmp_path: Path) -> None:
        text = """
source: log
zone: "+00:00"
logs:
  - {file: "a*", changes: [{id: {column: nr}, person: x, time: {column: at}, type: a.a}]}
  - {file: "*.csv", changes: [{id: {column: nr}, person: x, time: {column: at}, type: b.b}]}
"""
        kinds = [
            f.sent["type"]
            for name in ("a.csv", "a.csv.gz", "b.csv", "b.csv.gz")
            for f in rows(tmp_path, "nr,at\n1,2026-11-01\n", name, text)
            if isinstance(f.sent, dict)
        ]
        assert kinds == ["a.a", "a.a", "b.b", "b.b"]

    def test_a_file_that_no_log_is_for_is_told(self, tmp_path: Path) -> None:
        text = MAP.replace("changes:", 'logs:\n- file: "x*"\n  changes:')
        with pytest.raises(WrongUse, match="no log"):
            rows(tmp_path, HEAD, "log.csv", text)

    def test_a_file_of_another_kind_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(WrongUse, match="save the sheet as CSV"):
            rows(tmp_path, "", "log.xlsx")

    def test_a_missing_file_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "map.yaml").write_text(MAP, encoding="utf-8")
        with pytest.raises(WrongUse, match="FileNotFoundError"):
            list(mapped(load(tmp_path / "map.yaml"), [tmp_path / "no.csv"], replay=False))

    def test_a_packed_file_that_was_cut_off_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "map.yaml").write_text(MAP, encoding="utf-8")
        whole = gzip.compress((HEAD + ROW.format(1, "a") * 999).encode())
        (tmp_path / "log.csv.gz").write_bytes(whole[:-20])
        with pytest.raises(WrongUse, match="cut-off"):
            list(mapped(load(tmp_path / "map.yaml"), [tmp_path / "log.csv.gz"], replay=False))
