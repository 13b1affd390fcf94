"""The town's pack: whole, complete for people, and every number of it held by an example."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from services.alerts.policy_file import load_policy
from services.allinone.pack_book import book
from services.allinone.packs import test as run_test
from services.intake.catalogue import load as load_catalogue
from services.kernel.clock import HOUR, MINUTE
from services.risk.domain.forbidden import ban_of
from services.risk.domain.needs import Needs
from services.risk.domain.pack import Pack, Rule
from services.risk.packs.loader import load
from tests.support.pack_mutants import Judge, Mutant, mutants, written

ROOT = Path(__file__).parents[2]
TOWN = ROOT / "packs" / "cn-town"
RED = 3

CATALOGUE = """
child.harm_suspected child.unattended child.carer_changed child.parent_left child.parent_contact
child.parent_status_changed education.attendance education.dropout_risk
education.enrolment_changed child.behaviour child.missing child.psych_screen
child.guardian_assessment child.leftbehind_score elder.ability_assessed elder.care_risk_event
elder.frailty_screen health.vitals health.medical_bill health.hospital_stay health.diagnosis
health.chronic_followup smi.danger_assessed smi.medication smi.emergency smi.guardian_changed
disability.certified member.joined member.left member.died member.born member.detained
household.moved_in household.moved_out economy.income_changed economy.benefit_changed
economy.job_lost economy.clue pension.certification utility.reading device.alarm home.hazard
family.violence_reported home.disaster matter.reported matter.progressed place.hazard need.requested
"""
"""The 48 types of the founding catalogue, in its order."""
ASKED = """
C01 C02 C03 C04 C05 C06 C07 C08 C09 C10 C11 C19 C20 C22 C23 C24 C25 C26 C27 E01 E02 E03 E05 E06 E08
E09 E10 E13 E14 E15 E16 E18 E19 E24 E25 E26 E27 E30 M01 M02 M03 M04 M05 M06 M08 H01 H02 H06 H07
"""
"""Rules that must be there: mandatory reports, emergencies, school, silence, vitals, falls, mental
illness, elders alone, carers gone, sudden poverty; a rule of two thresholds has two letters."""


@cache
def town() -> Pack:
    return load(TOWN)


@cache
def judge() -> Judge:
    return Judge(TOWN)


def all_rules() -> Iterator[Rule]:
    yield from (*town().rules, *town().groups)


def test_the_pack_is_read_by_every_service_and_all_its_examples_come_out() -> None:
    verdict = run_test(TOWN)
    assert verdict.faults == []
    assert verdict.passed == verdict.examples > 700


def test_each_shifted_threshold_and_each_negated_comparison_is_noticed_by_an_example() -> None:
    made = list(mutants(TOWN))
    survivors = [f"{m.rule}: {m.what}" for m in made if not judge().notices(m)]
    assert survivors == []
    assert len(made) > 800


def test_a_rule_that_was_not_changed_is_not_noticed() -> None:
    same = [Mutant(p, str(r.get("id") or f"group {r['name']}"), "", r) for p, r in written(TOWN)]
    assert [m.rule for m in same if judge().notices(m)] == []


def test_every_rule_says_why_what_to_do_what_not_to_do_and_where_it_comes_from() -> None:
    for rule in town().rules:
        for part in ("title", "why", "action", "guidance"):
            assert set(rule.texts[part]) == {"zh", "en"}, rule.id
        chinese, english = rule.texts["guidance"]["zh"], rule.texts["guidance"]["en"]
        assert chinese.startswith("要："), rule.id
        assert "不要：" in chinese, rule.id
        assert english.startswith("Do: "), rule.id
        assert " Do not: " in english, rule.id
        assert {"source", "evidence", "owner", "review_by"} <= set(rule.about), rule.id
        assert rule.valid_from > 0, rule.id


def test_every_rule_has_an_example_that_fires_and_one_that_does_not() -> None:
    for rule in all_rules():
        outcomes = {example.expect for example in rule.examples}
        assert {"true", "false"} <= outcomes, rule.id


def test_every_rule_that_can_be_undecided_has_an_example_of_it() -> None:
    missing = [
        rule.id
        for rule in all_rules()
        if _can_be_unknown(rule) and all(e.expect != "unknown" for e in rule.examples)
    ]
    assert missing == []


def test_all_the_rules_that_were_asked_for_are_there() -> None:
    ids = {rule.id for rule in town().rules}
    there = ids | {rule.rstrip("abc") for rule in ids}
    assert [rule for rule in ASKED.split() if rule not in there] == []
    assert len(ids) >= 120


def test_the_nine_kinds_of_the_mandatory_report_are_red_hard_and_go_to_the_protection_ladder() -> (
    None
):
    kinds = town().events["child.harm_suspected"].fields["kind"].values
    assert len(kinds) == 9
    for rule in (rule for rule in town().rules if rule.family == "mandatory_report"):
        assert (rule.level, rule.hard, rule.ladder) == (RED, True, "child_protection")
    nine = [rule.id for rule in town().rules if rule.family == "mandatory_report"]
    assert nine == [f"C0{n}" for n in range(1, 10)]


def test_the_48_event_types_are_all_there_with_units_and_ranges() -> None:
    events = town().events
    asked = CATALOGUE.split()
    assert len(asked) == 48
    assert [kind for kind in asked if kind not in events] == []
    for event in events.values():
        if event.type.startswith("registry."):
            continue
        assert set(event.title) == {"zh", "en"}
        for name, field in event.fields.items():
            if field.kind in ("integer", "number"):
                assert field.low is not None, f"{event.type}.{name}"
                assert field.high is not None, f"{event.type}.{name}"


def test_every_red_rule_reaches_somebody_higher_within_the_hour() -> None:
    policy = load_policy(TOWN)
    for rule in (rule for rule in town().rules if rule.level == RED):
        assert rule.ladder is not None
        ladder = policy.ladders[rule.ladder]
        assert ladder.emergency == HOUR, rule.id
        assert any("county_hotline" in r.to and r.after == HOUR for r in ladder.rungs), rule.id
        assert any(d.name == "acknowledge" and d.after == 10 * MINUTE for d in ladder.deadlines)


def test_a_fact_that_a_red_rule_reads_through_a_group_is_a_possible_cry_for_help() -> None:
    catalogue = load_catalogue(TOWN)
    assert catalogue.can_be_red("health.hospital_stay")  # C19, through can_care and gone_from_home
    assert not catalogue.can_be_red("need.requested")


def test_no_feature_of_the_model_is_one_of_those_that_stay_out() -> None:
    model = town().model
    assert model is not None
    assert model.cap == 2
    assert {f.name: ban_of(f.name) for f in model.features if ban_of(f.name)} == {}
    directions = {f.name: f.direction for f in model.features}
    assert directions["systolic_max_30d"] == "+"
    assert directions["hazards_removed_180d"] == "-"


def test_every_feature_of_the_model_has_a_name_for_people_as_its_training_has() -> None:
    model = town().model
    assert model is not None
    spec = yaml.safe_load((ROOT / "examples/model/town/features.yaml").read_text("utf-8"))
    for each in model.features:
        trained = spec["features"][each.name]
        assert each.title == {"zh": trained["zh"], "en": trained["en"]}, each.name


def test_the_page_of_the_rules_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "cn-town.md").read_text(encoding="utf-8")
    assert page == book(Path("packs/cn-town")), (
        "run `hearthwatch pack book packs/cn-town --out docs/cn-town.md`"
    )


def _can_be_unknown(rule: Rule) -> bool:
    """Return whether the rule reads a field that a fact may leave out."""
    needs = Needs()
    needs.rule(rule)
    events = town().events
    return any(
        not events[kind].fields[name].required
        for kind, names in needs.fields.items()
        for name in names
    )
