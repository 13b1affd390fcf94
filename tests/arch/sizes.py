"""How large functions, classes and modules are, against the sizes of CONTRIBUTING.md.

Run as `make sizes` for the list of those large enough to ask why.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.arch.tree import ROOT, python_files

TOPS: Final = ("services", "tests", "deploy")
EXEMPT: Final = "migrations/versions"  # written by Alembic, read once


class Limit(NamedTuple):
    """From which size on one asks why, and the largest size that is taken, if there is one."""

    ask: int
    refuse: int | None


FUNCTION: Final = Limit(40, 60)
CLASS: Final = Limit(120, None)  # its functions and its module are limited; review decides
MODULE: Final = Limit(300, 500)
TEST_MODULE: Final = Limit(400, 600)
PARAMETERS: Final = Limit(6, 8)

Definition = ast.FunctionDef | ast.AsyncFunctionDef


class Size(NamedTuple):
    """One measured thing."""

    where: str
    what: str
    size: int
    limit: Limit

    @property
    def refused(self) -> bool:
        """Whether it is larger than the house allows."""
        return self.limit.refuse is not None and self.size > self.limit.refuse

    def __str__(self) -> str:
        """Return one line for a person."""
        end = "" if self.limit.refuse is None else f", refused over {self.limit.refuse}"
        return f"{self.where}: {self.what} {self.size} (ask why from {self.limit.ask}{end})"


def measure(path: Path, source: str) -> Iterator[Size]:
    """Yield the size of a module and of everything in it; a docstring counts in the module only."""
    lines = len(source.splitlines())
    yield Size(f"{path}", "lines", lines, TEST_MODULE if path.parts[0] == "tests" else MODULE)
    for node in ast.walk(ast.parse(source, filename=str(path))):
        where = f"{path}:{getattr(node, 'lineno', 1)} {getattr(node, 'name', '')}"
        if isinstance(node, Definition):
            yield Size(where, "lines of function", _lines(node), FUNCTION)
            yield Size(where, "parameters", _parameters(node), PARAMETERS)
        elif isinstance(node, ast.ClassDef):
            yield Size(where, "lines of class", _lines(node), CLASS)


def measured() -> Iterator[Size]:
    """Yield the sizes of the whole project."""
    for path in python_files(*TOPS):
        if EXEMPT not in path.as_posix():
            yield from measure(path, (ROOT / path).read_text(encoding="utf-8"))


def _lines(node: Definition | ast.ClassDef) -> int:
    whole = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node, clean=False) is None:
        return whole
    docstring = node.body[0]
    return whole - ((docstring.end_lineno or docstring.lineno) - docstring.lineno + 1)


def _parameters(node: Definition) -> int:
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return sum(argument.arg not in {"self", "cls"} for argument in named)


def main() -> None:
    """Print what is large enough to ask why, the largest for its kind first."""
    large = [size for size in measured() if size.size >= size.limit.ask]
    for size in sorted(large, key=lambda size: size.size / size.limit.ask, reverse=True):
        sys.stdout.write(f"{size}\n")
    sys.stdout.write(f"{len(large)} to ask why\n")


if __name__ == "__main__":
    main()
