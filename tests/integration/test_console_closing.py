"""Closing a case of the town whose rule waits for an outcome: asked, confirmed, sent in once."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.console.gateway import Json
from services.console.pages import closing
from services.console.pages.sending import send_once
from services.console.web.visit import Visit
from services.kernel.clock import rfc3339
from tests.support.console_world import Browser, ConsoleWorld, console_world, value_of

TOWN = Path(__file__).parents[2] / "packs" / "cn-town"
POLICE = {"result": "said", "result-agency": "police", "result-outcome": "police_case"}
STATION = {"result": "said", "result-agency": "station", "result-outcome": "no_need"}


@pytest.fixture(scope="module")
def w(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleWorld]:
    folder = tmp_path_factory.mktemp("closing")
    with console_world(folder, lambda pack: shutil.copytree(TOWN, pack)) as made:
        made.area("V1", "东村")
        made.user("wang", "duty")
        made.user("zhao", "duty")
        yield made


@pytest.fixture
def wang(w: ConsoleWorld) -> Browser:
    return w.logged_in("wang")


@pytest.fixture
def zhao(w: ConsoleWorld) -> Browser:
    return w.logged_in("zhao")


class Case:
    """A child of a home of its own about whom abuse was reported."""

    def __init__(self, w: ConsoleWorld, home: str) -> None:
        self.w, self.home = w, home
        w.household(home, "V1")
        w.send("child.harm_suspected", {"kind": "intimate_injury"}, person=f"{home}-p",
               household=home)  # fmt: skip
        found = w.apis.get("alerts", "/v1/alerts", household=home, rule="C01")["items"]
        self.id = str(found[0]["id"])
        w.forward(hours=1)

    @property
    def path(self) -> str:
        return f"/cases/{self.id}/close"

    @property
    def state(self) -> str:
        return str(self.w.alert(self.id)["state"])

    def facts(self) -> list[dict[str, Any]]:
        """Return the outcomes that intake has accepted about this home."""
        ids = self.w.apis.get("intake", "/v1/ids", kind="accepted", limit=1000)["items"]
        found = [self.w.apis.get("intake", f"/v1/changes/{each}")["envelope"] for each in ids]
        return [
            each
            for each in found
            if each["type"].endswith(".outcome") and each["partitionkey"] == self.home
        ]

    @property
    def reason(self) -> tuple[int, str] | None:
        """Return level and standing of C01 for the child; None when it is none of its reasons."""
        self.w.app.step()
        said = self.w.apis.get("risk", f"/v1/subjects/{self.home}-p/assessment")
        found = [each for each in said["reasons"] if each["rule"] == "C01"]
        return (found[0]["level"], "ended" if found[0].get("held") else "holds") if found else None


def test_a_closing_by_two_sends_the_outcome_once_and_the_reason_ends(
    w: ConsoleWorld, wang: Browser, zhao: Browser
) -> None:
    case = Case(w, "h1")
    page = wang.get(f"/cases/{case.id}").text
    group = page.split('name="result-agency"')[1].split("</select>")[0]
    ends, stays = group.split('<optgroup label="')[1:]
    assert re.findall(r'value="(\w+)"', ends) == ["police", "civil_affairs", "court"]
    assert "station" in re.findall(r'value="(\w+)"', stays)
    anything = page.split('name="result-outcome"')[1].split("</select>")[0]
    assert "optgroup" not in anything  # the rule does not mind what the police said
    proposal = {"outcome": "police_case", "key": "p", **POLICE}
    for _ in range(2):
        assert wang.post(case.path, proposal).status_code == 303
    assert (case.state, case.facts()) == ("review", [])
    assert wang.post(case.path, {"key": "alone"}).status_code == 409
    assert case.facts() == []
    assert case.reason == (3, "holds")
    page = zhao.get(f"/cases/{case.id}").text
    assert "<strong>公安</strong>" in page
    assert 'name="result-agency"' not in page
    at = w.clock.now()
    for _ in range(2):
        assert zhao.post(case.path, {"key": "c"}).status_code == 303
    w.forward(minutes=1)
    assert zhao.post(case.path, {"key": "later"}).status_code == 409
    (fact,) = case.facts()
    assert fact["data"] == {"rule": "C01", "agency": "police", "outcome": "police_case"}
    told = fact["type"], fact["source"], fact["subject"], fact["time"]
    assert told == ("case.outcome", "console", "h1-p", rfc3339(at))
    assert case.state == "closed"
    assert case.reason == (3, "ended")  # it keeps its level for a week, and then falls
    for days, stands in ((7, (2, "ended")), (30, (1, "ended")), (60, None)):
        w.forward(days=days)
        w.household("h1", "V1")  # time comes to a home with its next record, or mark
        assert case.reason == stands


def test_an_outcome_that_ends_the_reason_at_once_is_not_in_the_way_of_its_own_closing(
    w: ConsoleWorld, wang: Browser, zhao: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(w, "h-quick")
    proposal = {"outcome": "police_case", "key": "p", **POLICE}
    assert wang.post(case.path, proposal).status_code == 303
    page = zhao.get(f"/cases/{case.id}").text
    version = value_of(page, "version")

    async def send_and_see_it_through(visit: Visit, change: Json) -> None:
        await send_once(visit, change)
        w.app.step()

    monkeypatch.setattr(closing, "send_once", send_and_see_it_through)
    assert zhao.post(case.path, {"key": "c", "version": version}).status_code == 303
    assert w.alert(case.id)["standing"] == "ended"
    assert (case.state, len(case.facts())) == ("closed", 1)


def test_what_the_station_says_is_on_record_and_ends_nothing(
    w: ConsoleWorld, wang: Browser, zhao: Browser
) -> None:
    case = Case(w, "h2")
    wang.post(case.path, {"outcome": "no_need", **STATION})
    assert "原因仍然保留" in zhao.get(f"/cases/{case.id}").text
    assert zhao.post(case.path).status_code == 303
    assert [fact["data"]["agency"] for fact in case.facts()] == ["station"]
    assert case.reason == (3, "holds")


def test_nothing_said_so_far_closes_the_alert_alone(
    w: ConsoleWorld, wang: Browser, zhao: Browser
) -> None:
    case = Case(w, "h3")
    wang.post(case.path, {"outcome": "duplicate", "result": "none"})
    assert 'name="result"' not in zhao.get(f"/cases/{case.id}").text  # it is answered
    assert zhao.post(case.path).status_code == 303
    assert (case.state, case.facts()) == ("closed", [])
    assert case.reason == (3, "holds")


@pytest.mark.parametrize(
    ("form", "where"),
    [
        ({}, "result"),
        ({"result": "maybe"}, "result"),
        ({"result": "said"}, "agency, outcome"),
        (POLICE | {"result-agency": "sheriff"}, "agency"),
        (POLICE | {"result-outcome": "duplicate"}, "outcome"),
    ],
)
def test_an_outcome_that_is_none_of_the_catalogue_is_refused(
    w: ConsoleWorld, wang: Browser, form: dict[str, str], where: str
) -> None:
    found = w.apis.get("alerts", "/v1/alerts", household="h4", rule="C01")["items"]
    case = found[0]["id"] if found else Case(w, "h4").id
    answer = wang.post(f"/cases/{case}/close", {"outcome": "no_need", **form}, script=True)
    assert (answer.status_code, set(answer.json()["where"].split(", "))) == (
        422, set(where.split(", ")),
    )  # fmt: skip
    assert "请选好" in answer.json()["found"]
    assert w.alert(case)["state"] == "new"


class DeafTo:
    """A gateway's client that answers all but one thing."""

    def __init__(self, client: Any, act: str) -> None:
        self._client, self._act = client, act

    async def request(self, method: str, path: str, **rest: Any) -> Any:
        if method == "POST" and path.endswith(self._act):
            raise TimeoutError
        return await self._client.request(method, path, **rest)


