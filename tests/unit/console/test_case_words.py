"""What a case page says instead of codes."""

from __future__ import annotations

import pytest

from services.console.pages.case import model, read_as, read_value
from services.console.web.render import span
from services.kernel.clock import SECOND


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (59, "00:59", "00:59"),
        (-3_600, "-1:00:00", "-1:00:00"),
        (90_000, "1 天 1 小时", "1 d 01 h"),
        (-90_000, "-1 天 1 小时", "-1 d 01 h"),
    ],
)
def test_a_duration_is_said_in_the_readers_language(seconds: int, zh: str, en: str) -> None:
    assert (span(seconds, "zh"), span(seconds, "en")) == (zh, en)


def test_an_age_has_a_word_and_a_time_since_is_a_duration() -> None:
    assert (read_as("age", {}, "zh"), read_as("age", {}, "en")) == ("年龄", "age")
    assert read_value("since utility.reading", 90_000 * SECOND, "zh") == "1 天 1 小时"
    assert read_value("age", 11, "zh") == 11


def test_a_feature_of_the_model_is_called_as_the_pack_names_it() -> None:
    says = {"level": 1, "probability": 0.3, "contributions": [["age", 0.2], ["odd", -0.4]],
            "missing": ["age"]}  # fmt: skip
    shown = model({"model": says}, {"age": {"zh": "年龄", "en": "Age"}}, "zh")
    assert shown is not None
    assert shown["bars"] == [("odd", -0.4, 100), ("年龄", 0.2, 50)]
    assert shown["missing"] == ["年龄"]
    assert model({"model": None}, {}, "zh") is None
