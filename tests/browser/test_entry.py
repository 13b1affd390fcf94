"""Logging in: five refusals, and who may see what."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import Town, axe, shoot
from tests.support.console_world import PASSWORD

pytestmark = [pytest.mark.slow, pytest.mark.connected, pytest.mark.timeout(120)]


def test_a_log_in_is_refused_five_times_and_then_even_with_the_right_password(
    place: Town, browser: Browser
) -> None:
    page = place.open(browser, "", "/queue")
    for left in (4, 3, 2, 1, 0):
        place.log_in(page, "ma", "not the password")
        told = f"还可以试 {left} 次" if left else "已锁定"
        expect(page.get_by_role("alert").first).to_contain_text(told)
    place.log_in(page, "ma", PASSWORD)
    expect(page.get_by_role("alert").first).to_contain_text("已锁定")
    shoot(page, "login-locked")
    assert axe(page) == []


def test_who_logs_in_lands_where_they_were_going(place: Town, browser: Browser) -> None:
    page = place.open(browser, "", "/report")
    expect(page.locator("#name")).to_be_focused()
    place.log_in(page, "wang", PASSWORD)
    expect(page).to_have_url(f"{place.url}/report")
    page.get_by_role("button", name="退出").click()
    expect(page.locator("#name")).to_be_visible()
    page.goto(f"{place.url}/queue")
    expect(page.locator("#name")).to_be_visible()


@pytest.mark.parametrize(
    ("name", "home"), [("wang", "值班台"), ("li", "我的走访"), ("sun", "运行情况")]
)
def test_each_role_lands_on_its_own_page(
    place: Town, browser: Browser, name: str, home: str
) -> None:
    page = place.open(browser, name, "/")
    expect(page.locator("h1")).to_have_text(home)
