"""Old messages decode for ever: every file under `golden` was written by an earlier version.

A new version adds files (`python -m tests.contract.test_golden`), it never changes or removes one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.kernel.contracts.envelope import Envelope, decode, encode
from services.kernel.contracts.published import MESSAGES, asyncapi, asyncapi_text, markdown
from services.kernel.contracts.topics import CATALOGUE

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parents[2]
FILES = sorted(GOLDEN.glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_message_of_an_earlier_version_still_decodes(path: Path) -> None:
    envelope = decode(path.read_bytes())
    topic = path.stem.partition("--")[0]
    payload = MESSAGES[topic][envelope.type]
    found = msgspec.json.decode(envelope.data, type=payload)
    assert msgspec.json.decode(msgspec.json.encode(found), type=payload) == found
    assert decode(encode(envelope)) == envelope


def test_every_message_has_a_golden_file() -> None:
    there = {path.stem.rpartition("--")[0] for path in FILES}
    assert there == {f"{topic}--{kind}" for topic, kinds in MESSAGES.items() for kind in kinds}


def test_a_field_of_a_later_version_is_passed_over() -> None:
    path = FILES[0]
    now = msgspec.json.decode(path.read_bytes())
    later = now | {"invented": {"later": True}}
    assert decode(msgspec.json.encode(later)) == decode(msgspec.json.encode(now))


def test_the_documents_are_fresh() -> None:
    told = "run python -m services.kernel.contracts.published docs"
    assert (ROOT / "docs" / "topics.md").read_text("utf-8") == markdown(), told
    assert (ROOT / "docs" / "asyncapi.json").read_text("utf-8") == asyncapi_text(), told


def test_every_reference_of_the_asyncapi_document_resolves() -> None:
    document = asyncapi()

    def follow(value: Any) -> None:
        if isinstance(value, dict):
            target: Any = document
            for part in value.get("$ref", "#").split("/")[1:]:
                target = target[part]
            for each in value.values():
                follow(each)
        elif isinstance(value, list):
            for each in value:
                follow(each)

    follow(document)
    assert set(document["channels"]) == {topic.name for topic in CATALOGUE}


def _sample(kind: Any) -> Any:  # noqa: PLR0911 - one line per kind of type
    """Return a value of a field's type, for the first golden file of a message."""
    match kind:
        case msgspec.inspect.StructType(fields=fields):
            return {field.encode_name: _sample(field.type) for field in fields}
        case msgspec.inspect.UnionType(types=types):
            return _sample(types[0])
        case msgspec.inspect.ListType(item_type=item):
            return [_sample(item)]
        case msgspec.inspect.TupleType(item_types=items):
            return [_sample(item) for item in items]
        case msgspec.inspect.DictType(value_type=value):
            return {"name": _sample(value)}
        case msgspec.inspect.LiteralType(values=values):
            return values[0]
        case msgspec.inspect.DateTimeType():
            return "2026-11-22T08:00:00Z"
        case msgspec.inspect.IntType():
            return 2
        case msgspec.inspect.FloatType():
            return 0.5
        case msgspec.inspect.BoolType():
            return True
        case msgspec.inspect.RawType():
            return {"specversion": "1.0"}
        case _:
            return "text"


def main() -> None:
    """Write a golden file for every message that has none; never touches one that is there."""
    at = datetime(2026, 11, 22, 8, tzinfo=UTC)
    for topic, kinds in MESSAGES.items():
        for kind, payload in kinds.items():
            path = GOLDEN / f"{topic}--{kind}--1.json"
            if list(GOLDEN.glob(f"{topic}--{kind}--*.json")):
                continue
            data = msgspec.Raw(msgspec.json.encode(_sample(msgspec.inspect.type_info(payload))))
            message = Envelope(
                id="0f0e0d0c-0b0a-5908-8706-050403020100", type=kind, source="golden", time=at,
                subject="h1-p1", partitionkey="h1", receivedat=at, clockat=at, observedat=at,
                sourceid="1", supersedes="a", retracts="b", copyof="c", tie="parent", data=data,
            )  # fmt: skip
            path.write_bytes(msgspec.json.format(encode(message), indent=1) + b"\n")


if __name__ == "__main__":
    main()
