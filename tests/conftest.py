"""Fixtures for every test; helpers live in tests/support."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings
from xdist.remote import Producer

from services.allinone import words
from tests.support.memory import MEMORY
from tests.support.spreading import Together

ROOT = Path(__file__).resolve().parents[1]

# What a test is told does not depend on the language of the machine.
for variable in ("HEARTHWATCH_LANG", "LC_ALL"):
    os.environ.pop(variable, None)
os.environ["LANG"] = "C.UTF-8"

# Read by pytest when the first test asks for its folder.
if MEMORY is not None:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# Shared machines are slow at times, which is no fault of the code under test.
settings.register_profile("hearthwatch", deadline=None, print_blob=True)
# A submission is judged by the same examples each time; new ones are looked for on every other run.
settings.register_profile("ci", settings.get_profile("hearthwatch"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "hearthwatch")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let modules with slow tests begin: a minute that begins last keeps one worker waiting."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together | None:
    """Return what spreads the tests over workers unless `--dist` asks for another way."""
    return Together(config, log) if config.getoption("dist") == "load" else None


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the folder of the project."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir(root: Path) -> Path:
    """Return the folder of the public data sets; skips without it, but fails in CI."""
    folder = Path(os.environ.get("HEARTHWATCH_DATA") or root / ".." / "shared" / "data").resolve()
    if not (folder / "README.md").is_file():
        missing(
            f"the public data sets are not in {folder}: expected README.md and *.csv.gz there; "
            "set HEARTHWATCH_DATA to the folder that holds them",
            required=os.environ.get("CI") == "true",
        )
    return folder


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Undo what a test set for the whole process; its stream is closed when it ends."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(autouse=True)
def chinese_again() -> Iterator[None]:
    """Let every test begin in Chinese, whatever the last one spoke."""
    words.choose("zh")
    yield
    words.choose("zh")


@pytest.fixture(scope="session")
def server_address() -> Callable[[str], str]:
    """Return what gives the address of a real server (kafka, postgres, prometheus) on loopback.

    A test without its server skips, but fails where REQUIRE_CONNECTED=1.
    """

    def address(name: str) -> str:
        variable = f"HEARTHWATCH_TEST_{name.upper()}"
        found = os.environ.get(variable)
        if not found:
            missing(
                f"no {name} to test against: expected its address in {variable}; "
                f"run deploy/{name} up, which prints it",
                required=os.environ.get("REQUIRE_CONNECTED") == "1",
            )
        return found

    return address


def missing(message: str, *, required: bool) -> NoReturn:
    """Skip the test, or fail it where skipping could look like passing."""
    if required:
        pytest.fail(message)
    pytest.skip(message)
