"""The outcome that a rule waits for is read off the rule; one that no form can ask is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from services.kernel.errors import Faults
from services.risk.domain.outcome import Awaited, awaited
from services.risk.packs.loader import load

TOWN = Path(__file__).parents[2] / "packs" / "cn-town"
NAMES_ITSELF = {"eq": [".rule", "X1"]}
CASE = {"type": "enum", "values": ["a", "b"], "required": True}
ENDS = {"in": [".agency", ["police", "court"]]}


def pack(
    root: Path,
    where: Any,
    *,
    about: str = "person",
    fields: dict[str, Any] | None = None,
    key: str = "",
    other: Any = None,
) -> Path:
    """Write a pack with a rule X1 that waits for an outcome, and a rule X2 for another."""
    outcome = {
        "rule": {"type": "text", "required": True},
        "agency": {"type": "enum", "values": ["police", "court", "station"], "required": True},
        "note": {"type": "text"},
        **(fields or {}),
    }
    title = {"zh": "名", "en": "name"}
    files = {
        "pack.yaml": {
            "name": "small", "version": "1", "zone": "+08:00",
            "scheme": [
                {"level": n, "color": "c", "name": title, "fall_after": "1d"} for n in range(4)
            ],
        },
        "events.yaml": [
            {"type": "harm", "subject": "person", "title": title,
             "fields": {"case": CASE}},
            {"type": "said", "subject": about, "title": title,
             "fields": outcome | {"case": CASE}},
        ],
        "rules.yaml": [
            rule("X1", where, key),
            rule("X2", other or {"all": [{"eq": [".rule", "X2"]}, ENDS]}, ""),
        ],
        "alerts.yaml": {"ladders": {}},
    }  # fmt: skip
    root.mkdir()
    for name, content in files.items():
        (root / name).write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return root


def rule(name: str, where: Any, key: str) -> dict[str, Any]:
    keyed = {"key": key} if key else {}
    return {
        "id": name, "subject": "person", "level": 1, "why": {"zh": "因", "en": "why"},
        "source": "here", "evidence": "OWN",
        "expect": {"armed_by": {"type": "harm"}, "due": {"after": "0m"},
                   "by": {"type": "said", "where": where, **keyed}, **keyed},
        "examples": [{"name": "harm", "expect": True, "facts": [{"type": "harm"}]},
                     {"name": "none", "expect": False}],
    }  # fmt: skip


def test_type_field_and_ending_values_are_those_of_the_rule(tmp_path: Path) -> None:
    (x1, x2) = load(pack(tmp_path / "p", {"all": [NAMES_ITSELF, ENDS]})).rules
    assert awaited(x1) == Awaited("said", "rule", {"agency": ("police", "court")}, plain=True)
    assert awaited(x2) == awaited(x1)


def test_the_rules_of_the_town_that_wait_for_an_outcome() -> None:
    found = {rule.id: awaited(rule) for rule in load(TOWN).rules}
    waiting = {name: each for name, each in found.items() if each is not None}
    assert set(waiting) == {*(f"C0{n}" for n in range(1, 10)), "E27", "M11", "H06"}
    assert {each.names for each in waiting.values()} == {"rule"}
    assert waiting["M11"].ends == {"agency": ("police", "civil_affairs", "hospital")}
    assert waiting["H06"].type == "household.outcome"
    assert waiting["H06"].ends == {"outcome": ("relief_granted", "no_need")}


@pytest.mark.parametrize(
    ("where", "more", "expected"),
    [
        ({"all": [{"eq": [".rule", "X2"]}, ENDS]}, {},
         "`eq: [.rule, X1]` in `by`: the rule it ends"),
        (ENDS, {}, "`eq: [.rule, X1]` in `by`: the rule it ends"),
        ({"all": [NAMES_ITSELF, {"in": [".agency", ["police", "sheriff"]]}]}, {},
         ".agency: of police, court, station"),
        ({"all": [NAMES_ITSELF, ENDS, {"eq": [".agency", "station"]}]}, {},
         ".agency: of police, court, station"),
        ({"all": [NAMES_ITSELF, {"eq": [".note", "x"]}]}, {}, ".note: of an enum"),
        ({"all": [NAMES_ITSELF, {"not": ENDS}]}, {},
         "`eq` and `in` of fields and texts, joined by `all`"),
        ({"all": [NAMES_ITSELF, {"eq": [".rule", "X2"]}]}, {},
         "`eq` and `in` of fields and texts, joined by `all`"),
        (NAMES_ITSELF, {"fields": {"words": {"type": "text", "required": True}}},
         "an enum, for whoever closes the case to choose from: .words"),
        (NAMES_ITSELF, {"about": "place"}, "an outcome about the person of the rule"),
        (NAMES_ITSELF, {"key": ".case"}, "an outcome without `key`: one ends the whole case"),
    ],
)  # fmt: skip
def test_an_outcome_that_no_form_could_ask_for_is_refused(
    tmp_path: Path, where: Any, more: dict[str, Any], expected: str
) -> None:
    with pytest.raises(Faults) as told:
        load(pack(tmp_path / "p", where, **more))
    assert {fault.expected for fault in told.value.faults} == {expected}
    assert told.value.faults[0].where.endswith(" X1")


def test_an_expectation_that_names_no_rule_waits_for_no_outcome(tmp_path: Path) -> None:
    none = {"eq": [".agency", "police"]}
    for each in load(pack(tmp_path / "p", none, other=none)).rules:
        assert awaited(each) is None
