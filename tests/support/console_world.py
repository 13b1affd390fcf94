"""The console over the whole embedded app, turned by hand: send facts, log in, look at pages.

world.user("wang", "duty", ["V1"])
page = world.logged_in("wang").get("/queue")
"""

from __future__ import annotations

import html
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from services.allinone.apis import Apis, Local
from services.allinone.embedded import with_console
from services.console.access import EVERYWHERE
from services.console.storage import users
from services.console.storage.tables import TABLES
from services.console.storage.users import User
from services.console.web.visit import Console
from services.kernel.clock import SECOND, VirtualClock, rfc3339
from services.kernel.db.engine import Database
from services.kernel.runtime import App, open_app
from services.kernel.settings import ensure_token, load

START: Final = 1_790_000_000 * SECOND
PASSWORD: Final = "a long enough one"
HASHER: Final = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
PACK: Final = {
    "pack.yaml": 'name: toy\nversion: "1"\nzone: "+08:00"\nunreadable: alarm\n'
    "scheme:\n"
    "  - {level: 0, color: green, name: {zh: 绿, en: green}}\n"
    "  - {level: 1, color: blue, name: {zh: 蓝, en: blue}, fall_after: 60d}\n"
    "  - {level: 2, color: yellow, name: {zh: 黄, en: yellow}, fall_after: 30d}\n"
    "  - {level: 3, color: red, name: {zh: 红, en: red}, fall_after: 7d}\n",
    "events.yaml": """
- type: help.called
  subject: person
  title: {zh: 求助, en: call for help}
  fields: {loudness: {type: integer, min: 0, max: 9}}
- type: leak.seen
  subject: person
  title: {zh: 漏水, en: leak}
  fields: {litres: {type: integer, min: 0}}
- type: override.set
  subject: person
  title: {zh: 工作人员上调等级, en: level raised by a worker}
  fields:
    level: {type: integer, min: 1, max: 3, required: true}
    reason: {type: enum, required: true,
             values: [new_information, data_wrong, rule_not_apt, other]}
    until: {type: time, required: true}
""",
    "rules.yaml": """
- id: A1
  subject: person
  level: 3
  ladder: alarm
  title: {zh: 有人求助, en: somebody called for help}
  when: {exists: {type: help.called, within: 1d}}
  why: {zh: 一天内求助过, en: called within a day}
  action: {zh: 马上联系, en: call at once}
  guidance: {zh: 先打电话, en: telephone first}
  source: S1
  evidence: OWN
  examples:
    - {name: fires, now: 2026-09-10T08:00:00+08:00,
       facts: [{type: help.called, at: 2026-09-10T07:00:00+08:00, data: {}}], expect: true}
    - {name: not, now: 2026-09-10T08:00:00+08:00, facts: [], expect: false}
- id: B2
  subject: person
  level: 2
  ladder: visit
  title: {zh: 漏水, en: a leak}
  when: {gt: [{latest: leak.seen.litres, within: 2d}, 10]}
  why: {zh: 漏水超过十升, en: more than ten litres}
  action: {zh: 去看看, en: have a look}
  guidance: {zh: 关总阀, en: close the main valve}
  source: S1
  evidence: OWN
  examples:
    - {name: fires, now: 2026-09-10T08:00:00+08:00,
       facts: [{type: leak.seen, at: 2026-09-10T07:00:00+08:00, data: {litres: 20}}], expect: true}
    - {name: not, now: 2026-09-10T08:00:00+08:00,
       facts: [{type: leak.seen, at: 2026-09-10T07:00:00+08:00, data: {litres: 2}}], expect: false}
- id: O3
  subject: person
  level: 3
  ladder: alarm
  title: {zh: 人工上调, en: raised by hand}
  when: {active: {type: override.set, until: until, where: {eq: [.level, 3]}}}
  why: {zh: 工作人员上调, en: raised by a worker}
  action: {zh: 去看看, en: have a look}
  guidance: {zh: 问清楚, en: ask}
  source: S1
  evidence: OWN
  examples:
    - {name: fires, now: 2026-09-10T08:00:00+08:00,
       facts: [{type: override.set, at: 2026-09-10T07:00:00+08:00,
                data: {level: 3, reason: other, until: "2026-09-11T07:00:00+08:00"}}],
       expect: true}
    - {name: not, now: 2026-09-10T08:00:00+08:00, facts: [], expect: false}
""",
    "alerts.yaml": """
ladders:
  alarm:
    emergency: 60m
    steps:
      - {step: notify, after: 0m, to: [duty]}
      - {step: second, after: 10m, to: [second_duty], until: acknowledged}
      - {step: head, after: 30m, to: [station_head], until: handled}
    tasks: [{stage: warning, due: 10m}, {stage: visit, due: 60m}, {stage: handling, due: 48h}]
  visit:
    steps: [{step: notify, after: 0m, to: [duty]}]
    tasks: [{stage: visit, due: 7d}]
""",
}
_CSRF: Final = re.compile(r'name="csrf" value="([^"]*)"')


