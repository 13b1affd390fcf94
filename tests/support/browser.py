"""The embedded app as a process with a town in it, and a real browser on its console.

with town(folder) as t:
    t.falls("h1")
    page = t.open(browser, "wang", "/queue")
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page

from deploy._lib import ports
from services.allinone.access import reached
from services.allinone.apis import Apis
from services.console.access import EVERYWHERE
from services.console.auth import Auth, LoggedIn
from services.console.storage import users
from services.console.storage.users import User
from services.console.web.visit import COOKIE
from services.kernel.clock import SystemClock, rfc3339
from services.kernel.db.engine import Database
from services.kernel.errors import HearthwatchError
from services.kernel.runtime import running
from tests.support.console_world import HASHER, PASSWORD, console_db
from tests.support.patience import eventually
from tests.support.replay import command_line

ROOT: Final = Path(__file__).parents[2]
SCREENS: Final = ROOT / "build" / "screens"
DESK: Final = (1366, 900)
PHONE: Final = (390, 844)
_AXE: Final = Axe()
_STOP_S: Final = 30

PEOPLE: Final = (
    ("wang", "duty", ("V1", "V2"), "王值班"),
    ("zhao", "duty", ("V1", "V2"), "赵值班"),
    ("li", "worker", ("V1",), "李网格"),
    ("chen", "head", (EVERYWHERE,), "陈站长"),
    ("sun", "ops", (EVERYWHERE,), "孙运维"),
    ("other", "duty", ("V9",), "外村值班"),
    ("ma", "duty", ("V2",), "马值班"),
    ("grace", "head", (EVERYWHERE,), "Grace"),
)
AREAS: Final = (
    ("T1", "青山镇", "township", None),
    ("V1", "东河村", "village", "T1"),
    ("V2", "西坡村", "village", "T1"),
    ("V9", "北岭村", "village", "T1"),
    ("G11", "东河一组", "grid", "V1"),
    ("G12", "东河二组", "grid", "V1"),
    ("G21", "西坡一组", "grid", "V2"),
    ("G91", "北岭一组", "grid", "V9"),
)
HOMES: Final = (
    ("h1", "王桂英家", "V1", "G11", "东河一组 3 号", "王桂英", "1941-03-05"),
    ("h2", "刘建国家", "V1", "G12", "东河二组 17 号", "刘小雨", "2016-06-01"),
    ("h3", "周满仓家", "V2", "G21", "西坡一组 8 号", "周满仓", "1950-11-20"),
    ("h9", "郑远山家", "V9", "G91", "北岭一组 2 号", "郑远山", "1948-01-09"),
)


class Town:
    """A small synthetic town behind `hearthwatch up`, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.pack = pack(folder / "pack")
        self.port = ports.choose(1)[0]
        self.url = f"http://{ports.LOOPBACK}:{self.port}/console"
        self._process: subprocess.Popen[bytes] | None = None
        self._cookies: dict[str, str] = {}

    # -- the process --------------------------------------------------------------------------

    def start(self) -> None:
        """Start the app and wait until it serves."""
        words = command_line(
            "up", "--data", self.data, "--pack", self.pack, "--port", str(self.port)
        )
        with (self.folder / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                words,
                env={**os.environ, "HEARTHWATCH_PARTITIONS": "2"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        eventually(self._alive, self._serves, f"it serves; see {self.folder / 'up.log'}")

    def _alive(self) -> None:
        assert self._process is not None
        try:  # waits a little, and notices its end
            code = self._process.wait(0.05)
        except subprocess.TimeoutExpired:
            return
        said = (self.folder / "up.log").read_text(encoding="utf-8", errors="replace")
        raise AssertionError(f"ended with {code}: {said[-2000:]}")

    def _serves(self) -> bool:
        try:
            found = running(self.data)
            if found is None or not found.url:
                return False
            with self.apis() as apis:
                apis.get("alerts", "/v1/alerts", limit=1)
        except HearthwatchError:
            return False
        return True

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(_STOP_S)
        self._process = None

    def stop(self) -> None:
        """Stop it as an operator does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            assert self._process.wait(_STOP_S) == 0
            self._process = None

    @contextmanager
    def apis(self) -> Iterator[Apis]:
        """Reach the services' APIs."""
        with reached(self.data, None) as found:
            yield found.apis

    # -- facts --------------------------------------------------------------------------------

    def send(self, *facts: dict[str, Any]) -> None:
        """Send facts in, each as of now."""
        now = rfc3339(SystemClock().now())
        items = [{"source": "test", "sourceid": uuid.uuid4().hex, "time": now, **f} for f in facts]
        with self.apis() as apis:
            answer = apis.send("POST", "intake", "/v1/changes:batch", items, key=uuid.uuid4().hex)
        assert answer["accepted"] == len(items), answer

    def alert(self, home: str) -> dict[str, Any]:
        """Return the newest alert of a household once there is one."""
        found: list[dict[str, Any]] = []

        def look() -> None:
            with self.apis() as apis:
                found[:] = apis.get("alerts", "/v1/alerts", household=home, state="all")["items"]

        eventually(look, lambda: bool(found), f"an alert of {home}")
        return max(found, key=lambda alert: alert["opened_at"])

    def alert_of(self, identity: str) -> dict[str, Any]:
        """Return an alert whole."""
        with self.apis() as apis:
            found: dict[str, Any] = apis.get("alerts", f"/v1/alerts/{identity}")
            return found

    def change_of(self, alert: dict[str, Any]) -> dict[str, Any]:
        """Return the change that an alert's subject was last assessed for."""
        with self.apis() as apis:
            said = apis.get("risk", f"/v1/subjects/{alert['subject']}/assessment")
            found: dict[str, Any] = apis.get("intake", f"/v1/changes/{said['cause']}")["envelope"]
            return found

    def changes_about(self, subject: str) -> dict[str, dict[str, Any]]:
        """Return what the newest change of each type says about a subject."""
        found: dict[str, dict[str, Any]] = {}
        with self.apis() as apis:
            for identity in apis.items("intake", "/v1/ids", kind="accepted"):
                envelope = apis.get("intake", f"/v1/changes/{identity}")["envelope"]
                if envelope["subject"] == subject:
                    found[envelope["type"]] = envelope["data"]
        return found

    def accepted(self) -> int:
        """Return how many changes the door has accepted."""
        with self.apis() as apis:
            found: int = apis.get("intake", "/v1/report")["total"]["accepted"]
            return found

    def reds(self) -> int:
        """Return how many red alerts are open."""
        with self.apis() as apis:
            return len(apis.get("alerts", "/v1/alerts", level=3)["items"])

    def home(self, name: str = "") -> str:
        """Enter a household of its own, with one elder, in the first grid; return its name."""
        home = f"x{uuid.uuid4().hex[:8]}"
        self.send(
            *_entries(
                home, name or "钱阿婆家", "V1", "G11", "东河一组 21 号", "钱阿婆", "1939-09-09"
            )
        )
        return home

    def falls(self, home: str) -> str:
        """Have the person of a household fall; return the id of the yellow alert."""
        who = {"person": f"{home}-p", "household": home}
        self.send({"type": "elder.care_risk_event", "data": {"kind": "fall"}, **who})
        return str(self.alert(home)["id"])

    def calls(self, home: str) -> str:
        """Have an emergency button pressed; return the id of the red alert, which hurries."""
        data = {"device": "sos-1", "kind": "sos", "state": "raised"}
        self.send({"type": "device.alarm", "data": data, "household": home})
        return str(self.alert(home)["id"])

    def harmed(self, home: str) -> str:
        """Have harm to a child reported; return the id of the red alert."""
        who = {"person": f"{home}-p", "household": home}
        self.send({"type": "child.harm_suspected", "data": {"kind": "abandoned"}, **who})
        return str(self.alert(home)["id"])

    # -- people -------------------------------------------------------------------------------

    def settle(self) -> None:
        """Enter areas, staff and households, and let people log in."""
        facts: list[dict[str, Any]] = []
        for code, name, kind, parent in AREAS:
            data = {"name": name, "kind": kind} | ({"parent": parent} if parent else {})
            facts.append({"type": "registry.area", "place": code, "data": data})
        for name, role, areas, display in PEOPLE:
            place = "T1" if areas == (EVERYWHERE,) else areas[0]
            entry: dict[str, Any] = {"staff": f"staff-{name}", "name": display, "roles": [role]}
            facts.append({"type": "registry.staff", "place": place, "data": entry})
        for home in HOMES:
            facts += _entries(*home)
        self.send(*facts)
        db = self._db()
        try:
            with db.begin() as conn:
                for name, role, areas, display in PEOPLE:
                    users.add(conn, _user(name, role, areas, display))
        finally:
            db.close()

    def _db(self) -> Database:
        return console_db(self.folder)

    def cookie(self, name: str) -> str:
        """Return the cookie of somebody who has logged in."""
        if name not in self._cookies:
            db = self._db()
            try:
                found = Auth(db, SystemClock(), HASHER).log_in(name, PASSWORD)
            finally:
                db.close()
            assert isinstance(found, LoggedIn), found
            self._cookies[name] = found.cookie
        return self._cookies[name]

    def log_in(self, page: Page, name: str, password: str = PASSWORD) -> None:
        """Fill in the log-in page and send it."""
        page.locator("#name").fill(name)
        page.locator("#password").fill(password)
        page.locator("main form button").click()

    # -- browsers -----------------------------------------------------------------------------

    def open(self, browser: Browser, name: str, path: str, size: tuple[int, int] = DESK) -> Page:
        """Return a page of a browser of its own, in which somebody has logged in ('' nobody)."""
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            locale="zh-CN",
            reduced_motion="reduce",
            has_touch=size == PHONE,
        )
        context.set_default_timeout(10_000)
        if name:
            context.add_cookies([{"name": COOKIE, "value": self.cookie(name), "url": self.url}])
        page = context.new_page()
        page.on("pageerror", lambda error: FAULTS.append(f"{page.url}: {error}"))
        page.on("console", lambda said: _listen(page, said.type, said.text))
        page.goto(self.url + path)
        return page


FAULTS: Final[list[str]] = []
"""What scripts of pages complained of: errors, and anything the content policy refused."""
_EXPECTED: Final = re.compile(r"Failed to load resource|net::ERR_|ERR_CONNECTION")


def _listen(page: Page, kind: str, text: str) -> None:
    if kind == "error" and not _EXPECTED.search(text):
        FAULTS.append(f"{page.url}: {text}")


@contextmanager
def town(folder: Path) -> Iterator[Town]:
    """Bring up a settled town; stop it at the end."""
    made = Town(folder)
    try:
        made.start()
        made.settle()
        yield made
    finally:
        made.stop()


def pack(folder: Path) -> Path:
    """Write the pack of the tests: the town's own event types and scheme, a few quick rules."""
    source = ROOT / "packs" / "cn-town"
    shutil.copytree(source / "events", folder / "events")
    text = (source / "pack.yaml").read_text(encoding="utf-8")
    text = re.sub(r"^unreadable:.*$", "unreadable: protect", text, flags=re.MULTILINE)
    (folder / "pack.yaml").write_text(text, encoding="utf-8")
    for name in ("rules.yaml", "alerts.yaml"):
        shutil.copy(ROOT / "tests" / "browser" / "pack" / name, folder / name)
    return folder


def shoot(page: Page, name: str) -> None:
    """Keep a picture of the whole page, named with its width."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    width = (page.viewport_size or {"width": 0})["width"]
    page.screenshot(path=SCREENS / f"{name}-{width}.png", full_page=True, animations="disabled")


def axe(page: Page) -> list[str]:
    """Return the violations that axe-core finds: rule, what it wants, and where."""
    found = _AXE.run(page).response["violations"]
    return [
        f"{each['id']}: {each['help']}: {'; '.join(str(node['target']) for node in each['nodes'])}"
        for each in found
    ]


def sideways(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    found: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return found


def small_targets(page: Page, least: int = 40) -> list[str]:
    """Return visible buttons and fields lower than `least` pixels: hard to hit with a thumb."""
    script = """(least) => [...document.querySelectorAll('button, .button, select, input')]
      .filter((e) => e.type !== 'hidden' && e.offsetParent !== null && !e.closest('label'))
      .map((e) => [e.outerHTML.slice(0, 80), e.getBoundingClientRect().height])
      .filter(([, height]) => height < least).map(([html, height]) => `${height} px: ${html}`)"""
    found: list[str] = page.evaluate(script, least)
    return found


def _entries(
    home: str, name: str, area: str, grid: str, address: str, person: str, born: str
) -> list[dict[str, Any]]:
    entry = {
        "name": name,
        "area": area,
        "grid": grid,
        "address": address,
        "phone": "13900000001",
        "key_holder": "邻居老周",
    }
    who = {"household": home, "name": person, "birth_date": born, "relation": "head"}
    return [
        {"type": "registry.household", "household": home, "data": entry},
        {"type": "registry.person", "person": f"{home}-p", "household": home, "data": who},
    ]


def _user(name: str, role: str, areas: Sequence[str], display: str) -> User:
    return User(
        name=name,
        role=role,
        areas=tuple(areas),
        staff=f"staff-{name}",
        display=display,
        password=HASHER.hash(PASSWORD),
        active=True,
        language="en" if name == "grace" else "zh",
        sound=False,
        created_at=SystemClock().now(),
    )
