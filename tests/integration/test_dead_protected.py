"""A dead letter may be corrected, but nothing that the door encrypted goes out in clear."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from services.allinone.apis import Apis, Local
from services.allinone.dlq import fix, replay, shown
from services.allinone.embedded import BUILDS
from services.kernel.bus.dead_letters import bury
from services.kernel.bus.port import Bus
from services.kernel.clock import SECOND, VirtualClock, from_us
from services.kernel.contracts.envelope import HEADERS, Envelope, encode, raw
from services.kernel.contracts.records import Record
from services.kernel.contracts.topics import CHANGES
from services.kernel.errors import Fault, Refused
from services.kernel.runtime import Context, Service, open_app
from services.kernel.settings import ensure_token, load
from tests.ops.town import PACK
from tests.support.intake_world import START
from tests.support.keys import KEYRING, TEXT

SEALED: Final = KEYRING.seal(b"000-1", "registry.person", "phone")
CLEAR: Final = "000-1234-5678"


@pytest.fixture
def apis(tmp_path: Path) -> Iterator[Apis]:
    settings = load({}, data_dir=tmp_path, pack=PACK, partitions=1, keyring=TEXT)
    held: list[Bus] = []

    def tap(ctx: Context) -> Service:
        held.append(ctx.bus)
        return Service(name="tap")

    app = open_app(settings, (*BUILDS, tap), clock=VirtualClock(START), serve=False)
    try:
        now = from_us(START)
        envelope = Envelope(
            id="e1", type="registry.person", source="test", time=now, subject="p1",
            partitionkey="h1", receivedat=now, data=raw({"phone": SEALED, "name": "测试-李"}),
        )  # fmt: skip
        record = Record(CHANGES.name, 0, 7, "h1", encode(envelope), HEADERS, START)
        fault = Fault("message", "another", "this one", "correct it", "poison")
        held[0].publish([bury(record, fault, group="registry", attempts=3, now=START + SECOND)])
        with Apis(Local(app, ensure_token(settings))) as made:
            yield made
    finally:
        app.stop()


def letter(apis: Apis) -> str:
    [found] = apis.get("dead", "/v1/letters")["items"]
    return str(found["id"])


@pytest.mark.parametrize(
    "change",
    [
        {"set": {"data.phone": CLEAR}},
        {"set": {"data.id_number": CLEAR}},
        {"set": {"data.phone": KEYRING.seal(b"000-2", "registry.person", "phone")}},
        {"set": {"subject": "p2"}},
        {"set": {"type": "registry.household"}},
        {
            "set": {
                "type": "subject.moved_in",
                "data": {
                    "move": "m",
                    "other": "h2",
                    "was": "p1",
                    "facts": [{"data": {"phone": CLEAR}}],
                },
            }
        },
    ],
    ids=["clear", "added", "smuggled", "another", "retyped", "carried"],
)
def test_a_protected_field_is_not_written_here(apis: Apis, change: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="send its new value in at the door"):
        fix(apis, letter(apis), change)
    assert shown(apis, letter(apis))["fixed_value"] is None


def test_everything_else_is_and_the_letter_goes_out_again(apis: Apis) -> None:
    identity = letter(apis)
    fix(apis, identity, {"set": {"data.name": "测试-王"}})
    said = json.loads(shown(apis, identity)["fixed_value"])["data"]
    assert said == {"name": "测试-王", "phone": SEALED}
    assert replay(apis, [identity]) == (1, {})
    assert shown(apis, identity)["replayed"] == 1
