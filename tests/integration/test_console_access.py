"""Each role on each page at each act, over HTTP, against a table written down apart from the code;
and what lies in other areas answered as if it were not there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, Final

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.routing import Route

from services.console.access import POLICY, ROLES
from services.console.web.visit import GUARDS
from tests.support.console_world import Browser, ConsoleWorld, console_world

# page, action: path, method, who may. Written by hand; POLICY is not read for it.
EXPECTED: Final = {
    ("queue", "see"): ("GET /queue", "duty head"),
    ("queue", "rows"): ("GET /queue/rows", "duty head"),
    ("case", "see"): ("GET /cases/{red}", "duty head worker"),
    ("case", "acknowledge"): ("POST /cases/{red}/acknowledge", "duty head worker"),
    ("case", "acknowledge_many"): ("POST /queue/acknowledge", "duty head worker"),
    ("case", "take"): ("POST /cases/{red}/take", "duty head worker"),
    ("case", "hand"): ("POST /cases/{red}/hand", "duty head"),
    ("case", "note"): ("POST /cases/{red}/note", "duty head worker"),
    ("case", "on_site"): ("POST /cases/{red}/on_site", "duty head worker"),
    ("case", "outcome"): ("POST /cases/{red}/outcome", "duty head worker"),
    ("case", "close"): ("POST /cases/{red}/close", "duty head"),
    ("case", "escalate"): ("POST /cases/{red}/escalate", "duty head"),
    ("case", "override"): ("POST /cases/{red}/override", "duty head worker"),
    ("case", "key"): ("POST /cases/{red}/key-holder", "duty head worker"),
    ("report", "see"): ("GET /report", "duty head"),
    ("report", "send"): ("POST /report", "duty head"),
    ("visits", "see"): ("GET /visits", "worker head"),
    ("glass", "see"): ("GET /glass", "duty worker head"),
    ("glass", "open"): ("POST /glass", "duty worker head"),
    ("glass", "end"): ("POST /glass/none/end", "duty worker head"),
    ("reviews", "see"): ("GET /reviews", "head"),
    ("reviews", "send"): ("POST /reviews/none", "head"),
    ("ops", "see"): ("GET /ops", "ops head"),
    ("looks", "see"): ("GET /looks", "head"),
    ("looks", "find"): ("POST /looks", "head"),
    ("account", "see"): ("GET /account", "duty worker head ops"),
    ("account", "change"): ("POST /account/sound", "duty worker head ops"),
}
OPEN: Final = {"/static/{digest}/{name}", "/login", "/language", "/healthz", "/readyz", "/metrics"}
SERVICES_OPEN: Final = {"/healthz", "/readyz", "/metrics"}
BY_TOKEN: Final = {"/v1/changes", "/v1/changes:batch", "/v1/read/{service}/{path:path}"}


@pytest.fixture(scope="module")
def w(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleWorld]:
    with console_world(tmp_path_factory.mktemp("access")) as made:
        made.area("V1", "东村")
        made.area("G1", "一组", "V1")
        made.area("V2", "西村")
        made.household("h1", "V1", "G1", name="张家")
        made.household("h2", "V2", name="李家")
        for role in ROLES:
            made.user(role, role)
            made.user(f"{role}-v2", role, ["V2"])
        yield made


@pytest.fixture(scope="module")
def browsers(w: ConsoleWorld) -> dict[str, Browser]:
    return {role: w.logged_in(role) for role in ROLES}


@pytest.mark.parametrize(("key", "role"), list(product(EXPECTED, ROLES)))
def test_a_role_reaches_what_the_table_says_and_nothing_else(
    w: ConsoleWorld, browsers: dict[str, Browser], red: str, key: tuple[str, str], role: str
) -> None:
    (method, path), allowed = EXPECTED[key][0].split(), EXPECTED[key][1].split()
    browser, path = browsers[role], path.format(red=red)
    answer = browser.get(path) if method == "GET" else browser.post(path, {"key": key[1] + role})
    if role in allowed:
        done = (404,) if "/none" in path else (200, 303, 409, 422)
        assert answer.status_code in done, answer.text
    else:
        assert answer.status_code == 403
        assert "没有权限" in answer.text


@pytest.fixture(scope="module")
def red(w: ConsoleWorld) -> str:
    return w.call("h1")


def flat(routes: Iterable[Any]) -> Iterator[Any]:
    """Yield routes with those of included routers."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is None:
            yield route
        else:
            yield from flat(inner.routes)


def test_every_page_asks_the_policy_or_is_known_to_be_open(w: ConsoleWorld) -> None:
    asked: set[tuple[str, str]] = set()
    for route in flat(w.api.routes):
        path = route.path
        guards = (
            [d.call for d in route.dependant.dependencies if d.call in GUARDS]
            if isinstance(route, APIRoute)
            else []
        )
        if guards:
            asked.update(GUARDS[guard] for guard in guards)  # type: ignore[index]
        elif path not in BY_TOKEN:
            assert path in OPEN, f"{path} lets everybody in"
    assert asked <= POLICY.keys()
    assert POLICY.keys() - asked == {("case", "confirm")}  # asked in the act of closing


