"""The queue and the case: order, groups, who was first, two persons, looks, what is away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from services.console.pages.queue import grouped
from tests.support.console_world import Browser, ConsoleWorld, console_world

SCRIPT = '<script>alert("x")</script>'
ESCAPED = "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;"


@pytest.fixture(scope="module")
def w(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleWorld]:
    with console_world(tmp_path_factory.mktemp("queue")) as made:
        made.area("V1", "东村")
        for home in ("h1", "h2", "h3", "h4"):
            made.household(home, "V1", name=f"{home}家", address=f"东村{home}号")
        made.send("registry.staff", {"staff": "staff-zhao", "name": "赵丽"}, place="V1")
        made.user("wang", "duty")
        made.user("zhao", "duty")
        made.user("worker", "worker")
        made.user("head", "head")
        yield made


@pytest.fixture
def wang(w: ConsoleWorld) -> Browser:
    return w.logged_in("wang")


@pytest.fixture
def zhao(w: ConsoleWorld) -> Browser:
    return w.logged_in("zhao")


def ids(page: str) -> list[str]:
    return re.findall(r'data-id="([^"]+)"', page)


class TestQueue:
    def test_red_comes_first_and_then_what_is_due_next(
        self, w: ConsoleWorld, wang: Browser
    ) -> None:
        for home in ("r1", "r2"):
            w.household(home, "V1")
        yellow = w.leak("r1")
        late = w.call("r1")
        w.forward(minutes=5)
        later = w.call("r2")
        found = ids(wang.get("/queue").text)
        assert [i for i in found if i in (yellow, late, later)] == [late, later, yellow]

    def test_the_time_left_runs_from_the_servers_time(self, w: ConsoleWorld, wang: Browser) -> None:
        red = w.call("h3")
        page = wang.get("/queue").text
        row = page.split(f'data-id="{red}"')[1].split("</li>")[0]
        assert "data-left>10:00<" in row
        assert f'data-now="{w.clock.now()}"' in page

    def test_filters_stand_in_the_address(self, w: ConsoleWorld, wang: Browser) -> None:
        w.household("f1", "V1")
        red, yellow = w.call("f1"), w.leak("f1")
        assert yellow not in ids(wang.get("/queue", level="3").text)
        assert red not in ids(wang.get("/queue", level="2").text)
        wang.post(f"/cases/{red}/take", {"key": "mine"})
        assert ids(wang.get("/queue", owner="me").text) == [red]
        w.household("f2", "V1")
        w.call("f2")  # a row with a button, which leads back to where it was pressed
        assert 'value="/queue?level=3"' in wang.get("/queue", level="3").text

    def test_a_level_is_told_by_word_and_shape(self, w: ConsoleWorld, wang: Browser) -> None:
        w.call("h1")
        assert '<span aria-hidden="true">▲</span> 红' in wang.get("/queue").text

    def test_the_same_double_click_is_one_act(self, w: ConsoleWorld, wang: Browser) -> None:
        red = w.call("h4")
        form = {"key": "double", "version": "2"}
        first = wang.post(f"/cases/{red}/acknowledge", form, script=True)
        second = wang.post(f"/cases/{red}/acknowledge", form, script=True)
        assert (first.status_code, second.status_code) == (200, 200)
        acts = [line["step"] for line in w.alert(red)["timeline"]]
        assert acts.count("act:acknowledge") == 1
        timeline = wang.get(f"/cases/{red}").text.split('class="timeline"')[1].split("</ol>")[0]
        assert timeline.count("<strong>确认</strong>") == 1

    def test_a_second_person_is_told_who_was_first_and_when(
        self, w: ConsoleWorld, wang: Browser, zhao: Browser
    ) -> None:
        w.household("h5", "V1")
        red = w.call("h5")
        assert wang.post(f"/cases/{red}/acknowledge", {"key": "a"}).status_code == 303
        w.forward(minutes=3)
        page = zhao.post(f"/cases/{red}/acknowledge", {"key": "b"})
        told = zhao.post(f"/cases/{red}/acknowledge", {"key": "c"}, script=True)
        at = w.console.pages.at(w.alert(red)["acknowledged_at"])
        for text in (page.text, told.json()["found"]):
            assert "wang同志" in text
            assert at in text
        assert (page.status_code, told.status_code) == (409, 409)

    def test_a_stale_page_is_told_what_changed(
        self, w: ConsoleWorld, wang: Browser, zhao: Browser
    ) -> None:
        w.household("h6", "V1")
        red = w.call("h6")
        seen = str(w.alert(red)["version"])
        wang.post(f"/cases/{red}/acknowledge", {"key": "a"})
        answer = zhao.post(f"/cases/{red}/on_site", {"version": seen, "key": "z"}, script=True)
        assert answer.status_code == 412
        assert "wang同志" in answer.json()["found"]
        assert w.alert(red)["state"] == "acknowledged"

    def test_many_of_one_kind_and_place_are_one_group_and_one_press(
        self, w: ConsoleWorld, wang: Browser
    ) -> None:
        for home in ("s1", "s2", "s3", "s4"):
            w.household(home, "V9")
        leaks = [w.leak(home) for home in ("s1", "s2", "s3", "s4")]
        red = w.call("s1")
        page = wang.get("/queue", area="V9").text
        assert page.count('<details class="group group-2">') == 1
        assert ids(page)[0] == red
        assert set(ids(page)) == {red, *leaks}
        group = {"id": leaks, "key": "all", "next": "/queue"}
        assert wang.post("/queue/acknowledge", group).headers["location"] == "/queue"
        assert {w.alert(leak)["state"] for leak in leaks} == {"acknowledged"}
        assert w.alert(red)["state"] == "new"


class TestCase:
    def test_it_shows_why_who_what_comes_next_and_what_was_done(
        self, w: ConsoleWorld, wang: Browser
    ) -> None:
        red = w.call("h1")
        page = wang.get(f"/cases/{red}").text
        why = ["有人求助", "一天内求助过", "求助的次数", "马上联系", "先打电话"]
        who = ["h1家的人", "东村h1号"]
        follows = ["通知第二值班员", "通知站长", "一小时承诺"]
        assert [text for text in (*why, *who, *follows) if text not in page] == []

    def test_each_look_is_logged_for_each_person(self, w: ConsoleWorld, wang: Browser) -> None:
        w.household("h7", "V1")
        red = w.call("h7")
        wang.get(f"/cases/{red}")
        looks = w.apis.get("registry", "/v1/looked", subject="h7-p")["items"]
        assert {look["viewer"] for look in looks} == {"staff-wang"}
        seen = [line["actor"] for line in w.alert(red)["timeline"] if line["step"] == "viewed"]
        assert seen == ["staff-wang"]
        assert "h7-p" in w.logged_in("head").post("/looks", {"subject": "h7-p"}).text

    def test_the_queue_shows_no_person_and_logs_no_look(
        self, w: ConsoleWorld, wang: Browser
    ) -> None:
        w.household("h8", "V1", name="周家")
        w.call("h8")
        page = wang.get("/queue").text
        assert "周家" in page
        assert "周家的人" not in page
        assert not w.apis.get("registry", "/v1/looked", subject="h8-p")["items"]

    def test_a_red_alert_is_closed_by_two_persons(
        self, w: ConsoleWorld, wang: Browser, zhao: Browser
    ) -> None:
        w.household("h9", "V1")
        red = w.call("h9")
        assert wang.post(f"/cases/{red}/close", {"outcome": "hospital"}).status_code == 303
        assert w.alert(red)["state"] == "review"
        alone = wang.post(f"/cases/{red}/close", {"key": "again"})
        assert alone.status_code == 409
        assert "另一个人" in alone.text
        worker = w.logged_in("worker")
        assert worker.post(f"/cases/{red}/close").status_code == 403
        assert "复核并结案" in zhao.get(f"/cases/{red}").text
        assert zhao.post(f"/cases/{red}/close").status_code == 303
        found = w.alert(red)
        assert (found["state"], found["outcome"], found["closed_by"]) == (
            "closed", "hospital", "staff-zhao",
        )  # fmt: skip

    def test_handing_over_names_a_colleague(self, w: ConsoleWorld, wang: Browser) -> None:
        w.household("h10", "V1")
        red = w.call("h10")
        assert "赵丽" in wang.get(f"/cases/{red}").text
        assert wang.post(f"/cases/{red}/hand", {"to": "staff-zhao"}).status_code == 303
        assert w.alert(red)["owner_name"] == "赵丽"

    def test_nobody_reached_lets_the_clock_run_on(self, w: ConsoleWorld, wang: Browser) -> None:
        w.household("h11", "V1")
        red = w.call("h11")
        wang.post(f"/cases/{red}/outcome", {"outcome": "no_answer", "note": "灯亮着"})
        found = w.alert(red)
        assert found["handled_at"] is None
        assert found["next"]["name"] == "head"
        assert "灯亮着" in wang.get(f"/cases/{red}").text

    def test_a_level_raised_by_hand_goes_in_as_a_fact_and_its_words_stay_with_the_alert(
        self, w: ConsoleWorld
    ) -> None:
        w.household("h13", "V1")
        yellow = w.leak("h13")
        w.forward(seconds=1)
        worker = w.logged_in("worker")
        assert "人工上调" in worker.get(f"/cases/{yellow}").text
        form = {"level": "3", "reason": "new_information", "note": "听见哭声", "key": "o"}
        assert worker.post(f"/cases/{yellow}/override", form).status_code == 303
        assert worker.post(f"/cases/{yellow}/override", form).status_code == 303
        w.app.step()
        said = w.apis.get("risk", "/v1/subjects/h13-p/assessment")
        assert said["level"] == 3
        assert {reason["rule"] for reason in said["reasons"]} == {"B2", "O3"}
        notes = [x for x in w.alert(yellow)["timeline"] if x["step"] == "act:note"]
        assert [note["detail"]["note"] for note in notes] == ["有新情况: 听见哭声"]
        red = w.apis.get("alerts", "/v1/alerts", household="h13", rule="O3")["items"]
        assert [alert["level"] for alert in red] == [3]


def test_script_typed_into_any_field_is_shown_as_text(w: ConsoleWorld, wang: Browser) -> None:
    w.household("evil", "V1", name=SCRIPT, address=SCRIPT, phone=SCRIPT)
    w.send("registry.person", {"household": "evil", "name": SCRIPT}, person="evil-p",
           household="evil")  # fmt: skip
    w.area("V1", SCRIPT)
    w.send("registry.staff", {"staff": "s-evil", "name": SCRIPT}, place="V1")
    red = w.call("evil")
    wang.post(f"/cases/{red}/note", {"note": SCRIPT})
    wang.post(f"/cases/{red}/hand", {"to": "s-evil", "note": SCRIPT})
    for path in (f"/cases/{red}", "/queue", "/queue?rule=" + SCRIPT, "/account"):
        page = wang.get(path).text
        assert "<script>" not in page
    assert wang.get(f"/cases/{red}").text.count(ESCAPED) >= 6
    answer = w.browser().log_in(SCRIPT, SCRIPT, next=SCRIPT, kept=SCRIPT)
    assert "<script>" not in answer.text
    w.area("V1", "东村")


def test_no_personal_data_in_logs_metrics_or_addresses(
    w: ConsoleWorld, wang: Browser, capsys: pytest.CaptureFixture[str]
) -> None:
    w.household("h12", "V1", name="隐私家", address="隐私路", phone="13900000000")
    red = w.call("h12")
    wang.get("/queue")
    page = wang.get(f"/cases/{red}").text
    wang.post(f"/cases/{red}/note", {"note": "隐私备注"})
    wang.post(f"/cases/{red}/hand", {"to": "隐私人"})
    metrics = w.browser().get("/metrics").text
    said = capsys.readouterr()
    links = " ".join(re.findall(r'(?:href|action)="([^"]*)"', page))
    for private in ("隐私", "13900000000", "h12-p", "wang"):
        assert private not in said.out + said.err
        assert private not in metrics
        assert private not in links
    assert "/cases/{identity}" in metrics


class Deaf:
    """A gateway's client that answers nothing."""

    async def request(self, *_: Any, **__: Any) -> Any:
        raise TimeoutError


