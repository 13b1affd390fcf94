"""The catalogues, and that templates say only what stands in them."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter
from typing import Any

import msgspec
import pytest

from services.console.access import POLICY, ROLES, below
from services.console.pages.acts import ATTEMPTS, DEEDS, OUTCOMES, REASONS
from services.console.words import LANGUAGES, catalogue, parts, say, says

TEMPLATES = Path(__file__).parents[3] / "services" / "console" / "templates"
_KEY = re.compile(r"\bt\('([\w.]+)'\s*[,)]")


def test_both_languages_have_equal_keys_and_the_same_values_to_put_in() -> None:
    zh, en = catalogue("zh"), catalogue("en")
    assert zh.keys() == en.keys()
    for key in zh:
        names = [{name for _, name, _, _ in Formatter().parse(t[key]) if name} for t in (zh, en)]
        assert names[0] == names[1], key
        assert zh[key].strip(), key
        assert en[key].strip(), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_key_stands_in_two_files(language: str) -> None:
    seen: set[str] = set()
    for path in parts(language):
        keys = msgspec.json.decode(path.read_bytes(), type=dict[str, str]).keys()
        assert not seen & keys
        seen |= keys


def test_every_key_that_a_template_says_is_there() -> None:
    said = {
        key
        for path in TEMPLATES.glob("*.html")
        for key in _KEY.findall(path.read_text(encoding="utf-8"))
    }
    assert len(said) > 100
    assert said - catalogue("zh").keys() == set()


def test_every_role_page_act_and_outcome_has_its_word() -> None:
    keys = {f"role.{role}" for role in ROLES}
    keys |= {f"nav.{page}" for page, _ in POLICY if page not in ("case", "account")}
    keys |= {f"outcome.{code}" for code in (*OUTCOMES, *ATTEMPTS)}
    keys |= {f"act.{name}" for name in DEEDS} | {f"override.{each}" for each in REASONS}
    keys |= {f"step.act:{deed.call}" for deed in DEEDS.values()}
    assert keys - catalogue("zh").keys() == set()


def test_a_value_is_put_in_and_never_read_as_a_format() -> None:
    assert "{left}" in say("zh", "login.wrong", left="{left}")
    assert says("zh", "no.such.key") is None
    with pytest.raises(KeyError):
        say("zh", "no.such.key")


def test_areas_cover_everything_below_them_and_nothing_beside() -> None:
    trees: list[dict[str, Any]] = [
        {"code": "T", "areas": [{"code": "V1", "areas": [{"code": "G1", "areas": []}]},
                                {"code": "V2", "areas": []}]},
        {"code": "T2", "areas": []},
    ]  # fmt: skip
    assert below(trees, ["V1"]) == {"V1", "G1"}
    assert below(trees, ["T"]) == {"T", "V1", "V2", "G1"}
    assert below(trees, ["unknown"]) == {"unknown"}
    assert below([], []) == frozenset()
