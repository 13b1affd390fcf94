"""A town that serves its console, a browser, and what every page must keep to."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support.browser import FAULTS, Town, town


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of the browser; skips without one, but fails where nothing may skip."""
    found = os.environ.get("HEARTHWATCH_TEST_CHROMIUM")
    if not found:
        told = "no browser: run deploy/chromium fetch and put its path in HEARTHWATCH_TEST_CHROMIUM"
        if os.environ.get("REQUIRE_CONNECTED") == "1":
            pytest.fail(told)
        pytest.skip(told)
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Return the browser of a module's tests.

    No longer: while it is open, its event loop runs in this thread, where other tests want theirs.
    """
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium)
        yield found
        found.close()


@pytest.fixture(scope="session")
def place(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Return the town that tests share; each sends facts about households of its own."""
    del chromium
    with town(tmp_path_factory.mktemp("town")) as found:
        yield found


@pytest.fixture(scope="module")
def own_town(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Return a town for tests that kill it, or need to be alone in it."""
    del chromium
    with town(tmp_path_factory.mktemp("own")) as found:
        yield found


@pytest.fixture(autouse=True)
def no_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test whose pages' scripts failed or broke the content policy."""
    FAULTS.clear()
    yield
    if "browser" in request.fixturenames:
        for context in request.getfixturevalue("browser").contexts:
            context.close()
    assert FAULTS == []
