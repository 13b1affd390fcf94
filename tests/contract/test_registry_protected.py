"""Protected fields in the book: kept and published encrypted, opened for those who may look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from sqlalchemy import select

from services.kernel.contracts.registry import DutyCard
from services.kernel.contracts.topics import DUTY, HOUSEHOLDS
from services.registry.storage.tables import DUTY as DUTIES
from services.registry.storage.tables import FACT, HOUSEHOLD, PERSON, STAFF, TABLES
from tests.support.intake_world import item
from tests.support.keys import KEYRING, OTHER
from tests.support.registry_world import RegistryWorld, registry_world_on

NUMBER: Final = "000-1234-5678"
ID: Final = "990101190001010000"
HOLDER: Final = "测试-邻居老周"
MISSING: Final = {
    "code": "key_missing", "key": "new2", "told": "cannot be read: key new2 missing",
}  # fmt: skip


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
def world(
    request: pytest.FixtureRequest, tmp_path: Path, server_address: Callable[[str], str]
) -> Iterator[RegistryWorld]:
    with registry_world_on(request.param, tmp_path, server_address) as made:
        made.send(
            entry("1", "registry.household", {"household": "h1"}, phone=NUMBER, key_holder=HOLDER),
            entry("2", "registry.person", {"person": "p1", "household": "h1"},
                  phone="000-2", id_number=ID, name="测试-李"),
            entry("3", "registry.staff", {"place": "v1"}, staff="s1", contact="000-3"),
            entry("4", "registry.duty", {"place": "v1"}, staff="s1", role="duty", contact="000-4",
                  **{"from": "2026-10-01T00:00:00Z"}),
        )  # fmt: skip
        yield made


def entry(sourceid: str, kind: str, keys: dict[str, str], /, **data: Any) -> dict[str, Any]:
    return item(sourceid, type=kind, person=None, data=data) | keys


def test_who_looks_at_a_home_or_a_person_is_shown_the_phone_and_what_else_there_is(
    world: RegistryWorld,
) -> None:
    home, person = world.get("/households/h1"), world.get("/people/p1")
    assert home["profile"] == {"phone": NUMBER}
    assert home["withheld"] == ["key_holder"]
    assert person["profile"] == {"name": "测试-李", "phone": "000-2"}
    assert person["withheld"] == ["id_number"]
    assert world.items("/people")[0]["profile"]["phone"] == "000-2"


def test_a_list_of_homes_shows_phones_on_asking_only(world: RegistryWorld) -> None:
    [row] = world.items("/households")
    assert (row["profile"], row["withheld"]) == ({}, ["phone", "key_holder"])
    [row] = world.items("/households", show="phone")
    assert row["profile"] == {"phone": NUMBER}


@pytest.mark.parametrize(
    ("path", "name", "value", "what"),
    [
        ("/households/h1/key-holder", "key_holder", HOLDER, "key holder"),
        ("/people/p1/id-number", "id_number", ID, "ID number"),
    ],
)
def test_what_is_kept_closest_is_shown_alone_and_the_look_says_so(
    world: RegistryWorld, path: str, name: str, value: str, what: str
) -> None:
    assert world.get(path) == {name: value, "unreadable": {}}
    look = world.items("/looked", subject="p1")[-1]
    assert (look["viewer"], look["what"]) == ("w1", what)
    assert value not in str(world.items("/looked"))


def test_a_look_at_the_key_of_an_empty_home_is_logged_too(world: RegistryWorld) -> None:
    world.send(entry("9", "registry.household", {"household": "h9"}, address="Lane 1"))
    assert world.get("/households/h9/key-holder")["key_holder"] is None
    assert world.items("/looked", subject="h9")[-1]["viewer"] == "w1"
    world.get("/households/h0/key-holder", 404)
    world.get("/people/p0/id-number", 404)


def test_contacts_are_shown_and_published_encrypted(world: RegistryWorld) -> None:
    assert world.items("/staff")[0]["contact"] == "000-3"
    assert world.items("/duty")[0]["contact"] == "000-4"
    found = world.published(DUTY.name)["duty:v1"]
    assert found is not None
    [turn] = msgspec.json.decode(found.data, type=DutyCard).turns
    assert KEYRING.open(str(turn.contact), "registry.duty", "contact") == b"000-4"


def test_the_book_and_its_topics_hold_nothing_in_clear(world: RegistryWorld) -> None:
    for topic in (HOUSEHOLDS.name, DUTY.name):
        for envelope in world.published(topic).values():
            assert envelope is not None
            assert "000-" not in bytes(envelope.data).decode()
    db = world.database(TABLES)
    with db.read() as conn:
        for column in (HOUSEHOLD.c.profile, PERSON.c.profile, STAFF.c.contact, DUTIES.c.contact):
            [said] = conn.scalars(select(column))
            assert "enc:v1:old1:" in str(said)
            assert "000-" not in str(said)
        facts = b"".join(bytes(data) for data in conn.scalars(select(FACT.c.data)))
        assert b"000-" not in facts
        assert HOLDER.encode() not in facts
    db.close()
    assert world.get("/audit")["ok"]


def test_a_missing_key_is_told_and_nothing_is_left_out_silently(world: RegistryWorld) -> None:
    def lost(kind: str, name: str) -> str:
        return OTHER.seal(b"000-5", kind, name)

    home = {name: lost("registry.household", name) for name in ("phone", "key_holder")}
    person = {name: lost("registry.person", name) for name in ("phone", "id_number")}
    world.sql(f"UPDATE household SET profile = '{msgspec.json.encode(home).decode()}'")
    world.sql(f"UPDATE person SET profile = '{msgspec.json.encode(person).decode()}'")
    world.sql(f"UPDATE staff SET contact = '{lost('registry.staff', 'contact')}'")
    found = world.get("/households/h1")
    assert (found["profile"], found["unreadable"]) == ({}, {"phone": MISSING})
    assert world.get("/people/p1")["unreadable"] == {"phone": MISSING}
    assert world.get("/households/h1/key-holder") == {
        "key_holder": None, "unreadable": {"key_holder": MISSING},
    }  # fmt: skip
    assert world.get("/people/p1/id-number")["unreadable"] == {"id_number": MISSING}
    assert world.items("/households", show="phone")[0]["unreadable"] == {"phone": MISSING}
    [row] = world.items("/staff")
    assert (row["contact"], row["unreadable"]) == (None, {"contact": MISSING})


def test_one_persons_number_in_another_ones_field_is_not_shown(world: RegistryWorld) -> None:
    stolen = KEYRING.seal(ID.encode(), "registry.person", "id_number")
    profile = msgspec.json.encode({"phone": stolen}).decode()
    world.sql(f"UPDATE person SET profile = '{profile}' WHERE person = 'p1'")
    found = world.get("/people/p1")
    assert found["profile"] == {}
    assert found["unreadable"]["phone"]["code"] == "altered"
    assert not world.get("/audit")["ok"]


def test_what_was_entered_before_there_were_keys_is_shown_as_it_is(world: RegistryWorld) -> None:
    profile = msgspec.json.encode({"phone": "000-7", "key_holder": "old"}).decode()
    world.sql(f"UPDATE household SET profile = '{profile}' WHERE household = 'h1'")
    found = world.get("/households/h1")
    assert (found["profile"], found["withheld"]) == ({"phone": "000-7"}, ["key_holder"])
    assert world.get("/households/h1/key-holder")["key_holder"] == "old"
