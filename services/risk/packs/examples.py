"""Running a pack's own examples: every rule fires where its author says so, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from services.kernel.clock import from_us
from services.kernel.contracts.envelope import Envelope, raw
from services.kernel.errors import Fault, InvalidMessage
from services.risk.domain.compiled import Compiled, compile_pack
from services.risk.domain.fold import Fold
from services.risk.domain.pack import Example, Pack, Rule
from services.risk.domain.reading import Reader
from services.risk.domain.state import FALSE, TRUE, Household

_TRUTHS = {"true": 1, "false": 0, "unknown": 2}
_NAMES = {number: name for name, number in _TRUTHS.items()}
_HOME = "example-household"


def run_examples(pack: Pack) -> tuple[int, list[Fault]]:
    """Return how many examples passed, and a fault for each that did not."""
    passed, faults = 0, []
    for rule in (*pack.rules, *pack.groups):
        compiled = compile_pack(alone(pack, rule))
        for example in rule.examples:
            fault = _run(compiled, rule, example)
            passed += fault is None
            faults += [fault] if fault else []
    return passed, faults


def alone(pack: Pack, rule: Rule) -> Pack:
    """Return the pack with this one rule: what an example shows does not depend on the others."""
    return replace(pack, rules=(rule,), passes=(), model=None)


def _run(compiled: Compiled, rule: Rule, example: Example) -> Fault | None:
    try:
        found = outcome(compiled, rule, example)
    except InvalidMessage as exc:
        return Fault(
            example.where,
            "facts that fit the event catalogue",
            exc.fault.found,
            "correct the example's data",
        )
    if found == _TRUTHS[example.expect]:
        return None
    return Fault(
        where=f"{example.where} rule {rule.id} example {example.name!r}",
        expected=example.expect,
        found=_NAMES[found],
        remedy="correct the rule or the example",
        code="example",
    )


def outcome(compiled: Compiled, rule: Rule, example: Example) -> int:
    """Return the truth of the rule at the example's `now`: the strongest of its instances.

    The facts are folded in order of receipt and the household is then brought to `now`.
    """
    fold, reader = Fold(compiled), Reader(compiled)
    state = Household(_HOME)
    member = "example-person"
    facts = sorted(enumerate(example.facts), key=lambda pair: (pair[1]["received"], pair[0]))
    for n, fact in facts:
        change = reader.change(_envelope(compiled, n, fact, member))
        fold.fold(state, change, max(change.received, state.now))
    fold.wake(state, example.now)
    subject = state.subjects.get(_HOME if rule.subject == "household" else member)
    found = [
        i.truth
        for key, i in (subject.instances if subject else {}).items()
        if key.partition("#")[0] == rule.id
    ]
    if not found:
        return FALSE
    return TRUE if TRUE in found else max(found)


def _envelope(compiled: Compiled, n: int, fact: dict[str, Any] | Any, member: str) -> Envelope:  # noqa: ANN401
    kind = fact["type"]
    event = compiled.pack.events.get(kind)
    if event is None:
        raise InvalidMessage(
            Fault("example", "an event type of the catalogue", repr(kind), "correct it")
        )
    who = (fact.get("who") or member) if event.subject == "person" else _HOME
    unknown = set(fact["data"]) - set(event.fields)
    if unknown:
        raise InvalidMessage(
            Fault("example", f"fields of {kind}", repr(sorted(unknown)), "correct them")
        )
    return Envelope(
        id=f"example-{n}",
        type=kind,
        source="example",
        time=from_us(fact["at"]),
        subject=who,
        partitionkey=_HOME,
        receivedat=from_us(fact["received"]),
        tie=fact.get("tie"),
        data=raw(msgspec.to_builtins(fact["data"])),
    )
