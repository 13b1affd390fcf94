"""Report desk, visits and ops over HTTP: who may, whose, what is kept, what is told."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from services.console.gateway import Away
from services.kernel.ids import derived
from tests.support.console_world import Browser, ConsoleWorld, console_world, value_of

ROOT = Path(__file__).parents[2]
REPORT = {"matter": "abandoned", "where": "G1", "spot": "小学后门", "key": "k", "who": ""}
VISIT = {"mode": "home", "person_seen": "self", "worker_level": "2", "outcome": "no_need"}
_KEYS = iter(range(10_000))


def write(pack: Path) -> None:
    """Write the browser tests' pack: the town's event types, a few quick rules."""
    shutil.copytree(ROOT / "packs" / "cn-town" / "events", pack / "events")
    text = (ROOT / "packs" / "cn-town" / "pack.yaml").read_text(encoding="utf-8")
    (pack / "pack.yaml").write_text(
        re.sub(r"^unreadable:.*$", "unreadable: protect", text, flags=re.MULTILINE), "utf-8"
    )
    for path in (ROOT / "tests" / "browser" / "pack").iterdir():
        shutil.copy(path, pack)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleWorld]:
    with console_world(tmp_path_factory.mktemp("field"), write) as found:
        for code, kind, parent in (
            ("V1", "village", ""),
            ("G1", "grid", "V1"),
            ("V9", "village", ""),
        ):
            data = {"name": f"{code}区", "kind": kind} | ({"parent": parent} if parent else {})
            found.send("registry.area", data, place=code)
        found.household("h1", "V1", "G1", name="王家", address="G1 三号", phone="13900000001")
        found.household("h9", "V9", name="郑家", address="V9 九号")
        for name, role in (
            ("duty", "duty"),
            ("li", "worker"),
            ("ma", "worker"),
            ("other", "duty"),
            ("yu", "worker"),
        ):
            found.user(name, role, ["V9"] if name in ("other", "yu") else ["V1"])
        found.user("chen", "head")
        found.user("sun", "ops")
        yield found


@pytest.fixture(scope="module")
def as_(world: ConsoleWorld) -> Callable[[str], Browser]:
    """Return each person's browser, logged in once."""
    known: dict[str, Browser] = {}

    def browser(name: str) -> Browser:
        if name not in known:
            known[name] = world.logged_in(name)
        known[name].get("/account")
        return known[name]

    return browser


def new(**given: str) -> dict[str, str]:
    return {**REPORT, "key": f"key-{next(_KEYS)}", **given}


def fall(world: ConsoleWorld, home: str) -> str:
    """Have an elder of a household fall; return the alert's id."""
    person = f"{home}-{next(_KEYS)}"
    world.send("elder.care_risk_event", {"kind": "fall"}, person=person, household=home)
    found = world.apis.get("alerts", "/v1/alerts", subject=person)["items"]
    return str(found[0]["id"])


