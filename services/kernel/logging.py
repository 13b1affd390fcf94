"""Structured logs of all services: JSON lines or a console form, ids bound, nothing personal.

Both `structlog` and the standard library's loggers come out here. Keys that hold personal data are
dropped wherever they stand; numbers that look like an ID card or a mobile phone are masked in all
text; of an exception the type and the places are kept, its words only when they are this project's
own (see errors.py: those never quote people).
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, TextIO

import msgspec
import structlog
from structlog.contextvars import bound_contextvars
from structlog.typing import EventDict, Processor

from services.kernel.clock import SystemClock, rfc3339
from services.kernel.errors import HearthwatchError

Form = Literal["json", "console"]
PERSONAL: Final = frozenset(
    {
        "address", "birth_date", "birthday", "body", "contact", "contacts", "data", "email",
        "full_name", "guardian", "id_card", "id_no", "id_number", "key_holder", "lat", "latitude",
        "location", "lon", "longitude", "message_text", "mobile", "name", "note", "notes",
        "params", "parameters", "password", "payload", "person_name", "phone", "photo", "secret",
        "sms", "statement", "text", "token", "value", "values", "wechat",
    }
)  # fmt: skip
"""Keys under which people's data or secrets travel; a log line never has them."""
_MASKED: Final = re.compile(r"(?<![\w-])(?:\d{17}[\dXx]|(?:\+?86[- ]?)?1[3-9]\d{9})(?![\w-])")
_ROOT: Final = f"{Path(__file__).parents[2]}/"
_OWN: Final = f"{_ROOT}services/"
_CHATTY: Final = ("alembic", "asyncio", "faust", "httpcore2", "httpx2", "kafka", "uvicorn")
_clock: Final = SystemClock()

get_logger = structlog.stdlib.get_logger


def configure(form: Form = "json", level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send all logs of the process to `stream` (stderr) in this form; may be called again."""
    last: Processor = (
        structlog.processors.JSONRenderer(serializer=_dumps)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    handler = _Lines(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_chain(),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
            keep_exc_info=False,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _CHATTY:  # at INFO some write whole URLs, which may hold ids
        logging.getLogger(name).setLevel(logging.WARNING)


class _Lines(logging.StreamHandler[TextIO]):
    """Writes lines; of one that cannot be written, none of its words come out elsewhere.

    The standard library prints the whole error with what a function held, which may be a name.
    """

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        failed = sys.exc_info()[0]
        why = failed.__name__ if failed else "unknown error"
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(f"logging: a line of {record.name} could not be written: {why}\n")


@contextmanager
def bound(**ids: str | int) -> Iterator[None]:
    """Put ids (correlation_id, event_id, topic, partition, offset) on every line logged inside."""
    with bound_contextvars(**ids):
        yield


def add_time(_: object, __: str, event: EventDict) -> EventDict:
    """Add the wall clock's time."""
    event["time"] = rfc3339(_clock.now())
    return event


def add_error(_: object, __: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by type, places and, if they are safe, the words of the error."""
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    exc = found[1] if isinstance(found, tuple) else found
    if isinstance(exc, BaseException):
        event["error"] = type(exc).__name__
        event["trace"] = places(exc.__traceback__)
        if isinstance(exc, HearthwatchError):
            event["detail"] = str(exc)
        if exc.__cause__ is not None:
            event["cause"] = type(exc.__cause__).__name__
    return event


def places(trace: TracebackType | None) -> list[str]:
    """Return `file:line function` of this project's frames and of the last, outermost first."""
    frames = list(traceback.extract_tb(trace))
    own = [frame for frame in frames[:-1] if frame.filename.startswith(_OWN)]
    return [
        f"{frame.filename.removeprefix(_ROOT)}:{frame.lineno} {frame.name}"
        for frame in own + frames[-1:]
    ]


def drop_personal(_: object, __: str, event: EventDict) -> EventDict:
    """Drop personal keys at every depth and mask ID and phone numbers in text."""
    return {
        key: item if key in ("_record", "_from_structlog") else _clean(item)
        for key, item in event.items()
        if key not in PERSONAL
    }


def _clean(item: object) -> object:
    if isinstance(item, str):
        return _MASKED.sub("[masked]", item)
    if isinstance(item, Mapping):
        return {key: _clean(each) for key, each in item.items() if key not in PERSONAL}
    if isinstance(item, list | tuple | set | frozenset):
        return [_clean(each) for each in item]
    if isinstance(item, int | float | bool | None):
        return item
    return f"<{type(item).__name__}>"


def _dumps(event: EventDict, **_: object) -> str:
    return msgspec.json.encode(event).decode()


def _chain() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        add_time,
        add_error,
        drop_personal,
    ]


# At import, because structlog's own default prints the local variables of a failed function.
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_chain(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=False,
)
