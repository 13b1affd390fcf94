"""The webhook against a real server on loopback, and what both channels have in common."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from services.alerts.senders.port import Outbound, Result, Sender
from services.alerts.senders.recording import RecordingSender
from services.alerts.senders.webhook import WebhookSender

MESSAGE = Outbound(
    key="d-1", alert="a-1", level=3, place="e-7", rule="R1", title={"zh": "红", "en": "red"},
    step="escalate", role="county_hotline", to="hotline", due_at="2026-01-01T01:00:00Z",
    link="http://127.0.0.1/alerts/a-1",
)  # fmt: skip


class Provider:
    """A provider that answers as told and remembers what it got."""

    def __init__(self) -> None:
        self.status = 200
        self.hang = threading.Event()
        self.hang.set()
        self.got: list[tuple[dict[str, str], dict[str, object]]] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = json.loads(self.rfile.read(length))
                provider.got.append((dict(self.headers), body))
                provider.hang.wait(20)
                self.send_response(provider.status)
                self.send_header("Content-Length", "0")
                if provider.status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def close(self) -> None:
        self.hang.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.close()


@pytest.fixture
def webhook(provider: Provider) -> Iterator[WebhookSender]:
    made = WebhookSender(provider.url, timeout_s=2)
    yield made
    made.close()
    made.close()


def test_every_channel_delivers_and_closes_twice(provider: Provider) -> None:
    channels: list[Sender] = [RecordingSender(), WebhookSender(provider.url)]
    for channel in channels:
        assert channel.send(MESSAGE) == Result("delivered")
        assert channel.send(MESSAGE) == Result("delivered"), "the same key again is no error"
        channel.close()
        channel.close()


def test_it_posts_the_message_with_its_key(provider: Provider, webhook: WebhookSender) -> None:
    webhook.send(MESSAGE)
    ((headers, body),) = provider.got
    assert headers["Idempotency-Key"] == "d-1"
    assert headers["Content-Type"] == "application/json"
    assert body["title"] == {"zh": "红", "en": "red"}
    assert set(body) == set(Outbound.__struct_fields__)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, Result("delivered")),
        (204, Result("delivered")),
        (302, Result("permanent", "http_302")),
        (400, Result("permanent", "http_400")),
        (404, Result("permanent", "http_404")),
        (408, Result("temporary", "http_408")),
        (429, Result("temporary", "http_429")),
        (500, Result("temporary", "http_500")),
        (503, Result("temporary", "http_503")),
    ],
)
def test_the_status_decides(
    provider: Provider, webhook: WebhookSender, status: int, result: Result
) -> None:
    provider.status = status
    assert webhook.send(MESSAGE) == result
    assert len(provider.got) == 1, "no redirect is followed"


def test_a_provider_that_hangs_is_cut_off(provider: Provider) -> None:
    provider.hang.clear()
    webhook = WebhookSender(provider.url, timeout_s=0.2)
    assert webhook.send(MESSAGE) == Result("temporary", "timeout")
    webhook.close()


def test_a_provider_that_is_gone_is_tried_again(provider: Provider) -> None:
    provider.server.server_close()
    webhook = WebhookSender(provider.url, timeout_s=2)
    assert webhook.send(MESSAGE).outcome == "temporary"
    webhook.close()


def test_an_address_that_is_none_is_given_up() -> None:
    webhook = WebhookSender("http://127.0.0.1:port/")
    assert webhook.send(MESSAGE) == Result("permanent", "bad_address")
    webhook.close()


def test_the_recording_sink_reaches_nobody_and_remembers() -> None:
    sink = RecordingSender()
    sink.send(MESSAGE)
    assert list(sink.sent) == [MESSAGE]
    assert sink.instant
