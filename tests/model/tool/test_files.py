"""Bad files get place, finding, expectation and remedy; never their content."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.kernel.errors import WrongUse
from services.risk.training.table import encode, parse_numbers, read_chunks, read_table


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(WrongUse) as caught:
        read_table(path)
    return str(caught.value)


class TestRefusedFiles:
    def test_an_empty_file_is_named(self, tmp_path: Path) -> None:
        assert "an empty file" in refused(tmp_path / "a.csv", b"")

    def test_a_header_without_rows_is_named(self, tmp_path: Path) -> None:
        assert "no data rows" in refused(tmp_path / "a.csv", b"age,harm\n")

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(WrongUse, match="no such file"):
            read_table(tmp_path / "nowhere.csv")

    def test_wrong_encoding_names_the_line_and_the_encoding_that_fits(self, tmp_path: Path) -> None:
        message = refused(tmp_path / "a.csv", "age,村\n1,2\n3,东村\n".encode("gb18030"))
        assert "line 1" in message
        assert "--encoding gb18030" in message
        assert "东村" not in message

    def test_wrong_encoding_deep_in_the_rows_names_that_line(self, tmp_path: Path) -> None:
        message = refused(tmp_path / "a.csv", b"age,name\n1,a\n2,b\n3,\xcd\xf5\xce\xe5\n")
        assert "line 4" in message

    def test_the_named_encoding_reads_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_bytes("年龄,村\n61,东村\n72,西村\n".encode("gb18030"))
        table = read_table(path, encoding="gb18030")
        assert table["村"].text_rows() == ["东村", "西村"]

    def test_utf_16_is_named(self, tmp_path: Path) -> None:
        assert "--encoding utf-16" in refused(tmp_path / "a.csv", "a,b\n1,2\n".encode("utf-16"))

    def test_a_row_of_another_length_is_named_by_line_without_its_content(
        self, tmp_path: Path
    ) -> None:
        message = refused(tmp_path / "a.csv", b"age,name\n1,a\nsecret-name\n")
        assert "1 fields" in message
        assert "secret-name" not in message

    def test_a_spreadsheet_is_named(self, tmp_path: Path) -> None:
        assert "a spreadsheet" in refused(tmp_path / "a.csv", b"PK\x03\x04rest")

    def test_damaged_compression_is_named(self, tmp_path: Path) -> None:
        whole = gzip.compress(b"a,b\n" + b"1,2\n" * 5000)
        assert "damaged compression" in refused(tmp_path / "a.csv.gz", whole[: len(whole) // 2])

    def test_a_parquet_file_that_is_cut_off_is_named(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"age": list(range(500))}), tmp_path / "whole.parquet")
        whole = (tmp_path / "whole.parquet").read_bytes()
        assert "damaged Parquet" in refused(tmp_path / "a.parquet", whole[: len(whole) // 2])
        assert "damaged Parquet" in refused(tmp_path / "b.parquet", b"PAR1" + b"x" * 90 + b"PAR1")

    def test_a_parquet_column_of_bytes_that_are_no_text_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "a.parquet"
        pq.write_table(pa.table({"age": [1, 2], "photo": [b"\xff\xfe", b"\xff"]}), path)
        with pytest.raises(WrongUse, match=r"column 'photo'.*binary"):
            read_table(path)

    def test_a_line_break_inside_the_header_is_named(self, tmp_path: Path) -> None:
        assert "line break" in refused(tmp_path / "a.csv", b'age,"pressure\n(mmHg)"\n1,2\n')

    def test_utf_8_read_by_a_wrong_name_is_told_so(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_bytes("age,村\n1,守\n".encode())
        with pytest.raises(WrongUse, match="--encoding utf-8"):
            read_table(path, encoding="gb18030")

    def test_an_unknown_column_offers_the_nearest(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("age,Readmitted\n1,2\n")
        with pytest.raises(WrongUse, match="did you mean Readmitted"):
            read_table(path)["readmited"]


class TestReading:
    def test_plain_gzip_and_parquet_give_the_same_columns(self, tmp_path: Path) -> None:
        text = "age,tie\n61,spouse\n72,\n80,child\n"
        (tmp_path / "a.csv").write_text(text)
        (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
        pq.write_table(
            pa.table({"age": [61, 72, 80], "tie": ["spouse", None, "child"]}),
            tmp_path / "a.parquet",
        )
        tables = [read_table(tmp_path / n) for n in ("a.csv", "a.csv.gz", "a.parquet")]
        for table in tables:
            assert table["age"].numbers().tolist() == [61, 72, 80]
            assert table["tie"].text_rows() == ["spouse", "", "child"]

    def test_a_name_twice_in_the_header_is_told_apart_and_noted(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("age,age\n1,2\n")
        table = read_table(path)
        assert list(table.columns) == ["age", "age.2"]
        assert "twice" in table.notes[0]

    def test_a_byte_order_mark_is_no_part_of_the_first_name(self, tmp_path: Path) -> None:
        for encoding in ("utf-8", "gb18030"):
            (tmp_path / "a.csv").write_bytes("\ufeff年龄,村\n61,东村\n".encode(encoding))
            assert list(read_table(tmp_path / "a.csv", encoding=encoding).columns) == ["年龄", "村"]

    def test_a_name_twice_in_a_parquet_file_is_told_apart(self, tmp_path: Path) -> None:
        twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["age", "age"])
        pq.write_table(twice, tmp_path / "a.parquet")
        assert list(read_table(tmp_path / "a.parquet").columns) == ["age", "age.2"]

    def test_semicolons_and_quoted_line_breaks_are_read(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text('age;note\n1;"two\nlines"\n2;x\n')
        assert read_table(path)["note"].text_rows() == ["two\nlines", "x"]

    def test_a_large_file_is_thinned_by_whole_groups(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("home,v\n" + "".join(f"{k // 4},{k}\n" for k in range(4000)))
        table = read_table(path, keep_by="home", max_rows=500)
        assert 300 < table.rows <= 500
        assert set(table["home"].counts.tolist()) == {4}
        assert table.rows_in_file == 4000

    def test_thinning_does_not_depend_on_the_order_of_groups(self, tmp_path: Path) -> None:
        rows = [f"{k // 4},{k}\n" for k in range(2000)]
        (tmp_path / "a.csv").write_text("home,v\n" + "".join(rows))
        (tmp_path / "b.csv").write_text("home,v\n" + "".join(reversed(rows)))
        kept = [
            set(read_table(tmp_path / n, keep_by="home", max_rows=300)["home"].texts)
            for n in ("a.csv", "b.csv")
        ]
        assert kept[0] == kept[1]

    @pytest.mark.slow
    def test_chunks_keep_every_row_in_order(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("v,pad\n" + "".join(f"{k},{'x' * 60}\n" for k in range(150_000)))
        chunks = list(read_chunks(path))
        assert len(chunks) > 1
        assert np.concatenate([c["v"].numbers() for c in chunks]).tolist() == list(range(150_000))


class TestNumbers:
    def test_text_numbers_are_read(self) -> None:
        texts = ["1,234", "12.5kg", "１２", "≥80", "5%", "1e3", "-3", "12 个", ".5", "[70-80)"]
        found = parse_numbers(pa.array(texts)).tolist()
        assert found == [1234, 12.5, 12, 80, 5, 1000, -3, 12, 0.5, 75]

    def test_a_number_beyond_all_measure_is_none(self) -> None:
        assert np.isnan(parse_numbers(pa.array(["1e400", "-1e999"]))).all()

    def test_codes_dates_and_words_are_no_numbers(self) -> None:
        assert np.isnan(parse_numbers(pa.array(["V27", "2012-01-01", "yes", "1/2", "a1"]))).all()

    def test_words_for_nothing_are_missing(self) -> None:
        column = encode("x", pa.array(["?", "NA", " ", "缺失", "0", "不详"]), ("不详",))
        assert column.texts == ("0",)
