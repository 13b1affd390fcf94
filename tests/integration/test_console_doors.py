"""The console's doors: log-in, lock-out, forged and late forms, what is too large, headers."""

from __future__ import annotations

import html
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from services.console.web.edge import CSP
from tests.support.console_world import PASSWORD, ConsoleWorld, console_world, value_of


@pytest.fixture(scope="module")
def w(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleWorld]:
    with console_world(tmp_path_factory.mktemp("doors")) as made:
        made.household("h1", "V1", name="张家")
        made.user("wang", "duty")
        made.user("li", "ops")
        yield made


def test_nothing_but_the_log_in_is_shown_without_a_session(w: ConsoleWorld) -> None:
    for path in ("/", "/queue", "/cases/x", "/report", "/visits", "/ops", "/account", "/looks"):
        answer = w.browser().get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login?next=")
    assert w.browser().get("/stream", script=True).status_code == 401


def test_a_log_in_gives_a_cookie_that_scripts_and_other_sites_cannot_use(w: ConsoleWorld) -> None:
    answer = w.browser().log_in(" Wang ", next="/queue?level=3")
    assert answer.headers["location"] == "/queue?level=3"
    cookie = next(c for c in answer.headers.get_list("set-cookie") if "hw_session" in c)
    assert {"httponly", "samesite=strict", "path=/"} <= {
        p.strip().lower() for p in cookie.split(";")
    }


@pytest.mark.parametrize("next_", ["//evil", "http://evil", "/\\evil", "javascript:x", "/a\nb"])
def test_a_log_in_leads_nowhere_else(w: ConsoleWorld, next_: str) -> None:
    assert w.browser().log_in("wang", next=next_).headers["location"] == "/"


def test_five_refusals_lock_a_name_known_or_not_and_time_opens_it(w: ConsoleWorld) -> None:
    w.user("zhao", "duty")
    for name in ("zhao", "nobody"):
        browser = w.browser()
        for left in (4, 3, 2, 1):
            answer = browser.log_in(name, "wrong")
            assert answer.status_code == 403
            assert f"还可以试 {left} 次" in answer.text
        assert browser.log_in(name, "wrong").status_code == 429
        locked = browser.log_in(name, PASSWORD)
        assert locked.status_code == 429
        assert "15 分钟" in locked.text
    w.forward(minutes=15, seconds=1)
    assert w.browser().log_in("zhao").status_code == 303
    assert w.browser().log_in("zhao", "wrong").status_code == 403


def test_who_locks_a_name_from_elsewhere_locks_nobody_out_of_their_own_browser(
    w: ConsoleWorld,
) -> None:
    w.user("victim", "duty")
    w.user("intruder", "duty")
    own, others = w.logged_in("victim"), w.logged_in("intruder")
    own.log_in("wang")  # a desk's browser is shared
    for _ in range(5):
        others.log_in("victim", "wrong")
    assert w.browser().log_in("victim").status_code == 429  # a browser that nobody knows
    assert others.log_in("victim").status_code == 429  # known, but not as this one's
    assert own.log_in("victim", "wrong").status_code == 403
    assert own.log_in("victim").status_code == 303
    assert w.browser().log_in("victim").status_code == 303  # who was let in unlocks the name


def test_a_known_browser_is_locked_by_its_own_refusals(w: ConsoleWorld) -> None:
    w.user("qian", "duty")
    own = w.logged_in("qian")
    mark = own.http.cookies["hw_known"]
    assert [own.log_in("qian", "wrong").status_code for _ in range(5)] == [403] * 4 + [429]
    assert own.log_in("qian").status_code == 429
    w.forward(minutes=15, seconds=1)
    assert own.log_in("qian").status_code == 303
    assert own.http.cookies["hw_known"] == mark


def test_a_new_password_makes_every_browser_a_stranger(w: ConsoleWorld) -> None:
    w.user("zhou", "duty")
    own, stranger = w.logged_in("zhou"), w.browser()
    new = {"old": PASSWORD, "new": "another long one", "again": "another long one"}
    assert own.post("/account/password", new).status_code == 200
    for _ in range(5):
        stranger.log_in("zhou", "wrong")
    assert own.log_in("zhou", "another long one").status_code == 429


