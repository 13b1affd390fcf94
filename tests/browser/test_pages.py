"""Every page at a desk and on a phone: looked at, nothing wrong for axe-core, nothing sideways."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import DESK, PHONE, Town, axe, shoot, sideways, small_targets

pytestmark = [pytest.mark.slow, pytest.mark.connected, pytest.mark.timeout(120)]

PAGES = [
    ("", "/login", "login"),
    ("wang", "/queue", "queue"),
    ("wang", "/report", "report"),
    ("wang", "/account", "account"),
    ("wang", "/nowhere", "not-found"),
    ("li", "/visits", "visits"),
    ("li", "/queue", "not-allowed"),
    ("chen", "/looks", "looks"),
    ("sun", "/ops", "ops"),
]


ENGLISH = ["/queue", "/report", "/visits", "/looks", "/ops", "/account", "CASE", "VISIT"]


@pytest.fixture(scope="module")
def full(place: Town) -> Town:
    """The town with something of everything in it."""
    place.falls("h1")
    place.harmed("h2")
    place.calls("h3")
    return place


def look(page: Page, shot: str) -> None:
    """Keep a picture, and check what holds for every page."""
    expect(page.locator("h1")).to_be_visible()
    shoot(page, shot)
    assert axe(page) == []
    assert sideways(page) <= 0
    assert small_targets(page) == []


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize(("name", "path", "shot"), PAGES, ids=[each[2] for each in PAGES])
def test_a_page_can_be_read_reached_and_heard_by_everybody(
    full: Town, browser: Browser, name: str, path: str, shot: str, size: tuple[int, int]
) -> None:
    look(full.open(browser, name, path, size), shot)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("path", ["/cases/{}", "/visits/{}"])
def test_what_is_shown_of_one_alert_is_too(
    full: Town, browser: Browser, path: str, size: tuple[int, int]
) -> None:
    alert = full.alert("h1")["id"]
    look(full.open(browser, "li", path.format(alert), size), path.strip("/").replace("/{}", "-one"))


@pytest.mark.parametrize("path", ENGLISH)
def test_every_page_speaks_english_too(full: Town, browser: Browser, path: str) -> None:
    alert = full.alert("h2")["id"]
    path = {"CASE": f"/cases/{alert}", "VISIT": f"/visits/{alert}"}.get(path, path)
    page = full.open(browser, "grace", path)
    expect(page.locator("html")).to_have_attribute("lang", "en")
    look(page, "english-" + path.split("/")[1])
    own = page.locator("h1, h2, label, legend, button:not([lang]), th, dt").all_inner_texts()
    assert [text for text in own if re.search("[\u4e00-\u9fff]", text)] == []
