"""Pages by opaque cursor: `{"items": [...], "next": "..."}`; `next` is null on the last page.

A cursor holds the sort key of the last item, so rows that come or go meanwhile shift nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from services.kernel.errors import Fault, InvalidMessage

T = TypeVar("T")
Part = int | str | None


def page_cursor(*parts: Part) -> str:
    """Return the cursor that stands for a sort key."""
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def read_cursor(text: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """Return the sort key of a cursor, or None for no cursor: the first page.

    Args:
        text: What the client sent back.
        kinds: The type of each part, `int` or `str`.

    Raises:
        InvalidMessage: not a cursor that this kind of list gave out.
    """
    if not text:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        return msgspec.json.decode(raw, type=tuple[kinds])  # type: ignore[valid-type]
    except (binascii.Error, ValueError, msgspec.MsgspecError) as exc:
        raise InvalidMessage(
            Fault(
                where="query.cursor",
                expected="a cursor that this list gave out as `next`",
                found=f"text of length {len(text)}",
                remedy="start again without a cursor",
                code="cursor",
            )
        ) from exc


def page(
    rows: Sequence[T], limit: int, key: Callable[[T], tuple[Part, ...]]
) -> tuple[Sequence[T], str | None]:
    """Cut `limit` items off rows that were asked for with `limit + 1`; return them and `next`."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], page_cursor(*key(rows[limit - 1]))
