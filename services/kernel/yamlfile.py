"""Strict reading of YAML written by people: every fault with file, line, expectation and remedy.

A `Node` is one value with its place. Readers check what they take and put faults into one shared
list, so that a file is read to its end and all its faults are told at once. Nodes never raise for
bad content; after a fault they give a harmless default.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from services.kernel.clock import DAY, HOUR, MINUTE, SECOND
from services.kernel.errors import Fault, Faults

_DURATION = re.compile(r"(\d+)\s*(s|m|h|d|w)")
_Fast: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Twenty times faster where libyaml is."""
_FULL_WIDTH = re.compile("[：，｛｝［］＃－]")
_MOST_NODES = 200_000
_DEEPEST = 60
_UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}


def duration_us(text: str) -> int | None:
    """Return a duration such as `90s`, `60m`, `1h`, `7d`, `2w` in microseconds, or None."""
    match = _DURATION.fullmatch(text.strip())
    return int(match[1]) * _UNITS[match[2]] if match else None


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ' (did you mean …?)' for the closest known words, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    return f" (did you mean {', '.join(close)}?)" if close else ""


class Node:
    """One value of a YAML file with its place."""

    def __init__(self, value: Any, file: str, line: int, path: str, faults: list[Fault]) -> None:  # noqa: ANN401
        self.value = value
        self.file = file
        self.line = line
        self.path = path
        self.faults = faults

    def fail(self, expected: str, remedy: str, found: str | None = None) -> None:
        """Note a fault at this place."""
        shown = found if found is not None else _shape(self.value)
        where = f"{self.file}:{self.line} {self.path}".rstrip()
        self.faults.append(Fault(where=where, expected=expected, found=shown, remedy=remedy))

    def map(self, allowed: Iterable[str], required: Iterable[str] = ()) -> dict[str, Node]:
        """Return the fields of a mapping; unknown and missing ones are faults."""
        if not isinstance(self.value, dict):
            self.fail("a mapping", "write `key: value` lines")
            return {}
        known = list(allowed)
        for key, child in self.value.items():
            if key not in known:
                child.fail(
                    f"one of {', '.join(known)}",
                    "correct or remove the field",
                    f"unknown field {key!r}{nearest(key, known)}",
                )
        for key in required:
            if key not in self.value:
                self.fail(f"a field {key!r}", f"add `{key}: …`", "nothing there")
        return {k: v for k, v in self.value.items() if k in known}

    def entries(self) -> dict[str, Node]:
        """Return a mapping whose keys are free."""
        if not isinstance(self.value, dict):
            self.fail("a mapping", "write `key: value` lines")
            return {}
        return dict(self.value)

    def items(self) -> list[Node]:
        """Return the items of a list."""
        if not isinstance(self.value, list):
            self.fail("a list", "write `- item` lines or [a, b]")
            return []
        return list(self.value)

    def text(self) -> str:
        """Return a non-empty text (numbers are taken as written)."""
        if isinstance(self.value, str) and self.value.strip():
            return self.value
        self.fail("a text", "write a text")
        return ""

    def choice(self, known: Iterable[str]) -> str:
        """Return one of the known words; the first one after a fault."""
        words = list(known)
        if isinstance(self.value, str) and self.value in words:
            return self.value
        hint = nearest(str(self.value), words)
        self.fail(f"one of {', '.join(words)}", "choose one of them", f"{_shape(self.value)}{hint}")
        return words[0]

    def integer(self, low: int, high: int) -> int:
        """Return a whole number in [low, high]."""
        if (
            isinstance(self.value, int)
            and not isinstance(self.value, bool)
            and low <= self.value <= high
        ):
            return self.value
        self.fail(f"a whole number {low}..{high}", "correct the number")
        return low

    def number(self) -> float:
        """Return a number."""
        if isinstance(self.value, (int, float)) and not isinstance(self.value, bool):
            return float(self.value)
        self.fail("a number", "correct the number")
        return 0.0

    def boolean(self) -> bool:
        """Return true or false."""
        if isinstance(self.value, bool):
            return self.value
        self.fail("true or false", "write true or false")
        return False

    def duration(self) -> int:
        """Return a duration in microseconds."""
        found = duration_us(self.value) if isinstance(self.value, str) else None
        if found is None:
            self.fail("a duration such as 90s, 60m, 1h, 7d, 2w", "write a number with a unit")
            return 0
        return found

    def date(self) -> dt.date | None:
        """Return a date, or None where null is written."""
        if self.value is None or (
            isinstance(self.value, dt.date) and not isinstance(self.value, dt.datetime)
        ):
            return self.value
        self.fail("a date such as 2026-09-01", "write year-month-day")
        return None

    def bilingual(self) -> dict[str, str]:
        """Return a text for people in both languages, {zh, en}."""
        got = self.map(("zh", "en"), ("zh", "en"))
        return {key: child.text() for key, child in got.items()}

    def plain(self) -> Any:  # noqa: ANN401
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {k: v.plain() for k, v in self.value.items()}
        if isinstance(self.value, list):
            return [v.plain() for v in self.value]
        return self.value

    def child(self, key: str) -> Node | None:
        """Return a field without judging it, or None."""
        return self.value.get(key) if isinstance(self.value, dict) else None


