"""The contracts as documents, generated from the structs: `docs/topics.md`, `docs/asyncapi.json`.

`python -m services.kernel.contracts.published docs` writes both; a test fails when they are stale.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from services.kernel.contracts import alerts, assessments, changes, envelope, registry, topics

MESSAGES: Final[Mapping[str, Mapping[str, type[msgspec.Struct]]]] = {
    topics.CHANGES.name: {
        changes.MARK: changes.Mark,
        changes.MOVED_OUT: changes.MovedOut,
        changes.MOVED_IN: changes.MovedIn,
        changes.RETRACTED: changes.Retracted,
        changes.UNREADABLE: changes.Unreadable,
    },
    topics.ASSESSMENTS.name: {
        assessments.ASSESSED: assessments.Assessment,
        assessments.PASSED: assessments.Passed,
        assessments.MOVED: assessments.Moved,
        changes.UNREADABLE: changes.Unreadable,
        changes.MARK: changes.Mark,
    },
    topics.HOUSEHOLDS.name: {registry.HOUSEHOLD_CHANGED: registry.HouseholdCard},
    topics.DUTY.name: {registry.DUTY_CHANGED: registry.DutyCard},
    topics.ALERTS.name: {alerts.ALERT_CHANGED: alerts.AlertChanged},
    topics.TASKS.name: {alerts.TASK_CHANGED: alerts.TaskChanged},
}
"""Payloads by topic and type. Facts on the changes' topic are of the pack's event types."""


def markdown() -> str:
    """Return docs/topics.md."""
    lines = [
        "# Topics",
        "",
        "Generated: `python -m services.kernel.contracts.published docs`. Every value is a",
        "CloudEvents 1.0 envelope in structured JSON (`services/kernel/contracts/envelope.py`);",
        "the tables name its `data`.",
        "Messages that nobody can read stand in `<topic>.dlq` with their original bytes.",
        "",
    ]
    for topic in topics.CATALOGUE:
        kept = "compacted: the newest record of a key stays" if topic.compacted else "kept by time"
        said = f"{topic.meaning}. Producer: {topic.producer}. Key: {topic.key}. {kept}."
        lines += [f"## {topic.name}", "", said, ""]
        lines += ["| type | payload | what it says |", "| --- | --- | --- |"]
        if topic is topics.CHANGES:
            lines.append("| an event type of the pack | as the pack's catalogue has it | a fact |")
        for kind, payload in MESSAGES[topic.name].items():
            said = (payload.__doc__ or "").strip().splitlines()[0]
            lines.append(f"| `{kind}` | `{payload.__name__}` | {said} |")
        lines.append("")
    return "\n".join(lines)


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document."""
    used = {p.__name__: p for kinds in MESSAGES.values() for p in kinds.values()}
    structs = [_readable_envelope(), *used.values()]
    _, schemas = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Hearthwatch",
            "version": "1",
            "description": "What the services say to each other over the bus.",
        },
        "defaultContentType": envelope.CONTENT_TYPE.decode(),
        "channels": {topic.name: _channel(topic) for topic in topics.CATALOGUE},
        "operations": {
            f"{topic.producer}.{topic.name}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{topic.name}"},
            }
            for topic in topics.CATALOGUE
        },
        "components": {"schemas": schemas},
    }


def _readable_envelope() -> type[msgspec.Struct]:
    """Return the envelope with `data` as any value: the schema has no word for encoded bytes."""
    fields: list[tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(envelope.Envelope):
        kind = Any if field.name == "data" else field.type
        default = {} if field.name == "data" else field.default
        fields.append((field.name, kind, default))
    described = msgspec.defstruct("Envelope", fields, kw_only=True)
    described.__doc__ = envelope.Envelope.__doc__
    return described


def _channel(topic: topics.Topic) -> dict[str, Any]:
    policy = ["compact"] if topic.compacted else ["delete"]
    return {
        "address": topic.name,
        "description": topic.meaning,
        "messages": {
            kind: {
                "name": kind,
                "payload": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Envelope"},
                        {"properties": {"data": {"$ref": f"#/components/schemas/{p.__name__}"}}},
                    ]
                },
            }
            for kind, p in MESSAGES[topic.name].items()
        },
        "bindings": {
            "kafka": {
                "bindingVersion": "0.5.0",
                "topic": topic.name,
                "topicConfiguration": {"cleanup.policy": policy},
            }
        },
    }


def write(folder: Path) -> None:
    """Write both documents into a folder."""
    (folder / "topics.md").write_text(markdown(), encoding="utf-8")
    (folder / "asyncapi.json").write_text(asyncapi_text(), encoding="utf-8")


def asyncapi_text() -> str:
    """Return the AsyncAPI document as it is written."""
    encoded = msgspec.json.Encoder(order="sorted").encode(asyncapi())
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
