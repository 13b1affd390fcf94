"""The topic catalogue: name, producer, key, compaction. `docs/topics.md` is generated from it."""

from __future__ import annotations

from typing import Final, NamedTuple


class Topic(NamedTuple):
    """One topic of the system; `key` says what its records are keyed by."""

    name: str
    producer: str
    key: str
    compacted: bool
    meaning: str


CHANGES: Final = Topic(
    "intake.change.v1",
    "intake",
    "household id or place:<grid>",
    False,
    "every accepted change, control record and mark, in order per household",
)
ASSESSMENTS: Final = Topic(
    "risk.assessment.v1",
    "risk",
    "household id",
    False,
    "assessments, passed facts, moves and marks, in order per household",
)
HOUSEHOLDS: Final = Topic(
    "registry.household.v1",
    "registry",
    "household id",
    True,
    "names, members, areas and contacts of a household; never a level",
)
DUTY: Final = Topic(
    "registry.duty.v1",
    "registry",
    "role:<area>",
    True,
    "staff, contacts and who is on duty when",
)
ALERTS: Final = Topic(
    "alerts.alert.v1", "alerts", "household id", False, "an alert opened or changed"
)
TASKS: Final = Topic("alerts.task.v1", "alerts", "household id", False, "a task opened or changed")

CATALOGUE: Final = (CHANGES, ASSESSMENTS, HOUSEHOLDS, DUTY, ALERTS, TASKS)
DEAD_LETTER_SUFFIX: Final = ".dlq"


def dead_letters(topic: str) -> str:
    """Return the name of the topic's dead-letter topic."""
    return topic + DEAD_LETTER_SUFFIX
