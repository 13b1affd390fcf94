from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from pydantic import BaseModel, field_validator
from starlette.routing import Mount, Router
from structlog.testing import capture_logs

from services.kernel.errors import (
    Fault,
    Faults,
    HearthwatchError,
    InvalidMessage,
    Refused,
    Retryable,
    Stale,
    WrongUse,
)
from services.kernel.http import make_app
from services.kernel.metrics import Metrics
from tests.support.patience import FakeMonotonic

TOKEN = "0123456789abcdef"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
FAULT = Fault("alert", "an open one", "a closed one", "reopen it", "closed")
LIMIT = 2000


class Thing(BaseModel):
    number: int
    word: str = ""

    @field_validator("word")
    @classmethod
    def _no_names(cls, word: str) -> str:
        if word == "张三":
            raise ValueError(f"{word} is a name")
        return word


class World:
    """An API with a few routes, and a client that has the token."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.reasons: list[str | None] = []
        self.raises: Exception = ValueError("张三")
        self.app = make_app(
            service="alerts",
            title="Alerts",
            ready=[lambda: next(iter(self.reasons), None)],
            metrics=self.metrics,
            token=TOKEN,
            body_limit=LIMIT,
            monotonic=FakeMonotonic(),
        )

        @self.app.post("/v1/things/{id}")
        def make(id: str, thing: Thing) -> dict[str, Any]:
            return {"id": id, "number": thing.number}

        @self.app.get("/v1/raise")
        def fail() -> None:
            raise self.raises

        self.client = TestClient(self.app, headers=BEARER)

    def count(self, route: str, status: int, method: str = "GET") -> float:
        return self.metrics.value(
            "hearthwatch_http_requests_total",
            service="alerts",
            method=method,
            route=route,
            status=str(status),
        )


@pytest.fixture
def world() -> World:
    return World()


def problem(response: Response, status: int) -> dict[str, Any]:
    """Return the body of a problem, having checked its form."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["type"] == f"urn:hearthwatch:problem:{body['code']}"
    for key in ("title", "detail", "where", "expected", "found", "remedy"):
        assert body[key], key
    return body


class TestDoor:
    @pytest.mark.parametrize("sent", [None, "", "Bearer x", TOKEN, f"bearer {TOKEN}", "Bearer 张"])
    def test_without_the_token_nobody_passes(self, world: World, sent: str | None) -> None:
        headers = {} if sent is None else {"Authorization": sent.encode()}
        response = TestClient(world.app).get("/v1/raise", headers=headers)  # type: ignore[arg-type]
        assert problem(response, 401)["code"] == "unauthorized"
        assert response.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in response.text

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
    def test_three_routes_are_open(self, world: World, path: str) -> None:
        assert TestClient(world.app).get(path).status_code == 200

    @pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/redoc", "/v1/none"])
    def test_nothing_else_is_open(self, world: World, path: str) -> None:
        assert TestClient(world.app).get(path).status_code == 401

    @pytest.mark.parametrize("path", ["/docs", "/redoc"])
    def test_no_page_is_served_that_loads_scripts_from_elsewhere(
        self, world: World, path: str
    ) -> None:
        problem(world.client.get(path), 404)

    def test_a_mounted_api_keeps_its_rules(self, world: World) -> None:
        root = Router([Mount("/alerts", world.app)])
        client = TestClient(root)
        assert client.get("/alerts/healthz").status_code == 200
        assert client.get("/alerts/v1/raise").status_code == 401
        response = client.post("/alerts/v1/things/7", json={"number": 1}, headers=BEARER)
        assert response.json() == {"id": "7", "number": 1}
        assert world.count("/v1/things/{id}", 200, "POST") == 1


