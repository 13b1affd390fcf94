"""`hearthwatch up` as a process: facts over HTTP, the engine on the wall clock, a real channel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from services.allinone import doctor
from services.allinone.access import reached
from services.allinone.apis import Apis
from services.kernel.clock import SECOND, SystemClock, SystemMonotonic, parse_rfc3339, rfc3339
from services.kernel.crash import VARIABLE
from services.kernel.errors import HearthwatchError
from services.kernel.runtime import running
from tests.support.replay import command, command_line, toy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LADDER = """\
ladders:
  bell:
    emergency: 2s
    steps:
      - {step: call, after: 0m, to: [porter, nurse]}
      - {step: run, after: 2s, to: [matron], until: handled}
passes:
  - {type: bell.answered, role: handled, rules: [B1]}
"""
ROWS = {("call", "porter"), ("call", "nurse"), ("run", "matron")}
PATIENCE_S = 60.0


class Channel:
    """A receiver of webhooks that counts what reached it, by idempotency key."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        calls = self.calls

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                calls[self.headers["Idempotency-Key"]] += 1
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Keep the output of the tests quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def channel() -> Iterator[Channel]:
    found = Channel()
    yield found
    found.close()


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = toy(tmp_path).pack
    (folder / "alerts.yaml").write_text(LADDER, encoding="utf-8")
    return folder


@contextmanager
def up(
    data: Path, pack: Path, channel: Channel, crash: str = ""
) -> Iterator[subprocess.Popen[bytes]]:
    environ = {**os.environ, VARIABLE: crash, "HEARTHWATCH_WEBHOOK_URL": channel.url}
    alive = subprocess.Popen(
        command_line("up", "--data", data, "--pack", pack, "--port", "0"),
        env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield alive
    finally:
        if alive.poll() is None:
            alive.send_signal(signal.SIGTERM)
            assert alive.wait(30) == 0


def until(so: Any, what: str) -> Any:
    """Return what `so` gives once it gives something; fail with `what` after a minute."""
    monotonic, never = SystemMonotonic(), threading.Event()
    end_s = monotonic.seconds() + PATIENCE_S
    while True:
        try:
            found = so()
        except HearthwatchError:  # it is starting, or has just died
            found = None
        if found:
            return found
        assert monotonic.seconds() < end_s, what
        monotonic.wait(never, 0.1)


@contextmanager
def asked(data: Path) -> Iterator[Apis]:
    until(lambda: (other := running(data)) and other.url, "it serves")
    with reached(data, None) as found:
        until(lambda: found.apis.get("alerts", "/v1/report"), "it answers")
        yield found.apis


def ring(apis: Apis) -> int:
    """Ring a bell; return when."""
    now = SystemClock().now()
    item = {
        "type": "bell.rung", "source": "test", "sourceid": "1", "time": rfc3339(now),
        "person": "guest", "household": "room", "data": {"loudness": 3},
    }  # fmt: skip
    answer = apis.send("POST", "intake", "/v1/changes", item, key="ring")
    assert answer["status"] == "accepted"
    return now


def settled(apis: Apis) -> list[dict[str, Any]] | None:
    """Return all deliveries once each of the ladder has been sent."""
    rows = list(apis.items("alerts", "/v1/deliveries"))
    sent = {(row["step"], row["target"]) for row in rows if row["sent_at"]}
    return rows if sent == ROWS else None


def test_a_bell_reaches_its_people_and_escalates_by_itself(
    tmp_path: Path, pack: Path, channel: Channel
) -> None:
    data = tmp_path / "data"
    with up(data, pack, channel), asked(data) as apis:
        rang = ring(apis)
        rows = until(lambda: settled(apis), "every delivery is sent")
        assert Counter((row["step"], row["target"]) for row in rows) == Counter(ROWS)
        run = next(row for row in rows if row["step"] == "run")
        late = parse_rfc3339(run["sent_at"]) - parse_rfc3339(run["due_at"])
        assert 0 <= late <= 5 * SECOND
        assert parse_rfc3339(run["due_at"]) - rang < 4 * SECOND
        found = command("why", "guest", "--data", data, "--json")
        assert json.loads(found.out)["level"] == 3
        found = command("doctor", "--data", data, "--json")
        assert (found.code, json.loads(found.out)["difference"]) == (0, 0)
        second = command("up", "--data", data, "--pack", pack, "--port", "0")
        assert second.code == 2
        assert "no other process on it" in second.err
    assert set(channel.calls.values()) == {1}


@pytest.mark.parametrize(
    "point",
    [
        "alerts.engine.before_commit",
        "alerts.engine.after_commit",
        "alerts.deliver.before_send",
        "alerts.deliver.after_send_before_record",
    ],
)
def test_a_kill_of_the_engine_or_the_channel_pages_once_a_step_and_target(
    tmp_path: Path, pack: Path, channel: Channel, point: str
) -> None:
    data = tmp_path / "data"
    with up(data, pack, channel, crash=point) as dying, asked(data) as apis:
        ring(apis)
        assert dying.wait(60) == -signal.SIGKILL
    with up(data, pack, channel), asked(data) as apis:
        rows = until(lambda: settled(apis), "every delivery is sent")
        assert Counter((row["step"], row["target"]) for row in rows) == Counter(ROWS)
        steps = [item["step"] for item in apis.items("alerts", "/v1/timeline")]
        assert sorted(steps) == ["call", "opened", "run"]
        assert doctor.settle(apis, SystemMonotonic()).ok
    assert len(channel.calls) == len(ROWS)
    doubled = point == "alerts.deliver.after_send_before_record"
    assert all(count <= 1 + doubled for count in channel.calls.values())


def test_a_replays_folder_is_not_served(tmp_path: Path) -> None:
    log = toy(tmp_path)
    kept = tmp_path / "kept"
    assert command("replay", *log.words(), "--keep", kept).code == 0
    found = command("up", "--data", kept, "--pack", log.pack, "--port", "0")
    assert found.code == 2
    assert "the folder of a replay" in found.err
