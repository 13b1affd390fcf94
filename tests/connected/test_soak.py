"""A small soak: changes through, then all of it read again by new groups and by the old ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.allinone.bench.chain import Servers, started
from services.allinone.bench.plot import lines_svg
from services.allinone.bench.soak import soak
from services.kernel.clock import SystemMonotonic

pytestmark = [
    pytest.mark.connected,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("deployed"),
]
CHANGES = 3_000


def test_reading_all_again_changes_nothing_and_pages_nobody(
    server_address: Callable[[str], str],
) -> None:
    on = Servers(f"kafka://{server_address('kafka')}", server_address("postgres"))
    with started(on, replay=True) as chain:
        found, samples = soak(chain, CHANGES, SystemMonotonic())
        told = list(chain.apis.items("alerts", "/v1/deliveries"))
    assert found.unchanged
    assert found.read_again > CHANGES
    assert told, "alerts were open whose people could have been told again"
    assert set(found.peak_mb) == {"intake", "registry", "risk", "alerts", "dead"}
    assert len(samples) > 1
    assert lines_svg("memory", {"risk": [(s.at_s, s.memory_mb["risk"]) for s in samples]})