def test_a_refusal_names_no_user_and_takes_as_long(w: ConsoleWorld) -> None:
    known, unknown = w.browser().log_in("li", "wrong"), w.browser().log_in("who", "wrong")
    assert known.status_code == unknown.status_code == 403
    assert "li" not in known.text.split("<main")[1].replace("Link", "").split("<form")[0]


def test_the_log_in_form_must_be_this_browsers(w: ConsoleWorld) -> None:
    browser = w.browser()
    browser.get("/login")
    answer = browser.http.post("/login", data={"name": "wang", "password": PASSWORD, "before": "x"})
    assert answer.status_code == 403


@pytest.mark.parametrize("csrf", ["", "x", "é", "0" * 5000])
def test_a_forged_form_does_nothing(w: ConsoleWorld, csrf: str) -> None:
    red = w.call("h1")
    state = w.alert(red)["state"]
    answer = w.logged_in("wang").post(f"/cases/{red}/note", {"note": "forged"}, csrf=csrf)
    assert answer.status_code == 403
    assert "页面已失效" in answer.text
    found = w.alert(red)
    assert found["state"] == state
    assert "forged" not in str(found["timeline"])


@pytest.mark.parametrize("key", ["é", "a b", "a\nb", "x" * 151])
def test_a_key_that_no_page_gave_is_refused(w: ConsoleWorld, key: str) -> None:
    red = w.call("h1")
    answer = w.logged_in("wang").post(f"/cases/{red}/note", {"note": "keyed", "key": key})
    assert answer.status_code == 422
    assert "keyed" not in str(w.alert(red)["timeline"])


def test_a_form_from_another_site_does_nothing(w: ConsoleWorld) -> None:
    browser = w.logged_in("wang")
    answer = browser.http.post(
        "/account/sound", data={"csrf": browser.csrf, "on": "yes"},
        headers={"origin": "http://evil", "accept": "text/html"},
    )  # fmt: skip
    assert answer.status_code == 403


@pytest.mark.parametrize(("idle", "ok"), [({"minutes": 59}, True), ({"minutes": 61}, False)])
def test_a_session_ends_when_nothing_was_asked_for_an_hour(
    w: ConsoleWorld, idle: dict[str, float], ok: bool
) -> None:
    browser = w.logged_in("wang")
    w.forward(**idle)
    assert (browser.get("/queue").status_code == 200) is ok


def test_a_session_ends_after_a_shift_whatever_was_asked(w: ConsoleWorld) -> None:
    browser = w.logged_in("wang")
    for _ in range(15):
        w.forward(minutes=55)
        browser.get("/account")
    assert browser.get("/queue").status_code == 200
    w.forward(minutes=30)
    assert browser.get("/queue").status_code == 303


def test_what_was_typed_before_the_session_ended_waits_for_the_log_in(w: ConsoleWorld) -> None:
    red, note = w.call("h1"), '敲门没人，<script>alert("1")</script> 邻居说在医院'
    browser = w.logged_in("wang")
    w.forward(hours=2)
    late = browser.post(f"/cases/{red}/note", {"note": note, "key": "k1"})
    assert late.status_code == 401
    assert "已保留" in late.text
    resumed = browser.log_in("wang", kept=value_of(late.text, "kept"))
    assert resumed.status_code == 200
    assert html.escape(note, quote=True).replace("&#x27;", "'") in resumed.text.replace(
        "&#34;", "&quot;"
    )
    csrf = value_of(resumed.text, "csrf")
    sent = browser.post(f"/cases/{red}/note", {"note": note, "key": "k1"}, csrf=csrf)
    assert sent.status_code == 303
    assert w.alert(red)["timeline"][-1]["detail"]["note"] == note


@pytest.mark.parametrize(
    "kept",
    ["no json", "[]", '{"path": "//evil", "form": {}}', '{"path": "/x", "form": []}', "[" * 50_000],
)
def test_a_waiting_form_that_is_none_of_ours_is_left_out(w: ConsoleWorld, kept: str) -> None:
    assert w.browser().log_in("wang", kept=kept).status_code == 303


