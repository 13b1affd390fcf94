"""The worker's day on a phone: calls, dead spots, nobody at home, a session that ended."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import PHONE, Town, axe, shoot, sideways, small_targets

pytestmark = [pytest.mark.slow, pytest.mark.connected, pytest.mark.timeout(120)]


def pick(page: Page, **chosen: str) -> None:
    """Press the large buttons of the form, as a thumb does."""
    for name, value in chosen.items():
        page.locator(f'label:has(input[name={name}][value="{value}"])').click()


@pytest.fixture
def alert(place: Town) -> str:
    """The alert of an elder who fell."""
    return place.falls(place.home())


def own(place: Town, browser: Browser, alert: str) -> Page:
    """Return the worker's list after they took an alert on."""
    page = place.open(browser, "li", "/visits", PHONE)
    card = page.locator(f'[data-visit="{alert}"]')
    card.get_by_role("button", name="我来办").click()
    expect(card.get_by_role("link", name="填走访记录")).to_be_visible()
    return page


def test_a_worker_takes_calls_goes_and_records(place: Town, browser: Browser, alert: str) -> None:
    page = own(place, browser, alert)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    card = page.locator(f'[data-visit="{alert}"]')
    card.get_by_role("button", name="打电话").click()
    expect(card.get_by_role("link", name=re.compile("13900000001"))).to_have_attribute(
        "href", "tel:13900000001"
    )
    assert not [url for url in asked if "139" in url]
    assert small_targets(page) == []
    shoot(page, "visits-mine")
    assert axe(page) == []
    card.get_by_role("link", name="填走访记录").click()
    pick(page, mode="home", person_seen="self", worker_level="1", food_7_days="yes")
    page.locator("#outcome").select_option("no_need")
    pick(page, finding="low_mood", self_rated_health="3")
    assert small_targets(page) == []
    assert sideways(page) <= 0
    shoot(page, "visit-filled")
    page.locator("#send").click()
    expect(page.get_by_text("走访记录已收下")).to_be_visible()
    expect(page.get_by_text("系统的等级")).to_be_visible()
    found = place.alert_of(alert)
    assert (found["outcome"], found["state"]) == ("no_need", "outcome_recorded")
    assert found["handled_by"] == "staff-li"
    sent = place.changes_about(found["subject"])
    assert sent["visit.finding"]["kind"] == "low_mood"
    assert sent["visit.recorded"] == {
        "mode": "home", "person_seen": "self", "worker_level": 1, "food_7_days": True,
        "self_rated_health": 3, "visitor": "李网格",
    }  # fmt: skip


def test_what_is_typed_in_a_dead_spot_is_sent_once_when_there_is_network_again(
    place: Town, browser: Browser, alert: str
) -> None:
    page = own(place, browser, alert)
    page.goto(f"{place.url}/visits/{alert}")
    pick(page, mode="home", person_seen="carer", worker_level="2")
    page.locator("#outcome").select_option("confirmed_need")
    page.locator("#note").fill("屋里很冷，已送被褥")
    before = place.accepted()
    page.context.set_offline(True)
    page.locator("#send").click()
    expect(page.locator("#offline")).to_be_in_viewport()
    expect(page.locator("#note")).to_have_value("屋里很冷，已送被褥")
    shoot(page, "visit-offline")
    assert axe(page) == []
    page.context.set_offline(False)
    expect(page.get_by_text("走访记录已收下")).to_be_visible()
    assert place.accepted() - before == 1
    notes = [line["detail"] for line in place.alert_of(alert)["timeline"]]
    assert sum("屋里很冷" in str(detail) for detail in notes) == 1
    page.goto(f"{place.url}/visits/{alert}")
    expect(page.locator("#note")).to_have_value("")


def test_nobody_at_home_is_noted_and_the_clock_runs_on(
    place: Town, browser: Browser, alert: str
) -> None:
    page = own(place, browser, alert)
    due = place.alert_of(alert)["next_due_at"]
    page.goto(f"{place.url}/visits/{alert}")
    pick(page, mode="home", person_seen="nobody")
    expect(page.locator("#outcome")).to_be_hidden()
    asked = page.get_by_text("电话、邻居、家属都问过了吗")
    expect(asked).to_be_hidden()
    pick(page, reason="no_answer")
    expect(asked).to_be_visible()
    pick(page, all_tried="yes")
    shoot(page, "visit-nobody")
    assert axe(page) == []
    assert small_targets(page) == []
    assert sideways(page) <= 0
    page.locator("#send").click()
    expect(page.get_by_text("走访记录已收下")).to_be_visible()
    found = place.alert_of(alert)
    sent = place.changes_about(found["subject"])["visit.failed"]
    assert sent == {"reason": "no_answer", "all_tried": True}
    assert (found["next_due_at"], found["handled_at"]) == (due, None)


def test_a_form_that_lacks_something_says_what_and_keeps_the_rest(
    place: Town, browser: Browser, alert: str
) -> None:
    page = own(place, browser, alert)
    page.goto(f"{place.url}/visits/{alert}")
    page.locator("#note").fill("写到一半")
    page.locator("#visit").evaluate("form => { form.noValidate = true; form.requestSubmit(); }")
    expect(page.locator("#told")).to_contain_text("怎么走访的")
    expect(page.locator("#told")).to_be_in_viewport()
    expect(page.locator("#note")).to_have_value("写到一半")
    page.reload()
    expect(page.locator("#note")).to_have_value("写到一半")


def test_a_session_that_ended_half_way_loses_nothing(
    place: Town, browser: Browser, alert: str
) -> None:
    page = own(place, browser, alert)
    page.goto(f"{place.url}/visits/{alert}")
    pick(page, mode="phone", person_seen="self", worker_level="0")
    page.locator("#outcome").select_option("no_need")
    page.locator("#note").fill("电话里说都好")
    page.context.clear_cookies()
    page.locator("#send").click()
    page.locator("#told").get_by_role("link").click()
    place.log_in(page, "li")
    expect(page.locator("#note")).to_have_value("电话里说都好")
    expect(page.locator('input[name=mode][value="phone"]')).to_be_checked()
    page.locator("#send").click()
    expect(page.get_by_text("走访记录已收下")).to_be_visible()
