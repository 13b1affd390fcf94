"""One rule as written → `Rule`, with its examples."""

from __future__ import annotations

import datetime as dt
from typing import Any

from services.kernel.clock import NEVER, to_us
from services.kernel.yamlfile import Node
from services.risk.domain.calendar import Zone
from services.risk.domain.pack import Example, Rule
from services.risk.packs.language import Language

_TEXTS = ("title", "why", "action", "guidance")
_ABOUT = ("source", "evidence", "owner")
_FIELDS = (
    "id",
    "subject",
    "level",
    "who",
    "when",
    "expect",
    "ladder",
    "family",
    "fall",
    "lifted_by",
    "hard",
    "valid_from",
    "valid_to",
    "review_by",
    "examples",
    *_TEXTS,
    *_ABOUT,
)
_REQUIRED = ("id", "subject", "level", "why", "source", "evidence", "examples")
_DAY, _MINUTE = 20_740, 600
"""When an example happens that does not say: Wednesday 14 October 2026, ten o'clock local time."""
EVIDENCE = ("LAW", "SRC", "ADAPT", "MEM", "OWN", "S0", "S1", "S2", "S3", "S4")


def read_rule(node: Node, language: Language, zone: Zone) -> Rule:
    """Return the rule written at `node`; faults go into the node's list."""
    got = node.map(_FIELDS, _REQUIRED)
    rule_id = got["id"].text() if "id" in got else ""
    if "#" in rule_id:
        got["id"].fail("an id without #", "# separates a rule from its instance")
    subject = got["subject"].choice(("person", "household")) if "subject" in got else "person"
    if ("when" in got) == ("expect" in got):
        node.fail(
            "exactly one of `when` and `expect`",
            "write a condition or an expectation",
            "none or both",
        )
    return Rule(
        id=rule_id,
        subject=subject,  # type: ignore[arg-type]
        level=got["level"].integer(0, 3) if "level" in got else 0,
        who=language.condition(got["who"], subject) if "who" in got else None,
        when=language.condition(got["when"], subject) if "when" in got else None,
        expect=language.expect(got["expect"], subject) if "expect" in got else None,
        ladder=got["ladder"].text() if "ladder" in got else None,
        family=got["family"].text() if "family" in got else None,
        at_once=got["fall"].choice(("cadence", "at_once")) == "at_once" if "fall" in got else False,
        hard=got["hard"].boolean() if "hard" in got else False,
        lifted_by=tuple(n.text() for n in got["lifted_by"].items()) if "lifted_by" in got else (),
        valid_from=_day(got.get("valid_from"), zone, 0),
        valid_to=_day(got.get("valid_to"), zone, NEVER),
        texts={key: got[key].bilingual() for key in _TEXTS if key in got},
        about=_about(got),
        examples=_examples(got.get("examples"), zone),
        where=f"{node.file}:{node.line} {rule_id}",
    )


def _about(got: dict[str, Node]) -> dict[str, str]:
    about = {key: got[key].text() for key in _ABOUT if key in got}
    if "evidence" in got:
        about["evidence"] = got["evidence"].choice(EVIDENCE)
    review = got["review_by"].date() if "review_by" in got else None
    if review:
        about["review_by"] = review.isoformat()
    return about


def _day(node: Node | None, zone: Zone, default: int) -> int:
    date = node.date() if node else None
    return default if date is None else zone.end_of(date - dt.timedelta(days=1)) + 1


def read_group(node: Node, language: Language, zone: Zone) -> Rule:
    """Return the group written at `node` as a rule of level 0 that nobody is told of.

    From now on the language knows its condition by the group's name.
    """
    got = node.map(("name", "subject", "title", "when", "examples"), ("name", "when", "examples"))
    name = got["name"].text() if "name" in got else ""
    subject = got["subject"].choice(("person", "household")) if "subject" in got else "person"
    when = language.condition(got["when"], subject) if "when" in got else None
    if when is not None:
        language.name_group(name, subject, when)
    return Rule(
        id=f"group {name}",
        subject=subject,  # type: ignore[arg-type]
        level=0,
        when=when,
        texts={"title": got["title"].bilingual()} if "title" in got else {},
        examples=_examples(got.get("examples"), zone),
        where=f"{node.file}:{node.line} {name}",
    )


def _examples(node: Node | None, zone: Zone) -> tuple[Example, ...]:
    if node is None:
        return ()
    examples = [_example(item, zone) for item in node.items()]
    if not any(e.expect == "true" for e in examples):
        node.fail("an example that must fire", "add one with `expect: true`", "none")
    if all(e.expect == "true" for e in examples):
        node.fail("an example that must not fire", "add one with `expect: false`", "none")
    return tuple(examples)


def _example(node: Node, zone: Zone) -> Example:
    got = node.map(
        ("name", "now", "subject", "profile", "people", "home", "facts", "expect"),
        ("name", "expect"),
    )
    now = _time(got["now"]) if "now" in got else zone.at(_DAY, _MINUTE)
    facts = [_start("registry.person", _profile(got.get("profile"), now, zone))]
    for name, person in (got["people"].entries() if "people" in got else {}).items():
        facts.append(_start("registry.person", _profile(person, now, zone), name))
    if "home" in got:
        facts.append(_start("registry.household", got["home"].plain()))
    facts.extend(_fact(item, now) for item in (got["facts"].items() if "facts" in got else ()))
    return Example(
        name=got["name"].text() if "name" in got else "",
        now=now,
        subject="example",
        facts=tuple(facts),
        expect=_truth(got.get("expect")),
        where=f"{node.file}:{node.line}",
    )


def _start(kind: str, data: Any, who: str = "") -> dict[str, Any]:  # noqa: ANN401 - as written
    return {"type": kind, "at": 0, "received": 0, "data": data, "who": who, "tie": None}


def _profile(node: Node | None, now: int, zone: Zone) -> dict[str, Any]:
    """Return a profile as written; `age` stands for a birthday that many years ago today."""
    if node is None:
        return {}
    fields = {key: child.plain() for key, child in node.entries().items()}
    if "age" in fields:
        years = node.entries()["age"].integer(0, 150)
        del fields["age"]
        fields["birth_date"] = zone.years_before(now, years)
    return fields


def _truth(node: Node | None) -> Any:  # noqa: ANN401
    if node is None:
        return "false"
    if isinstance(node.value, bool):
        return "true" if node.value else "false"
    return node.choice(("false", "true", "unknown"))


def _fact(node: Node, now: int) -> dict[str, Any]:
    got = node.map(("type", "at", "ago", "received", "data", "who", "tie"), ("type",))
    at = now - got["ago"].duration() if "ago" in got else now
    if "at" in got:
        at = _time(got["at"])
    if "at" in got and "ago" in got:
        node.fail("at most one of `at` and `ago`", "remove one of them", "both")
    return {
        "type": got["type"].text() if "type" in got else "",
        "at": at,
        "received": _time(got["received"]) if "received" in got else at,
        "data": got["data"].plain() if "data" in got else {},
        "who": got["who"].text() if "who" in got else "",
        "tie": got["tie"].text() if "tie" in got else None,
    }


def _time(node: Node) -> int:
    value = node.value
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return to_us(value)
    if isinstance(value, str):
        try:
            return to_us(dt.datetime.fromisoformat(value))
        except ValueError:
            pass
    node.fail(
        "a time with an offset, such as 2026-09-10T08:00:00+08:00", "add date, time and offset"
    )
    return 0
