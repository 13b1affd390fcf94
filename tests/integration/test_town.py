"""The synthetic town: the same seed gives the same bytes, and nobody in it looks real."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
import tracemalloc
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.allinone.cli import run
from services.allinone.town.plan import SOURCE, Plan, midnight
from services.allinone.town.school import lessons
from services.allinone.town.stories import ALL
from services.allinone.town.stories.storm import REPORTS, storms
from services.allinone.town.stream import Town, build, items
from services.allinone.town.table import Memory, rows
from services.intake.catalogue import load
from services.intake.domain.check import check
from services.intake.domain.item import Refused
from services.kernel.clock import HOUR, MINUTE, parse_rfc3339
from services.risk.adapters.trained import load_trained
from services.risk.packs.loader import load as load_pack
from tests.support.keys import KEYRING

PACK = Path(__file__).parents[2] / "packs" / "cn-town"
EPOCH = date(1970, 1, 1).toordinal()
SMALL = Plan(people=200, days=14)
DIGEST_OF_HASH_SEED = """
import hashlib, msgspec
from services.allinone.town.plan import Plan
from services.allinone.town.stream import build, items
found = hashlib.sha256()
for at, item in items(build(Plan(people=150, days=12))):
    found.update(msgspec.json.encode(item))
print(found.hexdigest())
"""


@pytest.fixture(scope="module")
def town() -> Town:
    return build(SMALL)


@pytest.fixture(scope="module")
def sent(town: Town) -> list[tuple[int, dict[str, Any]]]:
    return list(items(town))


def digest(plan: Plan) -> str:
    found = hashlib.sha256()
    for _, item in items(build(plan)):
        found.update(msgspec.json.encode(item))
    return found.hexdigest()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    one = Plan(people=150, days=12)
    assert digest(one) == digest(one)
    assert digest(one) != digest(Plan(people=150, days=12, seed=8))


def test_the_hash_seed_of_python_changes_nothing() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", DIGEST_OF_HASH_SEED],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {digest(Plan(people=150, days=12)) + "\n"}


@pytest.mark.parametrize("people", [100, 333, 2155, 5000])
def test_exactly_as_many_people_as_wanted(people: int) -> None:
    assert build(Plan(people=people, days=30)).people == people


def test_the_default_town_is_that_of_the_seed_document() -> None:
    town = build(Plan())
    assert town.people == 2155
    assert 900 <= len(town.households) <= 1100
    assert {household.village for household in town.households} == {0, 1, 2}
    assert len(town.categories) == 16
    assert all(count > 0 for count in town.categories.values()), town.categories


def test_ties_lead_to_other_households_that_exist() -> None:
    town = build(Plan())
    homes = {household.id for household in town.households}
    ties = [
        (household.id, home, role)
        for household in town.households
        for person in household.members
        for home, role in person.ties
    ]
    assert {role for _, _, role in ties} == {"supporter", "parent"}
    assert all(home in homes and home != own for own, home, _ in ties)
    assert len(ties) > 300


def test_everything_is_marked_synthetic(sent: list[tuple[int, dict[str, Any]]]) -> None:
    assert {item["source"] for _, item in sent} == {SOURCE}
    for _, item in sent:
        for field in ("person", "household"):
            assert item.get(field, "syn-").startswith("syn-"), item
        assert item.get("place", "99").startswith("99"), item
        data = item["data"]
        if item["type"] in ("registry.person", "registry.household"):
            assert data["name"].startswith("测试-"), data
        if item["type"] == "registry.staff":
            assert data["name"].startswith("测试-"), data
            assert data["contact"].startswith("000-"), data
        if item["type"] == "registry.household":
            assert data["phone"].startswith("000-"), data
            assert data["address"].endswith("（合成）"), data


def test_the_door_refuses_nothing(sent: list[tuple[int, dict[str, Any]]]) -> None:
    catalogue = load(PACK)
    looked = (check(msgspec.json.encode(item), catalogue, KEYRING, replay=True) for _, item in sent)
    assert [each.faults for each in looked if isinstance(each, Refused)] == []


def test_items_come_in_order_of_receipt_and_never_before_they_happen(
    sent: list[tuple[int, dict[str, Any]]],
) -> None:
    received = [at for at, _ in sent]
    assert received == sorted(received)
    for at, item in sent:
        assert parse_rfc3339(item["receivedat"]) == at
        assert parse_rfc3339(item["time"]) <= at, item


def test_noise_is_there_late_twice_half_empty_and_corrected() -> None:
    sent = list(items(build(Plan(people=1500, days=12))))
    names = Counter(item["sourceid"] for _, item in sent)
    assert max(names.values()) == 2
    late = [at - parse_rfc3339(item["time"]) for at, item in sent if "registry" not in item["type"]]
    assert sum(delay > HOUR for delay in late) > 50
    assert any("supersedes" in item for _, item in sent)
    vitals = [item["data"] for _, item in sent if item["type"] == "health.vitals"]
    assert any("diastolic" not in data for data in vitals)


def test_memory_does_not_grow_with_the_days() -> None:
    def peak(days: int) -> int:
        town = build(Plan(people=150, days=days))
        tracemalloc.start()
        try:
            for _ in items(town):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(36) < 1.8 * peak(12)


def test_the_storm_reports_before_half_past_eight_in_a_few_places_and_kinds() -> None:
    [(day, facts)] = list(storms(SMALL))
    begins = midnight(day)
    reports = [fact for fact in facts if fact.type == "matter.reported"]
    assert len(reports) == len({fact.data["matter"] for fact in reports}) == REPORTS == 120
    assert all(fact.at < begins + 8 * HOUR + 30 * MINUTE for fact in reports)
    assert len({fact.place for fact in reports}) == 4
    assert len({fact.data["kind"] for fact in reports}) == 6
    assert all(fact.data["photo"] for fact in reports)
    done = {fact.data["matter"]: fact.at for fact in facts if fact.data.get("step") == "done"}
    assert len(done) == REPORTS
    assert max(done.values()) < begins + 12 * HOUR


def test_a_year_has_every_story_several_times_and_a_small_town_the_newest_of_each() -> None:
    year = Counter(story.name for story, _ in build(Plan()).scenes)
    assert set(year) == {story.name for story in ALL}
    assert min(year.values()) >= 5
    small = [(story.name, scene.day) for story, scene in build(SMALL).scenes]
    assert sorted(small) == sorted((story.name, SMALL.last) for story in ALL)


def test_stories_name_rules_that_the_pack_has() -> None:
    rules = {rule.id for rule in load_pack(PACK).rules}
    for story in ALL:
        assert rules.issuperset(story.means.rules), story.name


def test_the_school_year_is_that_of_the_pack() -> None:
    calendar = load_pack(PACK).calendars["school"]
    extra = {f"2026-{day}" for day in ("01-04", "05-09", "09-20", "10-10")}
    for day in Plan().calendar():
        if day.isoformat() not in extra:
            assert calendar.is_open(day.toordinal() - EPOCH) == lessons(day), day


def test_the_command_writes_the_file_whole_and_refuses_to_overwrite_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "town.jsonl"
    command = ["--lang", "en", "town", "make", "--people", "120", "--days", "12", "--to", str(file)]
    assert run(command) == 0
    lines = file.read_bytes().splitlines()
    assert f"{len(lines)} changes" in capsys.readouterr().out
    assert all("receivedat" not in msgspec.json.decode(line) for line in lines[:200])
    assert run(command) == 2
    assert "is not there yet" in capsys.readouterr().err


def test_the_table_has_the_pack_s_features_and_outcomes_that_no_visit_made(tmp_path: Path) -> None:
    file = tmp_path / "synthetic-town.csv"
    assert run(["town", "table", "--people", "300", "--days", "200", "--to", str(file)]) == 0
    found = list(csv.DictReader(file.read_text("utf-8").splitlines()))
    assert len(found) == 300
    model = load_pack(PACK).model
    assert model is not None
    names = [feature.name for feature in model.features]
    assert [*found[0]] == ["person", "household", "moment", *names, "synthetic_harm_90d"]
    assert 0 < sum(row["synthetic_harm_90d"] == "1" for row in found) < 60
    assert all(row["person"].startswith("syn-") for row in found)
    assert any(row["parent_contacts_30d"] not in ("", "0") for row in found)
    assert any(row["systolic_max_30d"] == "" for row in found)  # unknown is no zero


def test_a_row_knows_only_what_had_been_received_by_then() -> None:
    pack = load_pack(PACK)
    town = build(Plan(people=120, days=185))
    assert pack.model is not None
    at = 3 + [feature.name for feature in pack.model.features].index("falls_12m")
    table = list(rows(town, pack))
    moment = midnight(date.fromisoformat(str(table[0][2])))
    fell = Counter(
        item["person"]
        for received, item in items(town)
        if received <= moment and item["type"] == "elder.care_risk_event"
        if item["data"]["kind"] == "fall"
    )
    found = {row[0]: row[at] for row in table}
    assert sum(fell.values()) > 0
    assert {person: count for person, count in found.items() if count} == dict(fell)


def test_a_fact_that_comes_twice_is_counted_once() -> None:
    memory = Memory(load_pack(PACK))
    when = midnight(Plan().first)
    fall: dict[str, Any] = {
        "type": "elder.care_risk_event", "source": SOURCE, "sourceid": "s", "person": "p",
        "household": "h", "time": "2025-11-23T08:00:00+08:00", "data": {"kind": "fall"},
    }  # fmt: skip
    once = memory.features("h", "p", when)
    memory.take(when + HOUR * 9, fall)
    first = memory.features("h", "p", when + HOUR * 10)
    memory.take(when + HOUR * 10, fall)
    assert once is None
    assert first is not None
    assert memory.features("h", "p", when + HOUR * 10) == first
    assert 1.0 in first


def test_a_history_too_short_for_an_outcome_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "t.csv"
    assert run(["--lang", "en", "town", "table", "--days", "90", "--to", str(file)]) == 2
    assert "180 or more" in capsys.readouterr().err
    assert not file.exists()


@pytest.mark.slow
def test_the_tool_trains_on_it_and_the_card_says_that_it_is_synthetic(tmp_path: Path) -> None:
    file, model = tmp_path / "synthetic-town.csv", tmp_path / "model"
    assert run(["town", "table", "--people", "300", "--to", str(file)]) == 0
    spec = PACK.parents[1] / "examples" / "model" / "town" / "features.yaml"
    told = ["--data", str(file), "--spec", str(spec), "--out", str(model), "--plain"]
    assert run(["model", "train", *told]) == 0
    card = (model / "card.md").read_text("utf-8")
    assert "`synthetic_harm_90d`" in card
    assert "not to be used for any real decision" in card.splitlines()[2]
    features = json.loads((model / "card.json").read_text("utf-8"))["features"]
    assert "age" in features
    assert not {"person", "household", "moment"}.intersection(features)
    slot = load_pack(PACK).model
    assert load_trained(model, slot).slot.trained  # names, order and directions are the pack's
