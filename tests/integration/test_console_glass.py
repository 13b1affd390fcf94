"""Breaking the glass over HTTP: what it opens, for whom, how long; and that it is reviewed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count, product
from typing import Any, Final

import pytest
from httpx2 import Response

from services.console.access import POLICY, THROUGH_GLASS, may
from services.console.glass import LASTS, MOST_OPEN
from services.console.storage import users
from services.console.web import visit
from services.kernel.clock import HOUR, MINUTE, SECOND
from tests.support.console_world import Browser, ConsoleWorld, console_world, value_of

REASON: Final = "夜里在西村桥头遇到这位老人，不知道家在哪里"
ACTS: Final = ("acknowledge", "take", "note", "on_site", "outcome", "override", "escalate", "close")
OF_DESKS: Final = ("escalate", "close")
CLOSED: Final = {
    ("queue", "see"), ("glass", "open"), ("glass", "end"), ("reviews", "see"), ("reviews", "send"),
    ("ops", "see"), ("looks", "see"), ("account", "see"), ("account", "change"), ("case", "key"),
    ("case", "hand"),
}  # fmt: skip
"""What no glass widens. Written by hand: whoever adds a page or an act decides here, too."""
_NUMBERS: Final = count(1)


@pytest.fixture(scope="module")
def w(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleWorld]:
    with console_world(tmp_path_factory.mktemp("glass")) as made:
        made.area("V1", "东村")
        made.area("V2", "西村")
        for name in ("duty", "worker", "head"):
            made.user(f"{name}-v2", name, ["V2"])
        made.user("ops", "ops")
        made.user("chen", "head", ["V1"])
        made.user("luo", "head")
        yield made


@pytest.fixture
def home(w: ConsoleWorld) -> str:
    """A household of V1, new for each test."""
    name = f"h{next(_NUMBERS)}"
    w.household(name, "V1", name=f"{name}郑家", phone="13900000009", address="桥头 2 号")
    return name


@pytest.fixture
def duty(w: ConsoleWorld) -> Browser:
    """Somebody on duty in V2, without anything open."""
    return someone(w, "duty")[1]


def someone(w: ConsoleWorld, role: str) -> tuple[str, Browser]:
    """Return the name and the browser of somebody new of V2."""
    name = f"{role}{next(_NUMBERS)}"
    w.user(name, role, ["V2"])
    return name, w.logged_in(name)


def form(who: str, /, **given: str) -> dict[str, str]:
    made = {"who": who, "where": "", "kind": "found_elsewhere", "reason": REASON, "confirm": "yes",
            "key": f"k{next(_NUMBERS)}"}  # fmt: skip
    return made | given


def opened(browser: Browser, who: str, **given: str) -> str:
    """Break the glass; return the address of the household's page."""
    answer = browser.post("/glass", form(who, **given))
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def pass_time(w: ConsoleWorld, span: int) -> None:
    """Move domain time alone: sessions have their own."""
    w.clock.advance_to(w.clock.now() + span)
    w.app.step()


def told(answer: Response) -> str:
    found = re.search(r'role="alert">(.*?)</p>', answer.text, re.DOTALL)
    return found[1] if found else ""


# -- what it opens ---------------------------------------------------------------------------------


def test_every_page_and_act_is_opened_by_a_glass_or_is_known_not_to_be() -> None:
    assert set(POLICY) == set(THROUGH_GLASS) | CLOSED
    assert not set(THROUGH_GLASS) & CLOSED
    assert not any(may("ops", *each) for each in THROUGH_GLASS)


@pytest.mark.parametrize("role", ["duty", "worker", "head"])
def test_a_glass_opens_one_household_for_three_hours_and_then_it_is_absent(
    w: ConsoleWorld, home: str, role: str
) -> None:
    red, other = w.call(home), f"{home}b"
    w.household(other, "V1")
    beside = w.call(other)
    _, browser = someone(w, role)
    assert browser.get(f"/cases/{red}").status_code == 404
    page = opened(browser, home)
    shown = browser.get(page)
    assert red in shown.text
    assert "桥头 2 号" in shown.text
    assert "13900000009" in shown.text
    assert shown.headers["cache-control"] == "no-store"
    assert browser.get(f"/cases/{red}").status_code == 200
    assert browser.get(f"/cases/{beside}").status_code == 404
    assert browser.get(f"/visits/{beside}").status_code in (403, 404)
    pass_time(w, LASTS - 1)
    assert browser.get(f"/cases/{red}").status_code == 200
    pass_time(w, 1)
    absent = browser.get(f"/cases/{red}", script=True)
    assert absent.status_code == 404
    assert absent.json() == browser.get("/cases/no-such-id", script=True).json()
    assert browser.get(page).status_code == 404
    again = opened(browser, home)
    assert again != page
    assert browser.get(f"/cases/{red}").status_code == 200


