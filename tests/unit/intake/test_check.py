"""The check at the door: what is good is quick, what is bad is told in words, never repeated."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.check import check
from services.intake.domain.fields import Field, diagnose
from services.intake.domain.item import Checked, Refused
from services.intake.domain.types import Catalogue, event_type, retraction
from services.kernel.contracts.changes import RETRACTED
from services.kernel.errors import Fault
from tests.support.keys import KEYRING

VITALS = event_type(
    "health.vitals",
    "person",
    (
        Field(name="systolic", kind="integer", required=True, unit="mmHg", low=40, high=300),
        Field(name="glucose", kind="number", unit="mmol/L", low=0.5, high=60),
        Field(name="kind", kind="enum", values=("fall", "choking")),
        Field(name="id_number", kind="text", max_length=20),
        Field(name="from", kind="date"),
        Field(name="at", kind="time"),
        Field(name="present", kind="boolean"),
        Field(name="tags", kind="list", of="text", max_length=5),
    ),
)
PERSON = event_type("registry.person", "person", (Field(name="household", kind="text"),))
HAZARD = event_type("home.hazard", "household", ())
MATTER = event_type("matter.reported", "place", ())
TYPES = (VITALS, PERSON, HAZARD, MATTER, retraction())
CATALOGUE = Catalogue("test", "1", UTC, frozenset(), True, {t.name: t for t in TYPES})


def sent(**fields: Any) -> bytes:
    good = {
        "type": "health.vitals",
        "source": "clinic",
        "sourceid": "1",
        "time": "2026-11-01T00:00:00+08:00",
        "person": "p1",
        "data": {"systolic": 120},
    }
    return msgspec.json.encode({k: v for k, v in {**good, **fields}.items() if v is not ...})


def good(**fields: Any) -> Checked:
    found = check(sent(**fields), CATALOGUE, KEYRING, replay=False)
    assert isinstance(found, Checked), found
    return found


def faults(original: bytes, *, replay: bool = False) -> list[Fault]:
    found = check(original, CATALOGUE, KEYRING, replay=replay)
    assert isinstance(found, Refused), found
    assert found.faults
    return found.faults


def only(**fields: Any) -> Fault:
    [fault] = faults(sent(**fields))
    return fault


class TestPayload:
    @pytest.mark.parametrize(
        ("data", "where", "code"),
        [
            ({}, "data.systolic", "missing"),
            ({"systolic": None}, "data.systolic", "missing"),
            ({"systolic": "120"}, "data.systolic", "not_integer"),
            ({"systolic": 120.5}, "data.systolic", "not_integer"),
            ({"systolic": True}, "data.systolic", "not_integer"),
            ({"systolic": 1200}, "data.systolic", "out_of_range"),
            ({"systolic": 120, "glucose": 300}, "data.glucose", "out_of_range"),
            ({"systolic": 120, "glucose": "6"}, "data.glucose", "not_number"),
            ({"systolic": 120, "kind": "fal"}, "data.kind", "not_enum"),
            ({"systolic": 120, "id_number": 5.22e17}, "data.id_number", "id_as_number"),
            ({"systolic": 120, "id_number": 12}, "data.id_number", "not_text"),
            ({"systolic": 120, "id_number": "x" * 21}, "data.id_number", "too_long"),
            ({"systolic": 120, "from": "2026-1-1"}, "data.from", "not_date"),
            ({"systolic": 120, "at": "2026-01-01T00:00:00"}, "data.at", "no_offset"),
            ({"systolic": 120, "at": 17}, "data.at", "not_time"),
            ({"systolic": 120, "present": "yes"}, "data.present", "not_boolean"),
            ({"systolic": 120, "tags": "a"}, "data.tags", "not_list"),
            ({"systolic": 120, "tags": ["a", "toolong"]}, "data.tags[1]", "too_long"),
            ({"systolic": 120, "tags": [None]}, "data.tags[0]", "missing"),
            ({"systolic": 120, "tags": ["a"] * 1001}, "data.tags", "not_list"),
            ({"systolic": 120, "sistolic": 1}, "data.sistolic", "unknown_field"),
            ([1], "data", "invalid"),
        ],
    )
    def test_a_bad_field_is_told_by_place_and_kind(self, data: Any, where: str, code: str) -> None:
        fault = only(data=data)
        assert (fault.where, fault.code) == (where, code)

    def test_a_likely_unit_mistake_is_told_so(self) -> None:
        fault = only(data={"systolic": 120, "glucose": 300})
        assert fault.found == "300 mmol/L"
        assert "mmol/L" in fault.remedy

    def test_the_nearest_field_and_word_are_offered(self) -> None:
        assert "systolic" in only(data={"systolic": 120, "sistolic": 1}).found
        assert "fall" in only(data={"systolic": 120, "kind": "fal"}).found

    def test_every_fault_is_told_at_once(self) -> None:
        found = faults(sent(data={"kind": "x", "y": 1}, time="now", source=""))
        assert {f.where for f in found} >= {
            "data.systolic", "data.kind", "data.y", "time", "source",
        }  # fmt: skip

    def test_missing_and_null_are_the_same(self) -> None:
        left_out = good(data={"systolic": 120}).content
        assert good(data={"systolic": 120, "kind": None}).content == left_out

    def test_a_number_is_the_same_with_and_without_a_fraction(self) -> None:
        whole = good(data={"systolic": 120, "glucose": 6}).content
        assert good(data={"systolic": 120, "glucose": 6.0}).content == whole
        assert good(data={"systolic": 120, "glucose": 6.1}).content != whole


class TestEnvelope:
    @pytest.mark.parametrize(
        ("fields", "where", "code"),
        [
            ({"type": "health.vital"}, "type", "unknown_type"),
            ({"type": ...}, "type", "missing"),
            ({"type": 7}, "type", "not_text"),
            ({"source": ...}, "source", "missing"),
            ({"sourceid": ...}, "sourceid", "missing"),
            ({"sourceid": 17}, "sourceid", "not_text"),
            ({"sourceid": ""}, "sourceid", "not_text"),
            ({"sourceid": "a\nb"}, "sourceid", "not_text"),
            ({"time": ...}, "time", "missing"),
            ({"time": "2026-11-01T00:00:00"}, "time", "no_offset"),
            ({"time": "yesterday"}, "time", "not_time"),
            ({"person": 5.22e17}, "person", "id_as_number"),
            ({"person": ...}, "person", "missing"),
            ({"household": "p1"}, "person", "same_name"),
            ({"precision": "days"}, "precision", "not_enum"),
            ({"receivedat": "2026-11-01T00:00:00Z"}, "receivedat", "not_yours"),
            ({"persons": "p1"}, "persons", "unknown_field"),
            ({"supersedes": 5}, "supersedes", "not_reference"),
            ({"supersedes": {"source": "clinic"}}, "supersedes", "not_reference"),
            ({"supersedes": {"source": "clinic", "sourceid": "1"}}, "supersedes", "itself"),
            ({"supersedes": "x", "retracts": "y"}, "retracts", "both"),
            ({"related": ["a\n"]}, "related[0]", "not_text"),
            ({"related": "p2"}, "related", "invalid"),
        ],
    )
    def test_a_bad_part_is_told_by_place_and_kind(
        self, fields: dict[str, Any], where: str, code: str
    ) -> None:
        fault = only(**fields)
        assert (fault.where, fault.code) == (where, code)

    def test_the_nearest_type_is_offered(self) -> None:
        assert "health.vitals" in only(type="health.vital").found

    def test_a_retraction_says_what_it_takes_back(self) -> None:
        fault = only(type=RETRACTED, data={})
        assert (fault.where, fault.code) == ("retracts", "missing")

    def test_in_replay_an_item_may_bring_its_receipt(self) -> None:
        found = check(sent(receivedat="2026-11-01T00:00:00Z"), CATALOGUE, KEYRING, replay=True)
        assert isinstance(found, Checked)

    def test_a_household_named_twice_must_be_one(self) -> None:
        person = {"type": "registry.person", "household": "h1"}
        assert msgspec.json.decode(good(**person, data={}).data) == {"household": "h1"}
        assert good(**person, data={"household": "h1"}).content == good(**person, data={}).content
        assert only(**person, data={"household": "h2"}).code == "two_households"

    @pytest.mark.parametrize(
        ("kind", "keys", "fine"),
        [
            ("health.vitals", {"household": "h1"}, True),
            ("health.vitals", {"place": "g1"}, False),
            ("home.hazard", {"person": "p1"}, True),
            ("home.hazard", {"place": "g1"}, False),
            ("matter.reported", {"place": "g1"}, True),
            ("matter.reported", {"household": "h1"}, True),
            ("matter.reported", {}, False),
        ],
    )
    def test_somebody_must_be_named(self, kind: str, keys: dict[str, str], fine: bool) -> None:
        data = {"systolic": 120} if kind == "health.vitals" else {}
        found = check(
            sent(type=kind, data=data, **{"person": ..., **keys}), CATALOGUE, KEYRING, replay=False
        )
        assert isinstance(found, Checked) == fine


class TestBytes:
    @pytest.mark.parametrize(
        ("original", "where"),
        [
            (b'{"type": "a",\n "x": }', "line 2 column 7"),
            (b"", "line 1 column 1"),
            (b'\xff{"type": 1}', "text"),
            (b'{"time": NaN}', "JSON"),
        ],
    )
    def test_broken_json_is_told_by_line_and_column(self, original: bytes, where: str) -> None:
        [fault] = faults(original)
        assert (fault.where, fault.code) == (where, "not_json")

    def test_json_that_is_no_object_is_told_so(self) -> None:
        assert faults(b"[1]")[0].code == "not_object"

    def test_an_oversize_item_is_refused(self) -> None:
        assert faults(sent(traceparent="x" * 300_000))[0].code == "too_large"


WORDS = st.text(min_size=8, max_size=40).filter(lambda t: len(t.strip()) >= 8)


@given(WORDS, st.sampled_from(["person", "sourceid", "id_number", "kind", "at", "time"]))
def test_what_somebody_typed_is_never_repeated(typed: str, where: str) -> None:
    """Personal values stay out of faults; names of fields and types are not personal."""
    data: dict[str, Any] = {"systolic": "not a number"}
    if where in ("id_number", "kind", "at"):
        data[where] = {"id_number": typed * 9, "kind": typed, "at": typed}[where]
        original = sent(data=data)
    else:
        original = sent(data=data, **{where: typed})
    for fault in faults(original):
        assert typed not in fault.sentence()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["type", "source", "sourceid", "time", "person", "household", "data", "supersedes",
             "retracts", "related", "observedat", "precision", "origin", "repairs", "place"]
        ),
        JSON,
    )
)  # fmt: skip
def test_whatever_comes_is_taken_or_told_and_never_an_error(fields: dict[str, Any]) -> None:
    found = check(sent(**fields), CATALOGUE, KEYRING, replay=False)
    assert isinstance(found, Checked) or found.faults


@given(st.binary(max_size=60))
def test_any_bytes_are_taken_or_told(original: bytes) -> None:
    assert faults(original)


@given(
    st.fixed_dictionaries(
        {"systolic": st.integers(40, 300)},
        optional={
            "glucose": st.floats(0.5, 60),
            "kind": st.sampled_from(["fall", "choking"]),
            "from": st.dates().map(str),
            "tags": st.lists(st.text(max_size=5), max_size=4),
            "present": st.booleans(),
        },
    )
)
def test_the_diagnosis_finds_nothing_wrong_with_what_the_check_takes(data: dict[str, Any]) -> None:
    taken = good(data=data)
    assert diagnose(VITALS.fields, data) == []
    assert diagnose(VITALS.fields, msgspec.json.decode(taken.data)) == []
