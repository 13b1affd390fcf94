"""What a rule's author is told: the place, what was expected, and the nearest name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.allinone.packs import check
from services.kernel.errors import Fault
from services.risk.packs.examples import run_examples
from services.risk.packs.loader import load
from services.risk.packs.words import meant

PACK: dict[str, Any] = {
    "pack.yaml": {
        "name": "small",
        "version": "1",
        "zone": "+08:00",
        "scheme": [
            {"level": n, "color": "c", "name": {"zh": "级", "en": "level"}, "fall_after": "1d"}
            for n in range(4)
        ],
    },
    "events.yaml": [
        {
            "type": "health.vitals",
            "subject": "person",
            "title": {"zh": "体征", "en": "vitals"},
            "fields": {"systolic": {"type": "integer", "min": 40, "max": 300}},
        }
    ],
}
EXAMPLES = [
    {"name": "an elder", "expect": True, "profile": {"age": 60}},
    {"name": "somebody younger", "expect": False, "profile": {"age": 59}},
]


def rule(**parts: Any) -> dict[str, Any]:
    return {
        "id": "R1",
        "subject": "person",
        "level": 1,
        "why": {"zh": "因", "en": "why"},
        "source": "here",
        "evidence": "OWN",
        "examples": EXAMPLES,
        **parts,
    }


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(*rules: dict[str, Any], groups: list[dict[str, Any]] | None = None) -> Path:
        root = tmp_path / "small"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        files = {**PACK, "rules.yaml": list(rules), "alerts.yaml": {"ladders": {}}}
        for name, content in (files | ({"groups.yaml": groups} if groups else {})).items():
            text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
            (root / name).write_text(text, encoding="utf-8")
        return root

    return write


def faults(root: Path) -> list[Fault]:
    return check(root).faults


@pytest.mark.parametrize(
    ("written", "nearest"),
    [
        ("大于等於", "ge (大于等于)"),
        ("大与等于", "ge (大于等于)"),
        ("且且", "all (且)"),
        ("或着", "any (或)"),
        ("小于等与", "le (小于等于)"),
        ("不是是", "not (非)"),
        ("存再", "exists (存在)"),
        ("gee", "ge"),
        ("exist", "exists"),
    ],
)
def test_a_mistyped_operator_is_told_with_its_place_and_the_nearest_name(
    write: Write, written: str, nearest: str
) -> None:
    told = faults(write(rule(when={"all": [{written: ["profile.birth_date", 60]}]})))
    assert len(told) == 1
    assert told[0].where.startswith("rules.yaml:")
    assert told[0].where.endswith(f"when.all[0].{written}")
    assert "ge" in told[0].expected
    assert f"{written!r} (did you mean {nearest}" in told[0].found


PROTECTED = [
    {"exists": {"type": "registry.person", "where": {"eq": [".phone", "1"]}}},
    {"eq": [{"latest": "registry.person.id_number"}, "1"]},
    {"eq": ["profile.phone", "1"]},
]


@pytest.mark.parametrize("when", PROTECTED, ids=["where", "latest", "profile"])
def test_a_rule_cannot_read_what_is_encrypted(write: Write, when: dict[str, Any]) -> None:
    told = [fault for fault in faults(write(rule(when=when))) if "protected" in fault.found]
    assert len(told) >= 1
    assert told[0].remedy == "leave it out: it comes encrypted"


def test_a_mistyped_operand_is_told_with_the_nearest_name(write: Write) -> None:
    told = faults(write(rule(when={"ge": [{"次数数": "health.vitals", "within": "1d"}, 2]})))
    assert len(told) == 1
    assert "count (次数)" in told[0].found


def test_a_word_that_is_like_nothing_gets_no_guess() -> None:
    assert meant("猫咪", ("all", "any", "ge")) == ""


def test_the_line_told_is_the_line_of_the_operator(write: Write) -> None:
    root = write(rule(when={"大于等於": [1, 2]}))
    line = 1 + next(
        n
        for n, text in enumerate((root / "rules.yaml").read_text("utf-8").splitlines())
        if "大于等於" in text
    )
    assert faults(root)[0].where == f"rules.yaml:{line} [0].when.大于等於"


def test_a_full_width_mark_is_named_with_its_line(write: Write) -> None:
    root = write(rule(when="elder"), groups=[ELDER])
    file = root / "rules.yaml"
    file.write_text(file.read_text("utf-8").replace("level: 1", "level：1"), encoding="utf-8")
    told = [fault for fault in faults(root) if fault.expected == "YAML"]
    assert [fault.remedy for fault in told] == [
        "write ':' instead of the full-width '：' in line 3"
    ]


def test_a_full_width_comma_between_operands_is_named(write: Write) -> None:
    where = {"ge": [".systolic， 180"]}
    told = faults(write(rule(when={"newest": {"type": "health.vitals", "where": where}})))
    assert [fault.remedy for fault in told] == ["write `ge: [a, b]` with `,` instead of `，`"]


ELDER = {
    "name": "elder",
    "when": {"ge": [{"age": "profile.birth_date"}, 60]},
    "examples": EXAMPLES,
}


def test_a_group_is_written_by_its_name_wherever_a_condition_stands(write: Write) -> None:
    rules = [
        rule(who="elder", when={"not": {"not": "elder"}}),
        rule(id="R2", subject="household", when={"any_member": "elder"}),
        rule(id="R3", subject="household", when={"ge": [{"members": "elder"}, 1]}),
    ]
    passed, wrong = run_examples(load(write(*rules, groups=[ELDER])))
    assert wrong == []
    assert passed == 8


def test_an_unknown_group_is_told_with_the_nearest_name(write: Write) -> None:
    told = faults(write(rule(when="eldre"), groups=[ELDER]))
    assert [fault.found for fault in told] == ["'eldre' (did you mean elder?)"]


def test_a_group_of_persons_on_a_household_is_told_to_be_wrapped(write: Write) -> None:
    told = faults(write(rule(subject="household", when="elder"), groups=[ELDER]))
    assert [fault.remedy for fault in told] == ["wrap it in any_member or members"]


def test_a_group_may_not_use_one_below_it(write: Write) -> None:
    first = {"name": "old", "when": "elder", "examples": EXAMPLES}
    told = faults(write(rule(when="old"), groups=[first, ELDER]))
    assert told[0].where.startswith("groups.yaml:")


def test_an_example_of_a_group_that_comes_out_otherwise_is_told(write: Write) -> None:
    wrong = [*EXAMPLES, {"name": "wrong", "expect": True, "profile": {"age": 20}}]
    _, told = run_examples(load(write(rule(when="elder"), groups=[ELDER | {"examples": wrong}])))
    assert len(told) == 1
    assert "group elder" in told[0].where


def high(name: str, expect: object, *agos: str) -> dict[str, Any]:
    readings = [170, 190]
    facts = [
        {"type": "health.vitals", "ago": ago, "data": {"systolic": readings[n % 2]}}
        for n, ago in enumerate(agos)
    ]
    return {"name": name, "expect": expect, "facts": facts}


def test_newest_asks_the_newest_fact_alone_and_is_false_without_one(write: Write) -> None:
    when = {"newest": {"type": "health.vitals", "where": {"ge": [".systolic", 180]}}}
    examples = [
        high("the newer is high", True, "2h", "1h"),
        high("the older is high", False, "1h", "2h"),
        high("none", False),
        {"name": "it does not say", "expect": "unknown", "facts": [{"type": "health.vitals"}]},
    ]
    passed, wrong = run_examples(load(write(rule(when=when, examples=examples))))
    assert wrong == []
    assert passed == 4


def test_newest_without_where_is_a_fault(write: Write) -> None:
    told = faults(write(rule(when={"newest": {"type": "health.vitals"}})))
    assert [fault.expected for fault in told] == ["`where`"]


def test_an_example_says_when_in_one_way_only(write: Write) -> None:
    facts = [{"type": "health.vitals", "ago": "1h", "at": "2026-10-14T10:00:00+08:00"}]
    examples = [*EXAMPLES, {"name": "both", "expect": False, "facts": facts}]
    told = faults(write(rule(when="elder", examples=examples), groups=[ELDER]))
    assert [fault.expected for fault in told] == ["at most one of `at` and `ago`"]


def test_the_age_of_an_example_is_a_birthday_today(write: Write) -> None:
    root = write(rule(when="elder"), groups=[ELDER])
    born = load(root).rules[0].examples[0].facts[0]["data"]["birth_date"]
    assert born.isoformat() == "1966-10-14"
