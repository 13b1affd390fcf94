"""A pack as a whole: what every service that reads it has to say about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from services.alerts.policy_file import load_policy
from services.intake.catalogue import load as load_catalogue
from services.kernel.errors import Fault, Faults, WrongUse
from services.risk.domain.pack import Pack
from services.risk.packs.examples import run_examples
from services.risk.packs.loader import load as load_rules


class Verdict(msgspec.Struct, kw_only=True):
    """What was read of a pack and what is wrong with it; `passed` counts examples.

    levels: the level's names in each language and how many rules have it, highest first.
    """

    rules: int = 0
    groups: int = 0
    types: int = 0
    levels: list[tuple[dict[str, str], int]] = []
    examples: int = 0
    passed: int = 0
    faults: list[Fault] = []

    def as_json(self) -> dict[str, Any]:
        """Return the answer of `pack check` and `pack test`."""
        return {
            "ok": not self.faults,
            "rules": self.rules,
            "groups": self.groups,
            "types": self.types,
            "examples": self.examples,
            "passed": self.passed,
            "errors": [
                {
                    "where": fault.where,
                    "expected": fault.expected,
                    "found": fault.found,
                    "remedy": fault.remedy,
                }
                for fault in self.faults
            ],
        }


def check(root: Path) -> Verdict:
    """Read a pack as intake, risk and alerts do; every fault of all three, each once.

    Raises:
        WrongUse: there is no such folder.
    """
    verdict, _ = _read(root)
    return verdict


def test(root: Path) -> Verdict:
    """Read a pack and run its examples; an example that comes out otherwise is a fault."""
    verdict, pack = _read(root)
    if pack is not None:
        verdict.passed, wrong = run_examples(pack)
        verdict.faults += wrong
    return verdict


def _read(root: Path) -> tuple[Verdict, Pack | None]:
    if not root.is_dir():
        raise WrongUse(
            Fault(str(root), "the folder of a pack", "no folder", "give the folder of pack.yaml")
        )
    faults: dict[tuple[str, str], Fault] = {}
    pack = _tried(lambda: load_rules(root), faults)
    _tried(lambda: load_catalogue(root), faults)
    _tried(lambda: load_policy(root), faults)
    verdict = Verdict(faults=list(faults.values()))
    if pack is not None:
        verdict.rules, verdict.groups = len(pack.rules), len(pack.groups)
        verdict.types = len(pack.events)
        verdict.examples = sum(len(rule.examples) for rule in (*pack.rules, *pack.groups))
        verdict.levels = [
            (dict(level.name), sum(rule.level == level.level for rule in pack.rules))
            for level in reversed(pack.scheme)
        ]
    return verdict, pack


def _tried(read: Callable[[], Any], into: dict[tuple[str, str], Fault]) -> Any:  # noqa: ANN401
    try:
        return read()
    except Faults as exc:
        for fault in exc.faults:
            place, _, _ = fault.where.partition(" ")
            into.setdefault((place, fault.found), fault)
        return None
