"""The stream over a real port: told at once, resumed after a restart, ended promptly at a stop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.allinone.apis import Apis, Remote
from services.allinone.embedded import with_console
from services.console.manage import Registrar
from services.kernel.clock import SystemClock, SystemMonotonic, rfc3339
from services.kernel.runtime import App, open_app
from services.kernel.settings import ensure_token, load
from tests.support.console_world import HASHER, PACK, PASSWORD, value_of


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = tmp_path / "pack"
    folder.mkdir()
    for name, text in PACK.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@contextmanager
def serving(data: Path, pack: Path) -> Iterator[tuple[App, Apis]]:
    settings = load({}, data_dir=data, pack=pack, partitions=2, http_port=0, log_level="ERROR")
    app = open_app(settings, with_console(hasher=HASHER))
    urls = {name: app.url(name) for name in ("intake", "alerts")}
    try:
        app.start()
        with Apis(Remote(urls, ensure_token(settings))) as apis:
            yield app, apis
    finally:
        app.stop()


def call(apis: Apis, household: str) -> None:
    item = {
        "type": "help.called", "source": "test", "sourceid": household, "data": {"loudness": 1},
        "time": rfc3339(SystemClock().now()), "person": f"{household}-p", "household": household,
    }  # fmt: skip
    apis.send("POST", "intake", "/v1/changes", item, key=household)


def logged_in(app: App) -> httpx2.Client:
    http = httpx2.Client(base_url=app.url("console"), timeout=20, trust_env=False)
    before = value_of(http.get("/login").text, "before")
    form = {"before": before, "name": "wang", "password": PASSWORD}
    answer = http.post("/login", data=form, headers={"accept": "text/html"})
    assert answer.headers["location"] == "/console/"
    return http


class Listener:
    """Reads a stream in a thread, until it ends."""

    def __init__(self, http: httpx2.Client, last: str = "") -> None:
        self.events: list[dict[str, str]] = []
        self.headers: Any = None
        self.ended = threading.Event()
        self._came = threading.Condition()
        headers = {"last-event-id": last} if last else {}
        threading.Thread(target=self._read, args=(http, headers), daemon=True).start()

    def wait(self, what: str) -> dict[str, str]:
        """Return the newest event once one of that kind has come."""
        with self._came:
            assert self._came.wait_for(
                lambda: any(event.get("event") == what for event in self.events), 20
            ), f"no {what}: {self.events}"
            return [event for event in self.events if event.get("event") == what][-1]

    def _read(self, http: httpx2.Client, headers: dict[str, str]) -> None:
        try:
            with http.stream("GET", "/stream", headers=headers) as answer:
                self.headers = answer.headers
                event: dict[str, str] = {}
                for line in answer.iter_lines():
                    name, _, value = line.partition(": ")
                    if line:
                        event[name] = value
                        continue
                    with self._came:
                        self.events.append(event)
                        self._came.notify_all()
                    event = {}
        finally:
            self.ended.set()


def test_a_change_is_told_resumed_after_a_restart_and_the_end_is_prompt(
    tmp_path: Path, pack: Path
) -> None:
    data, monotonic = tmp_path / "data", SystemMonotonic()
    with serving(data, pack) as (app, apis):
        console = next(each for each in app.services if each.name == "console").api
        assert console is not None
        registrar = Registrar(console.state.console.db, SystemClock(), HASHER)
        registrar.add_user("wang", "duty", ["*"], PASSWORD)
        http = logged_in(app)
        listener = Listener(http)
        listener.wait("snapshot")
        assert listener.headers["x-accel-buffering"] == "no"
        assert listener.headers["content-type"].startswith("text/event-stream")
        call(apis, "h1")
        seen = listener.wait("changed")
        assert set(seen) == {"event", "data", "id"}
        assert seen["data"].startswith('{"now":')
        assert "h1" not in str(listener.events)
        asked_s = monotonic.seconds()
        app.stop()
        assert listener.ended.wait(20)
        assert monotonic.seconds() - asked_s < 3, "open streams hold up the stop"
        http.close()
    with serving(data, pack) as (app, apis):
        call(apis, "h2")
        http = logged_in(app)
        again = Listener(http, last=seen["id"])
        assert again.wait("changed")["id"] != seen["id"]
        app.stop()
        assert again.ended.wait(20)
        http.close()
