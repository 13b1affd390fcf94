"""What the fold gives out: drafts of assessments and messages to pass on, and how they are told."""

from __future__ import annotations

from dataclasses import dataclass

from services.kernel.clock import NEVER, from_us
from services.kernel.contracts import assessments as a
from services.kernel.contracts import changes as c
from services.risk.domain.change import Change
from services.risk.domain.compiled import Compiled, CompiledRule
from services.risk.domain.features import Row
from services.risk.domain.looking import View
from services.risk.domain.pack import SEPARATOR
from services.risk.domain.state import FALSE, TRUE, UNKNOWN, Household, Subject

_SHOWN_FACTS = 5


Told = tuple[tuple[a.Reason, ...], tuple[a.Unknown, ...]]
"""Why a subject stands where it does, and what could not be decided."""


@dataclass(slots=True, eq=False)
class Draft:
    """A subject as it stands after one step, not yet scored.

    news: a rule changed its mind. due: when the household is looked at next through time alone. of:
    the subject itself, which may have left the household by the time it is scored. told: None while
    only the model could make something of it; then it is explained before the household changes
    again (`hurry`), if ever. quiet: the model was asked, and nothing came of it.
    """

    subject: str
    at: int
    cause: str | None
    news: bool
    ended: tuple[a.Ended, ...]
    features: Row | None
    due: int
    of: Subject
    told: Told | None
    quiet: bool = False


Message = a.Passed | a.Moved | c.Unreadable
Output = Draft | tuple[str, str, int, Message]
"""A draft, or (subject, cause, processing time, message) to pass on."""


def draft(
    compiled: Compiled,
    state: Household,
    name: str,
    *,
    now: int,
    cause: str | None,
    news: bool,
    ended: tuple[a.Ended, ...],
) -> Draft | None:
    """Return the draft of a subject, or None when there is nothing to tell or to score.

    The model would say of the same features what it said before: it is asked again only for news.
    """
    subject = state.subjects[name]
    view = View(state, now)
    view.facts = subject.facts
    features = compiled.features.row(view, subject) if scored(compiled, state, name) else None
    if not news and (features is None or features == subject.scored):
        return None
    subject.scored = features
    told = explain(compiled, view, subject) if news else None
    made = Draft(name, now, cause, news, ended, features, state.due, subject, told)
    if told is None:
        state.open.append(made)
    return made


def hurry(compiled: Compiled, state: Household) -> None:
    """Explain what is not yet settled, since the household is about to change."""
    for made in state.open:
        made.told = made.told or _told(compiled, state, made)
    state.open.clear()


def _told(compiled: Compiled, state: Household, made: Draft) -> Told:
    view = View(state, made.at)
    view.facts = made.of.facts
    return explain(compiled, view, made.of)


def scored(compiled: Compiled, state: Household, name: str) -> bool:
    """Return whether the model speaks of this subject: a trained one of people only."""
    slot = compiled.pack.model
    return bool(compiled.features) and not (slot and slot.trained and name == state.id)


def explain(compiled: Compiled, view: View, subject: Subject) -> Told:
    """Return what holds a subject's level up, highest first, and what could not be decided."""
    reasons, unknowns = [], []
    for key, instance in subject.instances.items():
        if not instance.floor and instance.truth == FALSE:
            continue
        rule_id, _, tail = key.partition(SEPARATOR)
        rule = compiled.rules[rule_id]
        values = {name: read(view) for name, read in rule.reads}
        if instance.truth == UNKNOWN:
            missing = [name for name, value in values.items() if not _known(value)]
            unknowns.append(a.Unknown(rule=rule_id, missing=missing, instance=tail))
        if instance.floor or instance.truth == TRUE:
            reasons.append(
                a.Reason(
                    rule=rule_id,
                    level=instance.floor,
                    since=from_us(instance.since),
                    clock_start=from_us(instance.clock),
                    instance=tail,
                    held=instance.truth != TRUE,
                    values={name: _shown(value) for name, value in values.items()},
                    facts=_standing_on(view, rule, compiled.at_home),
                )
            )
    if len(reasons) > 1:
        reasons.sort(key=lambda r: (-r.level, r.rule, r.instance))
    return tuple(reasons), tuple(unknowns)


def settle(
    compiled: Compiled, state: Household, made: Draft, says: a.ModelSays | None
) -> a.Assessment | None:
    """Return the assessment of a draft once the model has spoken, or None when nothing is new.

    Drafts of one household are settled in the order in which the fold gave them.
    """
    if made in state.open:
        state.open.remove(made)
    if made.quiet:
        return None
    subject = made.of
    if says is None:
        subject.scored = None
    model_level = says.level if says else 0
    if not made.news and model_level == subject.model_level:
        return None
    reasons, unknowns = made.told or _told(compiled, state, made)
    was = subject.level
    subject.model_level = model_level
    subject.level = max([model_level, *[reason.level for reason in reasons]])
    subject.touch()
    pack = compiled.pack
    return a.Assessment(
        subject=made.subject,
        household=state.id,
        kind=_kind(state.id, made.subject),
        level=subject.level,
        was=was,
        household_level=max([subject.level, *[s.level for s in state.subjects.values()]]),
        at=from_us(made.at),
        reasons=list(reasons),
        ended=list(made.ended),
        unknowns=list(unknowns),
        model=says,
        pack=f"{pack.name}@{pack.version}",
        cause=made.cause,
        next_due_at=from_us(made.due) if made.due != NEVER else None,
    )


def passed(change: Change, now: int) -> list[Output]:
    """Return what a fact tells the alerts of its subject beside what it changes."""
    return [
        (
            change.subject,
            change.id,
            now,
            a.Passed(
                subject=change.subject,
                household=change.household,
                role=p.role,
                fact=change.id,
                type=change.type,
                at=from_us(now),
                rules=list(p.rules),
                instance=p.instance,
                outcome=p.outcome,
            ),
        )
        for p in change.passes
    ]


def moved(change: Change, now: int) -> Output:
    """Return this household's half of a move."""
    out, came = change.moved_out, change.moved_in
    if out is not None:
        message = a.Moved(
            move=out.move,
            half="out",
            was=change.subject,
            became=out.became,
            from_household=change.household,
            to_household=out.to_household,
            at=from_us(now),
            reason=out.reason,
        )
    elif came is not None:
        message = a.Moved(
            move=came.move,
            half="in",
            was=came.was,
            became=change.subject,
            from_household=came.from_household,
            to_household=change.household,
            at=from_us(now),
            reason=came.reason,
        )
    else:
        raise ValueError(f"change {change.id} is no move")
    return (change.subject, change.id, now, message)


def _kind(household: str, subject: str) -> a.Kind:
    if subject != household:
        return "person"
    return "place" if household.startswith("place:") else "household"


def _known(value: object) -> bool:
    return value is not None and not isinstance(value, tuple)


def _shown(value: object) -> object:
    """Return a value as an assessment shows it; None for unknown, bounds for what is bounded."""
    if isinstance(value, tuple):
        return {"from": _finite(value[0]), "to": _finite(value[1])}
    return value


def _finite(value: float) -> float | None:
    return value if abs(value) != float("inf") else None


def _standing_on(view: View, rule: CompiledRule, at_home: frozenset[str]) -> list[str]:
    """Return the ids of the newest facts the rule read, at most five of each type."""
    ids: list[str] = []
    for kind in rule.types:
        facts = (view.home if kind in at_home else view.facts).get(kind, ())
        ids.extend([fact.id for fact in facts[-_SHOWN_FACTS:]])
    return ids
