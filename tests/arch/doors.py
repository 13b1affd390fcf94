"""What must not stand in the project's files: clocks read past the port, hosts, machine paths."""

from __future__ import annotations

import ast
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from pip._internal.models.index import PyPI

# The only readers of system time; deploy/ stands on the standard library alone and has its own.
CLOCK_DOORS: Final = frozenset({"services/kernel/clock.py", "deploy/_lib/waiting.py"})

BANNED: Final = frozenset(
    {
        "time.time",
        "time.time_ns",
        "time.sleep",
        "time.monotonic",
        "time.monotonic_ns",
        "time.perf_counter",
        "time.perf_counter_ns",
        "time.localtime",
        "time.gmtime",
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.datetime.today",
        "datetime.date.today",
        "asyncio.sleep",
        "asyncio.timeout",
        "anyio.sleep",
        "threading.Timer",
    }
)


def clock_reads(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and full name of every banned clock, whatever it was imported as, called or not.

    Unlike the linter it knows no exceptions: a `noqa` does not help.
    """
    tree = ast.parse(source)
    names = _imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (full := f"{node.module}.{alias.name}") in BANNED:
                    yield node.lineno, full
        elif isinstance(node, ast.Attribute) and (full := _dotted(node, names)) in BANNED:
            yield node.lineno, full


def _imported(tree: ast.AST) -> dict[str, str]:
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _dotted(node: ast.Attribute, names: Mapping[str, str]) -> str:
    parts = [node.attr]
    value = node.value
    while isinstance(value, ast.Attribute):
        parts.append(value.attr)
        value = value.value
    if not isinstance(value, ast.Name):
        return ""
    return ".".join([names.get(value.id, value.id), *reversed(parts)])


def places_of_this_machine(root: Path) -> list[str]:
    """Return patterns of paths that exist on the machine of one person only."""
    patterns = [r"(?<![\w.])/(?:home|Users)/[a-z]", r"(?<![\w.])/root/[\w.]"]
    shared = {Path("/"), Path(tempfile.gettempdir())}
    folders = [folder for folder in (root, root.parent) if folder not in shared]
    return patterns + [rf"{re.escape(str(folder))}/[a-z.]" for folder in folders]


def registry_hosts() -> list[str]:
    """Return patterns of the hosts that packages come from, asked of pip so as not to name them."""
    return [rf"\b{re.escape(host)}\b" for host in (PyPI.netloc, PyPI.file_storage_domain)]


def lines_matching(text: str, patterns: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield number and text of the lines that any of the patterns is found in."""
    found = re.compile("|".join(patterns))
    for number, line in enumerate(text.splitlines(), start=1):
        if found.search(line):
            yield number, line.strip()
