"""Loopback ports: free ones that no outgoing connection can take in the meantime."""

import random
import socket
from collections.abc import Collection

from .errors import DeployError

LOOPBACK = "127.0.0.1"

# Below the range that the kernel gives to outgoing connections (32768 and up on Linux). A port
# inside it can be taken by any client while a killed server is down; a client that keeps trying to
# reach it can even be connected to itself.
_FIRST, _LAST = 15000, 31999


def is_free(port: int) -> bool:
    """Return whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the servers do: TIME_WAIT is no obstacle
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose(count: int, taken: Collection[int] = ()) -> list[int]:
    """Return `count` different free ports, none of them in `taken`.

    Drawn at random, so that several checkouts that start at one moment do not meet on one port.
    """
    chosen: list[int] = []
    for port in random.sample(range(_FIRST, _LAST + 1), _LAST - _FIRST + 1):
        if len(chosen) == count:
            return chosen
        if port not in taken and is_free(port):
            chosen.append(port)
    raise DeployError(f"fewer than {count} free loopback ports between {_FIRST} and {_LAST}")


def settle(kept: int | None, asked: int | None) -> int:
    """Return the port to listen on: the one asked for, else the one kept if free, else a new one.

    Raises:
        DeployError: the one asked for is in use.
    """
    if asked is not None:
        require_free([asked])
        return asked
    if kept is not None and is_free(kept):
        return kept
    return choose(1)[0]


def require_free(ports: Collection[int]) -> None:
    """Raise DeployError when one of the ports is in use."""
    for port in ports:
        if not is_free(port):
            raise DeployError(
                f"port {port} on {LOOPBACK} is in use: expected a free one; stop what listens "
                "there, or give another --port, or none to have one chosen"
            )
