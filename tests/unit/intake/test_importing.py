"""Files without a map: JSONL in the API's own form, CSV with a column for each field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from services.intake.importing import Counts, bring_in
from services.kernel.errors import Faults


class FakeApi:
    """Accepts every item and refuses what is broken; remembers what it was sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def types(self) -> Mapping[str, Any]:
        fields = {
            "systolic": {"kind": "integer"},
            "seen": {"kind": "boolean"},
            "note": {"kind": "text"},
        }
        return {"types": [{"type": "health.vitals", "fields": fields}]}

    def batch(self, items: list[Any]) -> Mapping[str, Any]:
        self.sent += items
        answers = [
            {"status": "rejected", "kept": "k", "fault": each["broken"]["fault"]}
            if "broken" in each
            else {"status": "accepted", "id": "i"}
            for each in items
        ]
        bad = sum(answer["status"] == "rejected" for answer in answers)
        return {
            "items": answers, "accepted": len(items) - bad, "duplicate": 0, "conflict": 0,
            "rejected": bad,
        }  # fmt: skip


class FakeWatch:
    """Remembers how many items were read when it was told."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def sent(self, counts: Counts) -> None:
        self.read.append(counts.read)


HEAD = "type,source,sourceid,time,person,data.systolic,data.seen,data.note\n"
ROW = "health.vitals,clinic,{},2026-11-01T00:00:00Z,p1,120,true,007\n"


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_cells_of_a_table_are_read_as_the_catalogue_says(tmp_path: Path) -> None:
    api = FakeApi()
    counts = bring_in([written(tmp_path, "a.csv", HEAD + ROW.format(1))], None, api)
    assert (counts.read, counts.accepted) == (1, 1)
    [item] = api.sent
    assert item["data"] == {"systolic": 120, "seen": True, "note": "007"}
    assert (item["sourceid"], item["origin"]) == ("1", "a.csv:2")


def test_an_empty_cell_is_left_out(tmp_path: Path) -> None:
    api = FakeApi()
    row = "health.vitals,clinic,1,2026-11-01T00:00:00Z,,,,x\n"
    bring_in([written(tmp_path, "a.csv", HEAD + row)], None, api)
    assert "person" not in api.sent[0]
    assert api.sent[0]["data"] == {"note": "x"}


def test_an_id_typed_as_a_number_is_told_by_its_cell(tmp_path: Path) -> None:
    api = FakeApi()
    row = ROW.format(1).replace("p1", "5.22E+17")
    counts = bring_in([written(tmp_path, "a.csv", HEAD + row)], None, api)
    assert counts.rejected == 1
    [fault] = counts.faults
    assert fault["code"] == "id_as_number"
    assert fault["where"] == "cell E2, column 'person'"
    assert fault["origin"] == "a.csv:2"
    assert api.sent[0]["broken"]["draft"]["sourceid"] == "1"


def test_a_broken_row_does_not_stop_the_rest(tmp_path: Path) -> None:
    api = FakeApi()
    text = HEAD + "a,b\n" + ROW.format(2) + ROW.format(3).replace("120", "high")
    counts = bring_in([written(tmp_path, "a.csv", text)], None, api)
    assert (counts.accepted, counts.rejected) == (1, 2)
    assert [fault["code"] for fault in counts.faults] == ["cell_count", "not_integer"]


def test_a_column_of_another_name_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    api = FakeApi()
    path = written(tmp_path, "a.csv", HEAD.replace("person", "persn"))
    with pytest.raises(Faults, match="did you mean person"):
        bring_in([path], None, api)
    assert api.sent == []


def test_lines_of_json_are_items_and_broken_ones_are_kept(tmp_path: Path) -> None:
    api = FakeApi()
    text = '{"type": "health.vitals"}\n\n{"type": \n[1]\n'
    counts = bring_in([written(tmp_path, "a.jsonl", text)], None, api)
    assert (counts.read, counts.accepted, counts.rejected) == (3, 1, 2)
    assert api.sent[0] == {"type": "health.vitals", "origin": "a.jsonl:1"}
    assert api.sent[1]["broken"]["origin"] == "a.jsonl:3"


def test_a_map_reads_any_other_file(tmp_path: Path) -> None:
    api = FakeApi()
    change = "{id: {column: nr}, person: {column: who}, time: {column: at}, type: a.b}"
    map_path = written(tmp_path, "m.yaml", f'source: log\nzone: "+00:00"\nchanges:\n  - {change}\n')
    log = written(tmp_path, "log.csv", "nr,who,at\n1,p1,2026-11-01\n")
    assert bring_in([log], map_path, api).accepted == 1
    assert "receivedat" not in api.sent[0]


def test_it_goes_in_batches_and_tells_how_far_it_is(tmp_path: Path) -> None:
    watch = FakeWatch()
    path = written(tmp_path, "a.csv", HEAD + "".join(ROW.format(n) for n in range(5)))
    bring_in([path], None, FakeApi(), watch, size=2)
    assert watch.read == [2, 4, 5]