class Browser:
    """One person's browser: follows no redirection by itself, keeps cookies, knows its token."""

    def __init__(self, api: FastAPI, root: str = "") -> None:
        self.http = TestClient(api, base_url="http://console", root_path=root)
        self.http.follow_redirects = False
        self.csrf = ""

    def get(self, path: str, *, script: bool = False, **query: str) -> Response:
        """Open a page, or ask as a script of ours does."""
        accept = "application/json" if script else "text/html"
        found = self.http.get(path, params=query or None, headers={"accept": accept})
        if token := _CSRF.search(found.text):
            self.csrf = token[1]
        return found

    def post(
        self,
        path: str,
        form: Mapping[str, str | Sequence[str]] | None = None,
        *,
        script: bool = False,
        csrf: str | None = None,
    ) -> Response:
        """Send a form, with the token of the pages seen so far unless another is given."""
        accept = "application/json" if script else "text/html"
        fields: dict[str, Any] = {"csrf": self.csrf if csrf is None else csrf, **(form or {})}
        return self.http.post(path, data=fields, headers={"accept": accept})

    def log_in(self, name: str, password: str = PASSWORD, **more: str) -> Response:
        """Fill in the log-in page and send it; then open one's account for the token."""
        page = self.get("/login").text
        form = {"before": value_of(page, "before"), "name": name, "password": password, **more}
        answer = self.http.post("/login", data=form, headers={"accept": "text/html"})
        if answer.status_code == 303:
            self.get("/account")
        return answer


class ConsoleWorld:
    """The whole app under one virtual clock, and browsers on it."""

    def __init__(self, app: App, apis: Apis, clock: VirtualClock, wall: VirtualClock) -> None:
        self.app = app
        self.apis = apis
        self.clock = clock
        self.wall = wall
        self._browsers: list[TestClient] = []
        found = next(each for each in app.services if each.name == "console")
        assert found.api is not None
        self.api = found.api
        self.console: Console = self.api.state.console

    # -- facts --------------------------------------------------------------------------------

    def send(self, type_: str, data: Mapping[str, Any], **about: str) -> None:
        """Send a fact about somebody, now, and let it through."""
        item = {
            "type": type_, "source": "test", "sourceid": str(uuid.uuid4()),
            "time": rfc3339(self.clock.now()), "data": data, **about,
        }  # fmt: skip
        answer = self.apis.send("POST", "intake", "/v1/changes", item, key=str(uuid.uuid4()))
        assert answer["status"] == "accepted", answer
        self.app.step()

    def area(self, code: str, name: str, parent: str | None = None) -> None:
        """Enter an area."""
        data = {"name": name} | ({"parent": parent} if parent else {})
        self.send("registry.area", data, place=code)

    def household(self, home: str, area: str, grid: str = "", **profile: Any) -> None:
        """Enter a household with one person, `<home>-p`."""
        entry = {"area": area, "grid": grid or None, **profile}
        self.send("registry.household", entry, household=home)
        person = {"household": home, "name": f"{profile.get('name', home)}的人"}
        self.send("registry.person", person, person=f"{home}-p", household=home)

    def call(self, household: str) -> str:
        """Have the person of a household call for help; return the id of the red alert."""
        return self._open("help.called", {"loudness": 5}, household, "A1")

    def leak(self, household: str) -> str:
        """Have a leak seen at a household; return the id of the yellow alert."""
        return self._open("leak.seen", {"litres": 20}, household, "B2")

    def _open(self, type_: str, data: Mapping[str, Any], household: str, rule: str) -> str:
        self.send(type_, data, person=f"{household}-p", household=household)
        found = self.apis.get("alerts", "/v1/alerts", household=household, rule=rule)["items"]
        return str(found[0]["id"])

    def alert(self, identity: str) -> dict[str, Any]:
        """Return an alert as alerts has it."""
        found: dict[str, Any] = self.apis.get("alerts", f"/v1/alerts/{identity}")
        return found

    def forward(self, **span: float) -> None:
        """Move both clocks."""
        step = timedelta(**span) // timedelta(microseconds=1)
        self.clock.advance_to(self.clock.now() + step)
        self.wall.advance_to(self.wall.now() + step)

    # -- people -------------------------------------------------------------------------------

    def user(self, name: str, role: str, areas: Sequence[str] = (EVERYWHERE,)) -> None:
        """Add somebody who may log in; the id in registry is `staff-<name>`."""
        made = User(
            name=name, role=role, areas=tuple(areas), staff=f"staff-{name}",
            display=f"{name}同志", password=HASHER.hash(PASSWORD), active=True, language="zh",
            sound=False, created_at=self.wall.now(),
        )  # fmt: skip
        with self.console.db.begin() as conn:
            assert users.add(conn, made)

    def browser(self) -> Browser:
        """Return somebody's browser, not logged in."""
        made = Browser(self.api)
        self._browsers.append(made.http)
        return made

    def logged_in(self, name: str) -> Browser:
        """Return the browser of somebody who has logged in."""
        made = self.browser()
        assert made.log_in(name).status_code == 303
        return made

    def close(self) -> None:
        for each in self._browsers:
            each.close()


@contextmanager
def console_world(
    folder: Path, write_pack: Callable[[Path], object] | None = None
) -> Iterator[ConsoleWorld]:
    """Open the app without threads and ports; with another pack than the toy, have it written."""
    pack = folder / "pack"
    if write_pack is not None:
        write_pack(pack)
    else:
        pack.mkdir(parents=True)
        for name, text in PACK.items():
            (pack / name).write_text(text, encoding="utf-8")
    settings = load({}, data_dir=folder / "data", pack=pack, partitions=2, log_level="ERROR")
    clock, wall = VirtualClock(START), VirtualClock(START)
    builds = with_console(wall=wall, hasher=HASHER)
    app = open_app(settings, builds, clock=clock, serve=False)
    try:
        with Apis(Local(app, ensure_token(settings))) as apis:
            world = ConsoleWorld(app, apis, clock, wall)
            yield world
            world.close()
    finally:
        app.stop()


def value_of(page: str, name: str) -> str:
    """Return the value of a hidden field of a page."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, f"no field {name}"
    return html.unescape(found[1])


def console_db(folder: Path) -> Database:
    """Open the console's database once more, as the command does."""
    return Database(f"sqlite:///{folder / 'data' / 'console.db'}", TABLES, service="console")