@pytest.mark.parametrize("service", ["alerts", "registry", "risk", "intake"])
def test_a_service_that_does_not_answer_is_named_and_no_page_is_blank(
    w: ConsoleWorld, wang: Browser, service: str
) -> None:
    red = w.call("h1")
    wang.get("/queue")
    clients: dict[str, Any] = w.console.gateway._clients  # type: ignore[assignment] # noqa: SLF001
    whole, clients[service] = clients[service], Deaf()
    try:
        page = wang.get("/queue")
        assert page.status_code == 200
        if service == "alerts":
            assert "时的内容" in page.text  # what was last heard, and when
            assert red in ids(page.text)
            w.forward(seconds=1)
            unheard = wang.get("/queue", owner="never-asked")
            assert "预警暂时没有应答" in unheard.text
            assert "不知道有没有待办" in unheard.text
            assert wang.get(f"/cases/{red}").status_code == 503
            answer = wang.post(f"/cases/{red}/note", {"note": "x"})
            assert answer.status_code == 503
            assert "电话" in answer.text
        else:
            case = wang.get(f"/cases/{red}")
            assert case.status_code == 200
            assert "暂时没有应答" in case.text
            assert "通知站长" in case.text
    finally:
        clients[service] = whole


class TestTokens:
    def test_a_feed_sends_its_own_facts_and_nothing_else(self, w: ConsoleWorld) -> None:
        from services.console.manage import Registrar  # noqa: PLC0415
        from tests.support.console_world import HASHER  # noqa: PLC0415

        registrar = Registrar(w.console.db, w.wall, HASHER)
        token = registrar.add_feed("water", "meter", ["leak.seen"], days=30)
        http = w.browser().http
        item = {
            "type": "leak.seen", "source": "meter", "sourceid": "1", "person": "h2-p",
            "household": "h2", "time": "2026-09-21T14:00:00Z", "data": {"litres": 1},
        }  # fmt: skip
        bearer = {"authorization": f"Bearer {token}"}
        assert http.post("/v1/changes", json=item, headers=bearer).status_code == 202
        assert http.post("/v1/changes:batch", json=[item], headers=bearer).status_code == 202
        for other in ({"source": "phone"}, {"type": "help.called"}):
            answer = http.post("/v1/changes", json=item | other, headers=bearer)
            assert (answer.status_code, answer.json()["code"]) == (403, "scope")
        batch = http.post("/v1/changes:batch", json=[item, item | {"source": "x"}], headers=bearer)
        assert (batch.status_code, batch.json()["where"]) == (403, "body[1].source")
        of_others = {"source": "test", "sourceid": "1"}
        for name, value in (("retracts", of_others), ("supersedes", of_others), ("retracts", "id"),
                            ("repairs", "id")):  # fmt: skip
            answer = http.post("/v1/changes", json=item | {name: value}, headers=bearer)
            assert (answer.status_code, answer.json()["where"]) == (403, f"body.{name}")
        own = {"sourceid": "2", "supersedes": {"source": "meter", "sourceid": "1"}}
        assert http.post("/v1/changes", json=item | own, headers=bearer).status_code == 202
        assert http.get("/v1/read/alerts/v1/alerts", headers=bearer).status_code == 403
        assert http.get("/queue", headers=bearer).status_code in (303, 401)
        for bad in ({}, {"authorization": "Bearer x"}):
            assert http.post("/v1/changes", json=item, headers=bad).status_code == 401
        w.forward(days=31)
        assert http.post("/v1/changes", json=item, headers=bearer).status_code == 401

    def test_a_reader_reads_its_paths_until_it_is_revoked(self, w: ConsoleWorld) -> None:
        from services.console.manage import Registrar  # noqa: PLC0415
        from tests.support.console_world import HASHER  # noqa: PLC0415

        registrar = Registrar(w.console.db, w.wall, HASHER)
        token = registrar.add_reader("wall", "alerts", ["/v1/report"], None)
        http, bearer = w.browser().http, {"authorization": f"Bearer {token}"}
        assert http.get("/v1/read/alerts/v1/report", headers=bearer).status_code == 200
        for path in ("alerts/v1/alerts", "alerts/v1/reports", "registry/v1/people",
                     "alerts/v1/report/..%2Falerts", "alerts/v1/report/%252e%252e/alerts",
                     "alerts/v1/report/%3Fat"):  # fmt: skip
            assert http.get(f"/v1/read/{path}", headers=bearer).status_code == 403
        registrar.revoke("wall")
        assert http.get("/v1/read/alerts/v1/report", headers=bearer).status_code == 401


def test_groups_keep_the_order_and_leave_red_alone() -> None:
    def alert(identity: str, level: int, rule: str = "r", grid: str = "g") -> dict[str, Any]:
        return {"id": identity, "level": level, "rule": rule, "grid": grid, "area": ""}

    alerts = [alert(n, 3) for n in "abc"] + [alert("d", 2), alert("e", 2, "other")]
    alerts += [alert(n, 2) for n in "fg"]
    found = [[each["id"] for each in group.alerts] for group in grouped(alerts)]
    assert found == [["a"], ["b"], ["c"], ["d", "f", "g"], ["e"]]
