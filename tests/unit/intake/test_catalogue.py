"""A pack's catalogue is read strictly, by file and line; its rules say what can give red."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.intake.catalogue import load
from services.kernel.clock import MINUTE
from services.kernel.errors import Faults
from tests.support.intake_world import PACK, write_pack


def told(folder: Path, **files: str) -> str:
    with pytest.raises(Faults) as refusal:
        load(write_pack(folder, **files))
    return str(refusal.value)


def test_a_good_pack_gives_its_types_and_the_built_in_ones(tmp_path: Path) -> None:
    found = load(write_pack(tmp_path))
    assert (found.name, found.version) == ("test", "1")
    assert found.own_sources == frozenset({"phone-app"})
    assert {"health.vitals", "registry.person", "fact.retracted"} <= set(found.types)
    assert found.types["visit.recorded"].max_ahead == 60 * MINUTE
    assert found.types["health.vitals"].max_ahead == 5 * MINUTE


def test_types_of_level_3_rules_can_be_red_and_so_can_unknown_ones(tmp_path: Path) -> None:
    found = load(write_pack(tmp_path))
    assert found.can_be_red("health.vitals")
    assert found.can_be_red("nobody.knows")
    assert found.can_be_red(None)
    assert not found.can_be_red("visit.recorded")


RULE = """
- id: R
  level: 3
  when: {any: [{absent: {type: visit.recorded, within: 7d, armed_by: {type: home.hazard}}}, \
{gt: [{delta: health.vitals.glucose, within: 1d}, 3]}]}
  lifted_by: [matter.reported]
  examples: [{facts: [{type: matter.reported}]}]
"""


def test_types_are_found_wherever_a_rule_reads_them_but_not_where_they_lift_it(
    tmp_path: Path,
) -> None:
    found = load(write_pack(tmp_path, rules=RULE)).types
    assert {name for name, kind in found.items() if kind.red} == {
        "visit.recorded", "home.hazard", "health.vitals",
    }  # fmt: skip


def test_a_fulfilment_cannot_be_red(tmp_path: Path) -> None:
    rules = """
- id: R
  level: 3
  expect: {armed_by: {type: home.hazard}, due: {after: 7d}, by: {type: visit.recorded}}
"""
    found = load(write_pack(tmp_path, rules=rules))
    assert found.can_be_red("home.hazard")
    assert not found.can_be_red("visit.recorded")


def test_events_and_rules_may_lie_in_folders(tmp_path: Path) -> None:
    write_pack(tmp_path)
    for name in ("events", "rules"):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.yaml").rename(tmp_path / name / "one.yaml")
    assert load(tmp_path).can_be_red("health.vitals")


TYPE = "- type: a.b\n  subject: person\n  title: {zh: a, en: b}"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (TYPE.replace("person", "nobody"), "events.yaml:2"),
        (TYPE.replace("subject", "subjekt"), "did you mean subject"),
        (TYPE.replace(", en: b", ""), "'en'"),
        (TYPE + "\n  max_ahead: 5", "duration"),
        (TYPE.replace("a.b", "registry.person"), "registry.person"),
        (TYPE.replace("a.b", "fact.retracted"), "fact.retracted"),
        (TYPE + "\n  fields: {x: {type: enum}}", "values"),
        (TYPE + "\n  fields: {x: {type: integer, min: 3, max: 1}}", "min 3 above max 1"),
        (TYPE + "\n  fields: {x: {typ: integer}}", "unknown field 'typ'"),
        ("- type: a.b\n  subject: [", "events.yaml"),
    ],
)
def test_a_fault_names_its_place(tmp_path: Path, change: str, expected: str) -> None:
    assert expected in told(tmp_path, events=change)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = told(tmp_path, pack="name: x\nzone: Mars/Base\n", events="- type: a.b\n")
    assert "version" in text
    assert "Mars/Base" in text
    assert "subject" in text


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "pack.yaml").write_text(PACK["pack.yaml"], encoding="utf-8")
    with pytest.raises(Faults, match=r"events\.yaml"):
        load(tmp_path)