@pytest.mark.parametrize(("role", "act"), list(product(["duty", "worker", "head"], ACTS)))
def test_while_it_is_open_people_act_as_their_role_may_and_not_before_or_after(
    w: ConsoleWorld, home: str, role: str, act: str
) -> None:
    red = w.call(home)
    _, browser = someone(w, role)
    mine = f"/cases/{red}/{act}"
    fields = {
        "note": "看过了", "outcome": "no_need", "level": "3", "reason": "other"
    }  # fmt: skip
    allowed = role != "worker" or act not in OF_DESKS
    assert browser.post(mine, fields).status_code == (404 if allowed else 403)
    opened(browser, home)
    assert browser.post(mine, {**fields, "key": act}).status_code == (303 if allowed else 403)
    pass_time(w, LASTS)
    assert browser.post(mine, {**fields, "key": f"{act}2"}).status_code == (404 if allowed else 403)


@pytest.mark.parametrize("act", ["see", *ACTS])
def test_what_the_list_leaves_out_stays_absent_through_an_open_glass(
    w: ConsoleWorld, duty: Browser, home: str, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    red = w.call(home)
    opened(duty, home)
    monkeypatch.setattr(visit, "THROUGH_GLASS", THROUGH_GLASS - {("case", act)})
    others = duty.get(f"/cases/{red}") if act != "see" else duty.post(f"/cases/{red}/take")
    path = f"/cases/{red}" if act == "see" else f"/cases/{red}/{act}"
    left_out = duty.get(path) if act == "see" else duty.post(path, {"note": "看过了"})
    assert (others.status_code in (200, 303), left_out.status_code) == (True, 404)


def test_what_was_taken_through_a_glass_is_theirs_only_while_it_is_open(
    w: ConsoleWorld, home: str
) -> None:
    red = w.call(home)
    name, browser = someone(w, "worker")
    page = opened(browser, home)
    assert browser.post(f"/cases/{red}/take", {"key": "t"}).status_code == 303
    assert w.alert(red)["owner"] == f"staff-{name}"
    assert red in browser.get("/visits").text
    assert browser.get(f"/visits/{red}").status_code == 200
    assert browser.post(f"{page}/end").status_code == 303
    for path in (f"/cases/{red}", f"/visits/{red}"):
        assert browser.get(path).status_code == 404
    assert red not in browser.get("/visits").text
    opened(browser, home)
    assert red in browser.get("/visits").text


def test_what_was_taken_through_a_glass_does_not_follow_its_person_to_another_home(
    w: ConsoleWorld, home: str
) -> None:
    red = w.call(home)
    person = w.alert(red)["subject"]
    _, browser = someone(w, "duty")
    page = opened(browser, home)
    assert browser.post(f"/cases/{red}/take", {"key": "t"}).status_code == 303
    w.household(f"{home}new", "V1", name="新家", phone="13900000008")
    w.send("registry.person", {"name": "某人"}, person=person, household=f"{home}new")
    assert w.alert(red)["household"] == f"{home}new"
    assert browser.get(f"/cases/{red}").status_code == 404
    browser.post(f"{page}/end")
    assert browser.get(f"/cases/{red}").status_code == 404
    assert browser.post(f"/cases/{red}/key-holder", {"key": "k"}).status_code == 404


def test_a_second_account_of_the_same_person_sees_and_reviews_no_more_than_the_first(
    w: ConsoleWorld, home: str
) -> None:
    red = w.call(home)
    name, browser = someone(w, "duty")
    with w.console.db.begin() as conn:
        first = users.find(conn, name)
        assert first is not None
        users.add(conn, first._replace(name=f"{name}-head", role="head", areas=("V1",)))
        users.add(conn, first._replace(name=f"{name}-two"))
    page = opened(browser, home)
    browser.post(f"/cases/{red}/take", {"key": "t"})
    browser.post(f"{page}/end")
    assert w.logged_in(f"{name}-two").get(f"/cases/{red}").status_code == 404
    own = w.logged_in(f"{name}-head").post(
        f"/reviews/{page.rsplit('/', 1)[-1]}", {"justified": "yes", "key": "r"}
    )
    assert own.status_code == 409


def test_an_alert_is_handed_to_nobody_through_a_glass_and_no_key_is_offered(
    w: ConsoleWorld, duty: Browser, home: str
) -> None:
    red = w.call(home)
    opened(duty, home)
    shown = duty.get(f"/cases/{red}").text
    assert 'data-deed="hand"' not in shown
    assert "key-holder" not in shown
    handed = duty.post(f"/cases/{red}/hand", {"to": "staff-chen", "key": "h"})
    assert handed.status_code == 404


def test_a_home_that_was_merged_into_another_needs_a_reason_of_its_own(
    w: ConsoleWorld, duty: Browser, home: str
) -> None:
    page = opened(duty, home)
    w.household(f"{home}real", "V1", name="另一家", phone="13900000007")
    merged = {"kind": "household", "was": home, "became": f"{home}real"}
    w.send("registry.merged", merged, person=f"{home}-p", household=home)
    answer = duty.get(page)
    assert answer.status_code == 409
    assert "已并入另一户" in told(answer)
    assert "13900000007" not in answer.text


def test_what_another_hands_over_is_theirs_without_a_glass(w: ConsoleWorld, home: str) -> None:
    red = w.call(home)
    name, browser = someone(w, "worker")
    w.send("registry.staff", {"staff": f"staff-{name}", "name": "帮手"}, place="V2")
    page = opened(browser, home)
    browser.post(f"{page}/end")
    handed = w.logged_in("chen").post(f"/cases/{red}/hand", {"to": f"staff-{name}"})
    assert handed.status_code == 303
    assert browser.get(f"/cases/{red}").status_code == 200
    assert red in browser.get("/visits").text


def test_the_report_desk_finds_it_and_reports_about_it(
    w: ConsoleWorld, duty: Browser, home: str
) -> None:
    def found() -> bool:
        return f'value="{home}|"' in duty.post("/report/who", {"q": f"{home}郑家"}).text

    assert not found()
    assert "/glass" in duty.post("/report/who", {"q": f"{home}郑家"}).text
    opened(duty, home)
    assert found()
    pass_time(w, LASTS)
    assert not found()


def test_every_look_through_it_is_in_the_log_with_its_kind(
    w: ConsoleWorld, duty: Browser, home: str
) -> None:
    red = w.call(home)
    page = opened(duty, home)
    for path in (page, f"/cases/{red}"):
        assert duty.get(path).status_code == 200
    duty.post("/report/who", {"q": f"{home}郑家"})
    w.logged_in("luo").get(f"/cases/{red}")
    looks = w.apis.get("registry", "/v1/looked", subject=f"{home}-p", limit=1000)["items"]
    through = [each for each in looks if each["viewer"].startswith("staff-duty")]
    assert [each["what"] for each in through] == [
        f"glass: household {home}", "glass: person",
        f"glass: household {home}", "glass: person",
        f"glass: household {home}",
    ]  # fmt: skip
    assert not [e for e in looks if e["viewer"] == "staff-luo" and "glass" in e["what"]]
    found = w.logged_in("luo").post("/looks", {"subject": f"{home}-p"}).text
    assert f'<span class="tag">紧急查阅</span> household {home}' in found


def test_a_household_that_nobody_lives_in_leaves_a_look_too(
    w: ConsoleWorld, duty: Browser, home: str
) -> None:
    w.send("registry.household", {"area": "V1", "name": "空屋"}, household=f"{home}-empty")
    duty.get(opened(duty, f"{home}-empty"))
    looks = w.apis.get("registry", "/v1/looked", limit=1000)["items"]
    assert f"glass: household {home}-empty" in [each["what"] for each in looks]


# -- asking ----------------------------------------------------------------------------------------


def test_a_household_is_named_by_id_by_name_or_by_who_lives_there(duty: Browser, home: str) -> None:
    addresses = {opened(duty, who) for who in (home, f"{home}郑家", f" {home}郑家的人 ")}
    assert len(addresses) == 1


def test_of_two_that_are_called_so_the_village_tells(
    w: ConsoleWorld, duty: Browser, home: str
) -> None:
    w.household(f"{home}n", "", name=f"{home}郑家")
    several = duty.post("/glass", form(f"{home}郑家"))
    assert (several.status_code, "不止一户" in told(several)) == (422, True)
    assert home not in told(several)
    opened(duty, f"{home}郑家", where="东村")


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"who": "没有这家"}, "没有找到"),
        ({"where": "南村"}, "没有找到"),
        ({"who": " "}, "哪一户"),
        ({"kind": "curious"}, "什么情况"),
        ({"kind": ""}, "什么情况"),
        ({"reason": "太短"}, "原因"),
        ({"reason": " " * 40}, "原因"),
        ({"reason": "长" * 501}, "原因"),
        ({"confirm": ""}, "现在必须看"),
        ({"confirm": "no"}, "现在必须看"),
    ],
)
def test_what_is_wrong_is_told_and_what_was_typed_is_kept(
    w: ConsoleWorld, duty: Browser, home: str, given: dict[str, str], word: str
) -> None:
    answer = duty.post("/glass", form(home, **given))
    assert answer.status_code == 422
    assert word in told(answer)
    assert form(home, **given)["reason"].strip() in answer.text
    assert "紧急查阅中" not in duty.get("/account").text


