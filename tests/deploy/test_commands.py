from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy._lib import kafka, postgres, prometheus
from tests.deploy.conftest import Command

COMMANDS = {
    "kafka": ("up", "down", "status", "kill", "start"),
    "postgres": ("up", "down", "status", "kill", "start"),
    "prometheus": ("up", "down", "status"),
}
MAINS = {"kafka": kafka.main, "postgres": postgres.main, "prometheus": prometheus.main}
VERBS = [(name, verb) for name, verbs in COMMANDS.items() for verb in verbs]

Runner = Callable[[str], Command]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_every_verb_and_shows_an_example(command: Runner, name: str) -> None:
    answer = command(name)("--help")
    assert answer.code == 0
    assert "example:" in answer.out
    for verb in COMMANDS[name]:
        assert f"\n    {verb} " in answer.out


@pytest.mark.parametrize(("name", "verb"), VERBS)
def test_help_of_a_verb_shows_an_example(
    capsys: pytest.CaptureFixture[str], name: str, verb: str
) -> None:
    with pytest.raises(SystemExit) as left:
        MAINS[name]([verb, "--help"])
    assert left.value.code == 0
    assert f"deploy/{name} {verb}" in capsys.readouterr().out.partition("example:")[2]


@pytest.mark.parametrize(
    ("name", "arguments", "complaint"),
    [
        ("kafka", ["up", "--nodes", "2"], "choose from 1, 3"),
        ("kafka", ["kill"], "--node"),
        ("kafka", ["kill", "--node", "0"], "above 0"),
        ("kafka", ["up", "--port", "80"], "between 1024 and 65535"),
        ("kafka", ["up", "--instance", "../elsewhere"], "small letters"),
        ("postgres", ["up", "--port", "x"], "invalid port value"),
        ("postgres", ["restart"], "invalid choice"),
        ("prometheus", ["up", "--timeout", "-1"], "above 0"),
        ("prometheus", [], "VERB"),
    ],
)
def test_wrong_use_exits_with_2_and_says_what_was_expected(
    capsys: pytest.CaptureFixture[str], name: str, arguments: list[str], complaint: str
) -> None:
    with pytest.raises(SystemExit) as left:
        MAINS[name](arguments)
    assert left.value.code == 2
    answer = capsys.readouterr()
    assert complaint in answer.err
    assert answer.out == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_status_of_what_was_never_started_exits_with_1(command: Runner, name: str) -> None:
    plain = command(name)("status", "--instance", "never-started")
    assert (plain.code, plain.out.startswith("not running")) == (1, True)
    answer = command(name)("status", "--json", "--instance", "never-started")
    assert answer.code == 1
    assert answer.json()["running"] is False
    assert answer.json()["name"] == name


@pytest.mark.parametrize("name", COMMANDS)
def test_down_of_what_was_never_started_is_done_already(command: Runner, name: str) -> None:
    assert command(name).succeed("down", "--instance", "never-started") == "not running"


@pytest.mark.parametrize(("name", "arguments"), [("kafka", ["--node", "1"]), ("postgres", [])])
def test_nothing_can_be_killed_before_there_is_something(
    command: Runner, name: str, arguments: list[str]
) -> None:
    answer = command(name)("kill", *arguments, "--json", "--instance", "never-started")
    assert answer.code == 1
    assert answer.json()["error"] in answer.err


def test_asking_leaves_nothing_behind(command: Runner, root: Path) -> None:
    for name in COMMANDS:
        command(name)("status", "--instance", "never-started")
        assert not (root / "build" / f"{name}-never-started").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_executable_starts_with_any_python(root: Path, name: str) -> None:
    executable = root / "deploy" / name
    assert executable.stat().st_mode & 0o111 == 0o111
    assert executable.read_text(encoding="utf-8").startswith("#!/usr/bin/env python3\n")


def test_deploy_stands_on_the_standard_library_alone(root: Path) -> None:
    sources = [*root.glob("deploy/_lib/*.py"), *(root / "deploy" / name for name in COMMANDS)]
    assert len(sources) > len(COMMANDS)
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            tops = {name.partition(".")[0] for name in names} - {"deploy"}
            assert tops <= sys.stdlib_module_names, source


def test_deploy_names_no_host_but_this_one(root: Path) -> None:
    namespace = "maven.apache.org"  # names the form of a POM; nobody connects to it
    for path in root.glob("deploy/**/*"):
        if path.is_file() and "__pycache__" not in path.parts:
            hosts = re.findall(r"\w+://([^\s/:\"'{}]+)", path.read_text(encoding="utf-8"))
            named = {host for host in hosts if not host.startswith(("postgres", "$"))}
            if "grafana" in path.parts:
                named -= {"prometheus"}  # the neighbour's name in docker-compose.yml
            assert named <= {"127.0.0.1", namespace}, path