class TestErrors:
    @pytest.mark.parametrize(
        ("raised", "status", "code"),
        [
            (Refused(FAULT), 409, "closed"),
            (Refused(FAULT, status=404), 404, "closed"),
            (InvalidMessage(FAULT), 422, "closed"),
            (WrongUse(FAULT), 422, "closed"),
            (Stale("moved"), 409, "stale"),
            (Retryable("database of alerts: SQLITE_FULL"), 503, "unavailable"),
            (HearthwatchError("new kind"), 500, "bug"),
        ],
    )
    def test_each_error_verb_has_its_status(
        self, world: World, raised: Exception, status: int, code: str
    ) -> None:
        world.raises = raised
        assert problem(world.client.get("/v1/raise"), status)["code"] == code

    def test_a_fault_is_told_with_all_its_parts(self, world: World) -> None:
        world.raises = Refused(FAULT)
        body = problem(world.client.get("/v1/raise"), 409)
        assert body["where"] == "alert"
        assert body["expected"] == "an open one"
        assert body["found"] == "a closed one"
        assert body["remedy"] == "reopen it"
        assert body["detail"] == FAULT.sentence()

    def test_many_faults_are_listed(self, world: World) -> None:
        world.raises = Faults("pack", [FAULT, Fault("rule", "a", "b", "c")])
        body = problem(world.client.get("/v1/raise"), 422)
        assert [error["where"] for error in body["errors"]] == ["alert", "rule"]
        assert body["found"] == "2 faults"

    def test_what_is_out_of_reach_says_when_to_come_again(self, world: World) -> None:
        world.raises = Retryable("x")
        assert world.client.get("/v1/raise").headers["retry-after"] == "1"

    def test_a_bug_is_answered_logged_once_and_never_quoted(self, world: World) -> None:
        with capture_logs() as logs:
            response = world.client.get("/v1/raise")
        assert [(line["log_level"], line["route"]) for line in logs] == [("error", "/v1/raise")]
        assert problem(response, 500)["code"] == "bug"
        assert "张三" not in response.text
        assert response.headers["x-correlation-id"]
        assert world.count("/v1/raise", 500) == 1

    def test_malformed_fields_are_listed_without_their_values(self, world: World) -> None:
        response = world.client.post("/v1/things/7", json={"number": "李四", "word": [1, 2]})
        body = problem(response, 422)
        assert [error["where"] for error in body["errors"]] == ["body.number", "body.word"]
        assert [error["found"] for error in body["errors"]] == ["text of length 2", "a list of 2"]
        assert "李四" not in response.text

    def test_a_missing_field_is_named(self, world: World) -> None:
        body = problem(world.client.post("/v1/things/7", json={}), 422)
        assert (body["where"], body["found"]) == ("body.number", "nothing")

    def test_what_our_own_validators_say_is_not_repeated(self, world: World) -> None:
        response = world.client.post("/v1/things/7", json={"number": 1, "word": "张三"})
        problem(response, 422)
        assert "张三" not in response.text

    @pytest.mark.parametrize("content", [b"{oo", b'{"number": 1', b"\xff\xfe"])
    def test_broken_json_is_a_400(self, world: World, content: bytes) -> None:
        headers = {"content-type": "application/json"}
        problem(world.client.post("/v1/things/7", content=content, headers=headers), 400)

    def test_an_unknown_path_and_a_wrong_method_are_told(self, world: World) -> None:
        assert problem(world.client.get("/v1/none"), 404)["code"] == "not_found"
        response = world.client.delete("/v1/raise")
        assert problem(response, 405)["code"] == "method"
        assert response.headers["allow"] == "GET"


class TestLimit:
    def test_a_body_up_to_the_limit_passes_and_one_above_does_not(self, world: World) -> None:
        frame = len('{"number":1,"word":""}')
        for size, status in ((LIMIT, 200), (LIMIT + 1, 413)):
            content = f'{{"number":1,"word":"{"x" * (size - frame)}"}}'
            assert len(content) == size
            headers = {"content-type": "application/json"}
            response = world.client.post("/v1/things/7", content=content, headers=headers)
            assert response.status_code == status

    def test_a_body_of_unknown_length_is_cut_off_at_the_limit(self, world: World) -> None:
        def pieces() -> Iterator[bytes]:
            yield b'{"number":1,"word":"'
            for _ in range(50):
                yield b"x" * 100
            yield b'"}'

        headers = {"content-type": "application/json"}
        response = world.client.post("/v1/things/7", content=pieces(), headers=headers)
        assert problem(response, 413)["expected"] == f"at most {LIMIT} bytes"
        assert world.count("/v1/things/{id}", 413, "POST") == 1


class TestWatching:
    def test_readiness_gives_every_reason_once(self, world: World) -> None:
        assert world.client.get("/readyz").json() == {"ready": True, "reasons": []}
        world.reasons = ["bus away"]
        world.app.state.ready.append(lambda: "bus away")
        world.app.state.ready.append(lambda: "worker waits")
        response = world.client.get("/readyz")
        assert response.status_code == 503
        assert response.json() == {"ready": False, "reasons": ["bus away", "worker waits"]}
        assert world.client.get("/healthz").status_code == 200

    def test_a_stuck_loop_is_unhealthy(self, world: World) -> None:
        world.app.state.stuck.append(lambda: "loop x stands still")
        response = world.client.get("/healthz")
        assert response.status_code == 503
        assert response.json() == {"healthy": False, "reasons": ["loop x stands still"]}

    def test_requests_are_counted_by_template_and_never_by_path(self, world: World) -> None:
        for id in ("h-1", "h-2"):
            world.client.post(f"/v1/things/{id}", json={"number": 1})
        world.client.get("/v1/h-3")
        assert world.count("/v1/things/{id}", 200, "POST") == 2
        assert world.count("unmatched", 404) == 1
        text = world.client.get("/metrics").text
        assert "h-1" not in text
        assert "h-3" not in text

    def test_a_correlation_id_is_kept_if_it_is_one_and_made_if_not(self, world: World) -> None:
        kept = world.client.get("/healthz", headers={"x-correlation-id": "abc-1"})
        assert kept.headers["x-correlation-id"] == "abc-1"
        made = world.client.get("/healthz", headers={"x-correlation-id": "a b" * 50})
        assert len(made.headers["x-correlation-id"]) == 36

    def test_answers_are_not_stored_or_guessed_at(self, world: World) -> None:
        headers = world.client.get("/healthz").headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"

    def test_the_document_describes_token_and_problems(self, world: World) -> None:
        document = world.client.get("/openapi.json").json()
        operation = document["paths"]["/v1/things/{id}"]["post"]
        assert operation["security"] == [{"HTTPBearer": []}]
        for status in ("400", "401", "413", "422", "500", "503"):
            assert "application/problem+json" in operation["responses"][status]["content"]
        assert "/healthz" not in document["paths"]


def test_each_app_is_its_own() -> None:
    assert isinstance(World().app, FastAPI)
    assert World().app is not World().app
