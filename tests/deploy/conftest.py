"""Commands of deploy/ as a person runs them, and server instances that one test has alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


@dataclass(frozen=True)
class Command:
    """One executable of deploy/, run by a bare interpreter that sees the standard library only."""

    executable: Path
    instance: str | None = None

    def __call__(self, verb: str, *arguments: str) -> Answer:
        chosen = [] if self.instance is None else ["--instance", self.instance]
        python = [sys.executable, "-I", "-S", str(self.executable)]
        command = [*python, verb, *arguments, *chosen]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return Answer(done.returncode, done.stdout, done.stderr)

    def succeed(self, verb: str, *arguments: str) -> str:
        """Run a verb that must work, and return its answer."""
        answer = self(verb, *arguments)
        assert answer.code == 0, f"{self.executable.name} {verb}: {answer.err}"
        return answer.out.strip()


@pytest.fixture
def command(root: Path) -> Callable[[str], Command]:
    return lambda name: Command(root / "deploy" / name)


def own_instance(root: Path, name: str) -> Iterator[Command]:
    """Give an instance that nobody else has; afterwards it is stopped and nothing of it is left."""
    if not os.environ.get(f"HEARTHWATCH_TEST_{name.upper()}") and (
        os.environ.get("REQUIRE_CONNECTED") != "1"
    ):
        pytest.skip(f"brings up a {name} of its own: set REQUIRE_CONNECTED=1 to have that done")
    instance = f"test-{uuid.uuid4().hex[:12]}"
    owned = Command(root / "deploy" / name, instance)
    try:
        yield owned
    finally:
        owned.succeed("down", "--wipe")
        link = root / "build" / f"{name}-{instance}"
        shutil.rmtree(link.resolve(), ignore_errors=True)
        if link.is_symlink():
            link.unlink()


@pytest.fixture
def kafka(root: Path) -> Iterator[Command]:
    yield from own_instance(root, "kafka")


@pytest.fixture
def postgres(root: Path) -> Iterator[Command]:
    yield from own_instance(root, "postgres")


@pytest.fixture
def prometheus(root: Path) -> Iterator[Command]:
    yield from own_instance(root, "prometheus")
