"""Who may do what on which page: the one table that routes and templates alike ask.

Areas come on top: a person's areas cover everything below them, and what lies elsewhere is answered
as absent (404), so that an id tells nothing. A glass that somebody broke opens one household of
elsewhere for what `THROUGH_GLASS` lists; what is not listed, such as a closed field, stays absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, get_args

Role = Literal["duty", "worker", "head", "ops"]
Page = Literal["queue", "case", "report", "visits", "glass", "reviews", "ops", "looks", "account"]
Action = Literal[
    "see",
    "acknowledge",
    "take",
    "hand",
    "note",
    "on_site",
    "outcome",
    "close",
    "confirm",
    "escalate",
    "override",
    "send",
    "change",
    "open",
    "end",
    "key",
]

ROLES: Final[tuple[Role, ...]] = get_args(Role)
EVERYWHERE: Final = "*"
"""Stands for all areas in a person's list of areas."""

_DESK: Final = frozenset[Role]({"duty", "head"})
_FIELD: Final = frozenset[Role]({"duty", "head", "worker"})
_ALL: Final = frozenset[Role](ROLES)

POLICY: Final[Mapping[tuple[Page, Action], frozenset[Role]]] = {
    ("queue", "see"): _DESK,
    ("case", "see"): _FIELD,
    ("case", "acknowledge"): _FIELD,
    ("case", "take"): _FIELD,
    ("case", "hand"): _DESK,
    ("case", "note"): _FIELD,
    ("case", "on_site"): _FIELD,
    ("case", "outcome"): _FIELD,
    ("case", "close"): _DESK,
    ("case", "confirm"): _DESK,
    ("case", "escalate"): _DESK,
    ("case", "override"): _FIELD,
    ("case", "key"): _FIELD,
    ("report", "see"): _DESK,
    ("report", "send"): _DESK,
    ("visits", "see"): frozenset[Role]({"worker", "head"}),
    ("visits", "send"): frozenset[Role]({"worker", "head"}),
    ("glass", "see"): _FIELD,
    ("glass", "open"): _FIELD,
    ("glass", "end"): _FIELD,
    ("reviews", "see"): frozenset[Role]({"head"}),
    ("reviews", "send"): frozenset[Role]({"head"}),
    ("ops", "see"): frozenset[Role]({"ops", "head"}),
    ("looks", "see"): frozenset[Role]({"head"}),
    ("account", "see"): _ALL,
    ("account", "change"): _ALL,
}
"""Roles by page and action; a pair that is not here is nobody's."""

THROUGH_GLASS: Final[frozenset[tuple[Page, Action]]] = frozenset(
    {
        ("case", "see"),
        ("case", "acknowledge"),
        ("case", "take"),
        ("case", "note"),
        ("case", "on_site"),
        ("case", "outcome"),
        ("case", "close"),
        ("case", "confirm"),
        ("case", "escalate"),
        ("case", "override"),
        ("report", "see"),
        ("report", "send"),
        ("visits", "see"),
        ("visits", "send"),
        ("glass", "see"),
    }
)
"""What an open glass lets somebody do to its household, if their role may do it at all."""

HOME: Final[Mapping[str, str]] = {
    "duty": "/queue",
    "worker": "/visits",
    "head": "/queue",
    "ops": "/ops",
}
"""Where each role lands after log-in."""


def may(role: str, page: str, action: str) -> bool:
    """Return whether a role may do an action of a page."""
    allowed: Mapping[Any, frozenset[Any]] = POLICY
    return role in allowed.get((page, action), frozenset())


def below(trees: Iterable[Mapping[str, Any]], codes: Iterable[str]) -> frozenset[str]:
    """Return the codes with those of every area below them.

    Args:
        trees: As registry shows them: each with `code` and `areas`.
        codes: Of a person; one that no tree has stays as it is.
    """
    wanted = set(codes)
    found = set(wanted)

    def walk(nodes: Iterable[Mapping[str, Any]], *, inside: bool) -> None:
        for node in nodes:
            here = inside or node["code"] in wanted
            if here:
                found.add(node["code"])
            walk(node.get("areas") or (), inside=here)

    walk(trees, inside=False)
    return frozenset(found)
