"""Breaking the glass in a real browser: asked for by keys alone, told on every page, reviewed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

from services.console.storage.tables import GLASS
from services.kernel.clock import HOUR, SECOND, SystemClock
from tests.support.browser import DESK, PHONE, Town, axe, shoot, sideways, small_targets
from tests.support.console_world import console_db

pytestmark = [pytest.mark.slow, pytest.mark.connected, pytest.mark.timeout(120)]

REASON = "在镇汽车站遇到老人，说不清家在哪里，身上有这个名字的卡片。"
SIZES = pytest.mark.parametrize(
    ("name", "size"), [("ma", DESK), ("li", PHONE)], ids=["desk", "phone"]
)


@pytest.fixture(autouse=True)
def shut(own_town: Town) -> Iterator[None]:
    """End what a test leaves open: the bar would stand on the pages of others."""
    yield
    rows(own_town, ended_at=SystemClock().now())


def rows(place: Town, **values: int) -> None:
    """Change every glass that is open, behind the console's back."""
    db = console_db(place.folder)
    try:
        with db.begin() as conn:
            conn.execute(update(GLASS).where(GLASS.c.ended_at.is_(None)).values(values))
    finally:
        db.close()


def look(page: Page, shot: str) -> None:
    """Keep a picture, and check what holds for every page."""
    expect(page.locator("h1")).to_be_visible()
    shoot(page, shot)
    assert axe(page) == []
    assert sideways(page) <= 0
    assert small_targets(page) == []


def ask(page: Page, who: str = "郑远山") -> None:
    """Fill in the form and send it."""
    page.locator("#who").fill(who)
    page.locator("#kind").select_option("found_elsewhere")
    page.locator("#reason").fill(REASON)
    page.locator("[name=confirm]").check()
    page.get_by_role("button", name="打开 3 小时").click()
    expect(page.locator("h1")).to_have_text("郑远山家")


@SIZES
def test_somebody_of_elsewhere_is_found_helped_and_absent_again(
    own_town: Town, browser: Browser, name: str, size: tuple[int, int]
) -> None:
    alert = own_town.falls("h9")
    page = own_town.open(browser, name, f"/cases/{alert}", size)
    look(page, "glass-absent")
    page.get_by_role("main").get_by_role("link", name="紧急查阅").click()
    look(page, "glass-form")
    page.locator("#who").fill("郑远")
    page.locator("#kind").select_option("found_elsewhere")
    page.locator("#reason").fill(REASON)
    page.locator("[name=confirm]").check()
    page.get_by_role("button", name="打开 3 小时").click()
    expect(page.get_by_role("alert").filter(has_text="没有找到这一户")).to_be_visible()
    look(page, "glass-not-found")
    ask(page)
    bar = page.get_by_role("region", name="紧急查阅中")
    expect(bar.locator("[data-left]")).to_have_text(re.compile(r"^2:59:5\d$"))
    expect(page.get_by_text("13900000001")).to_be_visible()
    expect(page.get_by_role("link", name="13900000001")).to_have_attribute(
        "href", "tel:13900000001"
    )
    look(page, "glass-home")
    page.get_by_role("main").get_by_role("link", name=re.compile("跌倒|风险")).first.click()
    expect(page.get_by_text("来电人的原话可能提到举报人")).to_be_visible()
    look(page, "glass-case")
    bar.get_by_role("button", name="现在结束").click()
    expect(page.locator("h1")).to_have_text("紧急查阅")
    expect(bar).to_have_count(0)
    page.goto(f"{own_town.url}/cases/{alert}")
    expect(page.locator("h1")).to_have_text("找不到")


def test_it_is_asked_for_by_keys_alone(own_town: Town, browser: Browser) -> None:
    page = own_town.open(browser, "ma", "/glass")
    page.locator("#who").focus()
    page.keyboard.type("h9")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.type(REASON)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("郑远山家")


def test_when_its_time_is_over_the_page_is_absent_by_itself(
    own_town: Town, browser: Browser
) -> None:
    page = own_town.open(browser, "ma", "/glass")
    ask(page)
    rows(own_town, until=SystemClock().now() + 4 * SECOND)
    other = own_town.open(browser, "ma", "/account")
    expect(other.get_by_role("region", name="紧急查阅中")).to_be_visible()
    page.reload()
    expect(page.locator("h1")).to_have_text("郑远山家")
    expect(page.locator("h1")).to_have_text("找不到", timeout=15_000)
    expect(other.get_by_role("region", name="紧急查阅中")).to_have_count(0)


def test_what_was_typed_outlives_a_reload_and_is_forgotten_when_it_was_taken(
    own_town: Town, browser: Browser
) -> None:
    page = own_town.open(browser, "ma", "/glass")
    page.locator("#reason").fill(REASON)
    page.locator("[name=confirm]").check()
    page.reload()
    expect(page.locator("#reason")).to_have_value(REASON)
    expect(page.locator("[name=confirm]")).not_to_be_checked()
    ask(page)
    page.goto(f"{own_town.url}/glass")
    expect(page.locator("#reason")).to_have_value("")


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_head_reads_the_reason_and_says_whether_it_was_needed(
    own_town: Town, browser: Browser, size: tuple[int, int]
) -> None:
    ask(own_town.open(browser, "ma", "/glass"))
    rows(own_town, since=SystemClock().now() - 26 * HOUR)
    ask(own_town.open(browser, "li", "/glass"))
    page = own_town.open(browser, "chen", "/reviews", size)
    waiting = page.locator("article:has(form)")
    before = waiting.count()
    first = waiting.first
    first.get_by_label("看不出必要", exact=True).check()
    first.get_by_role("button", name="看过了").click()
    expect(page.get_by_role("alert").filter(has_text="请写一句说明")).to_be_visible()
    look(page, "glass-reviews")
    first.get_by_label(re.compile("^说明")).fill("问过本人：当时打不通北岭的电话。")
    first.get_by_label("有必要", exact=True).check()
    first.get_by_role("button", name="看过了").click()
    expect(waiting).to_have_count(before - 1)
    look(page, "glass-reviewed")


@pytest.mark.parametrize("path", ["/glass", "/reviews"])
def test_its_pages_speak_english_too(own_town: Town, browser: Browser, path: str) -> None:
    page = own_town.open(browser, "grace", path)
    look(page, "english-" + path.strip("/"))
    own = page.locator("h1, h2, label, legend, button:not([lang]), th, dt").all_inner_texts()
    assert [text for text in own if re.search("[\u4e00-\u9fff]", text)] == []