def test_a_reason_may_be_as_short_and_as_long_as_it_says(duty: Browser, home: str) -> None:
    duty.post(opened(duty, home, reason="十个字正好够写清楚吗") + "/end")
    opened(duty, home, reason="\r\n".join(["长" * 249] * 2) + "长")


def test_ones_own_areas_need_none(w: ConsoleWorld, home: str) -> None:
    for name in ("chen", "luo"):
        answer = w.logged_in(name).post("/glass", form(home))
        assert (answer.status_code, "自己的区域" in told(answer)) == (422, True)


def test_a_household_of_nowhere_is_opened_to_a_worker_and_is_every_desks(
    w: ConsoleWorld, duty: Browser, home: str
) -> None:
    w.household(f"{home}n", "", name="无处")
    assert "自己的区域" in told(duty.post("/glass", form(f"{home}n")))
    _, worker = someone(w, "worker")
    opened(worker, f"{home}n")


def test_a_double_click_is_one_and_its_form_opens_nothing_else_or_again(
    w: ConsoleWorld, duty: Browser, home: str
) -> None:
    first = form(home)
    addresses = {duty.post("/glass", first).headers["location"] for _ in range(2)}
    assert len(addresses) == 1
    changed = duty.post("/glass", {**first, "reason": REASON + "，又改了"})
    assert (changed.status_code, "先前已经提交过" in told(changed)) == (409, True)
    assert value_of(changed.text, "key") != first["key"]
    pass_time(w, LASTS)
    stale = duty.post("/glass", first)
    assert stale.status_code == 409
    assert "紧急查阅中" not in duty.get("/account").text


