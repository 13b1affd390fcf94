"""Phones, ID numbers and key holders through the whole chain: no byte of them in any file."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from services.allinone.copies import backup
from services.intake.domain.item import Broken
from services.intake.wiring import Intake
from services.kernel.clock import rfc3339
from services.kernel.errors import Fault, Refused
from services.kernel.protect import Keyring
from tests.support.console_world import ConsoleWorld, console_world

PHONES: Final = ("000-7301-1846", "000-7302-2957", "000-7303-3068", "000-7304-4179")
ID_NUMBER: Final = "990101190001017318"
HOLDER: Final = "测试-钥匙在邻居老周的蓝色花盆下"
SECRETS: Final = (*PHONES, ID_NUMBER, HOLDER)
OPEN: Final = "测试-公开的住址"
"""What is not protected: were it not found, the search would be blind."""


def spellings(text: str) -> Iterator[bytes]:
    """Yield the bytes in which a text could stand in a file."""
    yield text.encode()
    yield text.encode("utf-16-le")
    yield json.dumps(text)[1:-1].encode()
    yield text.encode().hex().encode()
    for shift in range(3):  # base64 of a longer text that holds it
        yield b64encode(b"\0" * shift + text.encode())[4:-4]


def found_in(folder: Path, secrets: tuple[str, ...] = SECRETS) -> set[str]:
    """Return which of the texts stand anywhere in a folder's files, and where."""
    found = set()
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        found |= {
            f"{path.name}: {text}"
            for text in secrets
            if any(each in content for each in spellings(text))
        }
    return found


def live(w: ConsoleWorld) -> str:
    """Have everything happen that writes such fields down; return the page that shows them."""
    w.area("V1", "东村")
    w.household("h1", "V1", name="测试-张家", address=OPEN, phone=PHONES[0], key_holder=HOLDER)
    w.send("registry.person", {"phone": PHONES[1], "id_number": ID_NUMBER}, person="h1-p",
           household="h1")  # fmt: skip
    w.send("registry.staff", {"staff": "s1", "contact": PHONES[2]}, place="V1")
    turn = {"staff": "s1", "role": "duty", "from": rfc3339(w.clock.now()), "contact": PHONES[3]}
    w.send("registry.duty", turn, place="V1")
    _refuse(w)
    red = w.call("h1")
    w.user("wang", "duty")
    wang = w.logged_in("wang")
    wang.post("/report/who", {"q": PHONES[0]})
    wang.get(f"/cases/{red}")
    page = wang.post(f"/cases/{red}/key-holder").text
    w.send("member.moved", {"to_household": "h2"}, person="h1-p")
    return page


def _refuse(w: ConsoleWorld) -> None:
    """Send what is refused: misspelt, unreadable, out of a file, encrypted, in conflict."""
    intake = next(each for each in w.app.services if isinstance(each, Intake))
    said = {"phone": PHONES[0], "id_number": ID_NUMBER, "key_holder": HOLDER}
    item: dict[str, Any] = {
        "type": "registry.person", "source": "test", "sourceid": "x", "person": "h1-p",
        "time": rfc3339(w.clock.now()), "data": {"phone": PHONES[0], "id_number": ID_NUMBER},
    }  # fmt: skip
    fault = Fault("cell C7", "a time", "a text", "correct it", "not_time")
    batch: list[Any] = [
        {**item, "data": said}, {**item, "type": "registry.persn"}, item,
        {**item, "data": {"phone": PHONES[1]}},
        "".join(SECRETS).encode(), json.dumps(said)[:-1].encode(),
        Broken(",".join(SECRETS), fault, "log.csv:7", "test", draft={**item, "data": said}),
    ]  # fmt: skip
    answers = intake.door.accept(batch, idempotency_key="once")
    assert [a.status for a in answers].count("rejected") == 5
    assert [a.status for a in answers].count("conflict") == 1
    fixed = {"set": {"type": "registry.person", "sourceid": "y"}}
    w.apis.send("POST", "intake", f"/v1/kept/{answers[1].kept}/fix", fixed)
    w.apis.send("POST", "intake", f"/v1/kept/{answers[1].kept}/replay", {})
    with pytest.raises(Refused):
        w.apis.send("POST", "intake", f"/v1/kept/{answers[5].kept}/replay", {})
    shown = w.apis.get("intake", f"/v1/kept/{answers[6].kept}")
    assert shown["original"] == ",".join(SECRETS)
    w.app.step()


def test_nothing_protected_stands_in_any_byte_of_any_file(tmp_path: Path) -> None:
    with console_world(tmp_path) as w:
        page = live(w)
        assert HOLDER in page
        assert PHONES[0] in page
        people = w.apis.get("registry", "/v1/people")["items"]
        assert PHONES[0] in {each["profile"].get("phone") for each in people}
        assert found_in(tmp_path / "data") == set()  # with the logs that SQLite writes ahead
        assert found_in(tmp_path / "data", (OPEN,)) >= {
            f"{name}: {OPEN}" for name in ("bus.db-wal", "intake.db-wal", "registry.db-wal")
        }
        backup(tmp_path / "data", tmp_path / "copy", w.clock, keyring=True)
    for folder in ("data", "copy"):
        assert found_in(tmp_path / folder) == set()
        assert found_in(tmp_path / folder, (OPEN,)) >= {
            f"{name}: {OPEN}" for name in ("bus.db", "intake.db", "registry.db", "risk.db")
        }


def test_the_search_finds_all_of_it_where_nothing_is_encrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Keyring, "seal", lambda _, clear, *__: clear.decode())
    with console_world(tmp_path) as w:
        live(w)
    found = found_in(tmp_path / "data")
    for name in ("intake.db", "bus.db", "registry.db"):
        assert {f"{name}: {text}" for text in SECRETS} <= found
