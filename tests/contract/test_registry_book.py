"""The book: folded from the changes, read over HTTP, published compacted, written at intake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from services.intake.domain.names import provisional_household
from services.kernel.contracts.changes import RETRACTED
from services.kernel.contracts.registry import DutyCard, HouseholdCard
from services.kernel.contracts.topics import DUTY, HOUSEHOLDS
from services.registry import handlers
from tests.support.intake_world import item, ref
from tests.support.keys import KEYRING
from tests.support.registry_world import RegistryWorld, registry_world_on


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
def world(
    request: pytest.FixtureRequest, tmp_path: Path, server_address: Callable[[str], str]
) -> Iterator[RegistryWorld]:
    with registry_world_on(request.param, tmp_path, server_address) as made:
        yield made


def entry(sourceid: str, kind: str, keys: dict[str, str], /, **data: Any) -> dict[str, Any]:
    return item(sourceid, type=kind, person=None, data=data) | keys


def person(
    sourceid: str, name: str, household: str | None = None, /, **data: Any
) -> dict[str, Any]:
    made = entry(sourceid, "registry.person", {"person": name}, **data)
    return made if household is None else made | {"household": household}


def household(sourceid: str, name: str, /, **data: Any) -> dict[str, Any]:
    return entry(sourceid, "registry.household", {"household": name}, **data)


def card(world: RegistryWorld, name: str) -> HouseholdCard | None:
    found = world.published(HOUSEHOLDS.name)[name]
    return None if found is None else msgspec.json.decode(found.data, type=HouseholdCard)


class TestPeople:
    def test_a_person_is_entered_with_the_latest_of_each_field(self, world: RegistryWorld) -> None:
        world.send(person("1", "p1", "h1", name="Li", sex="female", birth_date="2015-03-01"))
        world.send(person("2", "p1", lives_alone=False, name="Li Mei"))
        found = world.get("/people/p1")
        assert (found["household"], found["name"]) == ("h1", "Li Mei")
        assert found["profile"] == {
            "name": "Li Mei", "sex": "female", "birth_date": "2015-03-01", "lives_alone": False,
        }  # fmt: skip

    def test_somebody_only_seen_is_entered_too(self, world: RegistryWorld) -> None:
        world.send(item("1"))
        found = world.get("/people/p1")
        assert found["household"] == provisional_household("p1")
        [lived] = found["memberships"]
        assert lived["assumed"]
        assert world.get(f"/households/{found['household']}")["provisional"]

    def test_of_subjects_only_so_many_are_remembered(
        self, world: RegistryWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(handlers, "SEEN", 2)
        (keeper,) = world.keepers()
        for name in ("p1", "p2", "p3", "p1"):
            world.send(item(f"of {name} after {keeper.held()}", person=name))
            assert 0 < keeper.held() <= 2
        assert len(world.get("/people/p1")["memberships"]) == 1

    def test_an_older_entry_that_comes_late_does_not_win(self, world: RegistryWorld) -> None:
        world.send(person("1", "p1", name="new"))
        world.send({**person("2", "p1", name="old"), "time": "2020-01-01T00:00:00Z"})
        assert world.get("/people/p1")["name"] == "new"

    def test_a_corrected_entry_gives_way_and_a_retracted_one_goes(
        self, world: RegistryWorld
    ) -> None:
        world.send(person("1", "p1", name="wrong", kind="elder"))
        world.send({**person("2", "p1", name="right"), "supersedes": ref("1")})
        assert world.get("/people/p1")["profile"] == {"name": "right"}
        world.send(item("3", type=RETRACTED, person="p1", data={}, retracts=ref("2")))
        assert world.get("/people/p1")["profile"] == {}

    def test_a_correction_that_overtook_its_original_replaces_it(
        self, world: RegistryWorld
    ) -> None:
        world.send({**person("2", "p1", name="right"), "supersedes": ref("1")})
        world.send(person("1", "p1", name="wrong", kind="elder"))
        assert world.get("/people/p1")["profile"] == {"name": "right"}

    def test_a_person_nobody_entered_is_404(self, world: RegistryWorld) -> None:
        world.get("/people/nobody", 404)

    def test_people_are_listed_by_pages(self, world: RegistryWorld) -> None:
        world.send(*(person(str(n), f"p{n}", "h1") for n in range(5)))
        first = world.get("/people", household="h1", limit=2)
        rest = world.get("/people", household="h1", cursor=first["next"])
        names = [row["person"] for row in first["items"] + rest["items"]]
        assert names == [f"p{n}" for n in range(5)]


class TestMemberships:
    def test_a_move_ends_one_and_begins_another(self, world: RegistryWorld) -> None:
        world.send(person("1", "p1", "h1"))
        moved = entry("2", "member.moved", {"person": "p1"}, to_household="h2", reason="school")
        world.send(moved | {"time": "2026-11-01T00:01:30Z"})
        found = world.get("/people/p1")
        assert found["household"] == "h2"
        first, second = found["memberships"]
        assert (first["household"], first["until"], first["reason"]) == (
            "h1", "2026-11-01T00:01:30Z", "school",
        )  # fmt: skip
        assert (second["household"], second["until"]) == ("h2", None)

    def test_who_left_is_no_member_but_stays_known(self, world: RegistryWorld) -> None:
        world.send(person("1", "p1", "h1"))
        world.send(
            entry("2", "member.left", {"person": "p1"}, reason="work")
            | {"time": "2026-11-01T00:01:30Z"}
        )
        [lived] = world.get("/people/p1")["memberships"]
        assert (lived["until"], lived["reason"]) == ("2026-11-01T00:01:30Z", "work")

    def test_a_retracted_move_is_undone(self, world: RegistryWorld) -> None:
        world.send(person("1", "p1", "h1"))
        world.send(entry("2", "member.moved", {"person": "p1"}, to_household="h2"))
        world.send(item("3", type=RETRACTED, data={}, retracts=ref("2")))
        found = world.get("/people/p1")
        assert found["household"] == "h1"
        assert [lived["household"] for lived in found["memberships"]] == ["h1"]

    def test_a_tie_is_shown_at_both_ends(self, world: RegistryWorld) -> None:
        world.send(person("1", "p1", "h1"), household("2", "h9", name="Wang"))
        world.send(entry("3", "registry.tie", {"person": "p1"}, household="h9", role="parent"))
        assert world.get("/people/p1")["ties"][0]["household"] == "h9"
        assert world.get("/households/h9")["ties"][0]["person"] == "p1"


class TestMerges:
    def test_a_provisional_household_becomes_the_known_one(self, world: RegistryWorld) -> None:
        world.send(item("1"), entry("2", "home.hazard", {"person": "p1"}, severity=1))
        was = provisional_household("p1")
        assert card(world, was) is not None
        world.send(person("3", "p1", "h1"))
        assert world.get(f"/households/{was}")["household"] == "h1"
        assert card(world, was) is None, "a tombstone"
        assert [m["person"] for m in world.get("/households/h1")["members"]] == ["p1"]

    def test_two_names_of_a_person_become_one(self, world: RegistryWorld) -> None:
        world.send(person("1", "p1", "h1", name="Li", kind="child"))
        world.send(person("2", "p2", "h2", name="Li Mei"))
        merged = entry("3", "registry.merged", {"person": "p2"}, was="p1", became="p2")
        world.send(merged)
        found = world.get("/people/p1")
        assert (found["person"], found["household"], found["name"]) == ("p2", "h2", "Li Mei")
        assert found["profile"]["kind"] == "child"
        assert [row["person"] for row in world.items("/people")] == ["p2"]
        assert world.get("/households/h1")["members"] == []

    def test_two_households_become_one(self, world: RegistryWorld) -> None:
        world.send(household("1", "h1", name="Li"), person("2", "p1", "h1"))
        world.send(household("3", "h2", name="Wang"))
        merged = entry(
            "4", "registry.merged", {"household": "h2"}, was="h1", became="h2", kind="household"
        )
        world.send(merged)
        assert world.get("/households/h1")["household"] == "h2"
        assert world.get("/people/p1")["household"] == "h2"
        assert [row["household"] for row in world.items("/households")] == ["h2"]


class TestHouseholds:
    def test_a_card_is_published_and_only_when_it_is_news(self, world: RegistryWorld) -> None:
        world.send(
            household("1", "h1", name="Li", address="Lane 3", grid="g1", phone="1", area="v1"),
            person("2", "p1", "h1", name="Li Mei", kind="child", relation="daughter"),
        )
        found = card(world, "h1")
        assert found is not None
        assert (found.name, found.address, found.grid) == ("Li", "Lane 3", "g1")
        assert KEYRING.open(str(found.phone), "registry.household", "phone") == b"1"
        [member] = found.members
        assert (member.person, member.name, member.kind) == ("p1", "Li Mei", "child")
        first = world.published(HOUSEHOLDS.name)["h1"]
        world.send(item("3", household="h1"))
        again = world.published(HOUSEHOLDS.name)["h1"]
        assert first is not None
        assert again is not None
        assert again.id == first.id

    def test_households_are_found_by_area_and_grid(self, world: RegistryWorld) -> None:
        world.send(
            household("1", "h1", area="v1", grid="g1"),
            household("2", "h2", area="v1", grid="g2"),
            household("3", "h3", area="v2"),
        )
        assert len(world.items("/households", area="v1")) == 2
        assert [h["household"] for h in world.items("/households", grid="g2")] == ["h2"]


class TestAreasAndDuty:
    def test_areas_are_a_tree(self, world: RegistryWorld) -> None:
        world.send(
            entry("1", "registry.area", {"place": "t1"}, name="Town", kind="township"),
            entry("2", "registry.area", {"place": "v1"}, kind="village", parent="t1"),
            entry("3", "registry.area", {"place": "g1"}, kind="grid", parent="v1"),
        )
        [town] = world.items("/areas")
        assert town["code"] == "t1"
        assert town["areas"][0]["areas"][0]["code"] == "g1"

    def test_areas_that_are_each_others_parents_are_all_shown(self, world: RegistryWorld) -> None:
        world.send(
            entry("1", "registry.area", {"place": "a"}, parent="b"),
            entry("2", "registry.area", {"place": "b"}, parent="a"),
        )
        [root] = world.items("/areas")
        assert {root["code"], root["areas"][0]["code"]} == {"a", "b"}

    def test_the_roster_is_read_at_an_instant_and_published(self, world: RegistryWorld) -> None:
        turn = {"role": "duty", "from": "2026-11-01T00:00:00Z", "to": "2026-11-01T12:00:00Z"}
        world.send(
            entry("1", "registry.staff", {"place": "v1"}, staff="s1", name="Zhao", contact="c1"),
            entry("2", "registry.duty", {"place": "v1"}, staff="s1", **turn),
        )
        at = {"role": "duty", "area": "v1"}
        assert len(world.items("/duty", at="2026-11-01T11:59:59Z", **at)) == 1
        assert world.items("/duty", at="2026-11-01T12:00:00Z", **at) == []
        assert world.items("/staff", area="v1")[0]["name"] == "Zhao"
        found = world.published(DUTY.name)["duty:v1"]
        assert found is not None
        [published] = msgspec.json.decode(found.data, type=DutyCard).turns
        assert (published.staff, published.name) == ("s1", "Zhao")
        assert KEYRING.open(str(published.contact), "registry.staff", "contact") == b"c1"

    def test_a_turn_taken_back_leaves_a_tombstone(self, world: RegistryWorld) -> None:
        start = {"from": "2026-11-01T00:00:00Z"}
        world.send(entry("1", "registry.duty", {"place": "v1"}, role="duty", staff="s1", **start))
        world.send(item("2", type=RETRACTED, person=None, data={}, retracts=ref("1")))
        assert world.items("/duty") == []
        assert world.published(DUTY.name) == {"duty:v1": None}


class TestReading:
    def test_every_look_at_a_person_is_logged_with_who_looked(self, world: RegistryWorld) -> None:
        world.send(person("1", "p1", "h1"), person("2", "p2", "h1"))
        world.get("/people/p1")
        world.get("/people")
        world.get("/households/h1")
        looks = world.items("/looked")
        assert [look["subjects"] for look in looks] == [["p1"], ["p1", "p2"], ["p1", "p2"]]
        assert {look["viewer"] for look in looks} == {"w1"}
        assert len(world.items("/looked", subject="p2")) == 2

    def test_a_look_from_outside_says_so_and_is_logged_where_it_shows_nobody(
        self, world: RegistryWorld
    ) -> None:
        world.send(person("1", "p1", "h1"), household("2", "h2"))
        glass = {"X-Hearthwatch-Person": "w2", "X-Hearthwatch-Why": "glass"}
        for path in ("/households/h1", "/households/h2", "/people/p1", "/households/nobody"):
            world.book.get(f"/v1{path}", headers=glass)
        world.get("/people/p1")
        assert [(look["what"], look["subjects"]) for look in world.items("/looked")] == [
            ("glass: household h1", ["p1"]),
            ("glass: household h2", []),
            ("glass: person", ["p1"]),
            ("person", ["p1"]),
        ]
        assert world.get("/audit")["ok"]
        other = {**glass, "X-Hearthwatch-Why": "curious"}
        assert world.book.get("/v1/people/p1", headers=other).status_code == 422

    def test_a_household_is_found_by_its_exact_id_or_name_or_that_of_who_lives_there(
        self, world: RegistryWorld
    ) -> None:
        world.send(household("1", "h1", name="李家"), household("2", "h2", name="李家大院"))
        world.send(person("3", "p3", "h2", name="李四"))
        found = {
            name: [
                row["household"]
                for row in world.book.get(
                    "/v1/households", headers={"X-Hearthwatch-Called": quote(name)}
                ).json()["items"]
            ]
            for name in ("李家", "李四", "h2", "李", "%")
        }
        assert found == {"李家": ["h1"], "李四": ["h2"], "h2": ["h2"], "李": [], "%": []}

    def test_households_are_listed_by_name(self, world: RegistryWorld) -> None:
        world.send(*(household(str(n), f"h{n}") for n in range(4)))
        names = {"name": ["h1", "h3", "h9"]}
        found = world.book.get("/v1/households", params=names).json()["items"]
        assert [row["household"] for row in found] == ["h1", "h3"]
        assert "members" not in found[0]
        assert world.items("/looked") == []

    def test_an_edit_is_sent_to_intake(self, world: RegistryWorld) -> None:
        answer = world.book.post("/v1/people", json={})
        assert (answer.status_code, answer.json()["code"]) == (405, "edit_at_intake")
        assert "/v1/changes" in answer.json()["remedy"]

    def test_ids_are_of_every_message_taken_in(self, world: RegistryWorld) -> None:
        ids = world.send(item("1"), person("2", "p1"))
        assert set(ids) <= set(world.items("/ids", kind="consumed"))

    def test_reading_the_topic_again_from_the_start_changes_nothing(
        self, world: RegistryWorld
    ) -> None:
        world.send(item("1"), person("2", "p1", "h1"), household("3", "h1", name="Li"))
        before = world.get("/people/p1"), world.published(HOUSEHOLDS.name)
        world.read_again()
        world.app.step()
        assert (world.get("/people/p1"), world.published(HOUSEHOLDS.name)) == before
        assert world.get("/audit") == {"ok": True, "findings": []}
