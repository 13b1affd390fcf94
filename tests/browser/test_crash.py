"""kill -9 of the server in front of somebody who is typing."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from services.kernel.clock import SystemMonotonic
from tests.support.browser import Town, shoot

pytestmark = [pytest.mark.slow, pytest.mark.connected, pytest.mark.timeout(180)]
RECONNECTED_S = 3.0


def test_note_filter_and_scroll_outlive_a_kill_and_nothing_is_missed(
    own_town: Town, browser: Browser
) -> None:
    first = own_town.harmed("h2")
    for _ in range(8):
        own_town.harmed(own_town.home())
    count = own_town.reds()
    queue = own_town.open(browser, "wang", "/queue?level=3")
    expect(queue.locator("[data-id]")).to_have_count(count)
    queue.evaluate("window.scrollTo(0, 300)")
    scrolled = queue.evaluate("window.scrollY")
    assert scrolled > 100
    queue.evaluate("document.body.dataset.same = 'page'")
    case = own_town.open(browser, "wang", f"/cases/{first}")
    note = case.locator('form[data-deed="note"] textarea')
    note.press_sequentially("打了三次电话，")

    own_town.kill()
    note.press_sequentially("都没有人接")
    case.locator('form[data-deed="note"] button').click()
    expect(case.locator("#told")).to_be_visible()
    expect(queue.locator("#lost")).to_be_visible(timeout=10_000)
    shoot(queue, "queue-lost")
    own_town.start()
    watch = SystemMonotonic()
    serving = watch.seconds()
    expect(queue.locator("#lost")).to_be_hidden()
    assert watch.seconds() - serving <= RECONNECTED_S
    fresh = own_town.harmed(own_town.home())
    expect(queue.locator(f'[data-id="{fresh}"]')).to_be_visible(timeout=3_000)
    expect(queue.locator("[data-id]")).to_have_count(count + 1)
    assert queue.evaluate("document.body.dataset.same") == "page"  # not loaded again
    assert queue.evaluate("window.scrollY") == scrolled
    expect(queue.locator("#level")).to_have_value("3")
    assert queue.url.endswith("?level=3")

    typed = "打了三次电话，都没有人接"
    expect(note).to_have_value(typed)
    case.reload()
    expect(note).to_have_value(typed)
    case.locator('form[data-deed="note"] button').click()
    expect(case.locator(".timeline")).to_contain_text(typed)
    assert notes(own_town, first) == [typed]


def test_a_report_being_typed_outlives_a_kill_with_its_clock(
    own_town: Town, browser: Browser
) -> None:
    page = own_town.open(browser, "wang", "/report")
    page.keyboard.press("7")
    page.locator("#spot").fill("集市东头")
    expect(page.locator("input[name=started]")).not_to_have_value("")
    started = page.locator("input[name=started]").input_value()
    own_town.kill()
    page.locator("#note").fill("孩子不见了")
    own_town.start()
    page.reload()
    expect(page.locator("#restored")).to_be_visible()
    expect(page.locator("#spot")).to_have_value("集市东头")
    expect(page.locator("#note")).to_have_value("孩子不见了")
    expect(page.locator("input[name=started]")).to_have_value(started)
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-alert]")).to_be_visible(timeout=10_000)
    expect(page.locator("[data-since]")).to_have_text(re.compile(r"^0\d:\d\d$"))
    empty(page, own_town)


def empty(page: Page, place: Town) -> None:
    """Check that the next call begins with an empty form."""
    page.goto(f"{place.url}/report")
    expect(page.locator("#restored")).to_be_hidden()
    expect(page.locator("#spot")).to_have_value("")


def notes(place: Town, alert: str) -> list[str]:
    """Return the notes on an alert's timeline."""
    lines = place.alert_of(alert)["timeline"]
    return [line["detail"]["note"] for line in lines if line["step"] == "act:note"]
