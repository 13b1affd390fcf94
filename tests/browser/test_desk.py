"""A day at the desk in a real browser: acknowledged, escalated, phoned in, closed by two."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from services.kernel.clock import SystemMonotonic
from tests.support.browser import DESK, PHONE, Town, axe, shoot, sideways
from tests.support.patience import eventually

pytestmark = [pytest.mark.slow, pytest.mark.connected, pytest.mark.timeout(120)]


def row(page: Page, identity: str) -> str:
    return f'[data-id="{identity}"]'


def test_a_red_comes_up_by_itself_and_is_acknowledged_by_a_key(
    place: Town, browser: Browser
) -> None:
    page = place.open(browser, "wang", "/queue?level=3")
    expect(page.locator("#count")).to_be_visible()
    alert = place.harmed(place.home())
    here = page.locator(row(page, alert))
    expect(here).to_be_visible(timeout=3_000)
    expect(here.locator("[data-left]")).to_have_text(re.compile(r"^(09:5\d|10:00)$"))
    expect(page).to_have_title(re.compile("红色待确认"))
    expect(page.locator("#alarm")).to_contain_text("疑似侵害未成年人")
    for _ in range(page.locator("[data-id]").count()):
        page.keyboard.press("j")
        if "here" in (here.get_attribute("class") or ""):
            break
    page.keyboard.press("a")
    expect(here).to_have_attribute("data-state", "acknowledged")
    found = place.alert_of(alert)
    assert (found["acknowledged_by"], found["acknowledged_name"]) == ("staff-wang", "王值班")


def test_a_red_that_nobody_takes_climbs_its_ladder_before_their_eyes(
    place: Town, browser: Browser
) -> None:
    alert = place.calls(place.home())
    page = place.open(browser, "chen", "/queue?level=3")
    here = page.locator(row(page, alert))
    expect(here).to_contain_text("已升级", timeout=20_000)
    here.locator("h2 a").click()
    expect(page.locator(".ladder")).to_contain_text("通知镇值班室、县热线")
    expect(page.locator(".ladder .missed").first).to_have_text("⚠ 没有按时做到")
    found = place.alert_of(alert)
    fired = {s["name"]: s for s in found["ladder"] if s["kind"] == "ladder"}
    assert {name: s["state"] for name, s in fired.items()} == dict.fromkeys(
        ("notify", "second", "head", "escalate"), "fired"
    )
    shoot(page, "case-escalated")
    assert axe(page) == []


def test_the_second_to_acknowledge_is_told_who_was_first(place: Town, browser: Browser) -> None:
    alert = place.harmed(place.home())
    pages = {name: place.open(browser, name, f"/cases/{alert}") for name in ("wang", "zhao")}
    pages["wang"].locator('form[data-deed="acknowledge"] button').click()
    expect(pages["wang"].locator(".tag").first).to_have_text("已确认")
    pages["zhao"].locator('form[data-deed="acknowledge"] button').click()
    told = pages["zhao"].locator("#told")
    expect(told).to_have_text(re.compile("王值班.*先确认了"))
    assert place.alert_of(alert)["acknowledged_by"] == "staff-wang"
    shoot(pages["zhao"], "second-acknowledge")
    told.get_by_role("link").click()
    expect(pages["zhao"].locator(".tag").first).to_have_text("已确认")


def test_who_keeps_the_key_is_shown_on_pressing_and_gone_with_the_next_act(
    place: Town, browser: Browser
) -> None:
    alert = place.harmed(place.home())
    page = place.open(browser, "wang", f"/cases/{alert}")
    expect(page.get_by_text("邻居老周")).to_have_count(0)
    page.get_by_role("button", name="看钥匙在谁那里").click()
    expect(page.get_by_text("邻居老周")).to_be_visible()
    assert axe(page) == []
    page.locator('form[data-deed="acknowledge"] button').click()
    expect(page.locator(".tag").first).to_have_text("已确认")
    expect(page.get_by_text("邻居老周")).to_have_count(0)
    assert page.url.endswith(f"/cases/{alert}")


def test_a_phoned_report_takes_half_a_minute_by_keys_alone_and_its_alert_is_linked(
    place: Town, browser: Browser
) -> None:
    page = place.open(browser, "wang", "/report")
    expect(page.locator("#elapsed")).to_have_text("00:00")
    watch, began = SystemMonotonic(), SystemMonotonic().seconds()
    page.keyboard.press("6")
    expect(page.locator("#where")).to_be_focused()
    expect(page.locator("#elapsed-says")).to_be_hidden()
    page.keyboard.type("东河二")
    page.keyboard.press("Tab")
    page.keyboard.type("小学后门的平房")
    for _ in range(5):  # search, its button, who, what was said, still going on
        page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-since]")).to_be_visible()
    link = page.locator("[data-alert]")
    expect(link).to_be_visible(timeout=10_000)
    assert watch.seconds() - began < 30
    shoot(page, "report-sent")
    assert axe(page) == []
    assert "小学" not in page.url
    link.click()
    expect(page.locator("h1")).to_have_text("疑似侵害未成年人")
    identity = page.url.rsplit("/", 1)[-1]
    eventually(list, lambda: place.alert_of(identity)["grid"] == "G12", "it is placed")
    found = place.alert_of(identity)
    assert (found["area"], found["level"]) == ("V1", 3)
    assert found["household"].startswith("prov:")
    change = place.change_of(found)
    assert change["data"] == {
        "kind": "abandoned", "place": "小学后门的平房", "anonymous": True,
    }  # fmt: skip


@pytest.mark.parametrize("key", list("123456789"))
def test_each_of_the_nine_kinds_is_one_press(place: Town, browser: Browser, key: str) -> None:
    page = place.open(browser, "wang", "/report")
    page.keyboard.press(key)
    chosen = page.locator("input[name=matter]:checked")
    expect(chosen).to_have_attribute("data-press", key)
    expect(page.locator("#where")).to_be_focused()


def test_somebody_known_is_found_by_name_and_the_name_is_in_no_address(
    place: Town, browser: Browser
) -> None:
    page = place.open(browser, "wang", "/report")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.keyboard.press("q")
    page.locator("#q").fill("周满仓")
    page.locator("#q").press("Enter")
    person = page.get_by_label("周满仓", exact=False).last
    expect(person).to_be_visible()
    shoot(page, "report-found")
    person.check()
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-alert]")).to_be_visible(timeout=10_000)
    assert place.alert("h3")["subject"] in ("h3-p", "h3")
    assert not [url for url in asked if "%E5%91%A8" in url or "周" in url]


def test_a_report_without_what_or_where_says_so_and_keeps_what_was_typed(
    place: Town, browser: Browser
) -> None:
    page = place.open(browser, "wang", "/report")
    page.keyboard.press("5")
    page.locator("#note").fill("电话里在哭")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert").first).to_contain_text("还没有说在哪里")
    expect(page.locator("#note")).to_have_value("电话里在哭")
    expect(page.locator("input[name=matter]:checked")).to_have_attribute("data-press", "5")


def test_a_double_click_sends_one_report(place: Town, browser: Browser) -> None:
    page = place.open(browser, "wang", "/report")
    posts: list[str] = []
    page.on("request", lambda r: posts.append(r.url) if r.method == "POST" else None)
    page.keyboard.press("9")
    page.locator("#spot").fill("桥头")
    before = place.accepted()
    page.locator("#send").dblclick()
    expect(page.locator("[data-alert]")).to_be_visible(timeout=10_000)
    assert [url for url in posts if url.endswith("/report")] == [f"{place.url}/report"]
    assert place.accepted() - before == 2  # the report, and where the unknown household is


def test_a_case_is_reported_seen_visited_and_closed_by_two(place: Town, browser: Browser) -> None:
    desk = place.open(browser, "wang", "/report")
    desk.keyboard.press("4")
    desk.locator("#where").fill("东河一组")
    desk.locator("#spot").fill("村口第二家")
    desk.keyboard.press("Control+Enter")
    desk.locator("[data-alert]").click(timeout=10_000)
    case = desk.url
    identity = case.rsplit("/", 1)[-1]
    queue = place.open(browser, "zhao", "/queue")
    expect(queue.locator(row(queue, identity))).to_be_visible()

    phone = place.open(browser, "li", "/visits", PHONE)
    card = phone.locator(f'[data-visit="{identity}"]')
    eventually(phone.reload, lambda: card.count() == 1, "the worker sees it")
    card.get_by_role("button", name="我来办").click()
    card = phone.locator(f'[data-visit="{identity}"]')
    card.get_by_role("button", name="已到门口").click()
    phone.locator(f'[data-visit="{identity}"]').get_by_role("link", name="填走访记录").click()
    fill_visit(phone)
    shoot(phone, "visit")
    assert axe(phone) == []
    assert sideways(phone) <= 0
    phone.locator("#send").click()
    expect(phone.get_by_text("走访记录已收下")).to_be_visible()
    shoot(phone, "visit-saved")
    assert axe(phone) == []

    desk.goto(case)
    form = desk.locator('form[data-deed="close"]')
    form.locator("textarea").fill("已安置")
    form.locator('input[name="result"][value="said"]').check()
    form.locator('select[name="result-agency"]').select_option(label="公安")
    form.locator('select[name="result-outcome"]').select_option(label="已报警立案")
    shoot(desk, "case-closing")
    assert axe(desk) == []
    assert sideways(desk) <= 0
    before = place.accepted()
    form.locator("button").click()
    expect(desk.get_by_text("红色预警必须由另一个人复核结案")).to_be_visible()
    head = place.open(browser, "chen", f"/cases/{identity}")
    expect(head.get_by_text("哪个机关: 公安")).to_be_visible()
    shoot(head, "case-review")
    assert axe(head) == []
    assert place.accepted() == before  # one person alone sends nothing
    head.get_by_role("button", name="复核并结案").click()
    expect(head.locator(".tag").first).to_have_text("已结")
    closed = place.alert_of(identity)
    assert (closed["state"], closed["closed_by"]) == ("closed", "staff-chen")
    assert closed["outcome"] == "confirmed_need"
    assert place.accepted() == before + 1


def fill_visit(page: Page) -> None:
    """Fill in the least that a visit form asks for, by thumb."""
    for name, value in (("mode", "home"), ("person_seen", "self"), ("worker_level", "2")):
        page.locator(f'input[name={name}][value="{value}"]').check(force=True)
    page.locator("#outcome").select_option("confirmed_need")
    page.locator("#note").fill("见到本人，已联系亲属")
    page.locator("#next_month").select_option(label="1月")
    page.locator("#next_day").select_option(label="31日")


def test_script_typed_into_every_field_stays_text(place: Town, browser: Browser) -> None:
    evil = "<script>document.title='x'</script><img src=x onerror=alert(1)>\"'"
    page = place.open(browser, "wang", "/report")
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    page.keyboard.press("8")
    page.locator("#spot").fill(evil)
    page.locator("#note").fill(evil)
    page.locator("#q").fill(evil)
    page.locator("#q").press("Enter")
    expect(page.get_by_text("没有找到")).to_be_visible()
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text(evil[:30]).first).to_be_visible()
    page.locator("[data-alert]").click(timeout=10_000)
    note = page.locator('form[data-deed="note"]')
    note.locator("textarea").fill(evil)
    note.locator("button").click()
    expect(page.locator(".timeline")).to_contain_text(evil)
    found = place.harmed(place.home(evil))
    page.goto(f"{place.url}/queue")
    expect(page.locator(row(page, found))).to_contain_text(evil)
    assert "守望" in page.title()


def test_the_pages_speak_english_at_one_press(place: Town, browser: Browser) -> None:
    page = place.open(browser, "sun", "/ops")
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("h1")).to_have_text("Operations")
    shoot(page, "ops-english")
    assert axe(page) == []
    page.get_by_role("button", name="中文").click()
    expect(page.locator("h1")).to_have_text("运行情况")


def test_what_lies_in_another_area_is_as_if_it_were_not_there(
    place: Town, browser: Browser
) -> None:
    alert = place.harmed(place.home())
    page = place.open(browser, "other", f"/cases/{alert}", DESK)
    expect(page.locator("h1")).to_have_text("找不到")
    page.goto(f"{place.url}/queue?state=all")
    expect(page.locator(row(page, alert))).to_have_count(0)
