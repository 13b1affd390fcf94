"""The door over HTTP, as its clients see it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.intake.wiring import Intake, build
from services.kernel.clock import VirtualClock
from services.kernel.runtime import App, open_app
from services.kernel.settings import load
from tests.support.intake_world import START, item, ref, write_pack

TOKEN = "a token for the tests"


@pytest.fixture(params=[False])
def app(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[App]:
    settings = load(
        {},
        data_dir=tmp_path / "data",
        pack=write_pack(tmp_path / "pack"),
        token=TOKEN,
        partitions=2,
        replay=request.param,
    )
    made = open_app(settings, [build], clock=VirtualClock(START), serve=False)
    yield made
    made.stop()


def service_of(app: App) -> Intake:
    [service] = app.services
    assert isinstance(service, Intake)
    return service


@pytest.fixture
def client(app: App) -> Iterator[TestClient]:
    api = service_of(app).api
    assert api is not None
    with TestClient(api, headers={"Authorization": f"Bearer {TOKEN}"}) as made:
        yield made


def post(client: TestClient, sent: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = client.post("/v1/changes", json=sent)
    return answer.status_code, answer.json()


class TestOneChange:
    def test_it_is_accepted_with_202_and_repeated_with_200(self, client: TestClient) -> None:
        status, first = post(client, item("1"))
        assert (status, first["status"]) == (202, "accepted")
        assert post(client, item("1")) == (200, {"status": "duplicate", "id": first["id"]})

    def test_a_conflict_is_409_and_says_where_it_is_kept(self, client: TestClient) -> None:
        post(client, item("1"))
        status, problem = post(client, item("1", data={}))
        assert (status, problem["code"]) == (409, "conflict")
        assert client.get(f"/v1/kept/{problem['kept']}").json()["code"] == "conflict"

    def test_a_bad_item_is_422_with_place_expectation_and_remedy(self, client: TestClient) -> None:
        status, problem = post(client, item("1", data={"glucose": 300}))
        assert status == 422
        assert problem["where"] == "data.glucose"
        assert problem["expected"] == "a number 0.5..60 mmol/L"
        assert problem["found"] == "300 mmol/L"
        assert "unit" in problem["remedy"]
        assert problem["kept"]

    def test_broken_json_is_400_with_line_and_column_and_kept(self, client: TestClient) -> None:
        answer = client.post("/v1/changes", content=b'{"type": "x",\n "time": }')
        assert answer.status_code == 400
        assert answer.json()["where"] == "line 2 column 10"
        kept = client.get(f"/v1/kept/{answer.json()['kept']}").json()
        assert kept["original"] == '{"type": "x",\n "time": }'

    @pytest.mark.parametrize("path", ["/v1/changes", "/v1/changes:batch", "/v1/kept/x/fix"])
    def test_what_is_nested_without_end_is_refused_and_kept(
        self, client: TestClient, path: str
    ) -> None:
        for deep in (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b"[" * 50_000 + b"]" * 50_000):
            answer = client.post(path, content=deep)
            assert (answer.status_code, answer.json()["code"]) in ((400, "not_json"),
                                                                   (422, "not_json"))  # fmt: skip
            if not path.endswith("fix"):
                kept = client.get(f"/v1/kept/{answer.json()['kept']}").json()
                assert kept["original"].encode() == deep

    def test_an_oversize_item_is_kept_and_an_oversize_body_is_413(self, client: TestClient) -> None:
        status, problem = post(client, item("1", traceparent="x" * 300_000))
        assert (status, problem["code"]) == (422, "too_large")
        assert client.post("/v1/changes", content=b"x" * 5_000_001).status_code == 413

    def test_a_change_can_be_read_back(self, client: TestClient) -> None:
        _, first = post(client, item("1"))
        post(client, item("2", supersedes=ref("1")))
        found = client.get(f"/v1/changes/{first['id']}").json()
        assert found["envelope"]["sourceid"] == "1"
        assert len(found["corrected_by"]) == 1
        assert client.get("/v1/changes/nothing").status_code == 404


class TestBatch:
    def test_each_item_has_its_answer_in_order(self, client: TestClient) -> None:
        items = [item("1"), item("1"), item("2", type="x"), item("1", data={})]
        answer = client.post("/v1/changes:batch", json=items)
        body = answer.json()
        assert answer.status_code == 202
        assert [each["status"] for each in body["items"]] == [
            "accepted", "duplicate", "rejected", "conflict",
        ]  # fmt: skip
        assert (body["accepted"], body["duplicate"]) == (1, 1)
        assert (body["rejected"], body["conflict"]) == (1, 1)

    def test_the_same_key_gets_the_same_answer(self, client: TestClient) -> None:
        headers = {"Idempotency-Key": "k"}
        first = client.post("/v1/changes:batch", json=[item("1")], headers=headers)
        again = client.post("/v1/changes:batch", json=[item("1")], headers=headers)
        assert again.json() == first.json()
        other = client.post("/v1/changes:batch", json=[item("2")], headers=headers)
        assert (other.status_code, other.json()["code"]) == (422, "key_reused")

    def test_a_broken_batch_is_kept_whole(self, client: TestClient) -> None:
        answer = client.post("/v1/changes:batch", content=b'[{"a": 1},')
        assert answer.status_code == 400
        assert client.get(f"/v1/kept/{answer.json()['kept']}").json()["original"] == '[{"a": 1},'

    def test_a_batch_that_is_no_list_is_told_so(self, client: TestClient) -> None:
        answer = client.post("/v1/changes:batch", json={"a": 1})
        assert (answer.status_code, answer.json()["code"]) == (400, "not_list")

    def test_too_many_items_are_413(self, client: TestClient) -> None:
        assert client.post("/v1/changes:batch", json=[{}] * 5_001).status_code == 413

    def test_a_line_of_a_file_that_is_no_item_is_kept(self, client: TestClient) -> None:
        broken = {
            "original": "1,2", "origin": "a.csv:3",
            "fault": {"where": "line", "expected": "3 cells", "found": "2", "remedy": "add one"},
        }  # fmt: skip
        body = client.post("/v1/changes:batch", json=[{"broken": broken}]).json()
        kept = client.get(f"/v1/kept/{body['items'][0]['kept']}").json()
        assert (kept["origin"], kept["original"]) == ("a.csv:3", "1,2")


class TestKept:
    def test_it_is_listed_by_pages_and_filters(self, client: TestClient) -> None:
        client.post("/v1/changes:batch", json=[item(str(n), type="x") for n in range(5)])
        post(client, item("9", source="school", type="x"))
        first = client.get("/v1/kept", params={"limit": 2, "source": "clinic"}).json()
        rest = client.get(
            "/v1/kept", params={"limit": 9, "source": "clinic", "cursor": first["next"]}
        ).json()
        ids = [each["id"] for each in first["items"] + rest["items"]]
        assert len(set(ids)) == 5
        assert rest["next"] is None
        assert client.get("/v1/kept", params={"code": "conflict"}).json()["items"] == []

    def test_it_is_fixed_and_replayed(self, client: TestClient) -> None:
        _, problem = post(client, item("1", data={"systolic": 1200}))
        kept = problem["kept"]
        assert client.post(f"/v1/kept/{kept}/fix", json={"set": {"data.systolic": 9999}}).json()[
            "errors"
        ]
        assert client.post(f"/v1/kept/{kept}/fix", json={"set": {"data.systolic": 150}}).is_success
        assert client.post(f"/v1/kept/{kept}/replay").status_code == 202
        assert client.post(f"/v1/kept/{kept}/replay").status_code == 200
        assert client.get("/v1/kept").json()["items"] == []
        assert client.get("/v1/kept", params={"state": "repaired"}).json()["items"][0]["id"] == kept


class TestChecks:
    def test_ids_are_what_was_published_in_order(self, client: TestClient) -> None:
        made = [post(client, item(str(n)))[1]["id"] for n in range(3)]
        post(client, item("r", type="fact.retracted", person=None, retracts=ref("x"), data={}))
        assert client.get("/v1/ids").json()["items"] == made
        page = client.get("/v1/ids", params={"limit": 2}).json()
        assert client.get("/v1/ids", params={"cursor": page["next"]}).json()["items"] == made[2:]
        assert len(client.get("/v1/ids", params={"kind": "accepted"}).json()["items"]) == 4
        assert len(client.get("/v1/ids", params={"kind": "parked"}).json()["items"]) == 1

    def test_the_audit_is_clean(self, client: TestClient) -> None:
        post(client, item("1"))
        assert client.get("/v1/audit").json() == {"ok": True, "findings": []}

    def test_the_report_counts_conflicts_as_rejected(self, client: TestClient) -> None:
        post(client, item("1"))
        post(client, item("1", data={}))
        assert client.get("/v1/report").json()["total"] == {
            "read": 2, "accepted": 1, "duplicate": 0, "conflict": 1, "rejected": 1,
        }  # fmt: skip

    def test_the_catalogue_shows_what_can_be_red(self, client: TestClient) -> None:
        types = {t["type"]: t for t in client.get("/v1/types").json()["types"]}
        assert types["health.vitals"]["red"]
        assert not types["visit.recorded"]["red"]
        assert types["registry.person"]["subject"] == "person"

    def test_publishing_again_adds_messages_and_no_lines(
        self, client: TestClient, app: App
    ) -> None:
        _, first = post(client, item("1"))
        app.step()
        answer = client.post("/v1/republish", json={"ids": [first["id"], "unknown"]})
        assert answer.json() == {"published": 1}
        assert app.step() == 1
        assert client.get("/v1/audit").json()["ok"]


class TestMarks:
    def test_marks_are_for_replay_only(self, client: TestClient) -> None:
        answer = client.post("/v1/marks", json={"at": "2026-11-01T00:00:00Z"})
        assert (answer.status_code, answer.json()["code"]) == (409, "not_replay")

    @pytest.mark.parametrize("app", [True], indirect=True)
    def test_in_replay_a_mark_is_written_once(self, client: TestClient) -> None:
        mark = {"at": "2026-11-01T00:00:00Z"}
        assert client.post("/v1/marks", json=mark).json() == {"marked": True}
        assert client.post("/v1/marks", json=mark).json() == {"marked": False}
        assert client.post("/v1/marks", json={"at": "soon"}).status_code == 422

    def test_in_production_they_come_by_a_tick(self, app: App) -> None:
        ticks = {tick.name: tick for tick in service_of(app).ticks}
        ticks["intake.marks"].call()
        assert app.step() == 2
        ticks["intake.answers"].call()
        assert ticks["intake.marks"].every_s == 5

    @pytest.mark.parametrize("app", [True], indirect=True)
    def test_in_replay_no_tick_writes_them(self, app: App) -> None:
        assert "intake.marks" not in [tick.name for tick in service_of(app).ticks]


def test_a_wrong_token_reads_nothing(app: App) -> None:
    api = service_of(app).api
    assert api is not None
    with TestClient(api) as nobody:
        assert nobody.get("/v1/kept").status_code == 401


def test_accepting_is_counted_and_timed(client: TestClient, app: App) -> None:
    post(client, item("1"))
    assert app.metrics.value("hearthwatch_intake_changes_total", outcome="accepted") == 1
