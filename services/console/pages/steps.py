"""A course in words: whom each step tells, what is done and whether in time, who did what."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from services.console.gateway import Json
from services.console.web.render import span
from services.console.words import say, says
from services.kernel.clock import SECOND, parse_rfc3339

_MARKS: Final = {"fired": "●", "pending": "○", "met": "✓", "cancelled": "–"}
_MILESTONES: Final = ("acknowledged", "handled", "closed")
_MEANS: Final = {"act:acknowledge": "acknowledged", "act:close": "closed"}
"""Acts that are the very milestone they reach."""
_WITHOUT_PEOPLE: Final = ("ended", "withdrawn", "merged", "repaired")
_PEOPLE: Final = "person"

Clock = Callable[[str | int | None], str]
Names = Callable[[str], str]


class Rung(NamedTuple):
    """One row of the ladder. `due` is set while it is waited for, `at` is the instant it is about.

    promised: something to be done by `at`, not a telling at it. missed: it was not done in time.
    needless: nobody waits for it any more.
    """

    mark: str
    title: str
    tag: str
    said: str
    promised: bool
    missed: bool
    needless: bool
    due: str | None
    at: str
    coming: bool


def roles(targets: Sequence[str], language: str) -> str:
    """Return whom a step tells, in words."""
    named = [says(language, f"target.{each}") or each for each in targets]
    return say(language, "step.and").join(named)


def step_word(step: Json, language: str) -> str:
    """Return what a step of the ladder is: whom it tells, or what must be done by then."""
    if step.get("to"):
        return say(language, "step.tell", who=roles(step["to"], language))
    name = "promised" if step["kind"] == "emergency" else step["name"]
    return says(language, f"step.{name}") or str(name)


def line_word(line: Json, language: str) -> str:
    """Return what a line of the timeline says happened."""
    detail = line["detail"] or {}
    to = detail.get("to")
    if detail.get("kind") == "ladder" and isinstance(to, list):
        return say(language, "step.told", who=roles(to, language))
    name = "deadline:emergency" if detail.get("kind") == "emergency" else line["step"]
    return says(language, f"step.{name}") or str(name)


def facts_told(alert: Json) -> list[str]:
    """Return the ids of the facts that moved an alert, such as a visit that was recorded."""
    facts = ((line["detail"] or {}).get("fact") for line in alert["timeline"])
    return [fact for fact in facts if fact]


def namer(alert: Json, staff: Mapping[str, str], facts: Mapping[str, Json], language: str) -> Names:
    """Return who somebody on an alert's timeline is: for a fact the visitor whom it names."""
    known = dict(staff)
    for line in alert["timeline"]:
        detail = line["detail"] or {}
        if name := detail.get("name"):
            known[line["actor"]] = name
        fact = facts.get(detail.get("fact") or "")
        if fact is not None and (name := (fact["envelope"]["data"] or {}).get("visitor")):
            known[line["actor"]] = f"{name} ({actor_word(line['actor'], language)})"

    def name_of(actor: str) -> str:
        return known.get(actor) or actor_word(actor, language)

    return name_of


def actor_word(actor: str, language: str) -> str:
    """Return what somebody who is no member of staff is called, or the code itself."""
    return says(language, f"actor.{actor}") or actor


def timeline(lines: Sequence[Json], names: Names, language: str) -> list[dict[str, Any]]:
    """Return the lines in words, each act with the milestones it reached as one line."""
    found: list[dict[str, Any]] = []
    held: list[Json] = []
    for line in lines:
        if line["reason"] == _PEOPLE and line["step"] in _MILESTONES:
            held.append(line)
            continue
        mine = [each for each in held if _one_act(each, line)]
        found += [_told(each, [], names, language) for each in held if each not in mine]
        held = []
        also = [each for each in mine if _MEANS.get(line["step"]) != each["step"]]
        found.append(_told(line, also, names, language))
        if line["step"] == "act:close" and not any(each["step"] == "closed" for each in mine):
            found[-1]["title"] = say(language, "act.propose")  # it waits for a second person
    return found + [_told(each, [], names, language) for each in held]


def _one_act(milestone: Json, line: Json) -> bool:
    same = (milestone["at"], milestone["actor"]) == (line["at"], line["actor"])
    return same and line["step"].startswith("act:")


def _told(line: Json, also: Sequence[Json], names: Names, language: str) -> dict[str, Any]:
    detail = line["detail"] or {}
    who = detail.get("name") or (names(line["actor"]) if line["actor"] else "")
    words = [line_word(each, language) for each in also]
    return {**line, "detail": detail, "title": line_word(line, language), "who": who, "also": words}


def ladder(alert: Json, names: Names, clock: Clock, language: str) -> list[Rung]:
    """Return the ladder in words, in order of due."""
    tasks = {task["stage"]: task for task in alert["tasks"]}
    return [_rung(step, alert, tasks, names, clock, language) for step in alert["ladder"]]


def _rung(
    step: Json, alert: Json, tasks: Mapping[str, Json], names: Names, clock: Clock, language: str
) -> Rung:
    kind, state, due = step["kind"], step["state"], step["due_at"]
    task = tasks.get(step["name"]) if kind == "task" else None
    done, missed, at = "", False, due
    if _needless(step, alert, task):
        state = "cancelled"
    elif kind == "ladder":
        at = step["fired_at"] or due
    elif step["reached_at"]:
        by = names(task["done_by"]) if task and task["done_by"] else ""
        done, missed = kept(step["reached_at"], due, clock, language, by), _late(step)
        state = "fired" if missed else "met"
    elif state == "fired":
        missed = True
    word = "told" if kind == "ladder" and state == "fired" else "missed" if missed else state
    following = alert["next"] or {}
    return Rung(
        mark=_MARKS.get(state, "○"),
        title=step_word(step, language),
        tag="" if kind == "ladder" else say(language, f"kind.{kind}"),
        said=done or say(language, f"step_state.{word}"),
        promised=kind != "ladder",
        missed=missed,
        needless=state == "cancelled",
        due=None if done or state not in ("pending", "fired") or word == "told" else due,
        at=at,
        coming=(following.get("name"), following.get("kind")) == (step["name"], kind),
    )


def kept(done_at: str, due_at: str, clock: Clock, language: str, by: str = "") -> str:
    """Return when something was done, by whom, and whether in time or how late."""
    late = (parse_rfc3339(done_at) - parse_rfc3339(due_at)) // SECOND
    said = (
        say(language, "done.late", at=clock(done_at), late=span(late, language))
        if late > 0
        else say(language, "done.in_time", at=clock(done_at))
    )
    return f"{said}\u00a0· {by}" if by else said


def task_kept(alert: Json, stage: str, clock: Clock, language: str) -> str:
    """Return when a task was done and whether in time; '' while it is not, or is not asked for."""
    for task in alert["tasks"]:
        if task["stage"] == stage and task["state"] == "done" and task["done_at"]:
            return kept(task["done_at"], task["due_at"], clock, language)
    return ""


def _late(step: Json) -> bool:
    return parse_rfc3339(step["reached_at"]) > parse_rfc3339(step["due_at"])


def _needless(step: Json, alert: Json, task: Json | None) -> bool:
    """Return whether a step ended because the alert did, and not because anybody did it."""
    if task is not None and task["state"] == "cancelled":
        return True
    ended = alert["closed_because"] in _WITHOUT_PEOPLE
    return ended and bool(step["reached_at"]) and step["reached_at"] == alert["closed_at"]