def test_ten_megabytes_are_refused_with_a_page(w: ConsoleWorld) -> None:
    answer = w.logged_in("wang").post("/cases/x/note", {"note": "x" * 10_000_000})
    assert answer.status_code == 413
    assert "太大" in answer.text
    assert answer.headers["content-security-policy"] == CSP


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("note", {"note": ""}),
        ("note", {"note": "x" * 4001}),
        ("outcome", {"outcome": "made_up"}),
        ("outcome", {}),
        ("close", {"outcome": "no_answer"}),
        ("hand", {"to": "nobody"}),
        ("override", {"level": "9", "reason": "other", "note": "x"}),
        ("override", {"level": "3", "reason": "other", "note": ""}),
    ],
)
def test_a_wrong_field_is_told_on_a_page_that_says_what_to_do(
    w: ConsoleWorld, path: str, form: dict[str, str]
) -> None:
    red = w.call("h1")
    answer = w.logged_in("wang").post(f"/cases/{red}/{path}", form)
    assert answer.status_code == 422
    assert "怎么办" in answer.text
    told = w.logged_in("wang").post(f"/cases/{red}/{path}", form, script=True).json()
    assert {"where", "found", "expected", "remedy"} <= told.keys()


@pytest.mark.parametrize("query", [{"level": "9"}, {"state": "<script>"}, {"cursor": "%00"}])
def test_a_wrong_filter_is_told(w: ConsoleWorld, query: dict[str, str]) -> None:
    answer = w.logged_in("wang").get(f"/queue?{urlencode(query)}")
    assert answer.status_code == 422
    assert "<script>" not in answer.text


@pytest.mark.parametrize("path", ["/queue", "/nothing", "/login", "/static/x/console.css"])
def test_every_answer_carries_the_policy_of_its_scripts(w: ConsoleWorld, path: str) -> None:
    answer = w.logged_in("wang").get(path)
    assert answer.headers["content-security-policy"] == CSP
    assert "unsafe" not in CSP
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    for inline in ("<style", "style=", "onclick=", "javascript:"):
        assert inline not in answer.text
    assert "<script>" not in answer.text


def test_unknown_paths_and_wrong_methods_are_pages(w: ConsoleWorld) -> None:
    browser = w.logged_in("wang")
    for answer, status in ((browser.get("/nothing"), 404), (browser.post("/queue"), 405)):
        assert answer.status_code == status
        assert "<h1>" in answer.text


def test_static_files_are_kept_under_the_path_of_their_content(w: ConsoleWorld) -> None:
    browser = w.browser()
    digest = w.console.pages.static.digest
    assert "immutable" in browser.get(f"/static/{digest}/queue.js").headers["cache-control"]
    assert browser.get("/static/old/queue.js").headers["cache-control"] == "no-cache"
    assert browser.get(f"/static/{digest}/..%2Fwiring.py").status_code == 404


def test_english_is_one_press_away_and_stays(w: ConsoleWorld) -> None:
    browser = w.browser()
    assert "值班台" not in browser.get("/login").text
    assert 'lang="zh-CN"' in browser.get("/login").text
    browser.post("/language", {"language": "en", "next": "/login"})
    assert "Log in" in browser.get("/login").text
    browser.log_in("li")
    browser.post("/language", {"language": "en", "next": "/account"})
    assert "My account" in w.logged_in("li").get("/account").text


def test_a_new_password_ends_the_other_sessions(w: ConsoleWorld) -> None:
    w.user("sun", "duty")
    here, there = w.logged_in("sun"), w.logged_in("sun")
    for form, told in (
        ({"old": "wrong", "new": "y" * 12, "again": "y" * 12}, "不对"),
        ({"old": PASSWORD, "new": "short", "again": "short"}, "10"),
        ({"old": PASSWORD, "new": "y" * 12, "again": "z" * 12}, "不一样"),
    ):
        answer = here.post("/account/password", form)
        assert answer.status_code == 422
        assert told in answer.text
    done = here.post("/account/password", {"old": PASSWORD, "new": "y" * 12, "again": "y" * 12})
    assert done.status_code == 200
    assert here.get("/queue").status_code == 200
    assert there.get("/queue").status_code == 303
    assert w.browser().log_in("sun", "y" * 12).status_code == 303


def test_log_out_ends_the_session(w: ConsoleWorld) -> None:
    browser = w.logged_in("wang")
    cookie = browser.http.cookies["hw_session"]
    assert browser.post("/logout").headers["location"] == "/login"
    browser.http.cookies.set("hw_session", cookie)
    assert browser.get("/queue").status_code == 303
