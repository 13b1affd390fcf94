from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest

from services.kernel.errors import Fault, WrongUse
from services.kernel.logging import PERSONAL, bound, configure, get_logger


class Lines:
    """What was logged, line by line."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    def last(self) -> dict[str, Any]:
        line: dict[str, Any] = json.loads(self.text.splitlines()[-1])
        return line


@pytest.fixture
def lines() -> Lines:
    made = Lines()
    configure("json", "INFO", made.stream)
    return made


def fail() -> None:
    int("张三")


def test_a_line_is_json_with_time_level_logger_and_plain_chinese(lines: Lines) -> None:
    get_logger("risk").info("评估完成", household="h-1", count=3)
    line = lines.last()
    assert line["event"] == "评估完成"
    assert (line["level"], line["logger"]) == ("info", "risk")
    assert (line["household"], line["count"]) == ("h-1", 3)
    assert line["time"].endswith("Z")
    assert "评估完成" in lines.text


def test_the_standard_library_logs_in_the_same_form(lines: Lines) -> None:
    logging.getLogger("kafka.something").warning("worker %s waits %.1f s", "risk", 0.5)
    assert lines.last()["event"] == "worker risk waits 0.5 s"
    assert lines.last()["level"] == "warning"


def test_bound_ids_stand_on_every_line_inside_and_on_none_after(lines: Lines) -> None:
    with bound(correlation_id="c-1", event_id="e-1"):
        get_logger("x").info("inside")
        assert lines.last()["correlation_id"] == "c-1"
        assert lines.last()["event_id"] == "e-1"
        logging.getLogger("y").warning("inside too")
        assert lines.last()["correlation_id"] == "c-1"
    get_logger("x").info("after")
    assert "correlation_id" not in lines.last()


@pytest.mark.parametrize("key", sorted(PERSONAL))
def test_a_personal_key_is_dropped_at_every_depth(lines: Lines, key: str) -> None:
    fields: dict[str, Any] = {key: "SECRET"}
    get_logger("x").info("e", **fields, deep={"list": [fields, {"n": 1}], **fields}, household="h")
    assert "SECRET" not in lines.text
    assert lines.last()["deep"] == {"list": [{}, {"n": 1}]}
    assert lines.last()["household"] == "h"


def test_a_personal_key_of_the_standard_library_is_dropped(lines: Lines) -> None:
    logging.getLogger("x").warning("e", extra={"phone": "SECRET", "household": "h"})
    assert "SECRET" not in lines.text
    assert lines.last()["household"] == "h"


@pytest.mark.parametrize(
    "number", ["13812345678", "+86 13812345678", "11010519491231002X", "110105194912310021"]
)
def test_numbers_of_people_are_masked_in_text(lines: Lines, number: str) -> None:
    get_logger("x").info(f"call {number}!", place=[f"see {number}"])
    logging.getLogger("x").warning("call %s", number)
    assert number not in lines.text
    assert lines.text.count("[masked]") == 3


@pytest.mark.parametrize(
    "text", ["0192f0c1-13812345678a", "1767225600000000", "offset 13812", "h-13812345678-x"]
)
def test_ids_and_instants_are_not_masked(lines: Lines, text: str) -> None:
    get_logger("x").info(text)
    assert lines.last()["event"] == text


def test_an_error_tells_type_and_place_and_not_its_words(lines: Lines) -> None:
    try:
        fail()
    except ValueError:
        get_logger("x").exception("failed")
    line = lines.last()
    assert line["error"] == "ValueError"
    assert line["trace"][-1].endswith(" fail")
    assert "张三" not in lines.text
    assert "detail" not in line


def test_an_error_of_the_standard_library_is_cleaned_too(lines: Lines) -> None:
    try:
        fail()
    except ValueError:
        logging.getLogger("x").exception("failed")
    assert lines.last()["error"] == "ValueError"
    assert "张三" not in lines.text


def test_an_error_of_our_own_tells_its_sentence_and_cause(lines: Lines) -> None:
    try:
        try:
            fail()
        except ValueError as exc:
            raise WrongUse(Fault("port", "a number", "text", "correct it")) from exc
    except WrongUse:
        get_logger("x").exception("failed")
    assert lines.last()["detail"] == "port: found text, expected a number; correct it"
    assert lines.last()["cause"] == "ValueError"
    assert "张三" not in lines.text


def test_before_it_is_configured_an_error_does_not_show_what_a_function_held(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        fail()
    except ValueError:
        get_logger("unconfigured").exception("failed", phone="SECRET")
    shown = "".join(capsys.readouterr())
    assert "张三" not in shown
    assert "SECRET" not in shown


def test_a_line_that_cannot_be_written_shows_nothing_of_what_it_held(
    capsys: pytest.CaptureFixture[str], lines: Lines
) -> None:
    lines.stream.close()
    try:
        fail()
    except ValueError:
        get_logger("x").exception("failed", phone="SECRET")
    shown = "".join(capsys.readouterr())
    assert shown == "logging: a line of x could not be written: ValueError\n"


def test_an_object_is_told_by_its_type(lines: Lines) -> None:
    get_logger("x").info("e", thing=Lines())
    assert lines.last()["thing"] == "<Lines>"


def test_the_console_form_is_one_readable_line(lines: Lines) -> None:
    stream = io.StringIO()
    configure("console", "INFO", stream)
    get_logger("x").info("ready", household="h")
    get_logger("x").debug("unseen")
    assert "ready" in stream.getvalue()
    assert "household=h" in stream.getvalue()
    assert "unseen" not in stream.getvalue()
