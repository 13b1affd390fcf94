"""Protected fields at the door: encrypted before anything is kept, equal where they are equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from sqlalchemy import Table, select

from services.intake import views
from services.intake.catalogue import protected_fields
from services.intake.domain.check import check
from services.intake.domain.item import Broken, Checked
from services.intake.handlers import mending
from services.intake.handlers.accept import Door
from services.intake.storage import TABLES
from services.kernel.contracts.protected import BUILT_IN
from services.kernel.errors import Fault, Refused
from services.kernel.protect import KEY_BYTES, Keyring
from tests.support.intake_world import IntakeWorld, intake_world, intake_world_on, item, write_pack
from tests.support.keys import KEYRING, OTHER, ROTATED

NUMBER: Final = "000-1234-5678"
ID: Final = "990101190001010000"
HOLDER: Final = "测试-邻居老周，蓝色花盆下"
SECRETS: Final = (NUMBER, ID, HOLDER)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
def world(
    request: pytest.FixtureRequest, tmp_path: Path, server_address: Callable[[str], str]
) -> Iterator[IntakeWorld]:
    with intake_world_on(request.param, tmp_path, server_address) as made:
        yield made


def person(sourceid: str, /, **data: Any) -> dict[str, Any]:
    said = {"phone": NUMBER, "id_number": ID, "name": "测试-李", **data}
    return item(sourceid, type="registry.person", household="h1", data=said)


def home(sourceid: str, /, **data: Any) -> dict[str, Any]:
    said = {"phone": NUMBER, "key_holder": HOLDER, **data}
    return item(sourceid, type="registry.household", person=None, household="h1", data=said)


def kept_in(world: IntakeWorld) -> str:
    """Return everything that stands in the store, as text."""
    found = []
    tables: list[Table] = list(TABLES.sorted_tables)
    with world.db.read() as conn:
        for table in tables:
            for row in conn.execute(select(table)):
                found += [
                    each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each)
                    for each in row
                ]
    return "\n".join(found)


def with_keys(world: IntakeWorld, keyring: Keyring) -> None:
    """Start the door anew with another keyring."""
    world.door = Door(world.store, world.catalogue, world.clock, keyring)


def shown(world: IntakeWorld, kept: str | None) -> dict[str, Any]:
    assert kept is not None
    with world.db.read() as conn:
        found = views.kept_one(conn, kept, world.door.cover)
    assert found is not None
    return found


def again(world: IntakeWorld, kept: str | None) -> str:
    assert kept is not None
    return mending.replay(world.store, world.door, kept).status


def data_of(world: IntakeWorld) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(world.outbox()[-1].data)
    return found


def test_the_built_in_types_mark_what_is_listed_as_protected(tmp_path: Path) -> None:
    assert protected_fields(None) == BUILT_IN
    found = protected_fields(write_pack(tmp_path / "pack"))
    assert {kind: set(names) for kind, names in found.items()} == {
        kind: set(names) for kind, names in BUILT_IN.items()
    }


class TestAccepted:
    def test_what_is_protected_stands_nowhere_and_the_rest_as_it_was(
        self, world: IntakeWorld
    ) -> None:
        world.send(person("1"), home("2"))
        whole = kept_in(world)
        assert not [secret for secret in SECRETS if secret in whole]
        assert "测试-李" in whole
        said = data_of(world)
        assert KEYRING.open(said["phone"], "registry.household", "phone") == NUMBER.encode()
        opened = KEYRING.open(said["key_holder"], "registry.household", "key_holder")
        assert opened == HOLDER.encode()
        assert world.audit() == []

    def test_a_field_of_the_packs_own_is_protected_too(self, tmp_path: Path) -> None:
        events = (
            "- type: health.vitals\n  subject: person\n  title: {zh: 甲, en: a}\n"
            "  fields: {carer: {type: text, protected: true}, systolic: {type: integer}}\n"
        )
        with intake_world(tmp_path, events=events, rules="[]") as world:
            world.one(item("1", data={"carer": HOLDER, "systolic": 1}))
            assert HOLDER not in kept_in(world)
            assert (
                KEYRING.open(data_of(world)["carer"], "health.vitals", "carer").decode() == HOLDER
            )

    def test_an_empty_one_stays_empty(self, world: IntakeWorld) -> None:
        world.one(person("1", phone="", id_number=None))
        assert data_of(world) == {"household": "h1", "name": "测试-李", "phone": ""}

    def test_the_same_again_is_a_duplicate_and_another_number_a_conflict(
        self, world: IntakeWorld
    ) -> None:
        assert world.one(person("1")).status == "accepted"
        assert world.one(person("1")).status == "duplicate"
        answer = world.one(person("1", phone="000-0000-0000"))
        assert answer.status == "conflict"
        assert "000-0000-0000" not in kept_in(world)
        assert shown(world, answer.kept)["item"]["data"]["phone"] == "000-0000-0000"

    def test_after_a_rotation_the_same_is_still_a_duplicate(self, world: IntakeWorld) -> None:
        world.one(person("1"))
        with_keys(world, ROTATED)
        assert world.one(person("1")).status == "duplicate"
        assert world.one(person("1", phone="1")).status == "conflict"
        world.one(person("2"))
        assert data_of(world)["phone"].startswith("enc:v1:new2:")

    def test_a_key_that_was_put_back_in_another_place_changes_nothing(
        self, world: IntakeWorld
    ) -> None:
        world.one(person("1"))
        with_keys(world, Keyring({"old1": bytes(KEY_BYTES), "new2": bytes(range(KEY_BYTES))}))
        assert world.one(person("1")).status == "duplicate"
        assert world.one(person("1", phone="1")).status == "conflict"

    def test_one_taken_before_there_were_keys_is_known_again(self, world: IntakeWorld) -> None:
        sent = person("1")
        looked = check(msgspec.json.encode(sent), world.catalogue, KEYRING, replay=False)
        assert isinstance(looked, Checked)
        [older] = looked.older
        assert older != looked.content
        world.one(sent)
        world.sql(f"UPDATE ledger SET content = x'{older.hex()}' WHERE kind = 'fact'")
        assert world.one(sent).status == "duplicate"

    def test_a_request_known_by_its_key_keeps_no_trace_of_its_body_to_try_out(
        self, world: IntakeWorld
    ) -> None:
        batch = [person("1")]
        first = world.door.accept(batch, idempotency_key="k")
        assert world.door.accept(batch, idempotency_key="k") == first
        with_keys(world, ROTATED)
        assert world.door.accept(batch, idempotency_key="k") == first
        with pytest.raises(Refused):
            world.door.accept([person("1", phone="2")], idempotency_key="k")


class TestSmuggled:
    @pytest.mark.parametrize("prefix", ["enc:v1:", "enc:", "enc:v9:x:"])
    def test_what_comes_encrypted_is_refused(self, world: IntakeWorld, prefix: str) -> None:
        answer = world.one(home("1", phone=prefix + "AAAA"))
        assert answer.fault is not None
        assert (answer.fault.where, answer.fault.code) == ("data.phone", "already_encrypted")
        assert world.outbox() == []

    def test_even_an_authentic_value_of_the_very_field_is(self, world: IntakeWorld) -> None:
        world.one(person("1"))
        stolen = data_of(world)["phone"]
        answer = world.one(person("2", phone=stolen) | {"person": "somebody-else"})
        assert answer.status == "rejected"
        assert len(world.outbox()) == 1

    def test_in_a_field_that_is_not_protected_it_is_text_and_never_opened(
        self, world: IntakeWorld
    ) -> None:
        stolen = KEYRING.seal(NUMBER.encode(), "registry.person", "phone")
        assert world.one(person("1", name=stolen, phone=None)).status == "accepted"
        assert data_of(world)["name"] == stolen


class TestKept:
    @pytest.mark.parametrize(
        "sent",
        [
            person("1", sex="none"),
            person("1") | {"time": "2999-01-01T00:00:00Z"},
            {"type": "registry.persn", "phon": NUMBER, "note": ID, "where": HOLDER},
            f'{{"phone": "{NUMBER}", "id_number": "{ID}", "key": "{HOLDER}"'.encode(),
            f"{NUMBER};{ID};{HOLDER}".encode("utf-16"),
        ],
        ids=["fault", "ahead", "misspelt", "broken", "bytes"],
    )
    def test_a_refused_item_stands_nowhere_in_clear_and_is_shown_whole(
        self, world: IntakeWorld, sent: dict[str, Any] | bytes
    ) -> None:
        answer = world.one(sent)
        whole = kept_in(world)
        assert not [secret for secret in SECRETS if secret in whole]
        original = shown(world, answer.kept)["original"]
        assert original == (sent.decode("utf-8", "replace") if isinstance(sent, bytes) else sent)

    def test_it_is_mended_and_sent_in_again(self, world: IntakeWorld) -> None:
        kept = world.one(person("1", sex="none")).kept
        assert kept is not None
        mending.fix(world.store, world.door, kept, {"set": {"data.sex": "female"}})
        assert NUMBER not in kept_in(world)
        assert shown(world, kept)["item"]["data"]["sex"] == "female"
        assert again(world, kept) == "accepted"
        assert NUMBER not in kept_in(world)
        opened = KEYRING.open(data_of(world)["phone"], "registry.person", "phone")
        assert opened.decode() == NUMBER
        assert world.audit() == []

    def test_a_line_of_a_file_and_its_draft_are_covered_too(self, world: IntakeWorld) -> None:
        fault = Fault("cell C7", "a time", "a text of 3 characters", "correct it", "not_time")
        line = Broken(f"1,{NUMBER},xyz", fault, "log.csv:7", "clinic", draft=person("1", sex="?"))
        [answer] = world.door.accept([line])
        whole = kept_in(world)
        assert not [secret for secret in SECRETS if secret in whole]
        assert shown(world, answer.kept)["original"] == f"1,{NUMBER},xyz"
        assert shown(world, answer.kept)["item"]["data"]["phone"] == NUMBER

    def test_the_same_bytes_are_kept_once_also_after_a_rotation(self, world: IntakeWorld) -> None:
        kept = world.one(b"{" + NUMBER.encode()).kept
        with_keys(world, ROTATED)
        assert world.one(b"{" + NUMBER.encode()).kept == kept
        assert shown(world, kept)["original"] == "{" + NUMBER

    def test_without_its_key_it_is_told_so_and_can_be_sent_anew(self, world: IntakeWorld) -> None:
        kept = world.one(person("1", sex="none")).kept
        assert kept is not None
        with_keys(world, OTHER)
        found = shown(world, kept)
        assert found["unreadable"] == "cannot be read: key old1 missing"
        assert (found["original"], found["item"]) == (None, None)
        with pytest.raises(Refused, match="key old1 missing"):
            mending.fix(world.store, world.door, kept, {"set": {"data.sex": "male"}})
        with pytest.raises(Refused, match="key old1 missing"):
            again(world, kept)
        mending.fix(world.store, world.door, kept, person("1", sex="male"))
        assert world.one(person("1", sex="male")).status == "accepted"

    def test_a_body_moved_to_another_item_cannot_be_read(self, world: IntakeWorld) -> None:
        one, two = world.one(b"{" + NUMBER.encode()).kept, world.one(b"[").kept
        world.sql(
            f"UPDATE kept SET original = (SELECT original FROM kept WHERE id = '{one}')"
            f" WHERE id = '{two}'"
        )
        assert "altered" in shown(world, two)["unreadable"]

    def test_one_kept_before_there_were_keys_is_read_as_it_is(self, world: IntakeWorld) -> None:
        kept = world.one(b"{").kept
        world.sql(f"UPDATE kept SET original = x'7b7d' WHERE id = '{kept}'")
        assert shown(world, kept)["original"] == {}

    def test_in_a_replay_its_name_does_not_depend_on_the_keys(self, tmp_path: Path) -> None:
        names = set()
        for folder, keyring in (("a", KEYRING), ("b", OTHER)):
            with intake_world(tmp_path / folder, replay=True) as world:
                door = Door(world.store, world.catalogue, world.clock, keyring, replay=True)
                names.add(door.accept([b"{"])[0].kept)
        assert len(names) == 1