def test_what_is_open_is_not_made_longer(w: ConsoleWorld, duty: Browser, home: str) -> None:
    page = opened(duty, home)
    pass_time(w, 2 * HOUR)
    assert opened(duty, home) == page
    pass_time(w, HOUR)
    assert duty.get(page).status_code == 404


def test_a_person_has_so_many_open_and_no_more(w: ConsoleWorld, duty: Browser, home: str) -> None:
    for n in range(MOST_OPEN + 1):
        w.household(f"{home}-{n}", "V1")
    pages = [opened(duty, f"{home}-{n}") for n in range(MOST_OPEN)]
    last = form(f"{home}-{MOST_OPEN}")
    refused = duty.post("/glass", last)
    assert (refused.status_code, "最多同时 5 户" in told(refused)) == (429, True)
    duty.post(f"{pages[0]}/end")
    assert duty.post("/glass", last).status_code == 303


def test_ops_may_nothing_of_it(w: ConsoleWorld, home: str) -> None:
    browser = w.logged_in("ops")
    assert browser.post("/glass", form(home)).status_code == 403
    assert browser.get("/glass").status_code == 403
    assert "/glass" not in browser.get("/account").text


def test_whoever_becomes_ops_sees_nothing_through_an_open_one(w: ConsoleWorld, home: str) -> None:
    red = w.call(home)
    name, browser = someone(w, "duty")
    page = opened(browser, home)
    with w.console.db.begin() as conn:
        users.change(conn, name, role="ops")
    assert browser.get(f"/cases/{red}").status_code == 403
    assert browser.get(page).status_code == 403
    assert "紧急查阅中" not in browser.get("/account").text


