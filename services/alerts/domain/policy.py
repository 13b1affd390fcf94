"""What alerts takes from a pack: which rule opens an alert on which ladder, and its words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from services.alerts.domain.ladder import Ladder

UNREADABLE: Final = "unreadable"
"""The built-in rule of reports that nobody could read; level 3."""
UNREADABLE_LEVEL: Final = 3
_UNREADABLE_TITLE: Final = {"zh": "无法读取的报告", "en": "unreadable report"}


class RuleCard(msgspec.Struct, frozen=True):
    """What people are told about a rule. `ladder` None: the rule raises a level but no alert."""

    id: str
    ladder: str | None
    title: Mapping[str, str]
    action: Mapping[str, str] = {}
    guidance: Mapping[str, str] = {}


class Policy(msgspec.Struct, frozen=True):
    """Ladders and rules of one pack. `unreadable` names a ladder, None switches the rule off."""

    pack: str
    version: str
    ladders: Mapping[str, Ladder]
    rules: Mapping[str, RuleCard]
    unreadable: str | None = None

    def knows(self, rule: str) -> bool:
        """Return whether the rule is one of the pack's or the built-in one."""
        return rule in self.rules or rule == UNREADABLE

    def ladder_of(self, rule: str) -> Ladder | None:
        """Return the ladder that the rule's alerts climb, or None when it opens none."""
        name = self.unreadable if rule == UNREADABLE else self.rules[rule].ladder
        return self.ladders[name] if name is not None else None

    def roles(self) -> frozenset[str]:
        """Return every role that a step of a ladder tells."""
        rungs = (rung for ladder in self.ladders.values() for rung in ladder.rungs)
        return frozenset(role for rung in rungs for role in rung.to)

    def title_of(self, rule: str) -> Mapping[str, str]:
        """Return the rule's title in both languages; empty for a rule of another pack."""
        if rule == UNREADABLE:
            return _UNREADABLE_TITLE
        card = self.rules.get(rule)
        return card.title if card else {}
