"""Reads from a pack folder what alerts needs: ladders whole and strictly, rules as cards.

Conditions belong to risk; here a rule is its id, its words and the ladder it names. Every fault is
told with file, line, expectation and remedy, and all of them at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from services.alerts.domain.ladder import (
    STAGES,
    Ending,
    Ladder,
    Milestone,
    NamedDeadline,
    Rung,
    Stage,
    TaskPlan,
)
from services.alerts.domain.policy import UNREADABLE, Policy, RuleCard
from services.kernel import yamlfile
from services.kernel.errors import Fault
from services.kernel.yamlfile import Node

UNTIL: Final = ("handled", "acknowledged", "closed")
ROLES: Final = ("acknowledged", "handled", "closed")
MOST_STEPS: Final = 20
_RESERVED: Final = frozenset(
    {"opened", "acknowledged", "handled", "ended", "withdrawn", "merged", "closed"}
)
_LADDER_FIELDS: Final = (
    "emergency", "on_withdrawn", "on_ended", "steps", "deadlines", "tasks",
)  # fmt: skip


def load_policy(pack: Path) -> Policy:
    """Return the policy of a pack folder.

    Raises:
        Faults: anything unknown, missing, doubled or out of order, each with its place.
    """
    faults: list[Fault] = []
    name, version, unreadable = _about(pack, faults)
    ladders: dict[str, Ladder] = {}
    passes: list[Node] = []
    for root in yamlfile.folder(pack, "alerts", faults, required=False):
        got = root.map(("ladders", "passes"))
        if "ladders" in got:
            _ladders(got["ladders"], ladders)
        if "passes" in got:
            passes.extend(got["passes"].items())
    rules = _rules(pack, ladders, faults)
    for node in passes:
        _check_pass(node, rules)
    if unreadable is not None and unreadable.value not in ladders:
        hint = yamlfile.nearest(str(unreadable.value), ladders)
        unreadable.fail("one of the ladders, or none", "name a ladder of alerts.yaml",
                        f"{unreadable.value!r}{hint}")  # fmt: skip
    yamlfile.refuse(f"pack {pack.name}", faults)
    return Policy(
        pack=name,
        version=version,
        ladders=ladders,
        rules=rules,
        unreadable=None if unreadable is None else str(unreadable.value),
    )


def _about(pack: Path, faults: list[Fault]) -> tuple[str, str, Node | None]:
    """Return name, version and the node that names the ladder of unreadable reports, if any."""
    root = yamlfile.read(pack / "pack.yaml", faults)
    if root is None:
        return "", "", None
    name, version, unreadable = (root.child(key) for key in ("name", "version", UNREADABLE))
    for key, node in (("name", name), ("version", version)):
        if node is None:
            root.fail(f"a field {key!r}", f"add `{key}: …`", "nothing there")
    if unreadable is not None and unreadable.value in (None, "none"):
        unreadable = None
    return (
        str(name.value) if name else "",
        str(version.value) if version else "",
        unreadable,
    )


def _ladders(node: Node, into: dict[str, Ladder]) -> None:
    for name, body in node.entries().items():
        if name in into:
            body.fail("each ladder once", "rename one of them", f"{name!r} twice")
        into[name] = _ladder(name, body)


def _ladder(name: str, node: Node) -> Ladder:
    got = node.map(_LADDER_FIELDS)
    emergency = _span(got["emergency"]) if "emergency" in got else None
    withdrawn: Ending = "keep" if emergency is not None else "close"
    if "on_withdrawn" in got:
        withdrawn = cast("Ending", got["on_withdrawn"].choice(("keep", "close")))
        if emergency is not None and withdrawn == "close":
            got["on_withdrawn"].fail(
                "keep, because the ladder has an emergency deadline",
                "a person closes an emergency: write keep or leave the field out",
            )
    ended: Ending = "keep"
    if "on_ended" in got:
        ended = cast("Ending", got["on_ended"].choice(("keep", "close")))
    return Ladder(
        name=name,
        rungs=_rungs(got.get("steps")),
        deadlines=_deadlines(got.get("deadlines")),
        tasks=_tasks(got.get("tasks")),
        emergency=emergency,
        on_withdrawn=withdrawn,
        on_ended=ended,
    )


def _rungs(node: Node | None) -> tuple[Rung, ...]:
    if node is None:
        return ()
    items = node.items()
    if len(items) > MOST_STEPS:
        node.fail(f"at most {MOST_STEPS} steps", "split the ladder", f"{len(items)} steps")
    rungs: list[Rung] = []
    for item in items:
        got = item.map(("step", "after", "to", "until"), ("step", "after", "to"))
        if not {"step", "after", "to"} <= got.keys():
            continue
        rung = Rung(
            step=_step_name(got["step"], {r.step for r in rungs}),
            after=got["after"].duration(),
            to=_targets(got["to"]),
            until=_until(got.get("until")),
        )
        if rungs and rung.after <= rungs[-1].after:
            got["after"].fail("a time later than the step before", "order the steps by `after`")
        rungs.append(rung)
    return tuple(rungs)


def _step_name(node: Node, taken: set[str]) -> str:
    name = node.text()
    if name in taken:
        node.fail("each step once", "rename one of them", f"{name!r} twice")
    if name in _RESERVED or any(mark in name for mark in "|:\n"):
        node.fail(
            "a name that no timeline line has, without | or :", "choose another name", repr(name)
        )
    return name


def _targets(node: Node) -> tuple[str, ...]:
    targets = [item.text() for item in node.items()]
    if not targets:
        node.fail("at least one role", "say whom the step tells", "an empty list")
    if len(set(targets)) < len(targets):
        node.fail("each role once", "remove the double", "a role twice")
    return tuple(targets)


def _deadlines(node: Node | None) -> tuple[NamedDeadline, ...]:
    if node is None:
        return ()
    found = []
    for name, body in node.entries().items():
        got = body.map(("after", "until"), ("after",))
        if any(mark in name for mark in "|:\n"):
            body.fail("a name without | or :", "choose another name", repr(name))
        if "after" in got:
            found.append(NamedDeadline(name, _span(got["after"]), _until(got.get("until"))))
    return tuple(found)


def _tasks(node: Node | None) -> tuple[TaskPlan, ...]:
    if node is None:
        return ()
    found: list[TaskPlan] = []
    for item in node.items():
        got = item.map(("stage", "due"), ("stage", "due"))
        if not {"stage", "due"} <= got.keys():
            continue
        stage = cast("Stage", got["stage"].choice(tuple(STAGES)))
        if stage in {t.stage for t in found}:
            got["stage"].fail("each stage once", "remove one of them", f"{stage!r} twice")
        found.append(TaskPlan(stage, _span(got["due"])))
    return tuple(found)


def _span(node: Node) -> int:
    span = node.duration()
    if span <= 0:
        node.fail("a duration above zero", "correct the duration")
    return span


def _until(node: Node | None) -> Milestone:
    return cast("Milestone", node.choice(UNTIL)) if node else "handled"


def _rules(pack: Path, ladders: Mapping[str, Ladder], faults: list[Fault]) -> dict[str, RuleCard]:
    rules: dict[str, RuleCard] = {}
    for root in yamlfile.folder(pack, "rules", faults):
        for node in root.items():
            id_, ladder = node.child("id"), node.child("ladder")
            if id_ is None:
                node.fail("a field 'id'", "add `id: …`", "nothing there")
                continue
            name = id_.text()
            if name in rules or name == UNREADABLE:
                id_.fail("each rule once", "rename one of them", f"{name!r} taken")
            rules[name] = _card(name, node, ladder, ladders)
    return rules


def _card(name: str, node: Node, ladder: Node | None, ladders: Mapping[str, Ladder]) -> RuleCard:
    chosen = None if ladder is None or ladder.value is None else str(ladder.value)
    if ladder is not None and chosen is not None and chosen not in ladders:
        ladder.fail("one of the ladders of alerts.yaml", "name a ladder that exists",
                    f"{chosen!r}{yamlfile.nearest(chosen, ladders)}")  # fmt: skip
    words = {
        key: {k: str(v) for k, v in child.plain().items()}
        for key in ("title", "action", "guidance")
        if (child := node.child(key)) is not None and isinstance(child.value, dict)
    }
    return RuleCard(
        name, chosen, words.get("title", {}), words.get("action", {}), words.get("guidance", {})
    )


def _check_pass(node: Node, rules: Mapping[str, RuleCard]) -> None:
    """Check the fields alerts answers for; the fact's filter is risk's."""
    got = node.map(("type", "role", "rules", "where", "instance", "outcome"), ("type", "role"))
    if "role" in got:
        got["role"].choice(ROLES)
    for item in got["rules"].items() if "rules" in got else ():
        name = item.text()
        if name and name not in rules and name != UNREADABLE:
            item.fail("one of the pack's rules", "name a rule that exists",
                      f"{name!r}{yamlfile.nearest(name, rules)}")  # fmt: skip