def test_without_a_session_the_reason_waits_and_is_offered_again(
    w: ConsoleWorld, home: str
) -> None:
    name, browser = someone(w, "duty")
    sent = form(home, reason="<script>alert(1)</script>" + REASON)
    w.wall.advance_to(w.wall.now() + 2 * HOUR)
    late = browser.post("/glass", sent)
    assert late.status_code == 401
    kept = value_of(late.text, "kept")
    again = browser.log_in(name, kept=kept)
    assert again.status_code == 200
    assert "<script>alert" not in again.text
    assert "&lt;script&gt;alert" in again.text
    browser.csrf = value_of(again.text, "csrf")
    assert browser.post("/glass", sent).status_code == 303


def test_a_forged_form_opens_and_ends_nothing(duty: Browser, home: str) -> None:
    assert duty.post("/glass", form(home), csrf="forged").status_code == 403
    page = opened(duty, home)
    assert duty.post(f"{page}/end", csrf="forged").status_code == 403
    assert duty.get(page).status_code == 200


def test_neither_who_nor_why_is_in_an_address(w: ConsoleWorld, duty: Browser, home: str) -> None:
    page = opened(duty, f"{home}郑家")
    assert home not in page
    assert re.fullmatch(r"/glass/[0-9a-f-]{36}", page)


# -- the bar, and ending ---------------------------------------------------------------------------


def test_while_one_is_open_every_page_says_so_with_the_time_that_is_left(
    w: ConsoleWorld, duty: Browser, home: str
) -> None:
    page = opened(duty, home)
    pass_time(w, 20 * MINUTE + 10 * SECOND)
    for path in ("/queue", "/report", "/account", "/glass", page, "/cases/none"):
        shown = duty.get(path).text
        assert f"紧急查阅中：{home}郑家" in shown, path
        assert "2:39:50" in shown, path
        assert f'action="{page}/end"' in shown, path
    duty.post(f"{page}/end")
    assert "紧急查阅中" not in duty.get("/queue").text


def test_the_bar_stands_without_the_book(w: ConsoleWorld, duty: Browser, home: str) -> None:
    opened(duty, home)
    clients: Any = w.console.gateway._clients  # noqa: SLF001 - a service that is away
    registry = clients.pop("registry")
    heard: Any = w.console.gateway._heard  # noqa: SLF001
    heard.clear()
    try:
        assert f"紧急查阅中：{home}" in duty.get("/account").text
        assert duty.post("/glass", form(home)).status_code == 503
    finally:
        clients["registry"] = registry


def test_one_is_ended_by_its_own_person_alone_and_twice_is_once(
    w: ConsoleWorld, duty: Browser, home: str
) -> None:
    page = opened(duty, home)
    other = w.logged_in("duty-v2")
    assert other.get(page).status_code == 404
    assert other.post(f"{page}/end").status_code == 404
    assert duty.get(page).status_code == 200
    assert [duty.post(f"{page}/end").status_code for _ in range(2)] == [303, 303]
    assert duty.get(page).status_code == 404


# -- closed fields ---------------------------------------------------------------------------------


def test_a_callers_words_stay_closed(w: ConsoleWorld, duty: Browser, home: str) -> None:
    red = w.call(home)
    opened(duty, home)
    assert "来电人的原话可能提到举报人" in duty.get(f"/cases/{red}").text
    assert "来电人的原话可能提到举报人" not in w.logged_in("luo").get(f"/cases/{red}").text