class TestReport:
    def test_a_report_is_durable_when_it_is_answered_and_becomes_a_red_of_that_grid(
        self, world: ConsoleWorld, as_: Callable[[str], Browser]
    ) -> None:
        sent = as_("duty").post("/report", new(anonymous="yes", note="在哭"))
        assert sent.status_code == 303
        identity = sent.headers["location"].rsplit("/", 1)[-1]
        assert world.apis.get("intake", f"/v1/changes/{identity}")["envelope"]["data"] == {
            "kind": "abandoned", "place": "小学后门", "anonymous": True, "note": "在哭",
        }  # fmt: skip
        page = as_("duty").get(f"/report/{identity}").text
        assert "正在研判" in page
        world.app.step()
        state = as_("duty").get(f"/report/{identity}/state", script=True).text
        assert 'data-found="1"' in state
        assert "疑似侵害未成年人" in state

    def test_the_same_form_sent_twice_is_one_report(
        self, world: ConsoleWorld, as_: Callable[[str], Browser]
    ) -> None:
        form = new()
        first, second = (as_("duty").post("/report", form) for _ in range(2))
        assert first.headers["location"] == second.headers["location"]

    def test_a_form_changed_after_it_was_sent_is_not_taken_for_sent(
        self, as_: Callable[[str], Browser]
    ) -> None:
        form = new()
        assert as_("duty").post("/report", form).status_code == 303
        again = as_("duty").post("/report", {**form, "spot": "另一个地方"})
        assert again.status_code == 409
        assert "已经发出过" in again.text
        assert value_of(again.text, "key") != form["key"]
        assert 'value="另一个地方"' in again.text

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({"matter": ""}, "还没有选是什么事"),
            ({"matter": "<script>"}, "还没有选是什么事"),
            ({"where": "", "spot": ""}, "还没有说在哪里"),
            ({"where": "V9"}, "没有这个网格或村"),
            ({"where": "区"}, "好几个地方"),
            ({"who": "h9|"}, "有一项填得不对"),
            ({"spot": "长" * 201}, "有一项填得不对"),
        ],
    )
    def test_what_is_wrong_is_told_and_nothing_typed_is_lost(
        self, as_: Callable[[str], Browser], given: dict[str, str], told: str
    ) -> None:
        answer = as_("duty").post("/report", new(note="电话断了", **given))
        assert answer.status_code == 422
        assert told in answer.text
        assert "电话断了" in answer.text or "返回" in answer.text

    def test_a_household_is_found_by_name_in_ones_own_areas_only_and_the_look_is_logged(
        self, world: ConsoleWorld, as_: Callable[[str], Browser]
    ) -> None:
        found = as_("duty").post("/report/who", {"q": "王", "where": ""}).text
        assert "王家" in found
        assert "h1-p" in found
        assert "郑家" not in as_("duty").post("/report/who", {"q": "家", "where": ""}).text
        assert "没有找到" in as_("duty").post("/report/who", {"q": "郑", "where": "V9"}).text
        looks = world.apis.get("registry", "/v1/looked", subject="h1-p")["items"]
        assert "staff-duty" in str(looks)

    def test_many_of_one_name_elsewhere_hide_nobody_of_ones_own(
        self, world: ConsoleWorld, as_: Callable[[str], Browser]
    ) -> None:
        for n in range(7):
            world.household(f"a{n}", "V9", name="同名")
        world.household("z1", "V1", "G1", name="同名")
        found = as_("duty").post("/report/who", {"q": "同名", "where": ""}).text
        assert "z1-p" in found
        assert "a0-p" not in found

    def test_a_report_that_nobody_can_place_is_shown_to_nobody_of_one_area(
        self, world: ConsoleWorld, as_: Callable[[str], Browser], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.household("h77", "V9", name="孤家")
        sent = as_("chen").post("/report", new(who="h77|", where="")).headers["location"]
        ask = world.console.gateway.get

        async def away(service: str, *args: Any, **rest: Any) -> Any:
            if service == "registry":
                raise Away(service, "gone")
            return await ask(service, *args, **rest)

        monkeypatch.setattr(world.console.gateway, "get", away)
        world.console.gateway._heard.clear()  # noqa: SLF001 - nothing was heard before
        assert as_("other").get(sent).status_code == 503
        assert as_("chen").get(sent).status_code == 200

    def test_a_report_of_another_area_or_another_source_is_as_if_it_were_not_there(
        self, world: ConsoleWorld, as_: Callable[[str], Browser]
    ) -> None:
        sent = as_("duty").post("/report", new()).headers["location"]
        world.app.step()
        assert as_("duty").get(sent).status_code == 200
        elsewhere, absent = (
            as_("other").get(path, script=True) for path in (sent, "/report/no-such-id")
        )
        assert (elsewhere.status_code, elsewhere.json()) == (404, absent.json())
        assert as_("duty").get("/report/no-such-id").status_code == 404
        world.send(
            "device.alarm", {"device": "d", "kind": "door", "state": "raised"}, household="h1"
        )
        last = next(iter(reversed(world.apis.get("intake", "/v1/ids", kind="accepted")["items"])))
        assert as_("duty").get(f"/report/{last}").status_code == 404

    def test_a_session_that_ended_keeps_the_report_until_they_have_logged_in(
        self, world: ConsoleWorld
    ) -> None:
        browser = world.logged_in("duty")
        browser.http.cookies.clear()
        answer = browser.post("/report", new(note="刚说到一半"))
        assert answer.status_code == 401
        assert "已保留" in answer.text
        assert "刚说到一半" in answer.text


class TestGlass:
    def test_a_broken_glass_shows_the_spot_and_not_the_callers_words(
        self, world: ConsoleWorld, as_: Callable[[str], Browser]
    ) -> None:
        world.household("glass", "V1", "G1", name="玻璃家")
        as_("duty").post("/report", new(who="glass|", spot="井边", note="邻居老赵打来的"))
        world.app.step()
        found = world.apis.get("alerts", "/v1/alerts", household="glass")["items"]
        case = f"/cases/{found[0]['id']}"
        reason = {"kind": "danger", "reason": "在镇上遇到，说家里出事了", "confirm": "yes"}
        assert as_("other").post("/glass", {**reason, "who": "玻璃家"}).status_code == 303
        for name, words in (("other", False), ("duty", True)):
            text = as_(name).get(case).text
            assert ("井边" in text, "邻居老赵" in text) == (True, words), name

    def test_the_desk_reports_about_it_and_a_worker_calls_and_visits(
        self, world: ConsoleWorld, as_: Callable[[str], Browser]
    ) -> None:
        world.household("glass2", "V1", "G1", name="玻璃二家", phone="13900000022")
        alert = fall(world, "glass2")
        about = new(who="glass2|", where="")
        assert as_("other").post("/report", about).status_code == 422
        assert as_("yu").post(f"/visits/{alert}/call").status_code == 404
        reason = {"kind": "nobody_there", "reason": "打不通那边的电话，老人在等", "confirm": "yes"}
        for name in ("other", "yu"):
            assert as_(name).post("/glass", {**reason, "who": "glass2"}).status_code == 303
        sent = as_("other").post("/report", about)
        assert sent.status_code == 303
        assert as_("other").get(sent.headers["location"]).status_code == 200
        assert "13900000022" in as_("yu").post(f"/visits/{alert}/call").text
        visited = as_("yu").post(f"/visits/{alert}", {**VISIT, "key": "glass2"})
        assert visited.status_code == 303
        looks = world.apis.get("registry", "/v1/looked", limit=1000)["items"]
        mine = {each["what"] for each in looks if each["viewer"] == "staff-yu"}
        assert "glass: household glass2" in mine
        assert all(each.startswith("glass: ") for each in mine if "glass2" in each)

    def test_neither_who_nor_why_is_in_a_log_or_a_metric(
        self,
        world: ConsoleWorld,
        as_: Callable[[str], Browser],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        world.household("secret-h", "V1", name="保密家")
        sent = {"kind": "danger", "reason": "保密的理由要写十个字以上", "confirm": "yes"}
        page = as_("yu").post("/glass", {**sent, "who": "保密家"}).headers["location"]
        assert as_("yu").get(page).status_code == 200
        metrics = world.app.metrics.render()[0].decode()
        assert not [word for word in ("保密", quote("保密")) if word in caplog.text]
        assert not [word for word in ("保密", "secret-h", page) if word in metrics]


class TestVisits:
    def test_a_visit_goes_in_at_the_door_and_its_outcome_to_the_alert(
        self, world: ConsoleWorld, as_: Callable[[str], Browser]
    ) -> None:
        alert = fall(world, "h1")
        saved = f"/visits/{alert}/saved"
        assert as_("li").get(saved).headers["location"] == f"/visits/{alert}"
        sent = as_("li").post(f"/visits/{alert}", {**VISIT, "key": "v1", "finding": "low_mood"})
        assert (sent.status_code, sent.headers["location"]) == (303, saved)
        assert "走访记录已收下" in as_("li").get(saved).text
        world.app.step()
        found = world.alert(alert)
        assert (found["outcome"], found["handled_by"]) == ("no_need", "staff-li")
        again = as_("li").post(f"/visits/{alert}", {**VISIT, "key": "v1", "finding": "low_mood"})
        assert again.status_code == 303
        assert world.alert(alert)["version"] == found["version"]

    def test_an_answer_that_was_lost_is_asked_for_again_and_the_visit_is_one(
        self, world: ConsoleWorld, as_: Callable[[str], Browser]
    ) -> None:
        alert = fall(world, "h1")
        form = {**VISIT, "key": "lost", "note": "见到了"}
        for kept_ms in ("1000", "9000"):  # the phone kept it the longer, the instant differs
            sent = as_("li").post(f"/visits/{alert}", {**form, "at": "0", "sent": kept_ms})
            assert sent.status_code == 303
        notes = [line for line in world.alert(alert)["timeline"] if "见到了" in str(line)]
        assert len(notes) == 1

    def test_a_visit_changed_after_it_was_saved_is_not_taken_for_saved(
        self, world: ConsoleWorld, as_: Callable[[str], Browser]
    ) -> None:
        alert = fall(world, "h1")
        form = {**VISIT, "key": "changed"}
        assert as_("li").post(f"/visits/{alert}", form).status_code == 303
        again = as_("li").post(f"/visits/{alert}", {**form, "worker_level": "3"})
        assert (again.status_code, "先前已经保存" in again.text) == (409, True)
        assert value_of(again.text, "key") != "changed"
        script = as_("li").post(f"/visits/{alert}", {**form, "worker_level": "3"}, script=True)
        assert script.status_code == 409

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({"mode": ""}, "怎么走访的"),
            ({"worker_level": "9"}, "您自己的判断"),
            ({"outcome": "won"}, "结果"),
            ({"person_seen": "nobody"}, "为什么没见到"),
            ({"person_seen": "nobody", "reason": "no_answer"}, "都问过了吗"),
            ({"next_month": "2", "next_day": "30"}, "下次走访"),
            ({"next_month": "2"}, "下次走访"),
        ],
    )
    def test_a_wrong_field_is_named_to_pages_and_scripts(
        self, world: ConsoleWorld, as_: Callable[[str], Browser], given: dict[str, str], told: str
    ) -> None:
        alert = fall(world, "h1")
        form = {**VISIT, "key": f"w{next(_KEYS)}", "note": "写了很多", **given}
        page = as_("li").post(f"/visits/{alert}", form)
        assert (page.status_code, "写了很多" in page.text) == (422, True)
        assert told in page.text
        script = as_("li").post(f"/visits/{alert}", form, script=True)
        assert script.status_code == 422
        assert told in script.json()["found"]
        assert world.alert(alert)["handled_at"] is None

    def test_a_door_that_nobody_opened_goes_in_with_whether_every_way_was_tried(
        self, world: ConsoleWorld, as_: Callable[[str], Browser]
    ) -> None:
        alert = fall(world, "h1")
        page = as_("li").get(f"/visits/{alert}").text
        assert "电话、邻居、家属都问过了吗" in page
        assert 'type="date"' not in page
        form = {"mode": "home", "person_seen": "nobody", "reason": "no_answer", "key": "tried"}
        sent = as_("li").post(f"/visits/{alert}", {**form, "all_tried": "yes"})
        assert sent.status_code == 303
        change = derived("change", "console", "tried")
        said = world.apis.get("intake", f"/v1/changes/{change}")["envelope"]["data"]
        assert said == {"reason": "no_answer", "all_tried": True}
        assert world.alert(alert)["handled_at"] is None

    def test_a_day_is_chosen_in_three_lists_and_goes_in_as_a_date(
        self, world: ConsoleWorld, as_: Callable[[str], Browser]
    ) -> None:
        alert = fall(world, "h1")
        page = as_("li").get(f"/visits/{alert}").text
        assert all(text in page for text in ("最近的", ">2026年<", ">2月<", ">31日<"))
        form = {**VISIT, "key": "day", "next_month": "1", "next_day": "31"}
        assert as_("li").post(f"/visits/{alert}", form).status_code == 303
        change = world.apis.get("intake", f"/v1/changes/{derived('change', 'console', 'day')}")
        assert change["envelope"]["data"]["next_visit_on"] == "2027-01-31"

    def test_nobody_reached_is_a_fact_whichever_page_it_was_told_on(
        self, world: ConsoleWorld, as_: Callable[[str], Browser]
    ) -> None:
        alert = fall(world, "h1")
        for _ in range(2):  # a double click
            form = {"outcome": "no_answer", "key": "knocked"}
            assert as_("li").post(f"/cases/{alert}/outcome", form).status_code == 303
        change = derived("change", "console", f"attempt/{alert}/knocked")
        sent = world.apis.get("intake", f"/v1/changes/{change}")["envelope"]
        assert (sent["type"], sent["data"]) == ("visit.failed", {"reason": "no_answer"})
        assert sent["subject"] == world.alert(alert)["subject"]
        assert world.alert(alert)["handled_at"] is None

    def test_a_visit_that_came_as_a_fact_is_shown_with_who_visited(
        self, world: ConsoleWorld, as_: Callable[[str], Browser]
    ) -> None:
        alert = fall(world, "h1")
        person = world.alert(alert)["subject"]
        seen = {"mode": "home", "person_seen": "self", "visitor": "孙支书"}
        world.send("visit.recorded", seen, person=person, household="h1")
        assert world.alert(alert)["handled_by"] == "fact:visit.recorded"
        page = as_("duty").get(f"/cases/{alert}").text
        assert page.count("孙支书 (走访记录)") == 4  # at the top, in the timeline and of both tasks
        assert "走访记录：已处理" in as_("duty").get("/queue").text

    def test_a_task_that_was_done_says_when_and_that_it_was_in_time(
        self, world: ConsoleWorld, as_: Callable[[str], Browser]
    ) -> None:
        alert = fall(world, "h1")
        as_("li").post(f"/cases/{alert}/take", {"key": f"t{alert}"})
        waits = as_("li").get("/visits").text.split(f'data-visit="{alert}"')[1].split("</li>")[0]
        as_("li").post(f"/visits/{alert}", {**VISIT, "key": f"d{alert}"})
        done = as_("li").get("/visits").text.split(f'data-visit="{alert}"')[1].split("</li>")[0]
        assert ("data-due" in waits, "按时" in waits) == (True, False)
        assert ("data-due" in done, "按时" in done) == (False, True)

    @pytest.mark.parametrize("matter", ["abandoned", "fall"])
    def test_the_exact_spot_is_told_to_who_must_go_there_and_to_the_desk_alone(
        self,
        world: ConsoleWorld,
        as_: Callable[[str], Browser],
        matter: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        home, spot = f"spot-{matter}", f"{matter}后院井边"
        world.household(home, "V1", "G1", name="何家", address="G1 八号")
        with caplog.at_level(logging.DEBUG):
            who = f"{home}|{home}-p"
            given = new(matter=matter, spot=spot, who=who, note="听到喊声")
            sent = as_("duty").post("/report", given)
            world.app.step()
            state = as_("duty").get(sent.headers["location"] + "/state", script=True).text
            found = world.apis.get("alerts", "/v1/alerts", household=home)["items"]
            alert = found[0]["id"]
            case, form = f"/cases/{alert}", f"/visits/{alert}"
            assert spot in state
            for page in (case, form, "/visits"):
                assert spot not in as_("li").get(page).text, page
            as_("li").post(f"{case}/take", {"key": f"take-{alert}"})
            for page in (case, form, "/visits"):
                assert spot in as_("li").get(page).text, page
                assert spot not in as_("ma").get(page).text, page
            for name in ("duty", "chen"):
                text = as_(name).get(case).text
                assert (spot in text, "听到喊声" in text) == (True, True)
        assert spot not in caplog.text
        links = " ".join(re.findall(r'(?:href|action)="([^"]*)"', as_("li").get("/visits").text))
        assert spot not in links

    def test_another_areas_visit_form_numbers_and_list_are_not_there(
        self, world: ConsoleWorld, as_: Callable[[str], Browser]
    ) -> None:
        alert = fall(world, "h1")
        yu = as_("yu")
        for answer in (
            yu.get(f"/visits/{alert}"),
            yu.get(f"/visits/{alert}/saved"),
            yu.post(f"/visits/{alert}", {**VISIT, "key": "z"}),
            yu.post(f"/visits/{alert}/call", script=True),
        ):
            assert answer.status_code == 404
        assert alert not in yu.get("/visits").text
        as_("li").post(f"/cases/{alert}/take", {"key": f"t{alert}"})
        assert alert in as_("li").get("/visits").text

    def test_whom_to_call_is_told_on_asking_only_and_the_look_is_logged(
        self, world: ConsoleWorld, as_: Callable[[str], Browser]
    ) -> None:
        alert = fall(world, "h1")
        assert "13900000001" not in as_("li").get("/visits").text
        told = as_("li").post(f"/visits/{alert}/call", script=True)
        assert {"who": "王家", "phone": "13900000001"} in told.json()
        assert told.headers["cache-control"] == "no-store"
        looks = world.apis.get("registry", "/v1/looked", subject="h1-p")["items"]
        assert "staff-li" in str(looks)


class TestOps:
    def test_the_panels_show_the_figures_and_do_not_name_anybody(
        self, as_: Callable[[str], Browser]
    ) -> None:
        page = as_("sun").get("/ops").text
        assert page.count('class="card panel') == 12
        for name in ("王家", "h1-p", "staff-"):
            assert name not in page

    def test_a_service_that_is_away_is_wrong_or_unknown_and_never_a_blank_page(
        self, world: ConsoleWorld, as_: Callable[[str], Browser], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gateway = world.console.gateway

        async def away(service: str, *_: Any, **__: Any) -> Any:
            raise Away(service, "gone")

        monkeypatch.setattr(gateway, "_send", away)
        page = as_("sun").get("/ops")
        assert page.status_code == 200
        assert "没有就绪" in page.text
        assert "没有应答" in page.text
        asked, _, own_count = page.text.partition('id="panel-glass"')
        assert ("judged-good" in asked, "judged-good" in own_count) == (False, True)
        desk = as_("duty").get("/report")
        assert (desk.status_code, "没有应答" in desk.text) == (200, True)
        sent = as_("duty").post("/report", new())
        assert (sent.status_code, "紧急情况请直接打电话" in sent.text) == (503, True)
        assert as_("li").get("/visits").status_code == 200


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/report", {"duty", "chen"}),
        ("/report/now", {"duty", "chen"}),
        ("/visits", {"li", "chen"}),
        ("/ops", {"sun", "chen"}),
        ("/ops/panels", {"sun", "chen"}),
    ],
)
def test_each_page_is_for_its_roles(
    as_: Callable[[str], Browser], path: str, allowed: set[str]
) -> None:
    for name in ("duty", "li", "chen", "sun"):
        assert as_(name).get(path).status_code == (200 if name in allowed else 403), name


@pytest.mark.parametrize("path", ["/report", "/report/who", "/visits/a", "/visits/a/call"])
def test_a_form_of_nobody_or_of_another_page_is_refused(
    world: ConsoleWorld, as_: Callable[[str], Browser], path: str
) -> None:
    who = "duty" if path.startswith("/report") else "li"
    assert as_(who).post(path, new(), csrf="forged").status_code == 403
    assert world.browser().post(path, new()).status_code == 401
    assert as_("sun").post(path, new()).status_code == 403


def test_ten_megabytes_are_refused_with_a_page(as_: Callable[[str], Browser]) -> None:
    answer = as_("duty").post("/report", new(note="x" * 10_000_000))
    assert (answer.status_code, "太大" in answer.text) == (413, True)


def test_no_personal_data_is_logged(
    as_: Callable[[str], Browser], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        as_("duty").post("/report/who", {"q": "王家"})
        as_("duty").post("/report", new(spot="某某的家", note="小名叫某某"))
    assert "王家" not in caplog.text
    assert "某某" not in caplog.text
