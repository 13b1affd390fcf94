from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kernel.crash import POINTS, VARIABLE, Plan, crashpoint, parse
from services.kernel.errors import WrongUse

BUILT = {"worker": "Worker", "relay": "Relay"}


def calls(root: Path) -> Iterator[tuple[Path, ast.Call, str]]:
    """Yield every call of a name in the modules of the services that say one of ours."""
    for path in sorted((root / "services").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if not any(name in text for name in ("crashpoint", *BUILT.values())):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call):
                function = node.func
                if isinstance(function, ast.Name):
                    yield path, node, function.id
                elif isinstance(function, ast.Attribute):
                    yield path, node, function.attr


def pattern_of(argument: ast.expr) -> str:
    """Return the pattern of the names that a call of `crashpoint` may pass."""
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return re.escape(argument.value)
    if isinstance(argument, ast.JoinedStr):
        return "".join(
            re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"(?P<service>\w+)"
            for part in argument.values
        )
    raise AssertionError(f"line {argument.lineno}: a crash point is named by a text, not computed")


def builders(root: Path) -> dict[str, set[str]]:
    """Return for `Worker` and `Relay` the services that make one."""
    found: dict[str, set[str]] = {name: set() for name in BUILT.values()}
    for path, _, name in calls(root):
        if name in found:
            found[name].add(path.relative_to(root / "services").parts[0])
    return found


def test_every_registered_point_is_passed_somewhere(root: Path) -> None:
    patterns = [pattern_of(node.args[0]) for _, node, name in calls(root) if name == "crashpoint"]
    made = builders(root)
    missing = []
    for point in POINTS:
        matches = [match for pattern in patterns if (match := re.fullmatch(pattern, point))]
        services = [match.groupdict().get("service") for match in matches]
        kind = BUILT.get(point.split(".")[1], "")
        if not matches or (any(services) and point.split(".")[0] not in made[kind]):
            missing.append(point)
    assert missing == []


def test_every_point_in_the_source_is_registered(root: Path) -> None:
    strange = [
        f"{path.relative_to(root)}:{node.lineno}"
        for path, node, name in calls(root)
        if name == "crashpoint"
        and not any(re.fullmatch(pattern_of(node.args[0]), point) for point in POINTS)
    ]
    assert strange == []


def test_names_are_registered_once() -> None:
    assert len(set(POINTS)) == len(POINTS)


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("", None),
        ("bus.rebalance", Plan("bus.rebalance", 1)),
        ("feeder.mid_batch:12", Plan("feeder.mid_batch", 12)),
    ],
)
def test_the_variable_names_a_point_and_a_passing(text: str, plan: Plan | None) -> None:
    assert parse(text) == plan


@pytest.mark.parametrize("text", ["nowhere", "bus.rebalance:0", "bus.rebalance:x", ":3", "x:1:2"])
def test_a_wrong_variable_is_refused_with_what_may_stand_there(text: str) -> None:
    with pytest.raises(WrongUse, match=VARIABLE):
        parse(text)


def test_without_the_variable_a_point_does_nothing() -> None:
    for point in POINTS:
        crashpoint(point)


@pytest.mark.parametrize(("text", "passed"), [("bus.rebalance", 0), ("bus.rebalance:3", 2)])
def test_the_process_dies_at_the_nth_passing_of_the_name(text: str, passed: int) -> None:
    code = (
        "from services.kernel.crash import crashpoint\n"
        "for n in range(5):\n"
        "    crashpoint('feeder.mid_batch')\n"
        "    crashpoint('bus.rebalance')\n"
        "    print(n, flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, VARIABLE: text},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.split() == [str(n) for n in range(passed)]


def test_a_process_with_a_wrong_variable_does_not_start() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import services.kernel.crash"],
        env={**os.environ, VARIABLE: "nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "expected one of" in done.stderr
