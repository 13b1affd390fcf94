"""Checks that whoever closes a case can say what came of it, in words that end its rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from services.kernel.errors import Fault
from services.risk.domain.outcome import Awaited, awaited
from services.risk.domain.pack import EventType, Rule


def outcome_faults(rules: Sequence[Rule], events: Mapping[str, EventType]) -> Iterator[Fault]:
    """Yield what is wrong with the outcomes that rules wait for (docs/pack-format.md)."""
    waiting = [(rule, awaited(rule)) for rule in rules if rule.expect is not None]
    naming = {found.type: found.names for _, found in waiting if found is not None}
    for rule, found in waiting:
        if found is not None:
            event = events.get(found.type)
            if event is not None:  # told by the language
                yield from _faults(rule, found, event)
        elif rule.expect is not None and rule.expect.by.type in naming:
            field = naming[rule.expect.by.type]
            yield Fault(rule.where, f"`eq: [.{field}, {rule.id}]` in `by`: the rule it ends",
                        "another rule, or none", "write the rule's own id")  # fmt: skip


def _faults(rule: Rule, found: Awaited, event: EventType) -> Iterator[Fault]:
    where = rule.where
    if event.subject == "place":
        yield Fault(where, f"an outcome about the {rule.subject} of the rule",
                    f"{event.type!r} about a place", "take another type")  # fmt: skip
    if rule.expect is not None and rule.expect.by_key is not None:
        yield Fault(where, "an outcome without `key`: one ends the whole case", "a key",
                    "remove `key` on both sides")  # fmt: skip
    if not found.plain:
        yield Fault(where, "`eq` and `in` of fields and texts, joined by `all`",
                    "another condition on the outcome",
                    "write it so, for a form to be made of it")  # fmt: skip
    for name, field in event.fields.items():
        if name != found.names and field.required and field.kind != "enum":
            yield Fault(where, f"an enum, for whoever closes the case to choose from: .{name}",
                        field.kind, "make it an enum, or not required")  # fmt: skip
    for name, values in found.ends.items():
        known = event.fields[name].values if name in event.fields else ()
        wrong = [value for value in values if value not in known]
        if wrong or not values:
            yield Fault(where, f".{name}: of {', '.join(known) or 'an enum'}",
                        ", ".join(wrong) or "no value at all", "correct the value")  # fmt: skip
