"""The report of a replay: counts of the feeder, and what the services' APIs say of the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from services.allinone.apis import Apis
from services.allinone.replay.feeder import Counts
from services.kernel.clock import rfc3339

_ALERTS: Final = ("opened", "in_time", "escalated", "late", "never")
_MORE: Final = ("pending", "open", "merged")
MODE: Final = {"bus": "sqlite", "db": "sqlite", "risk": "plain", "processes": "one"}


def report(
    apis: Apis, counts: Counts, until: int, mode: Mapping[str, str] = MODE
) -> dict[str, Any]:
    """Return the report as of the end of the run; `elapsed_s` is the caller's to add.

    A refused item that was repaired since counts as accepted, and under `repaired` too.
    """
    repaired = sum(1 for _ in apis.items("intake", "/v1/kept", state="repaired"))
    end = apis.get("alerts", "/v1/report", at=rfc3339(until))
    alerts = end["alerts"]
    digest, lines = digest_of(apis)
    return {
        "mode": dict(mode),
        "until": rfc3339(until),
        "changes": {
            "read": counts.read,
            "accepted": counts.accepted + repaired,
            "duplicate": counts.duplicate,
            "rejected": counts.rejected - repaired,
            "conflict": counts.conflict,
            "repaired": repaired,
        },
        "assessments": apis.get("risk", "/v1/report")["assessments"],
        "alerts": {name: alerts[name] for name in (*_ALERTS, *_MORE)},
        "deadlines": {
            name: {kind: found[kind] for kind in ("met", "late", "never", "pending")}
            for name, found in end["deadlines"].items()
        },
        "digest": digest,
        "lines": lines,
    }


def digest_of(apis: Apis) -> tuple[str, int]:
    """Return the SHA-256 over the sorted lines of the exported timelines, and how many they are."""
    lines = sorted(timeline(apis))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest(), len(lines)


def timeline(apis: Apis) -> list[str]:
    """Return the lines of all timelines that count for the digest, as exported."""
    return [item["line"] for item in apis.items("alerts", "/v1/timeline") if item["line"]]


def write_timeline(apis: Apis, path: Path) -> None:
    """Write the sorted lines of the digest to a file."""
    path.write_text("".join(f"{line}\n" for line in sorted(timeline(apis))), encoding="utf-8")
