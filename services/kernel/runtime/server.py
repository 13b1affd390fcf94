"""The HTTP server of a process: uvicorn in a thread, on a socket that was bound before."""

from __future__ import annotations

import socket
import threading
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from services.kernel.errors import Fault, WrongUse

GRACE_S: Final = 3
"""How long open requests may go on at a stop; an event stream would never end by itself."""
_BACKLOG: Final = 512
_FORCED_S: Final = 5.0


class Server:
    """Listens at once, so `address` is known before anything runs; answers from `start` on.

    Raises:
        WrongUse: the address cannot be bound.
    """

    def __init__(self, host: str, port: int, *, grace_s: int = GRACE_S) -> None:
        self._grace_s = grace_s
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen(_BACKLOG)  # from here on nobody else can have the port
        except OSError as exc:
            self._socket.close()
            raise WrongUse(_not_free(host, port, exc)) from exc
        bound: int = self._socket.getsockname()[1]
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{bound}"
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, app: ASGIApp) -> None:
        """Serve `app` in a thread."""
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=self._grace_s,
            timeout_keep_alive=30,
            backlog=_BACKLOG,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="http", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests, let the open ones go on for `grace_s`; idempotent."""
        server, thread = self._server, self._thread
        if server is not None and thread is not None and thread.is_alive():
            server.should_exit = True
            thread.join(self._grace_s + 1)
            if thread.is_alive():
                server.force_exit = True
                thread.join(_FORCED_S)
        self._socket.close()


def _not_free(host: str, port: int, exc: OSError) -> Fault:
    return Fault(
        where=f"address {host}:{port}",
        found=exc.strerror or type(exc).__name__,
        expected="one that this process may listen on",
        remedy="stop what listens there, or set HEARTHWATCH_HTTP_PORT (0 takes a free port)",
        code="address",
    )
