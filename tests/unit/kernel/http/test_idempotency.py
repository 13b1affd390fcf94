from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Response
from fastapi.testclient import TestClient
from pydantic import BaseModel
from sqlalchemy import Connection, func, insert, select

from services.kernel.errors import Fault, Refused
from services.kernel.http import RequestKey, answer, idempotent, make_app, request_key
from services.kernel.metrics import Metrics
from tests.support.stores import Store

TOKEN = "0123456789abcdef"


class Note(BaseModel):
    id: str
    count: int = 0


class World:
    """An API whose one write makes a row, over a real database."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.refuse = False
        app = make_app(service="alerts", title="x", ready=[], metrics=Metrics(), token=TOKEN)

        @app.post("/v1/notes")
        def make(note: Note, key: request_key) -> Response:
            return answer(
                idempotent(store.db, store.keys, "notes", key, lambda c: self.put(c, note), now=5)
            )

        self.client = TestClient(app, headers={"Authorization": f"Bearer {TOKEN}"})

    def put(self, conn: Connection, note: Note) -> tuple[int, Any]:
        if self.refuse:
            raise Refused(Fault("note", "a", "b", "c"))
        conn.execute(insert(self.store.things), {"id": note.id, "count": note.count})
        return 201, note

    def post(self, key: str | None, **note: Any) -> tuple[int, Any]:
        headers = {} if key is None else {"Idempotency-Key": key}
        response = self.client.post("/v1/notes", json=note, headers=headers)
        return response.status_code, response.json()

    def rows(self) -> int:
        with self.store.db.read() as conn:
            return conn.scalar(select(func.count()).select_from(self.store.things)) or 0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = Store(f"sqlite:///{tmp_path}/alerts.db", None)
    yield World(store)
    store.close()


def test_the_same_request_with_the_same_key_has_one_effect_and_one_answer(world: World) -> None:
    first = world.post("k", id="a", count=1)
    assert first == (201, {"id": "a", "count": 1})
    assert world.post("k", id="a", count=1) == first
    assert world.rows() == 1


def test_the_key_of_another_request_is_refused(world: World) -> None:
    world.post("k", id="a")
    status, body = world.post("k", id="b")
    assert (status, body["code"]) == (422, "key_reused")
    assert world.rows() == 1


def test_without_a_key_each_request_is_carried_out(world: World) -> None:
    assert world.post(None, id="a")[0] == 201
    assert world.post(None, id="b")[0] == 201
    assert world.rows() == 2


def test_a_refusal_is_not_stored(world: World) -> None:
    world.refuse = True
    assert world.post("k", id="a")[0] == 409
    world.refuse = False
    assert world.post("k", id="a")[0] == 201


def test_a_bug_stores_neither_effect_nor_answer(world: World) -> None:
    world.post("one", id="a")
    assert world.post("two", id="a")[0] == 500
    assert world.rows() == 1
    with world.store.db.read() as conn:
        assert world.store.keys.find(conn, "notes", "two") is None


@pytest.mark.parametrize("key", ["a b", "x" * 201])
def test_a_key_that_is_none_is_refused_without_being_repeated(world: World, key: str) -> None:
    status, body = world.post(key, id="a")
    assert status == 422
    assert body["where"] == "header Idempotency-Key"
    assert key not in str(body)


def test_two_at_once_have_one_effect(world: World) -> None:
    barrier = threading.Barrier(4)
    answers: list[tuple[int, bytes]] = []

    def send() -> None:
        barrier.wait(20)
        answers.append(
            idempotent(
                world.store.db,
                world.store.keys,
                "notes",
                RequestKey("k", "digest"),
                lambda conn: world.put(conn, Note(id="a")),
                now=1,
            )
        )

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert answers == [(201, b'{"id":"a","count":0}')] * 4
    assert world.rows() == 1


def test_the_document_names_the_header(world: World) -> None:
    document = world.client.get("/openapi.json").json()
    names = [each["name"] for each in document["paths"]["/v1/notes"]["post"]["parameters"]]
    assert names == ["idempotency-key"]
