from __future__ import annotations

from pathlib import Path

import pytest

from services.alerts.domain.policy import UNREADABLE
from services.alerts.policy_file import load_policy
from services.kernel.clock import HOUR, MINUTE
from services.kernel.errors import Fault, Faults
from tests.support.scenario import write_pack

STEPS = """
ladders:
  l:
    steps:
{}
"""


def faults(folder: Path, **files: str) -> list[Fault]:
    with pytest.raises(Faults) as caught:
        load_policy(write_pack(folder, **files))
    return caught.value.faults


def of_alerts(folder: Path, text: str) -> Fault:
    """Return the only fault of an alerts.yaml whose ladder `emergency` is there beside it."""
    rest = "\n".join(text.strip("\n").splitlines()[1:])
    whole = "ladders:\n  emergency: {steps: [{step: s, after: 0m, to: [x]}]}\n  visit: {}\n"
    found = faults(folder, alerts=f"{whole}  brief: {{}}\n{rest}\n")
    assert len(found) == 1, found
    return found[0]


def test_the_whole_policy_is_read(tmp_path: Path) -> None:
    policy = load_policy(write_pack(tmp_path))
    emergency = policy.ladders["emergency"]
    assert (emergency.emergency, emergency.on_withdrawn, emergency.on_ended) == (
        HOUR,
        "keep",
        "keep",
    )
    assert [(r.step, r.after, r.to, r.until) for r in emergency.rungs][1] == (
        "second",
        10 * MINUTE,
        ("second_duty",),
        "acknowledged",
    )
    assert [t.stage for t in emergency.tasks] == ["warning", "visit", "handling"]
    assert policy.ladders["visit"].on_withdrawn == "close"
    assert policy.ladder_of("R1") is emergency
    assert policy.ladder_of("R4") is None
    assert policy.ladder_of(UNREADABLE) is emergency
    assert policy.title_of("R1") == {"zh": "红", "en": "red"}
    assert not policy.knows("R9")


def test_unreadable_may_be_switched_off(tmp_path: Path) -> None:
    pack = 'name: t\nversion: "1"\nunreadable: none\n'
    assert load_policy(write_pack(tmp_path, pack=pack)).ladder_of(UNREADABLE) is None


@pytest.mark.parametrize(
    ("steps", "place", "expected"),
    [
        ("- {step: a, after: 1m, to: [x], untill: closed}", "untill", "one of step, after, to"),
        ("- {step: a, after: 1m}", "", "a field 'to'"),
        ("- {step: a, after: soon, to: [x]}", "after", "a duration"),
        ("- {step: a, after: 1m, to: []}", "to", "at least one role"),
        ("- {step: a, after: 1m, to: [x, x]}", "to", "each role once"),
        ("- {step: a, after: 1m, to: [x], until: seen}", "until", "one of handled"),
        ("- {step: opened, after: 1m, to: [x]}", "step", "a name that no timeline line has"),
        ("- {step: 'a|b', after: 1m, to: [x]}", "step", "a name that no timeline line has"),
    ],
)
def test_a_wrong_step_is_told_with_its_place(
    tmp_path: Path, steps: str, place: str, expected: str
) -> None:
    fault = of_alerts(tmp_path, STEPS.format(f"      {steps}"))
    assert fault.where.startswith("alerts.yaml:7 ladders.l.steps[0]")
    assert place in fault.where
    assert fault.expected.startswith(expected)
    assert fault.remedy


def test_steps_must_ascend_and_have_each_its_name(tmp_path: Path) -> None:
    first = "      - {step: a, after: 5m, to: [x]}\n"
    assert (
        "later than the step before"
        in of_alerts(
            tmp_path, STEPS.format(first + "      - {step: b, after: 5m, to: [x]}")
        ).expected
    )
    assert (
        of_alerts(tmp_path, STEPS.format(first + "      - {step: a, after: 6m, to: [x]}")).expected
        == "each step once"
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{emergency: 60m, on_withdrawn: close}", "keep, because"),
        ("{emergency: 0m}", "a duration above zero"),
        ("{deadlines: {d: {after: 1h, until: done}}}", "one of handled"),
        ("{deadlines: {'a|b': {after: 1h}}}", "a name without"),
        ("{tasks: [{stage: call, due: 1h}]}", "one of warning"),
        ("{tasks: [{stage: visit, due: 1h}, {stage: visit, due: 2h}]}", "each stage once"),
        ("{on_ended: perhaps}", "one of keep, close"),
        ("{repeat: 3}", "one of emergency"),
    ],
)
def test_a_wrong_ladder_is_told_with_what_was_expected(
    tmp_path: Path, body: str, expected: str
) -> None:
    assert of_alerts(tmp_path, f"ladders:\n  l: {body}").expected.startswith(expected)


def test_a_rule_on_an_unknown_ladder_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    rules = "- {id: R1, level: 3, ladder: emergancy, title: {zh: 红, en: red}}\n"
    (fault,) = faults(tmp_path, rules=rules)
    assert fault.where == "rules.yaml:1 [0].ladder"
    assert "did you mean emergency?" in fault.found


def test_a_rule_may_not_take_a_name_twice_or_the_built_in_one(tmp_path: Path) -> None:
    rules = "- {id: R1}\n- {id: R1}\n- {id: unreadable}\n- {level: 3}\n"
    assert len(faults(tmp_path, rules=rules)) == 3


def test_passes_are_checked_as_far_as_alerts_answers_for_them(tmp_path: Path) -> None:
    text = "passes:\n  - {type: t, role: seen, rules: [R9], what: x}\n"
    found = faults(tmp_path, alerts="ladders: {emergency: {}, visit: {}, brief: {}}\n" + text)
    assert sorted(fault.expected.split(",")[0] for fault in found) == [
        "one of acknowledged",
        "one of the pack's rules",
        "one of type",
    ]


def test_unreadable_must_name_a_ladder(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, pack='name: t\nversion: "1"\nunreadable: emergensy\n')
    assert fault.where.startswith("pack.yaml:3")
