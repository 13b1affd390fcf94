"""A head reviews broken glasses over HTTP: whose, in which order, once; figures without a name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from typing import Final

import pytest
from httpx2 import Response

from services.console.storage import users
from services.kernel.clock import DAY
from tests.support.console_world import Browser, ConsoleWorld, console_world

REASON: Final = "夜里在西村桥头遇到这位老人，不知道家在哪里"
_NUMBERS: Final = count(1)


@pytest.fixture(scope="module")
def w(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleWorld]:
    with console_world(tmp_path_factory.mktemp("reviews")) as made:
        made.area("V1", "东村")
        made.area("V2", "西村")
        made.user("head-v2", "head", ["V2"])
        made.user("ops", "ops")
        made.user("chen", "head", ["V1"])
        made.user("luo", "head")
        yield made


@pytest.fixture
def home(w: ConsoleWorld) -> str:
    """A household of V1, new for each test."""
    name = f"h{next(_NUMBERS)}"
    w.household(name, "V1", name=f"{name}郑家")
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


def opened(browser: Browser, who: str, reason: str = REASON) -> str:
    """Break the glass; return the address of the household's page."""
    form = {"who": who, "kind": "found_elsewhere", "reason": reason, "confirm": "yes"}
    answer = browser.post("/glass", form)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def told(answer: Response) -> str:
    found = re.search(r'role="alert">(.*?)</p>', answer.text, re.DOTALL)
    return found[1] if found else ""


def review_of(page: str) -> str:
    return page.replace("/glass/", "/reviews/")


def test_the_heads_of_the_area_review_it_and_no_others(
    w: ConsoleWorld, duty: Browser, home: str
) -> None:
    page = opened(duty, home, reason="<img src=x onerror=alert(1)>" + REASON)
    review = review_of(page)
    chen = w.logged_in("chen")
    shown = chen.get("/reviews").text
    assert review in shown
    assert "<img" not in shown
    assert "&lt;img src=x" in shown
    elsewhere = w.logged_in("head-v2")
    assert review not in elsewhere.get("/reviews").text
    assert elsewhere.post(review, {"justified": "yes"}).status_code == 404
    assert chen.post(review, {"justified": "yes"}).status_code == 303
    assert f'action="{review}"' not in chen.get("/reviews").text
    assert chen.post("/reviews/no-such-id", {"justified": "yes"}).status_code == 404


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({}, "还没有选"),
        ({"justified": "maybe", "note": "x"}, "还没有选"),
        ({"justified": "no"}, "写一句说明"),
        ({"justified": "no", "note": " "}, "写一句说明"),
        ({"justified": "yes", "note": "长" * 501}, "最多 500"),
    ],
)
def test_a_review_that_lacks_something_is_told_so(
    w: ConsoleWorld, duty: Browser, home: str, given: dict[str, str], word: str
) -> None:
    answer = w.logged_in("chen").post(review_of(opened(duty, home)), given)
    assert (answer.status_code, word in told(answer)) == (422, True)


def test_the_first_review_stands_and_a_double_click_is_one(
    w: ConsoleWorld, duty: Browser, home: str
) -> None:
    review = review_of(opened(duty, home))
    chen, luo = w.logged_in("chen"), w.logged_in("luo")
    said = {"justified": "no", "note": "问过本人，下次先打电话"}
    assert [chen.post(review, said).status_code for _ in range(2)] == [303, 303]
    second = luo.post(review, {"justified": "yes"})
    assert (second.status_code, "chen同志 已于" in told(second)) == (409, True)
    assert "下次先打电话" in luo.get("/reviews").text


def test_nobody_reviews_their_own(w: ConsoleWorld, home: str) -> None:
    name, head = someone(w, "head")
    page = opened(head, home)
    with w.console.db.begin() as conn:
        users.change(conn, name, areas=["V1", "V2"])
    assert "请另一位站长来看" in head.get("/reviews").text
    own = head.post(review_of(page), {"justified": "yes"})
    assert (own.status_code, "另一位站长" in told(own)) == (409, True)


def test_what_has_waited_for_a_day_stands_first_and_is_counted_without_a_name(
    w: ConsoleWorld, duty: Browser, home: str
) -> None:
    chen = w.logged_in("chen")
    for each in re.findall(r'action="(/reviews/[^"]+)"', w.logged_in("luo").get("/reviews").text):
        w.logged_in("luo").post(each, {"justified": "yes"})
    w.household(f"{home}b", "V1")
    old = review_of(opened(duty, home))
    w.clock.advance_to(w.clock.now() + DAY)
    new = review_of(opened(duty, f"{home}b"))
    shown = chen.get("/reviews").text
    assert "查阅复核 (2)" in chen.get("/queue").text
    assert "查阅复核 (" not in w.logged_in("head-v2").get("/queue").text
    assert shown.index(old) < shown.index(new)
    assert shown.count("已等了一天多") == 1
    text = w.app.metrics.render()[0].decode()
    for state, n in (("open", 1), ("unreviewed", 2), ("late", 1)):
        assert f'hearthwatch_console_glasses{{state="{state}"}} {n}.0' in text
    page = w.logged_in("ops").get("/ops").text
    assert "紧急查阅有人复核吗？" in page
    assert home not in page