def read(path: Path, faults: list[Fault], name: str | None = None) -> Node | None:
    """Return the file's root node, or None after a fault (missing, not UTF-8, not YAML)."""
    shown = name or path.name
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        faults.append(Fault(shown, "a file", "nothing there", f"add {shown}"))
        return None
    except UnicodeDecodeError:
        faults.append(Fault(shown, "UTF-8 text", "other bytes", "save the file as UTF-8"))
        return None
    return parse(text, faults, shown)


def parse(text: str, faults: list[Fault], name: str) -> Node | None:
    """Return the root node of YAML text, or None after a fault."""
    try:
        return _parse(text, faults, name, _Fast)
    except yaml.MarkedYAMLError:  # say it in the words of one parser, with or without the other
        return _parse(text, faults, name, yaml.SafeLoader)
    except RecursionError:
        faults.append(_too_much(name))
        return None
    except yaml.reader.ReaderError:
        faults.append(Fault(name, "text", "a character that no text has", "remove it"))
        return None


def _parse(text: str, faults: list[Fault], name: str, loads: type[Any]) -> Node | None:
    loader = loads(text)
    try:
        tree = loader.get_single_node()
        if tree is None:
            faults.append(Fault(name, "YAML content", "an empty file", "fill or remove the file"))
            return None
        if not _bounded(tree):
            faults.append(_too_much(name))
            return None
        return _build(tree, loader, name, "", faults)
    except yaml.MarkedYAMLError as exc:
        if loads is not yaml.SafeLoader:
            raise
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        faults.append(Fault(f"{name}:{line}", "YAML", str(exc.problem), _remedy(text, line)))
        return None
    finally:
        loader.dispose()


def _remedy(text: str, line: int) -> str:
    """Return what to do about a line that is no YAML; a full-width mark near it is named."""
    lines = text.splitlines()
    for number in range(min(line, len(lines)), max(0, line - 3), -1):
        mark = _FULL_WIDTH.search(lines[number - 1])
        if mark is not None:
            half = unicodedata.normalize("NFKC", mark[0])
            return f"write {half!r} instead of the full-width {mark[0]!r} in line {number}"
    return "correct the line"


def folder(root: Path, stem: str, faults: list[Fault], *, required: bool = True) -> Iterator[Node]:
    """Yield the root nodes of `<stem>.yaml` and of every `<stem>/*.yaml`, in order of name."""
    single, many = root / f"{stem}.yaml", sorted((root / stem).glob("*.yaml"))
    files = ([single] if single.exists() else []) + many
    if not files and required:
        faults.append(Fault(f"{stem}.yaml", "a file", "nothing there", f"add {stem}.yaml"))
    for path in files:
        node = read(path, faults, str(path.relative_to(root)))
        if node is not None:
            yield node


def refuse(what: str, faults: list[Fault]) -> None:
    """Raise Faults when there are any."""
    if faults:
        raise Faults(what, faults)


def _too_much(name: str) -> Fault:
    expected = f"at most {_MOST_NODES} values, {_DEEPEST} deep"
    remedy = "write out what is repeated by `*name`, or split the file"
    return Fault(name, expected, "more", remedy)


def _bounded(tree: yaml.Node) -> bool:
    """Return whether the tree, with what it repeats by `*name`, is of a size people write.

    An alias costs its writer three bytes and its reader everything it stands for, again and again.
    """
    waiting, count = [(tree, 1)], 0
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if count > _MOST_NODES or depth > _DEEPEST:
            return False
        if isinstance(node, yaml.MappingNode):
            waiting += [(child, depth + 1) for pair in node.value for child in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(child, depth + 1) for child in node.value]
    return True


def _build(
    tree: yaml.Node,
    loader: Any,  # noqa: ANN401 - one of two parsers
    file: str,
    path: str,
    faults: list[Fault],
) -> Node:
    line = tree.start_mark.line + 1
    if isinstance(tree, yaml.MappingNode):
        fields: dict[str, Node] = {}
        for key_tree, value_tree in tree.value:
            key = str(_scalar(key_tree, loader, file, path, faults).value)
            child = _build(value_tree, loader, file, f"{path}.{key}" if path else key, faults)
            child.line = key_tree.start_mark.line + 1
            if key in fields:
                child.fail("each key once", "remove one of them", f"{key!r} twice")
            fields[key] = child
        return Node(fields, file, line, path, faults)
    if isinstance(tree, yaml.SequenceNode):
        items = [
            _build(item, loader, file, f"{path}[{n}]", faults) for n, item in enumerate(tree.value)
        ]
        return Node(items, file, line, path, faults)
    return _scalar(tree, loader, file, path, faults)


def _scalar(
    tree: yaml.Node,
    loader: Any,  # noqa: ANN401 - one of two parsers
    file: str,
    path: str,
    faults: list[Fault],
) -> Node:
    """Return a single value; what looks like a date or a number and is none is a fault."""
    found = Node(None, file, tree.start_mark.line + 1, path, faults)
    try:
        found.value = loader.construct_object(tree)
    except (ValueError, LookupError, AttributeError, yaml.constructor.ConstructorError):
        what = str(tree.tag).rpartition(":")[2]
        found.fail("a plain value", "correct it, or put it into quotes", f"no {what}")
    return found


def _shape(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return repr(value)
