"""A household under a small pack: tells risk's fold facts, and shows where its rules stand."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from services.kernel.clock import NEVER, from_us, parse_rfc3339
from services.kernel.contracts import assessments as a
from services.kernel.contracts.changes import MOVED_IN, MOVED_OUT, RETRACTED, MovedIn, MovedOut
from services.kernel.contracts.envelope import Envelope, encode, raw
from services.kernel.errors import Fault
from services.kernel.yamlfile import parse, refuse
from services.risk.domain.change import Change
from services.risk.domain.compiled import Compiled, compile_pack
from services.risk.domain.drafts import Draft, Output
from services.risk.domain.fold import Fold
from services.risk.domain.pack import Pack
from services.risk.domain.reading import Reader
from services.risk.domain.score import Linear
from services.risk.domain.state import Household, Instance, decode
from services.risk.domain.state import encode as encode_state
from services.risk.packs.language import Language
from services.risk.packs.loader import load
from services.risk.packs.rules import read_rule

HOME: Final = "home"
MEMBER: Final = "member"
START: Final = parse_rfc3339("2026-09-07T08:00:00+08:00")
"""A Monday."""

HEADER: Final[Mapping[str, Any]] = {
    "name": "small",
    "version": "1",
    "zone": "+08:00",
    "own_sources": ["phone"],
    "scheme": [
        {"level": 0, "color": "green", "name": {"zh": "绿", "en": "green"}},
        {"level": 1, "color": "blue", "name": {"zh": "蓝", "en": "blue"}, "fall_after": "3d"},
        {"level": 2, "color": "yellow", "name": {"zh": "黄", "en": "yellow"}, "fall_after": "2d"},
        {"level": 3, "color": "red", "name": {"zh": "红", "en": "red"}, "fall_after": "1d"},
    ],
    "calendars": {
        "school": {
            "open": [{"from": dt.date(2026, 9, 1), "to": dt.date(2026, 12, 31)}],
            "weekdays": [1, 2, 3, 4, 5],
            "closed": [dt.date(2026, 10, 1)],
            "extra": [dt.date(2026, 10, 10)],
        }
    },
}
LADDERS: Final[Mapping[str, Any]] = {
    "ladders": {
        "red": {"emergency": "60m", "steps": [{"step": "notify", "after": "0m", "to": ["duty"]}]}
    }
}
EVENTS: Final[Sequence[Mapping[str, Any]]] = (
    {
        "type": "seen",
        "subject": "person",
        "fields": {
            "n": {"type": "integer", "min": 0, "max": 100},
            "x": {"type": "number"},
            "yes": {"type": "boolean"},
            "kind": {"type": "enum", "values": ["a", "b", "c"]},
            "word": {"type": "text"},
            "day": {"type": "date"},
            "at": {"type": "time"},
            "tags": {"type": "list", "of": "text"},
        },
    },
    {
        "type": "other",
        "subject": "person",
        "fields": {
            "n": {"type": "integer", "min": 0, "max": 100},
            "yes": {"type": "boolean"},
            "kind": {"type": "enum", "values": ["a", "b", "c"], "required": True},
        },
    },
    {
        "type": "task",
        "subject": "person",
        "fields": {
            "name": {"type": "text", "required": True},
            "day": {"type": "date"},
            "at": {"type": "time"},
            "yes": {"type": "boolean"},
        },
    },
    {
        "type": "meter",
        "subject": "household",
        "fields": {"n": {"type": "integer", "min": 0, "max": 100}, "yes": {"type": "boolean"}},
    },
)


def instant(text: str) -> int:
    """Return the microseconds of a time with offset."""
    return parse_rfc3339(text)


def rule(id_: str = "R", **fields: Any) -> dict[str, Any]:
    """Return a rule as YAML values; what is not given is filled with what a check asks for."""
    full: dict[str, Any] = {
        "id": id_,
        "subject": "person",
        "level": 2,
        "why": {"zh": "因", "en": "because"},
        "source": "a test",
        "evidence": "OWN",
        "examples": [
            {"name": "fires", "now": "2026-09-07T08:00:00+08:00", "expect": True},
            {"name": "does not", "now": "2026-09-07T08:00:00+08:00", "expect": False},
        ],
        **fields,
    }
    if full["level"] == 3:
        full.setdefault("ladder", "red")
    return full


def write_pack(root: Path, rules: Sequence[Mapping[str, Any]], **files: Any) -> Path:
    """Write a pack folder. files: `header`, `events`, `alerts`, `model` replace the small ones."""
    events = [{"title": {"zh": "事", "en": "event"}, **e} for e in files.get("events", EVENTS)]
    texts = {
        "pack": {**HEADER, **files.get("header", {})},
        "events": events,
        "rules": list(rules),
        "alerts": files.get("alerts", LADDERS),
        **({"model": files["model"]} if "model" in files else {}),
    }
    for stem, value in texts.items():
        text = yaml.dump(value, Dumper=_Plain, allow_unicode=True, sort_keys=False)
        (root / f"{stem}.yaml").write_text(text, encoding="utf-8")
    return root


def small_pack(*rules: Mapping[str, Any], **files: Any) -> Pack:
    """Return the checked pack of these rules; what is beside the rules is loaded only once."""
    base, language = _base(json.dumps(files, default=str, sort_keys=True), **files)
    faults: list[Fault] = []
    text = yaml.dump(list(rules), Dumper=_Plain, allow_unicode=True, sort_keys=False)
    node = parse(text, faults, "rules.yaml")
    assert node is not None
    read = tuple(read_rule(item, language, base.zone) for item in node.items())
    refuse("small pack", faults)
    return dataclasses.replace(base, rules=read)


_BASES: Final[dict[str, tuple[Pack, Language]]] = {}


def _base(key: str, **files: Any) -> tuple[Pack, Language]:
    if key not in _BASES:
        with tempfile.TemporaryDirectory() as folder:
            pack = load(write_pack(Path(folder), [rule(when={"all": []})], **files))
        _BASES[key] = pack, Language(pack.events, frozenset(pack.calendars))
    return _BASES[key]


class _Plain(yaml.SafeDumper):
    """Writes values out again where they are used again, as people do."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class World:
    """One household. `assessments` are what was published, in order."""

    def __init__(self, *rules: Mapping[str, Any], pack: Pack | None = None, **files: Any) -> None:
        self.compiled: Compiled = compile_pack(pack or small_pack(*rules, **files))
        self.fold = Fold(self.compiled)
        self.reader = Reader(self.compiled)
        model = self.compiled.pack.model
        self.scorer = Linear(model) if model is not None else None
        self.state = Household(HOME)
        self.assessments: list[a.Assessment] = []
        self.messages: list[Any] = []
        self.number = 0

    # -- making changes ------------------------------------------------------------------------

    def fact(
        self, type_: str, at: int, data: Mapping[str, Any] | None = None, **more: Any
    ) -> Change:
        """Return the change of a fact; more: who, received, clock, id, supersedes, tie, …"""
        return self.reader.change(self.envelope(type_, at, data, **more))

    def envelope(
        self, type_: str, at: int, data: Mapping[str, Any] | None = None, **more: Any
    ) -> Envelope:
        """Return the message of a fact, about the member unless `who` says otherwise."""
        self.number += 1
        event = self.compiled.pack.events.get(type_)
        own = event is not None and event.subject != "person"
        clock = more.get("clock")
        return Envelope(
            id=more.get("id") or f"f{self.number:04}",
            type=type_,
            source="test",
            time=from_us(at),
            subject=more.get("who") or (HOME if own else MEMBER),
            partitionkey=more.get("home", HOME),
            receivedat=from_us(more.get("received", at)),
            clockat=None if clock is None else from_us(clock),
            supersedes=more.get("supersedes"),
            retracts=more.get("retracts"),
            tie=more.get("tie"),
            data=raw(dict(data or {})),
        )

    def retraction(self, of: str, at: int, **more: Any) -> Change:
        """Return the change that takes a fact back."""
        return self.fact(RETRACTED, at, {}, retracts=of, **more)

    def moved_in(
        self, at: int, facts: Sequence[Envelope], who: str = MEMBER, was: str = ""
    ) -> Change:
        """Return the half of a move that comes into the household with these facts."""
        carried = [msgspec.Raw(encode(fact)) for fact in facts]
        moved = msgspec.json.encode(MovedIn("move", "elsewhere", was or who, carried))
        return self.fact(MOVED_IN, at, msgspec.json.decode(moved), who=who)

    def moved_out(self, at: int, who: str = MEMBER) -> Change:
        """Return the half of a move that leaves the household."""
        moved = MovedOut("move", "elsewhere", who)
        return self.fact(MOVED_OUT, at, msgspec.to_builtins(moved), who=who)

    # -- telling -------------------------------------------------------------------------------

    def take(self, *changes: Change, now: int | None = None) -> None:
        """Fold changes, each at its receipt unless `now` says otherwise."""
        for change in changes:
            at = max(change.received, self.state.now) if now is None else now
            self._settle(self.fold.fold(self.state, change, at))

    def tell(
        self, type_: str, at: int, data: Mapping[str, Any] | None = None, **more: Any
    ) -> Change:
        """Fold one fact and return it."""
        change = self.fact(type_, at, data, **more)
        self.take(change)
        return change

    def wake(self, until: int) -> None:
        """Run everything due up to an instant."""
        self._settle(self.fold.wake(self.state, until))

    def _settle(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            if not isinstance(output, Draft):
                self.messages.append(output[3])
                continue
            says = None
            if self.scorer is not None and output.features is not None:
                says = self.scorer.score([output.features])[0]
            found = self.fold.settle(self.state, output, says)
            if found is not None:
                self.assessments.append(found)

    def through_bytes(self) -> None:
        """Replace the state by what its bytes give."""
        self.state = decode(encode_state(self.state))

    # -- looking -------------------------------------------------------------------------------

    def instance(self, key: str = "R", who: str = MEMBER) -> Instance:
        """Return where a rule (`rule` or `rule#key`) of a subject stands; idle if nowhere."""
        subject = self.state.subjects.get(who)
        found = subject.instances.get(key) if subject is not None else None
        return found if found is not None else Instance()

    def truth(self, key: str = "R", who: str = MEMBER) -> str:
        """Return the truth of a rule as a word."""
        return ("false", "true", "unknown")[self.instance(key, who).truth]

    def level(self, who: str = MEMBER) -> int:
        """Return the subject's level as last published."""
        subject = self.state.subjects.get(who)
        return subject.level if subject is not None else 0

    def last(self, who: str = MEMBER) -> a.Assessment:
        """Return what was last published of a subject."""
        return [found for found in self.assessments if found.subject == who][-1]


Shape = tuple[int, int, int, int]


def shape(state: Household) -> dict[tuple[str, str], Shape]:
    """Return what order must not change: truth, floor and both dues of every instance."""
    return {
        (name, key): (i.truth, i.floor, i.falls_at, i.changes_at)
        for name, subject in state.subjects.items()
        for key, i in subject.instances.items()
        if i.truth or i.floor or i.changes_at != NEVER
    }
