"""Phones and keys on the pages: for whom, on what asking, what is said when a key is missing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from services.console.manage import Registrar
from tests.support.console_world import HASHER, Browser, ConsoleWorld, console_world
from tests.support.keys import OTHER

NUMBER: Final = "000-1234-5678"
HOLDER: Final = "测试-邻居老周，蓝色花盆下"
MISSING: Final = "读不出：缺少密钥 new2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def w(folder: Path) -> Iterator[ConsoleWorld]:
    with console_world(folder) as made:
        for code in ("V1", "V2"):
            made.area(code, f"{code}村")
        for home in ("h1", "h2", "h3", "h4"):
            made.household(home, "V1", name=f"{home}家", phone=f"{NUMBER}{home}", key_holder=HOLDER)
        for name, role, area in (
            ("wang", "duty", "V1"), ("li", "worker", "V1"), ("ma", "worker", "V1"),
            ("yu", "duty", "V2"), ("sun", "ops", "*"), ("zhao", "head", "*"),
        ):  # fmt: skip
            made.user(name, role, [area])
        yield made


@pytest.fixture(scope="module")
def as_(w: ConsoleWorld) -> Callable[[str], Browser]:
    known: dict[str, Browser] = {}

    def browser(name: str) -> Browser:
        if name not in known:
            known[name] = w.logged_in(name)
        return known[name]

    return browser


def looks(w: ConsoleWorld, home: str) -> list[tuple[str, str]]:
    """Return who looked at the key of a home, in the log that cannot be altered."""
    rows = w.apis.get("registry", "/v1/looked", subject=f"{home}-p")["items"]
    return [(row["viewer"], row["what"]) for row in rows if row["what"].startswith("key holder")]


def test_the_desk_sees_who_keeps_the_key_of_an_open_red_on_pressing_only(
    w: ConsoleWorld, as_: Callable[[str], Browser]
) -> None:
    red, wang = w.call("h1"), as_("wang")
    page = wang.get(f"/cases/{red}")
    assert "看钥匙在谁那里" in page.text
    assert f"{NUMBER}h1" in page.text
    assert HOLDER not in page.text
    assert looks(w, "h1") == []
    told = wang.post(f"/cases/{red}/key-holder")
    assert told.status_code == 200
    assert HOLDER in told.text
    assert told.headers["cache-control"] == "no-store"
    assert looks(w, "h1") == [("staff-wang", "key holder")]
    again = wang.get(f"/cases/{red}/key-holder")
    assert (again.status_code, again.headers["location"]) == (303, f"/cases/{red}")
    assert HOLDER not in wang.get(f"/cases/{red}").text
    assert len(looks(w, "h1")) == 1
    assert "钥匙在谁那里" in as_("zhao").post("/looks", {"subject": "h1-p"}).text


def test_a_worker_sees_it_once_the_case_is_theirs(
    w: ConsoleWorld, as_: Callable[[str], Browser]
) -> None:
    red, li, ma = w.call("h2"), as_("li"), as_("ma")
    assert "看钥匙在谁那里" not in li.get(f"/cases/{red}").text
    told = li.post(f"/cases/{red}/key-holder")
    assert told.status_code == 409
    assert HOLDER not in told.text
    assert li.post(f"/cases/{red}/take", {"key": "t1"}).status_code == 303
    assert HOLDER in li.post(f"/cases/{red}/key-holder").text
    assert HOLDER not in ma.post(f"/cases/{red}/key-holder").text
    assert looks(w, "h2") == [("staff-li", "key holder")]


def test_no_key_without_an_open_red_alert(
    w: ConsoleWorld, as_: Callable[[str], Browser], monkeypatch: pytest.MonkeyPatch
) -> None:
    yellow, wang = w.leak("h3"), as_("wang")
    assert "看钥匙在谁那里" not in wang.get(f"/cases/{yellow}").text
    told = wang.post(f"/cases/{yellow}/key-holder")
    assert (told.status_code, HOLDER in told.text) == (409, False)
    red = w.call("h3")
    asked = w.console.gateway.alert

    async def closed(identity: str, by: str = "") -> Any:
        return {**await asked(identity, by), "state": "closed"}

    monkeypatch.setattr(w.console.gateway, "alert", closed)
    told = wang.post(f"/cases/{red}/key-holder")
    assert (told.status_code, HOLDER in told.text) == (409, False)
    assert looks(w, "h3") == []


def test_no_key_for_another_area_or_role(w: ConsoleWorld, as_: Callable[[str], Browser]) -> None:
    red = w.call("h4")
    assert as_("yu").post(f"/cases/{red}/key-holder").status_code == 404
    assert as_("sun").post(f"/cases/{red}/key-holder").status_code == 403
    assert looks(w, "h4") == []


def test_no_key_for_a_program_whatever_paths_its_token_names(w: ConsoleWorld) -> None:
    registrar = Registrar(w.console.db, w.wall, HASHER)
    paths = ["/v1/households", "/v1/people", "/v1/households/h1/key-holder"]
    bearer = {"authorization": f"Bearer {registrar.add_reader('wall', 'registry', paths, None)}"}
    http = w.browser().http
    assert http.get("/v1/read/registry/v1/households/h1", headers=bearer).status_code == 200
    closest = ("households/h1/key-holder", "households/h1/key-holder/", "people/h1-p/id-number")
    for path in (*closest, "households?show=phone"):
        assert http.get(f"/v1/read/registry/v1/{path}", headers=bearer).status_code == 403
    paths = ["/v1/kept", "/v1/types"]
    kept = {"authorization": f"Bearer {registrar.add_reader('all', 'intake', paths, None)}"}
    assert http.get("/v1/read/intake/v1/types", headers=kept).status_code == 200
    assert http.get("/v1/read/intake/v1/kept/an-id", headers=kept).status_code == 403


def test_a_home_is_found_by_its_number(as_: Callable[[str], Browser]) -> None:
    found = as_("wang").post("/report/who", {"q": f"{NUMBER}h4"})
    assert "h4家" in found.text
    assert "h1家" not in found.text
    assert "h1家" in as_("wang").post("/report/who", {"q": NUMBER[4:]}).text


def test_a_missing_key_is_told_on_every_page_and_none_breaks(
    w: ConsoleWorld, as_: Callable[[str], Browser], folder: Path
) -> None:
    w.household("h9", "V1", name="h9家", phone=NUMBER, key_holder=HOLDER)
    red = w.call("h9")
    home = {
        name: OTHER.seal(b"x", "registry.household", name) for name in ("phone", "key_holder")
    }  # fmt: skip
    person = {"phone": OTHER.seal(b"x", "registry.person", "phone")}
    with closing(sqlite3.connect(folder / "data" / "registry.db")) as db, db:
        for table, column, row in (("household", "h9", home), ("person", "h9-p", person)):
            done = db.execute(
                f"UPDATE {table} SET profile = ? WHERE {table} = ?",
                (json.dumps(row), column),
            )
            assert done.rowcount == 1
    page = as_("wang").get(f"/cases/{red}").text
    assert page.count(MISSING) == 2  # the home's and the person's
    assert MISSING in as_("wang").post(f"/cases/{red}/key-holder").text
    as_("li").post(f"/cases/{red}/take", {"key": "t9"})
    numbers = as_("li").post(f"/visits/{red}/call", script=True).json()
    assert [each["phone"] for each in numbers] == [None, None]
    assert all(MISSING in each["told"] for each in numbers)
    assert as_("wang").post("/report/who", {"q": NUMBER}).status_code == 200
