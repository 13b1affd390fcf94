"""The command line: help with an example in both languages, wrong use, and one catalogue."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from services.allinone import cli, words

EXAMPLE = {"zh": "例：hearthwatch", "en": "Example: hearthwatch"}
GIVEN = re.compile(r"\{(\w+)\}")


def commands() -> Iterator[tuple[str, ...]]:
    """Yield the words of every command and group of commands."""
    root: Any = typer.main.get_command(cli.app())

    def below(found: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        for name, inner in getattr(found, "commands", {}).items():
            yield from below(inner, (*path, name))

    for name, found in root.commands.items():
        yield from below(found, (name,))


ALL = sorted(commands())


def test_the_commands_that_others_script_against_are_there() -> None:
    names = {" ".join(path) for path in ALL}
    assert {
        "replay", "doctor", "dlq list", "dlq show", "dlq fix", "dlq replay", "why", "import",
        "pack check", "pack test", "model",
        "up", "demo", "bench", "version", "backup", "restore",
    } <= names  # fmt: skip


@pytest.mark.parametrize("language", words.LANGUAGES)
@pytest.mark.parametrize("path", [p for p in ALL if p[0] != "model"], ids=" ".join)
def test_each_command_helps_with_an_example(
    path: tuple[str, ...], language: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["--lang", language, *path, "--help"]) == 0
    told = capsys.readouterr().out
    group = any(other[: len(path)] == path and other != path for other in ALL)
    assert EXAMPLE[language] in told or group


@pytest.mark.parametrize(
    "line",
    [("nosuch",), ("replay",), ("replay", "--nosuch"), ("why",), ("--lang", "fr", "version"),
     ("pack", "check", "no/such/folder")],
    ids=" ".join,
)  # fmt: skip
def test_wrong_use_exits_2_and_says_what(
    line: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(list(line)) == 2
    told = capsys.readouterr()
    assert told.out + told.err
    assert "Traceback" not in told.out + told.err


def test_both_languages_have_the_same_texts_with_the_same_values() -> None:
    catalogue = words.phrases()
    assert set(catalogue) == set(words.LANGUAGES)
    assert catalogue["zh"].keys() == catalogue["en"].keys()
    for key, text in catalogue["zh"].items():
        assert set(GIVEN.findall(text)) == set(GIVEN.findall(catalogue["en"][key])), key


@pytest.mark.parametrize(
    ("line", "rest", "language"),
    [
        (["why", "p", "--lang", "en"], ["why", "p"], "en"),
        (["--lang=en", "why"], ["why"], "en"),
        (["why", "--", "--lang", "en"], ["why", "--", "--lang", "en"], None),
        (["why"], ["why"], None),
    ],
)
def test_the_language_may_stand_anywhere(
    line: list[str], rest: list[str], language: str | None
) -> None:
    assert words.without_language(line) == (rest, language)


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "zh"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "C.UTF-8"}, "zh"),
        ({"LANG": "en_GB.UTF-8", "HEARTHWATCH_LANG": "zh"}, "zh"),
    ],
)
def test_chinese_is_first(environ: dict[str, str], language: str) -> None:
    assert words.language_of(environ) == language


def test_keys_are_made_and_listed_and_never_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "kept" / "keyring"
    for _ in range(2):
        assert cli.run(["keys", "new", "--file", str(file)]) == 0
    assert cli.run(["keys", "list", "--data", str(file.parent)]) == 0
    assert cli.run(["keys", "list", "--file", str(file), "--json"]) == 0
    told = capsys.readouterr()
    listed = json.loads(told.out[told.out.index("{") :])
    text = file.read_text("utf-8")
    new, old = (line.split(":") for line in text.splitlines() if line[:1] != "#")
    assert listed == {"file": str(file), "encrypts": new[0], "keys": [new[0], old[0]]}
    assert f"{old[0]}  解密" in told.out
    assert not [key for _, key in (new, old) if key in told.out + told.err]
    assert cli.run(["keys", "list", "--data", str(tmp_path)]) == 2


def test_a_command_loads_what_it_runs_and_nothing_else() -> None:
    heavy = ("sqlalchemy", "fastapi", "sklearn", "kafka", "numpy")
    code = (
        "import sys; from services.allinone import cli; assert cli.run(['version']) == 0; "
        f"print(sorted({set(heavy)!r} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"