@pytest.mark.parametrize(
    ("service", "act", "sent"), [("intake", "changes", 0), ("alerts", "close", 1)]
)
def test_while_a_service_is_away_nothing_is_lost_and_nothing_doubled(
    w: ConsoleWorld, wang: Browser, zhao: Browser, monkeypatch: pytest.MonkeyPatch,
    service: str, act: str, sent: int,
) -> None:  # fmt: skip
    case = Case(w, f"h5-{service}")
    wang.post(case.path, {"outcome": "police_case", **POLICE})
    clients: Any = w.console.gateway._clients  # noqa: SLF001
    with monkeypatch.context() as patch:
        patch.setitem(clients, service, DeafTo(clients[service], act))
        assert zhao.post(case.path, {"key": "first"}).status_code == 503
    assert (case.state, len(case.facts())) == ("review", sent)
    w.forward(minutes=5)
    assert wang.post(f"/cases/{case.id}/note", {"note": "再等等"}).status_code == 303
    assert zhao.post(case.path, {"key": "second"}).status_code == 303
    assert (case.state, len(case.facts())) == ("closed", 1)


def test_a_proposal_that_did_not_say_is_completed_by_the_second_person(
    w: ConsoleWorld, zhao: Browser
) -> None:
    case = Case(w, "h6")
    body = {"by": {"id": "staff-wang", "name": "王"}, "outcome": "police_case"}
    seen = w.alert(case.id)["version"]
    w.apis.send("POST", "alerts", f"/v1/alerts/{case.id}/close", body, key="api", version=seen)
    assert case.state == "review"
    assert 'name="result-agency"' in zhao.get(f"/cases/{case.id}").text
    assert zhao.post(case.path).status_code == 422
    assert zhao.post(case.path, POLICE).status_code == 303
    assert len(case.facts()) == 1


def test_what_came_of_a_home_is_told_of_the_home(
    w: ConsoleWorld, wang: Browser, zhao: Browser
) -> None:
    w.household("h7", "V1")
    lost = {"kind": "fire", "housing_lost": True, "livelihood_lost": False}
    w.send("home.disaster", lost, household="h7")
    found = w.apis.get("alerts", "/v1/alerts", household="h7", rule="H06")["items"]
    w.forward(hours=1)
    page = wang.get(f"/cases/{found[0]['id']}").text
    ends = page.split('name="result-outcome"')[1].split("</optgroup>")[0]
    assert re.findall(r'value="(\w+)"', ends) == ["no_need", "relief_granted"]
    form = {"outcome": "relief_granted", "result": "said", "result-agency": "civil_affairs",
            "result-outcome": "relief_granted"}  # fmt: skip
    wang.post(f"/cases/{found[0]['id']}/close", form)
    assert zhao.post(f"/cases/{found[0]['id']}/close").status_code == 303
    w.app.step()
    said = w.apis.get("risk", "/v1/subjects/h7/assessment")
    assert [r.get("held") for r in said["reasons"] if r["rule"] == "H06"] == [True]