def test_every_route_of_every_service_asks_for_the_token(w: ConsoleWorld) -> None:
    asked = 0
    for service in w.app.services:
        if service.api is None or service.name == "console":
            continue
        http = TestClient(service.api, base_url=f"http://{service.name}")
        for route in [*flat(service.api.routes), Route("/no/such", flat, methods=["GET", "POST"])]:
            path = re.sub(r"\{\w+(:path)?\}", "x", route.path)
            for method, sent in product(route.methods, (None, "Bearer ", "Bearer wrong")):
                headers = {} if sent is None else {"authorization": sent}
                status = http.request(method, path, headers=headers).status_code
                expected = {200, 503} if path in SERVICES_OPEN else {401}
                assert status in expected, f"{service.name}: {method} {path} lets anybody in"
                asked += 1
        http.close()
    assert asked > 100


def test_the_policy_and_the_table_of_this_test_agree() -> None:
    for (page, action), (_, allowed) in EXPECTED.items():
        if (page, action) in POLICY:
            found: set[str] = set(POLICY[page, action])  # type: ignore[index]
            assert found == set(allowed.split()), (page, action)


def test_the_navigation_shows_each_role_its_own_pages(browsers: dict[str, Browser]) -> None:
    shown = {
        role: set(re.findall(r'<a href="/(\w+)"', browser.get("/account").text))
        for role, browser in browsers.items()
    }
    assert shown["duty"] == {"queue", "report", "glass"} | {"account"} & shown["duty"]
    assert shown["worker"] == {"visits", "glass"} | {"account"} & shown["worker"]
    assert shown["ops"] == {"ops"} | {"account"} & shown["ops"]
    assert {"queue", "report", "visits", "glass", "reviews", "looks", "ops"} <= shown["head"]


@pytest.mark.parametrize("role", ["duty", "worker", "head"])
@pytest.mark.parametrize("act", ["", "acknowledge", "take", "note", "on_site", "outcome"])
def test_an_alert_of_another_area_is_absent(w: ConsoleWorld, red: str, role: str, act: str) -> None:
    browser = w.logged_in(f"{role}-v2")
    for identity in (red, "no-such-id"):
        path = f"/cases/{identity}" + (f"/{act}" if act else "")
        answer = (
            browser.post(path, {"note": "x", "outcome": "no_need"}) if act else browser.get(path)
        )
        assert answer.status_code == 404
        assert red not in browser.get("/queue").text
    if role != "worker":
        assert browser.post("/queue/acknowledge", {"id": red}).status_code == 404
        assert red not in browser.get("/queue", area="V1").text
        assert red not in browser.get("/queue/rows", area="G1", state="all").text
    assert w.alert(red)["acknowledged_by"] != f"staff-{role}-v2"


def test_what_lies_elsewhere_is_told_in_the_words_of_what_there_is_not(
    w: ConsoleWorld, red: str
) -> None:
    def told(identity: str, page: str) -> object:
        answer = browser.get(page.format(identity), script=True)
        assert answer.status_code == 404
        return answer.json()

    browser = w.logged_in("worker-v2")
    for page in ("/cases/{}", "/visits/{}", "/visits/{}/saved"):
        assert told(red, page) == told("no-such-id", page)


def test_an_area_covers_what_lies_below_it(w: ConsoleWorld, red: str) -> None:
    w.user("of-v1", "duty", ["V1"])
    w.user("of-g1", "worker", ["G1"])
    assert red in w.logged_in("of-v1").get("/queue", state="all").text
    assert w.logged_in("of-g1").get(f"/cases/{red}").status_code == 200


def test_a_household_nobody_placed_is_on_every_desk_but_no_workers(w: ConsoleWorld) -> None:
    unplaced = w.call("nowhere")
    assert unplaced in w.logged_in("duty-v2").get("/queue").text
    assert w.logged_in("worker-v2").get(f"/cases/{unplaced}").status_code == 404


def test_whose_alert_it_is_may_see_it_wherever_it_is(w: ConsoleWorld, red: str) -> None:
    w.user("helper", "worker", ["V2"])
    w.send("registry.staff", {"staff": "staff-helper", "name": "帮手"}, place="V2")
    w.household("h3", "V1", name="王家")
    red = w.call("h3")
    helper = w.logged_in("helper")
    assert helper.get(f"/cases/{red}").status_code == 404
    assert w.logged_in("duty").post(f"/cases/{red}/hand", {"to": "staff-helper"}).status_code == 303
    assert helper.get(f"/cases/{red}").status_code == 200


def test_the_log_of_looks_is_for_heads_of_everywhere(w: ConsoleWorld) -> None:
    assert w.logged_in("head").get("/looks").status_code == 200
    assert w.logged_in("head-v2").get("/looks").status_code == 404
