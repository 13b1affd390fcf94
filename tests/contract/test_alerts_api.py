"""The HTTP API of alerts from the outside: what is asked for, what is answered, what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kernel.clock import MINUTE
from tests.support.scenario import START, World


@pytest.fixture
def w(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


class TestActing:
    def test_the_same_key_gets_the_same_answer_and_acts_once(self, w: World) -> None:
        w.raise_alert("p1")
        first = w.act("p1", "acknowledge", key="k", match=None)
        lines = w.alert("p1")["timeline"]
        again = w.act("p1", "acknowledge", key="k", match=None)
        assert (again.status_code, again.json()) == (200, first.json())
        assert w.alert("p1")["timeline"] == lines

    def test_a_key_used_for_another_request_is_refused(self, w: World) -> None:
        w.raise_alert("p1")
        w.act("p1", "acknowledge", key="k", match=None)
        answer = w.act("p1", "acknowledge", by="wang", key="k", match=None)
        assert (answer.status_code, answer.json()["code"]) == (422, "key_reused")

    def test_a_second_person_gets_409_and_the_first_ones_name(self, w: World) -> None:
        w.raise_alert("p1")
        w.act("p1", "acknowledge", by="li")
        answer = w.act("p1", "acknowledge", by="wang", match='"1"')
        assert answer.status_code == 409
        assert "Li" in answer.json()["found"]

    def test_without_a_key_nothing_is_done(self, w: World) -> None:
        w.raise_alert("p1")
        id_ = w.alert("p1")["id"]
        answer = w.http.post(f"/v1/alerts/{id_}/acknowledge", json={"by": {"id": "li"}})
        assert answer.status_code == 422
        assert answer.json()["where"] == "header Idempotency-Key"
        assert w.alert("p1")["state"] == "new"

    @pytest.mark.parametrize("action", ["take", "on_site", "escalate"])
    def test_an_edit_needs_the_version_that_was_seen(self, w: World, action: str) -> None:
        w.raise_alert("p1")
        assert w.act("p1", action, match=None).status_code == 428
        stale = w.act("p1", action, match='"0"')
        assert (stale.status_code, stale.json()["code"]) == (412, "stale")
        assert w.act("p1", action, match="new").status_code == 422
        done = w.act("p1", action)
        assert done.status_code == 200
        assert done.headers["ETag"] == f'"{done.json()["version"]}"'

    def test_the_whole_way_of_a_red(self, w: World) -> None:
        w.raise_alert("p1")
        w.act("p1", "acknowledge", match=None)
        w.act("p1", "take")
        w.act("p1", "handover", to={"id": "wang", "name": "Wang"})
        w.forward(minutes=20)
        w.act("p1", "on_site", by="wang")
        w.act("p1", "note", by="wang", note="the neighbour has the key", match=None)
        w.act("p1", "outcome", by="wang", outcome="hospital")
        assert w.act("p1", "close", by="wang").json()["state"] == "review"
        assert w.act("p1", "close", by="wang").status_code == 409
        closed = w.act("p1", "close", by="li").json()
        assert (closed["state"], closed["closed_by"], closed["outcome"]) == (
            "closed",
            "li",
            "hospital",
        )
        found = w.alert("p1")
        assert {t["stage"]: t["state"] for t in found["tasks"]} == {
            "warning": "done",
            "visit": "done",
            "handling": "done",
        }
        assert found["next"] is None
        assert w.get("/v1/report")["alerts"]["in_time"] == 1
        counted = [line["step"] for line in found["timeline"] if line["counted"]]
        assert counted == ["opened", "notify", "acknowledged", "handled", "closed"]

    def test_what_an_agency_said_of_a_case_is_kept_with_the_closing(self, w: World) -> None:
        w.raise_alert("p1")
        said = {"agency": "police", "outcome": "police_case"}
        w.act("p1", "close", outcome="police_case", result=said)
        line = w.alert("p1")["timeline"][-1]
        assert (line["step"], line["detail"]["result"]) == ("act:close", said)
        for wrong in ({"f" * 101: "v"}, {"f": "v" * 101}, {f"f{n}": "v" for n in range(11)}):
            assert w.act("p1", "close", by="wang", result=wrong).status_code == 422
        w.act("p1", "close", by="wang")
        assert "result" not in w.alert("p1")["timeline"][-1]["detail"]
        assert w.get("/v1/audit")["ok"]

    def test_what_is_due_before_the_act_fires_first(self, w: World) -> None:
        w.raise_alert("p1")
        w.engine_runs = False
        w.at(minutes=40)
        w.act("p1", "on_site")
        counted = [line["step"] for line in w.alert("p1")["timeline"] if line["counted"]]
        assert counted == ["opened", "notify", "second", "head", "acknowledged", "handled"]

    @pytest.mark.parametrize(
        ("action", "body", "where"),
        [
            ("outcome", {}, "body.outcome"),
            ("handover", {}, "body.to"),
            ("note", {"note": ""}, "body.note"),
            ("acknowledge", {"bye": 1}, "body.bye"),
            ("note", {"note": "x" * 4001}, "body.note"),
        ],
    )
    def test_a_malformed_body_is_refused_with_its_field(
        self, w: World, action: str, body: dict[str, object], where: str
    ) -> None:
        w.raise_alert("p1")
        answer = w.act("p1", action, **body)  # type: ignore[arg-type]
        assert answer.status_code == 422
        assert answer.json()["where"] == where

    def test_an_unknown_outcome_is_refused_with_the_known_ones(self, w: World) -> None:
        w.raise_alert("p1")
        answer = w.act("p1", "outcome", outcome="all well")
        assert answer.status_code == 422
        assert "hazard_removed" in answer.json()["remedy"]
        assert w.alert("p1")["state"] == "new"

    def test_an_unknown_alert_is_404(self, w: World) -> None:
        answer = w.http.post(
            "/v1/alerts/none/acknowledge",
            json={"by": {"id": "li"}},
            headers={"Idempotency-Key": "k"},
        )
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert w.http.get("/v1/alerts/none").status_code == 404


class TestMany:
    def test_each_alert_that_cannot_be_acknowledged_is_told_with_its_reason(self, w: World) -> None:
        for n in range(3):
            w.raise_alert(f"p{n}")
        w.act("p1", "acknowledge", by="wang")
        ids = [w.alert(f"p{n}")["id"] for n in range(3)]
        answer = w.http.post(
            "/v1/alerts/acknowledge",
            json={"by": {"id": "li", "name": "Li"}, "ids": [*ids, ids[0], "none"]},
            headers={"Idempotency-Key": "many"},
        )
        assert answer.status_code == 200
        assert answer.json()["acknowledged"] == [ids[0], ids[2]]
        assert [(r["id"], r["status"]) for r in answer.json()["refused"]] == [
            (ids[1], 409),
            ("none", 404),
        ]
        assert "Wang" in answer.json()["refused"][0]["found"]
        assert w.get("/v1/audit")["ok"]


class TestReading:
    def test_the_queue_is_ordered_by_level_then_by_what_is_due_next(self, w: World) -> None:
        w.raise_alert("p1", "R2", level=2)
        w.raise_alert("p2", clock_start=START - 5 * MINUTE)
        w.raise_alert("p3", clock_start=START - 8 * MINUTE)
        assert [x["subject"] for x in w.alerts()] == ["p3", "p2", "p1"]

    def test_a_broken_promise_that_nobody_handled_stands_before_what_is_in_time(
        self, w: World
    ) -> None:
        w.raise_alert("broken").raise_alert("handled").raise_alert("day", "R2", level=2)
        w.forward(minutes=70)
        w.act("handled", "on_site")  # late: what is next is its outcome, two days after the start
        for n in range(3):
            w.raise_alert(f"new{n}", clock_start=w.clock.now() - (3 - n) * MINUTE)
        w.raise_alert("later", "R2", level=2)
        reds = ["broken", "new0", "new1", "new2", "handled"]
        assert [x["subject"] for x in w.alerts()] == [*reds, "day", "later"]
        w.raise_alert("next day", "R2", level=2)
        w.forward(hours=24)  # of the yellow, the oldest has missed its named deadline
        w.act("next day", "on_site")
        assert [x["subject"] for x in w.alerts(level=2)] == ["day", "later", "next day"]
        w.act("day", "on_site")  # made good, and waits for nothing
        assert next(x["subject"] for x in w.alerts(level=2)) == "later"
        assert w.get("/v1/audit")["ok"]

    def test_pages_stay_exact_while_promises_break_and_are_handled(self, w: World) -> None:
        for n in range(6):
            w.raise_alert(f"p{n}", clock_start=START - (50 - n) * MINUTE)
        w.forward(minutes=12)  # the first two have broken theirs
        first = w.get("/v1/alerts", limit=2)
        assert [x["subject"] for x in first["items"]] == ["p0", "p1"]
        w.act("p1", "on_site")  # the row that the cursor stands on moves away
        rest = w.get("/v1/alerts", limit=9, cursor=first["next"])
        assert [x["subject"] for x in rest["items"]] == ["p2", "p3", "p4", "p5", "p1"]

    def test_pages_show_every_alert_once(self, w: World) -> None:
        for n in range(7):
            w.raise_alert(f"p{n}", "R2" if n % 2 else "R1", level=2 if n % 2 else 3)
        seen, cursor = [], None
        for _ in range(4):
            page = w.get("/v1/alerts", limit=2, **({"cursor": cursor} if cursor else {}))
            seen += [x["subject"] for x in page["items"]]
            cursor = page["next"]
        assert cursor is None
        assert seen == [x["subject"] for x in w.alerts()]
        assert len(set(seen)) == 7

    @pytest.mark.parametrize(
        ("query", "subjects"),
        [
            ({"level": 2}, {"p2"}),
            ({"rule": "R1"}, {"p1", "p3"}),
            ({"subject": "p2"}, {"p2"}),
            ({"household": "home-of-p1"}, {"p1"}),
            ({"state": "acknowledged"}, {"p3"}),
            ({"state": "closed"}, {"p4"}),
            ({"state": "all"}, {"p1", "p2", "p3", "p4"}),
            ({"area": "east"}, set()),
            ({"area": ""}, {"p1", "p2", "p3"}),  # nobody placed their households
            ({"owner": "li"}, set()),
        ],
    )
    def test_filters(self, w: World, query: dict[str, object], subjects: set[str]) -> None:
        w.raise_alert("p1").raise_alert("p2", "R2", level=2).raise_alert("p3")
        w.raise_alert("p4").pass_fact("p4", "closed")
        w.act("p3", "acknowledge")
        assert {x["subject"] for x in w.alerts(**query)} == subjects

    def test_the_queue_as_it_was_at_an_instant(self, w: World) -> None:
        w.raise_alert("p1")
        w.forward(minutes=10).raise_alert("p2")
        w.forward(minutes=10).pass_fact("p1", "closed")
        for at, subjects in (
            ("2025-12-31T23:59:59Z", set()),
            ("2026-01-01T00:00:00Z", {"p1"}),
            ("2026-01-01T08:10:00+08:00", {"p1", "p2"}),
            ("2026-01-01T00:20:00Z", {"p2"}),
        ):
            assert {x["subject"] for x in w.alerts(at=at)} == subjects

    @pytest.mark.parametrize(
        ("query", "where"),
        [
            ({"state": "lost"}, "query.state"),
            ({"level": 4}, "query.level"),
            ({"at": "yesterday"}, "query.at"),
            ({"cursor": "x"}, "query.cursor"),
            ({"limit": 0}, "query.limit"),
        ],
    )
    def test_a_wrong_query_is_refused_with_its_place(
        self, w: World, query: dict[str, object], where: str
    ) -> None:
        answer = w.http.get("/v1/alerts", params=query)  # type: ignore[arg-type]
        assert answer.status_code == 422
        assert answer.json()["where"] == where

    def test_one_alert_shows_why_what_comes_next_and_what_was_done(self, w: World) -> None:
        w.raise_alert("p1")
        found = w.alert("p1")
        assert found["next"] == {
            "kind": "ladder",
            "name": "second",
            "due_at": "2026-01-01T00:10:00Z",
            "until": "acknowledged",
            "state": "pending",
            "fired_at": None,
            "reached_at": None,
            "to": ["second_duty"],
        }
        assert found["evidence"] == {"values": {}, "facts": []}
        assert found["title"] == {"zh": "红", "en": "red"}
        assert [d["state"] for d in found["deliveries"]] == ["delivered"]

    def test_who_looked_is_noted_and_leaves_digest_and_version_alone(self, w: World) -> None:
        w.raise_alert("p1")
        before, digest = w.alert("p1"), w.get("/v1/digest")
        w.http.get(f"/v1/alerts/{before['id']}", headers={"X-Hearthwatch-Person": "li"})
        after = w.alert("p1")
        assert [(x["step"], x["actor"]) for x in after["timeline"]][-1] == ("viewed", "li")
        assert after["version"] == before["version"]
        assert w.get("/v1/digest") == digest

    def test_tasks_are_listed_by_what_is_due_first(self, w: World) -> None:
        w.raise_alert("p1").raise_alert("p2", clock_start=START - MINUTE)
        found = w.get("/v1/tasks", stage="warning")["items"]
        assert [(t["subject"], t["due_at"]) for t in found] == [
            ("p2", "2026-01-01T00:09:00Z"),
            ("p1", "2026-01-01T00:10:00Z"),
        ]
        w.act("p2", "acknowledge")
        assert [t["subject"] for t in w.get("/v1/tasks", stage="warning")["items"]] == ["p1"]
        assert [t["subject"] for t in w.get("/v1/tasks", state="done")["items"]] == ["p2"]
        w.forward(minutes=10)
        assert [t["subject"] for t in w.get("/v1/tasks", state="overdue")["items"]] == ["p1"]

    def test_the_digest_comes_from_the_exported_lines(self, w: World) -> None:
        w.raise_alert("p1").forward(hours=2)
        found = w.get("/v1/digest")
        lines = w.lines()
        assert found["lines"] == len(lines) == 6
        assert found["digest"] == hashlib.sha256("\n".join(lines).encode()).hexdigest()
        earlier = w.get("/v1/digest", until="2026-01-01T00:10:00Z")
        assert earlier["lines"] == 3

    def test_the_report_as_of_an_instant(self, w: World) -> None:
        w.raise_alert("p1").raise_alert("p2").raise_alert("p3")
        w.at(minutes=30).act("p1", "on_site")
        w.at(minutes=90).act("p2", "on_site")
        w.forward(hours=1)
        for at, expected in (
            ("2026-01-01T00:29:00Z", (0, 0, 0, 0, 3)),
            ("2026-01-01T00:59:59Z", (1, 0, 0, 0, 2)),
            ("2026-01-01T01:00:00Z", (1, 2, 0, 2, 0)),
            ("2026-01-01T01:30:00Z", (1, 2, 1, 1, 0)),
        ):
            found = w.get("/v1/report", at=at)
            numbers = found["alerts"]
            assert expected == tuple(
                numbers[name] for name in ("in_time", "escalated", "late", "never", "pending")
            )
            assert found["deadlines"]["on_site"] == {
                "met": expected[0],
                "late": expected[2],
                "never": expected[3],
                "pending": expected[4],
            }

    def test_ids_of_alerts_and_of_what_was_taken_in(self, w: World) -> None:
        for n in range(5):
            w.raise_alert(f"p{n}", id=f"m{n}")
        assert w.get("/v1/ids", kind="consumed")["items"] == [f"m{n}" for n in range(5)]
        page = w.get("/v1/ids", kind="alerts", limit=3)
        rest = w.get("/v1/ids", kind="alerts", limit=3, cursor=page["next"])
        assert len(page["items"]) == 3
        assert len(rest["items"]) == 2
        assert rest["next"] is None

    def test_nothing_is_shown_without_the_token(self, w: World) -> None:
        for path in ("/v1/alerts", "/v1/timeline", "/v1/audit"):
            assert w.http.get(path, headers={"Authorization": ""}).status_code == 401
