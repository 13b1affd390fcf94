"""Random rules over the whole grammar, and random lives of a household to try them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

from services.kernel.clock import HOUR
from services.kernel.contracts.envelope import Envelope
from tests.support.risk_world import HOME, MEMBER, START, World

WHO: Final = (MEMBER, "second", "tied")
"""Two members, and a person who is only tied to the household."""
STEP: Final = 6 * HOUR
"""Everything happens on a grid, so that windows end where facts begin."""
STEPS: Final = 40

Values = dict[str, Any]
_numbers = st.sampled_from([0, 1, 2, 5, 10])
_lengths = st.sampled_from(["6h", "12h", "1d", "2d", "1w"])
_orders = st.sampled_from(["lt", "le", "gt", "ge", "eq", "ne"])
_words = st.sampled_from(["a", "b", "c"])
_equal = st.sampled_from(["eq", "ne"])


def _both(left: st.SearchStrategy[Any], right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(left, right).map(list)


def _named(name: st.SearchStrategy[str], body: st.SearchStrategy[Any]) -> st.SearchStrategy[Values]:
    return st.builds(lambda n, b: {n: b}, name, body)


_compare_number = _named(_orders, _both(st.just(".n"), _numbers))
_compare_yes = _named(_equal, _both(st.just(".yes"), st.booleans()))
_compare_kind = _named(_equal, _both(st.just(".kind"), _words))
_of_fact = st.one_of(
    _named(_orders, _both(st.just({"hour": "."}), st.sampled_from([6, 12, 20]))),
    _named(_equal, _both(st.just({"date": "."}), st.sampled_from(["2026-09-08", "2026-09-10"]))),
)
_LEAVES: Final[Mapping[str, st.SearchStrategy[Values]]] = {
    "seen": st.one_of(
        _compare_number,
        _compare_yes,
        _compare_kind,
        _of_fact,
        _named(_orders, _both(st.just(".x"), st.sampled_from([-1.5, 0, 2.5]))),
        _named(_orders, _both(st.just(".n"), st.just(".x"))),
        _named(_orders, _both(st.just(".day"), st.just(".at"))),
        _named(_equal, _both(st.just(".word"), st.sampled_from(["u", "v"]))),
        st.lists(_words, min_size=1, max_size=2).map(lambda v: {"in": [".kind", v]}),
        st.lists(_numbers, min_size=1, max_size=3).map(lambda v: {"in": [".n", v]}),
        st.sampled_from(["u", "v"]).map(lambda v: {"has": [".tags", v]}),
    ),
    "other": st.one_of(_compare_number, _compare_yes, _compare_kind, _of_fact),
    "task": st.one_of(_compare_yes, _of_fact),
    "meter": st.one_of(_compare_number, _compare_yes, _of_fact),
}
_NUMBERS: Final[Mapping[str, Sequence[str]]] = {
    "seen": ("n", "x"),
    "other": ("n",),
    "meter": ("n",),
}
_TYPES: Final = {"person": ("seen", "other", "task", "meter"), "household": ("meter",)}
_PROFILE: Final[Mapping[str, Mapping[str, st.SearchStrategy[Any]]]] = {
    "person": {"disability_grade": _numbers, "lives_alone": st.booleans(), "kind": _words},
    "household": {"housing": _words},
}


def wheres(kind: str) -> st.SearchStrategy[Values]:
    """Return conditions on one fact of a type."""
    return _combined(_LEAVES[kind])


def _combined(leaves: st.SearchStrategy[Values]) -> st.SearchStrategy[Values]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            _named(st.sampled_from(["all", "any"]), st.lists(inner, min_size=1, max_size=3)),
            _named(st.just("not"), inner),
        ),
        max_leaves=4,
    )


@st.composite
def _selections(
    draw: st.DrawFn, types: Sequence[str], *, must: Sequence[str] = (), within: bool = True
) -> Values:
    kind = draw(st.sampled_from(types))
    found: Values = {"type": kind}
    if within and ("within" in must or draw(st.booleans())):
        found["within"] = draw(_lengths)
    if draw(st.booleans()):
        found["where"] = draw(wheres(kind))
    return found


@st.composite
def _numeric(draw: st.DrawFn, subject: str) -> Values:
    """Return an operand that is a number."""
    name = draw(st.sampled_from(["count", "sum", "max", "min", "delta", "streak", "latest", "age"]))
    types = _TYPES[subject]
    if name == "age":
        if subject == "person":
            return {"age": "profile.birth_date"}
        name = "count"
    if name == "streak":
        kind = draw(st.sampled_from(types))
        return {"streak": kind, "where": draw(wheres(kind))}
    having = types if name == "count" else [t for t in types if t in _NUMBERS]
    must = ["within"] if name == "delta" else []
    found = draw(_selections(having, must=must))
    kind = found.pop("type")
    field = "" if name == "count" else "." + draw(st.sampled_from(_NUMBERS[kind]))
    return {name: kind + field, **found}


@st.composite
def _leaves(draw: st.DrawFn, subject: str) -> Values:
    """Return a condition on a subject without `all`, `any`, `not` around it."""
    types = _TYPES[subject]
    what = draw(st.sampled_from(["number", "since", "exists", "absent", "active", "profile"]))
    match what:
        case "number":
            right = draw(st.one_of(_numbers, _numeric(subject)))
            return {draw(_orders): [draw(_numeric(subject)), right]}
        case "since":
            found = draw(_selections(types, within=False))
            kind = found.pop("type")
            return {draw(_orders): [{"since": kind, **found}, draw(_lengths)]}
        case "exists":
            return {"exists": draw(_selections(types))}
        case "absent":
            found = draw(_selections(types, within=False))
            found |= {"within": draw(_lengths), "armed_by": draw(_selections(types, within=False))}
            return {"absent": found | ({"calendar": "school"} if draw(st.booleans()) else {})}
        case "active":
            kinds = [t for t in types if t in ("seen", "task")]
            if draw(st.booleans()) and kinds:
                found = draw(_selections(kinds, within=False))
                return {"active": found | {"until": draw(st.sampled_from(["day", "at"]))}}
            return {"active": draw(_selections(types, within=False)) | {"for": draw(_lengths)}}
        case _:
            name = draw(st.sampled_from(sorted(_PROFILE[subject])))
            op = draw(_orders if name == "disability_grade" else _equal)
            return {op: [f"profile.{name}", draw(_PROFILE[subject][name])]}


_of_person = _combined(_leaves("person"))
_around = st.one_of(
    _named(st.sampled_from(["any_member", "any_tied"]), _of_person),
    st.builds(
        lambda op, c, n: {op: [{"members": c}, n]}, _orders, _of_person, st.sampled_from([0, 1, 2])
    ),
)


def conditions(subject: str) -> st.SearchStrategy[Values]:
    """Return conditions on a person or a household, with everything that the grammar has."""
    return _combined(st.one_of(_leaves(subject), _leaves(subject), _around))


@st.composite
def _expectations(draw: st.DrawFn) -> Values:
    armed = draw(_selections(["task"], within=False))
    by = draw(_selections(["task", "seen", "other"], within=False))
    due = draw(
        st.one_of(
            st.sampled_from([".day", ".at"]),
            _named(st.just("after"), _lengths),
            st.sampled_from(["08:00", "20:00"]).map(lambda t: {"daily": t}),
        )
    )
    found: Values = {"armed_by": armed, "due": due, "by": by}
    if draw(st.booleans()):
        dated = by["type"] != "task" or draw(st.booleans())
        found["key"] = {"date": "."} if dated else ".name"
        by["key"] = found["key"]
    if draw(st.booleans()):
        found["back"] = draw(_lengths)
    return found


@st.composite
def bodies(draw: st.DrawFn) -> Values:
    """Return the deciding fields of a rule: subject, level, who, and when or expect."""
    subject = draw(st.sampled_from(["person", "person", "household"]))
    found: Values = {"subject": subject, "level": draw(st.sampled_from([1, 2, 3]))}
    if subject == "person" and draw(st.integers(0, 3)) == 0:
        found["expect"] = draw(_expectations())
    else:
        found["when"] = draw(conditions(subject))
    if draw(st.integers(0, 3)) == 0:
        found["who"] = draw(conditions(subject))
    return found


class Told(NamedTuple):
    """A fact before it is one: type, about whom, on which step of the grid, what it says."""

    type: str
    who: str
    step: int
    data: Values


_FIELDS: Final[Mapping[str, Mapping[str, st.SearchStrategy[Any]]]] = {
    "seen": {
        "n": _numbers,
        "x": st.sampled_from([-2.0, 0.0, 2.5, 7.0]),
        "yes": st.booleans(),
        "kind": _words,
        "word": st.sampled_from(["u", "v"]),
        "day": st.sampled_from(["2026-09-07", "2026-09-09", "2026-09-12"]),
        "at": st.sampled_from(["2026-09-08T02:00:00+08:00", "2026-09-10T20:00:00+08:00"]),
        "tags": st.lists(st.sampled_from(["u", "v"]), max_size=2),
    },
    "other": {"n": _numbers, "yes": st.booleans(), "kind": _words},
    "task": {
        "name": st.sampled_from(["one", "two"]),
        "day": st.sampled_from(["2026-09-07", "2026-09-09"]),
        "at": st.sampled_from(["2026-09-08T02:00:00+08:00", "2026-09-10T20:00:00+08:00"]),
        "yes": st.booleans(),
    },
    "meter": {"n": _numbers, "yes": st.booleans()},
    "registry.person": {
        "disability_grade": st.sampled_from([1, 2, 4]),
        "lives_alone": st.booleans(),
        "kind": _words,
        "birth_date": st.sampled_from(["1940-09-10", "2012-02-29"]),
    },
    "registry.household": {"housing": _words},
}
_REQUIRED: Final = {("other", "kind"), ("task", "name")}


def value_of(type_: str, field: str) -> st.SearchStrategy[Any]:
    """Return the values of a field that are not null."""
    return _FIELDS[type_][field]


@st.composite
def facts(draw: st.DrawFn, last: int = STEPS, kind: str = "") -> Told:
    """Return one fact, of a kind if given; a field may be null unless its type says required."""
    type_ = kind or draw(st.sampled_from(sorted(_FIELDS)))
    at_home = type_ in ("meter", "registry.household")
    data = {
        name: draw(value if (type_, name) in _REQUIRED else st.one_of(st.none(), value))
        for name, value in _FIELDS[type_].items()
    }
    who = HOME if at_home else draw(st.sampled_from(WHO))
    return Told(type_, who, draw(st.integers(0, last)), data)


def at_step(step: int) -> int:
    """Return the instant of a step of the grid."""
    return START + step * STEP


def message(world: World, told: Told, **more: Any) -> Envelope:
    """Return the fact as a message; received when it occurred unless told otherwise."""
    tie = {"tie": "parent"} if told.who == "tied" else {}
    return world.envelope(told.type, at_step(told.step), told.data, who=told.who, **tie, **more)


@st.composite
def counted(draw: st.DrawFn) -> tuple[Values, list[Told]]:
    """Return a rule that counts one kind of facts about a member, and a life full of them."""
    kind = draw(st.sampled_from(["seen", "other", "meter"]))
    counts: Values = {"where": draw(wheres(kind))}
    if draw(st.booleans()):
        counts |= {"streak": kind}
    else:
        counts |= {"count": kind} | draw(st.sampled_from([{}, {"within": "1d"}, {"within": "2d"}]))
    life = draw(st.lists(facts(last=12, kind=kind), min_size=3, max_size=8))
    who = HOME if kind == "meter" else MEMBER
    when = {"ge": [counts, draw(st.sampled_from([1, 1, 2, 3]))]}
    body = {"subject": "person", "level": 2, "when": when}
    return body, [fact._replace(who=who) for fact in life]


def features() -> st.SearchStrategy[list[Values]]:
    """Return operands that a model of persons may read, each of its own kind."""
    since = st.builds(lambda kind: {"since": kind}, st.sampled_from(_TYPES["person"]))
    members = st.builds(lambda c: {"members": c}, _of_person)
    return st.lists(st.one_of(_numeric("person"), since, members), min_size=1, max_size=4)
