from __future__ import annotations

import threading
from collections.abc import AsyncIterator

import anyio
import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from services.kernel.clock import SystemMonotonic
from services.kernel.runtime.server import Server


def test_an_event_stream_that_never_ends_does_not_hold_up_the_stop() -> None:
    begun = threading.Event()

    async def events(_: Request) -> Response:
        async def forever() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            await anyio.Event().wait()

        return StreamingResponse(forever(), media_type="text/event-stream")

    server = Server("127.0.0.1", 0, grace_s=1)
    server.start(Starlette(routes=[Route("/events", events)]))

    def listen() -> None:
        try:
            with httpx2.stream("GET", f"{server.address}/events", timeout=20) as response:
                for _ in response.iter_bytes():
                    begun.set()
        except httpx2.HTTPError:
            return  # cut off, as it must be

    thread = threading.Thread(target=listen)
    thread.start()
    assert begun.wait(20)
    monotonic = SystemMonotonic()
    started_s = monotonic.seconds()
    server.stop()
    assert monotonic.seconds() - started_s < 6
    thread.join(20)
    assert not thread.is_alive()


def test_an_address_of_version_6_is_written_in_brackets() -> None:
    server = Server("::1", 0)
    assert server.address.startswith("http://[::1]:")
    server.stop()
