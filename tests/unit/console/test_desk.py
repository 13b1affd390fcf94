"""What desk and worker send passes the town's own door, whatever was and was not typed."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from services.console import desk, fieldwork
from services.console.words import LANGUAGES, says
from services.intake import views
from services.intake.catalogue import load
from services.intake.domain.check import check
from services.intake.domain.item import Checked
from services.intake.domain.types import Catalogue
from services.kernel.clock import HOUR, SECOND, rfc3339
from tests.support.keys import KEYRING

NOW = 1_790_000_000 * SECOND
NOBODY = {"person_seen": "nobody", "reason": "away", "mode": "home", "next_visit_on": "2030-01-31"}
NO_ANSWER = {"person_seen": "nobody", "reason": "no_answer", "mode": "home", "all_tried": "yes"}
SEEN = {"person_seen": "self", "mode": "home", "worker_level": "3"}


@pytest.fixture(scope="module")
def catalogue(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """The town's event types under the few rules of the browser's tests."""
    folder = tmp_path_factory.mktemp("pack")
    town = root / "packs" / "cn-town"
    shutil.copytree(town / "events", folder / "events")
    shutil.copy(town / "pack.yaml", folder)
    for path in (root / "tests" / "browser" / "pack").iterdir():
        shutil.copy(path, folder)
    return load(folder)


@pytest.fixture(scope="module")
def types(catalogue: Catalogue) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = views.types(catalogue)["types"]
    return found


def taken(item: dict[str, Any], catalogue: Catalogue) -> Checked:
    found = check(json.dumps(item).encode(), catalogue, KEYRING, replay=False)
    assert isinstance(found, Checked), found
    return found


def call(matter: desk.Matter, **given: Any) -> desk.Call:
    place = desk.Place("V1", "G1", "桥头")
    return desk.Call(**{"key": "k", "matter": matter, "place": place, "started": NOW, **given})


class TestDesk:
    def test_the_nine_kinds_are_the_catalogues_under_the_keys_1_to_9(
        self, types: list[dict[str, Any]]
    ) -> None:
        nine = [each for each in desk.matters(types) if each.nine]
        assert [each.press for each in nine] == list("123456789")
        known = next(t for t in types if t["type"] == desk.NINE)["fields"]["kind"]["values"]
        assert [each.name for each in nine] == list(known)

    def test_each_matter_has_a_key_of_its_own_and_words_in_both_languages(
        self, types: list[dict[str, Any]]
    ) -> None:
        found = desk.matters(types)
        assert len({each.press for each in found}) == len(found) == 15
        for each in found:
            assert all(says(language, f"matter.{each.name}") for language in LANGUAGES), each

    def test_a_catalogue_without_a_type_does_not_offer_it(self) -> None:
        assert desk.matters([]) == []
        assert desk.matters([{"type": "home.disaster", "fields": {"kind": {}}}])[0].name == "fire"

    @pytest.mark.parametrize("bare", [True, False])
    def test_every_report_passes_the_door(
        self, catalogue: Catalogue, types: list[dict[str, Any]], *, bare: bool
    ) -> None:
        said = {} if bare else {"note": "在哭", "anonymous": True, "ongoing": True}
        for matter in desk.matters(types):
            subject = desk.subject_of(types, matter)
            for who in ({}, {"household": "h1"}, {"household": "h1", "person": "p1"}):
                sent = desk.changes(call(matter, **said, **who), subject)
                for item in sent:
                    taken(item, catalogue)
                assert len({item["sourceid"] for item in sent}) == len(sent)
                assert sent[0]["observedat"] == rfc3339(NOW)

    def test_an_unknown_household_stands_in_and_says_where(
        self, types: list[dict[str, Any]]
    ) -> None:
        matter = next(each for each in desk.matters(types) if each.press == "6")
        report, entry = desk.changes(call(matter), "person")
        assert report["household"] == entry["household"] == "prov:k"
        assert entry["data"] == {"area": "V1", "grid": "G1", "address": "桥头"}

    def test_a_matter_of_a_place_is_kept_under_its_grid(self, types: list[dict[str, Any]]) -> None:
        matter = next(each for each in desk.matters(types) if each.name == "matter")
        (report,) = desk.changes(call(matter), "place")
        assert report["place"] == "G1"
        assert report["data"]["matter"] == "k"

    @pytest.mark.parametrize(
        ("text", "at"),
        [
            ("", NOW),
            ("yesterday", NOW),
            (rfc3339(NOW - 60 * SECOND), NOW - 60 * SECOND),
            (rfc3339(NOW + SECOND), NOW),
            (rfc3339(NOW - 13 * HOUR), NOW),
        ],
    )
    def test_a_call_began_when_we_told_the_page_and_never_in_the_future(
        self, text: str, at: int
    ) -> None:
        assert desk.started(text, NOW) == at


class TestFieldwork:
    @pytest.mark.parametrize(
        "answers", [SEEN, NOBODY, NO_ANSWER, SEEN | {"food_7_days": "no", "self_rated_health": "2"}]
    )
    @pytest.mark.parametrize("person", ["", "p1"])
    def test_every_visit_passes_the_door(
        self,
        catalogue: Catalogue,
        types: list[dict[str, Any]],
        answers: dict[str, str],
        person: str,
    ) -> None:
        form = fieldwork.form_of(types)
        assert fieldwork.missing(form, answers) == []
        visit = fieldwork.Visited("k", NOW, "h1", person, "李网格", answers, form.findings)
        sent = fieldwork.changes(form, visit)
        for item in sent:
            taken(item, catalogue)
        seen = answers["person_seen"] != "nobody"
        assert len(sent) == len({item["sourceid"] for item in sent}) == 1 + 10 * seen
        assert sent[-1]["sourceid"] == "k"

    def test_each_choice_has_words_in_both_languages(self, types: list[dict[str, Any]]) -> None:
        form = fieldwork.form_of(types)
        choices = {
            "mode": form.modes,
            "seen": form.seen,
            "reason": form.reasons,
            "rated": form.ratings,
            "finding": form.findings,
            "visit": form.flags,
        }
        for prefix, values in choices.items():
            assert values, prefix
            for value in values:
                assert all(says(language, f"{prefix}.{value}") for language in LANGUAGES), value

    @pytest.mark.parametrize(
        ("answers", "lacking"),
        [
            ({}, ["mode", "person_seen", "worker_level"]),
            (SEEN | {"mode": "by balloon"}, ["mode"]),
            (SEEN | {"worker_level": "4"}, ["worker_level"]),
            (NOBODY | {"reason": ""}, ["reason"]),
            (NO_ANSWER | {"all_tried": ""}, ["all_tried"]),
            (NO_ANSWER | {"all_tried": "maybe"}, ["all_tried"]),
        ],
    )
    def test_what_is_missing_or_not_on_the_list_is_named(
        self, types: list[dict[str, Any]], answers: dict[str, str], lacking: list[str]
    ) -> None:
        assert fieldwork.missing(fieldwork.form_of(types), answers) == lacking

    @pytest.mark.parametrize(
        ("answers", "sent"),
        [
            (NO_ANSWER, {"reason": "no_answer", "all_tried": True}),
            (NO_ANSWER | {"all_tried": "no"}, {"reason": "no_answer", "all_tried": False}),
            (NOBODY | {"all_tried": "yes"}, {"reason": "away", "away_until": "2030-01-31"}),
        ],
    )
    def test_whether_every_way_was_tried_is_said_of_a_door_that_nobody_opened(
        self, types: list[dict[str, Any]], answers: dict[str, str], sent: dict[str, Any]
    ) -> None:
        form = fieldwork.form_of(types)
        (failed,) = fieldwork.changes(form, fieldwork.Visited("k", NOW, "h1", "", "李", answers))
        assert failed["data"] == sent

    @pytest.mark.parametrize(
        ("chosen", "day"),
        [
            (("", "", ""), ""),
            (("2030", "1", "31"), "2030-01-31"),
            (("", "11", "22"), "2026-11-22"),
            (("", "11", "21"), "2027-11-21"),
            (("", "2", "29"), "2028-02-29"),
        ],
    )
    def test_a_day_without_a_year_is_the_next_one(
        self, chosen: tuple[str, str, str], day: str
    ) -> None:
        assert fieldwork.day_of(*chosen, date(2026, 11, 22)) == day

    @pytest.mark.parametrize(
        "chosen",
        [
            ("2026", "11", "21"),
            ("", "2", "30"),
            ("2027", "2", "29"),
            ("", "1", ""),
            ("", "", "1"),
            ("2027", "", ""),
            ("x", "1", "1"),
            ("", "x", "1"),
            ("99999", "1", "1"),
        ],
    )
    def test_half_a_date_one_that_is_over_and_one_that_never_comes_are_refused(
        self, chosen: tuple[str, str, str]
    ) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
            fieldwork.day_of(*chosen, date(2026, 11, 22))

    @pytest.mark.parametrize(
        ("at_ms", "sent_ms", "earlier_s"),
        [
            ("1000", "61000", 60),
            ("61000", "1000", 0),
            ("", "", 0),
            ("x", "1", 0),
            ("0", str(80 * 3_600_000), 0),
            ("9" * 30, "9" * 30, 0),
        ],
    )
    def test_only_the_time_a_phone_kept_it_counts_not_what_its_clock_says(
        self, at_ms: str, sent_ms: str, earlier_s: int
    ) -> None:
        assert fieldwork.happened(at_ms, sent_ms, NOW) == NOW - earlier_s * SECOND
