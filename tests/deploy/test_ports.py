from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from deploy._lib import ports
from deploy._lib.errors import DeployError


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_somebody_listens_on_is_not_free(taken: int) -> None:
    assert not ports.is_free(taken)


def test_a_port_is_free_again_when_its_listener_has_gone() -> None:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
    assert ports.is_free(port)


def test_chosen_ports_are_free_different_and_out_of_reach_of_outgoing_connections() -> None:
    chosen = ports.choose(20)
    assert len(set(chosen)) == 20
    assert all(1024 < port < 32768 and ports.is_free(port) for port in chosen)


def test_ports_already_given_out_are_not_chosen() -> None:
    given = set(range(15000, 31990))
    assert set(ports.choose(1, taken=given)) <= set(range(31990, 32000))


def test_a_free_port_is_kept_from_last_time() -> None:
    (kept,) = ports.choose(1)
    assert ports.settle(kept, None) == kept


def test_a_port_lost_to_somebody_else_is_replaced(taken: int) -> None:
    assert ports.settle(taken, None) != taken


def test_a_port_asked_for_goes_before_the_one_kept() -> None:
    kept, asked = ports.choose(2)
    assert ports.settle(kept, asked) == asked


def test_a_port_asked_for_that_is_taken_is_refused_by_number(taken: int) -> None:
    with pytest.raises(DeployError, match=f"port {taken} on 127.0.0.1 is in use"):
        ports.settle(None, taken)
