"""Mutants of a pack's rules: each threshold shifted both ways, each comparison negated.

Works on the YAML as written, not on our own compiled form, so that it sees what an author wrote.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from services.kernel.errors import Fault
from services.kernel.yamlfile import Node
from services.risk.domain.compiled import compile_pack
from services.risk.packs.examples import alone, outcome
from services.risk.packs.language import Language
from services.risk.packs.loader import load
from services.risk.packs.rules import read_group, read_rule

FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
NAMES = {0: "false", 1: "true", 2: "unknown"}

COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "in", "has"})
ASSERTIONS = frozenset({"exists", "newest", "absent", "active"})
CONDITIONS = ("who", "when", "expect")
_DURATION = re.compile(r"(\d+)([smhdw])")
_AT_LEAST_ONE = frozenset({"within", "for"})
"""A window of no length, or one that ends before it begins, is refused when the pack is read."""

Place = tuple[Any, ...]


class Mutant(NamedTuple):
    """A rule with one thing changed; `what` says which, for people."""

    file: Path
    rule: str
    what: str
    changed: dict[str, Any]


def written(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield every rule and group of a pack as written, with its file."""
    for path in sorted([*(root / "rules").glob("*.yaml"), root / "groups.yaml"]):
        loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=FAST)  # noqa: S506 - a safe one
        for rule in loaded:
            yield path, copy.deepcopy(rule)


def mutants(root: Path) -> Iterator[Mutant]:
    """Yield every mutant of every rule and group."""
    for path, rule in written(root):
        name = str(rule.get("id") or f"group {rule['name']}")
        for part in CONDITIONS:
            if part in rule:
                for what, place, value in _changes(rule[part], (part,)):
                    yield Mutant(path, name, what, _replaced(rule, place, value))


def _changes(value: Any, place: Place) -> Iterator[tuple[str, Place, Any]]:
    told = ".".join(map(str, place))
    if isinstance(value, dict):
        if len(value) == 1 and (next(iter(value)) in COMPARISONS | ASSERTIONS):
            yield f"{told} negated", place, {"not": value}
        for key, part in value.items():
            yield from _changes(part, (*place, key))
    elif isinstance(value, list):
        for n, part in enumerate(value):
            yield from _changes(part, (*place, n))
    else:
        for shifted in _shifted(value, str(place[-1])):
            yield f"{told}: {value} -> {shifted}", place, shifted


def _shifted(value: Any, key: str) -> list[Any]:
    """Return the value one step up and one step down, in the unit in which it is written."""
    if isinstance(value, bool):
        return []
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        step = Decimal(1).scaleb(int(Decimal(repr(value)).as_tuple().exponent))
        return [float(Decimal(repr(value)) + step), float(Decimal(repr(value)) - step)]
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return []
    number = int(match[1])
    least = 1 if key in _AT_LEAST_ONE else 0
    return [f"{n}{match[2]}" for n in (number + 1, number - 1) if n >= least]


def _replaced(rule: dict[str, Any], place: Place, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(rule)
    at: Any = changed
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    return changed


class Judge:
    """Runs a rule's own examples against a changed form of it, one rule at a time."""

    def __init__(self, root: Path) -> None:
        self._pack = load(root)
        self._language = Language(self._pack.events, frozenset(self._pack.calendars))
        for group in self._pack.groups:
            if group.when is not None:
                name = group.id.removeprefix("group ")
                self._language.name_group(name, group.subject, group.when)
        self._known = {rule.id: rule for rule in (*self._pack.rules, *self._pack.groups)}

    def notices(self, mutant: Mutant) -> bool:
        """Return whether the mutant is refused, or an example of its rule comes out otherwise."""
        original = self._known[mutant.rule]
        faults: list[Fault] = []
        node = as_node(mutant.changed, faults)
        reader = read_group if mutant.rule.startswith("group ") else read_rule
        rule = replace(
            reader(node, self._language, self._pack.zone),
            id=original.id,
            examples=original.examples,
        )
        if original.when is not None and reader is read_group:
            name = original.id.removeprefix("group ")
            self._language.name_group(name, original.subject, original.when)
        if faults:
            return True
        compiled = compile_pack(alone(self._pack, rule))
        return any(
            NAMES[outcome(compiled, rule, example)] != example.expect for example in rule.examples
        )


def as_node(value: Any, faults: list[Fault], path: str = "rule") -> Node:
    """Return plain values as the nodes that the readers take."""
    if isinstance(value, dict):
        value = {k: as_node(v, faults, f"{path}.{k}") for k, v in value.items()}
    elif isinstance(value, list):
        value = [as_node(v, faults, f"{path}[{n}]") for n, v in enumerate(value)]
    return Node(value, "mutant", 0, path, faults)
