"""Who is to blame when something fails: infrastructure, which passes, or code, which does not."""

from __future__ import annotations

import traceback
from typing import Final

from sqlalchemy import exc as sql

from services.kernel.errors import Retryable

_TROUBLE: Final = (
    Retryable,
    sql.OperationalError,
    sql.InterfaceError,
    sql.TimeoutError,
    OSError,
    MemoryError,
)


def is_trouble(exc: BaseException) -> bool:
    """Return whether infrastructure is to blame, so that waiting helps and burying does not."""
    if isinstance(exc, sql.DBAPIError) and exc.connection_invalidated:
        return True
    return isinstance(exc, _TROUBLE)


def place_of(exc: BaseException) -> str:
    """Return type and place of an error. Not its text, which may quote what somebody typed."""
    frames = traceback.extract_tb(exc.__traceback__)
    own = [frame for frame in frames if "/services/" in frame.filename] or frames[-1:]
    if not own:
        return type(exc).__name__
    frame = own[-1]
    return f"{type(exc).__name__} at {frame.filename.rpartition('/services/')[2]}:{frame.lineno}"
