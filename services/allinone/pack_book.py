"""A pack as a page for people: its rules, groups, event types and service levels as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Final

from services.alerts.domain.ladder import Ladder
from services.alerts.policy_file import load_policy
from services.kernel.clock import DAY, HOUR, MINUTE
from services.risk.domain.pack import EventType, FieldType, Pack, Rule
from services.risk.packs.loader import load

NOTES: Final = "NOTES.md"
"""What the pack's author says beside the tables; copied to the end of the page."""
_EVIDENCE: Final = (
    "Evidence: LAW a statute, SRC a named source, ADAPT its number with a level of ours, MEM to be "
    "verified, OWN ours, S0..S4 a founding document."
)
_COUNTED: Final = (
    "Counted from the start of the clock; a step is left out once somebody has acknowledged or "
    "handled the alert."
)
_SPANS: Final = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"))


def book(root: Path) -> str:
    """Return the page of the pack in the folder `root`, as Markdown.

    Raises:
        Faults: the pack is wrong.
    """
    pack, policy = load(root), load_policy(root)
    notes = root / NOTES
    own = [event for event in pack.events.values() if not event.type.startswith("registry.")]
    parts = [
        f"# {pack.name}: rules, events, service levels\n",
        f"Made by `hearthwatch pack book {root.as_posix()}`; change the pack, not this page.\n",
        f"{_counted(pack)}\n",
        "## Levels\n",
        *_table(("level", "name", "visit at least every", "an ended floor stays"), _levels(pack)),
        "## Rules\n",
        f"{_EVIDENCE}\n",
        *_rules(pack),
        "## Groups\n",
        *_table(("group", "of", "meaning"), (_group(rule) for rule in pack.groups)),
        "## Service levels\n",
        f"{_COUNTED}\n",
        *_table(("ladder", "steps", "deadlines"), map(_ladder, policy.ladders.values())),
        f"## Event types ({len(own)})\n",
        "`*`: required. Times of day and dates are local; money is in fen.\n",
        *_table(("type", "told of", "title", "fields"), map(_event, own)),
    ]
    text = "\n".join(parts)
    return text + ("\n" + notes.read_text(encoding="utf-8") if notes.exists() else "")


def _counted(pack: Pack) -> str:
    levels = Counter(rule.level for rule in pack.rules)
    shown = ", ".join(f"{levels[n]} of level {n}" for n in sorted(levels, reverse=True))
    examples = sum(len(rule.examples) for rule in (*pack.rules, *pack.groups))
    return (
        f"{len(pack.rules)} rules ({shown}) and {len(pack.groups)} groups with {examples} examples;"
        f" version {pack.version}."
    )


def _levels(pack: Pack) -> Iterator[tuple[str, ...]]:
    for level in pack.scheme:
        name = f"{level.name['zh']} {level.name['en']}"
        visit = _span(level.visit_every) if level.visit_every else "-"
        yield str(level.level), name, visit, _span(level.fall_after) if level.fall_after else "-"


def _rules(pack: Pack) -> Iterator[str]:
    for file, rules in groupby(pack.rules, key=_file):
        yield f"### {file}\n"
        yield from _table(
            ("id", "level", "what", "ladder", "source"), (_rule(pack, rule) for rule in rules)
        )


def _file(rule: Rule) -> str:
    return rule.where.partition(":")[0]


def _rule(pack: Pack, rule: Rule) -> tuple[str, ...]:
    name = pack.scheme[rule.level].name
    return (
        rule.id,
        f"{rule.level} {name['zh']} {name['en']}",
        f"{_both(rule.texts['title'])}<br>{_both(rule.texts['why'])}",
        rule.ladder or "-",
        f"{rule.about['source']} ({rule.about['evidence']})",
    )


def _group(rule: Rule) -> tuple[str, ...]:
    return rule.id.removeprefix("group "), rule.subject, _both(rule.texts.get("title", {}))


def _ladder(ladder: Ladder) -> tuple[str, ...]:
    steps = "; ".join(f"{_span(r.after)} {r.step} → {', '.join(r.to)}" for r in ladder.rungs)
    deadlines = "; ".join(f"{d.name} {_span(d.after)}" for d in ladder.deadlines)
    return ladder.name, steps, deadlines


def _event(event: EventType) -> tuple[str, ...]:
    fields = "; ".join(_field(name, field) for name, field in event.fields.items())
    return event.type, event.subject, _both(event.title), fields


def _field(name: str, field: FieldType) -> str:
    kind = " / ".join(field.values) if field.values else field.kind
    bounds = (
        "" if field.low is None and field.high is None else f"{_n(field.low)}..{_n(field.high)}"
    )
    about = " ".join(part for part in (field.unit or "", bounds) if part)
    return f"{name}{'*' if field.required else ''}: {kind}" + (f" ({about})" if about else "")


def _n(bound: float | None) -> str:
    return "" if bound is None else f"{bound:g}"


def _both(text: Mapping[str, str]) -> str:
    return " / ".join(text[language] for language in ("zh", "en") if language in text)


def _span(length: int) -> str:
    for unit, name in _SPANS:
        if length and length % unit == 0:
            return f"{length // unit} {name}"
    return f"{length // MINUTE} min"


def _table(heads: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    names = list(heads)
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
    yield ""
