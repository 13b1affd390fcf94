"""Timeline lines and the digest over them; the hash chain that makes a missing line visible."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from services.alerts.domain.alert import Entry
from services.kernel.clock import rfc3339

_encode = msgspec.json.Encoder(order="deterministic").encode


def line(subject: str, label: str, what: str, at: int, reason: str) -> str:
    """Return one digest line: `subject|rule or rule#instance|step|RFC 3339 UTC|reason`."""
    return f"{subject}|{label}|{what}|{rfc3339(at)}|{reason}"


def digest(lines: Iterable[str]) -> str:
    """Return the SHA-256 over the sorted lines joined by a newline, as hex.

    Equal behaviour gives an equal digest, whatever the transport did. Cost: O(n log n).
    """
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def chained(head: str, alert_id: str, entry: Entry) -> str:
    """Return the hash of an entry on top of the chain's `head`, as hex.

    It covers every field, so that altering, deleting or reordering any line breaks the chain.
    """
    body = (
        head, alert_id, entry.n, entry.subject, entry.at, entry.what, entry.reason, entry.counted,
        entry.actor, entry.detail,
    )  # fmt: skip
    return hashlib.sha256(_encode(body)).hexdigest()
