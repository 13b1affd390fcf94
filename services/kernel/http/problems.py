"""Errors as `application/problem+json` (RFC 9457): what is wrong, where, and what to do about it.

No value that somebody sent is ever repeated, only its shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.kernel.errors import (
    Fault,
    Faults,
    HearthwatchError,
    InvalidMessage,
    Refused,
    Retryable,
    Stale,
    WrongUse,
)

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = "1"


class Problem(BaseModel):
    """The body of every answer from 400 on, as `/openapi.json` describes it."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    where: str = ""
    expected: str = ""
    found: str = ""
    remedy: str = ""
    errors: list[dict[str, str]] = []


def problem(
    status: int,
    fault: Fault,
    *,
    errors: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer that tells `fault`; `errors` are the single faults when there are many."""
    title = HTTPStatus(status).phrase
    body = {
        "type": f"urn:hearthwatch:problem:{fault.code}",
        "title": title,
        "status": status,
        "detail": fault.sentence(),
        "code": fault.code,
        "where": fault.where,
        "expected": fault.expected,
        "found": fault.found,
        "remedy": fault.remedy,
        "errors": [told(each) for each in errors],
    }
    return Response(msgspec.json.encode(body), status, dict(headers or {}), MEDIA_TYPE)


def told(fault: Fault) -> dict[str, str]:
    """Return a fault as the object that stands in `errors`."""
    return {
        "where": fault.where,
        "expected": fault.expected,
        "found": fault.found,
        "remedy": fault.remedy,
        "code": fault.code,
    }


def shape_of(value: object) -> str:
    """Return what kind of value it is and how long, never the value."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str | bytes):
        return f"text of length {len(value)}"
    if isinstance(value, Mapping):
        return f"an object of {len(value)} fields"
    if isinstance(value, Sequence):
        return f"a list of {len(value)}"
    return f"a value of type {type(value).__name__}"


def tell_errors(app: FastAPI) -> None:
    """Have `app` answer every error that is not a bug with a problem."""
    app.add_exception_handler(HearthwatchError, _own)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _plain)


def of_error(exc: HearthwatchError) -> Response:
    """Return the answer for one of the project's own errors."""
    match exc:
        case Refused():
            return problem(exc.status, exc.fault)
        case InvalidMessage() | WrongUse():
            return problem(422, exc.fault)
        case Faults():
            first = exc.faults[0]
            many = Fault(exc.what, first.expected, f"{len(exc.faults)} faults", "see `errors`")
            return problem(422, many, errors=exc.faults)
        case Stale():
            fault = Fault("request", "the state it was read in", "a newer one", "read it again")
            return problem(409, msgspec.structs.replace(fault, code="stale"))
        case Retryable():
            fault = Fault(
                "service", "its database and bus", "one out of reach", "try again in a moment",
                "unavailable",
            )  # fmt: skip
            return problem(503, fault, headers={"Retry-After": RETRY_AFTER_S})
        case _:
            return bug()


def bug() -> Response:
    """Return the answer to a request that met a bug; the log has the rest."""
    fault = Fault(
        "service", "an answer", "a bug", "report the x-correlation-id of this answer", "bug"
    )
    return problem(500, fault)


async def _own(_: Request, exc: Exception) -> Response:
    return of_error(exc) if isinstance(exc, HearthwatchError) else bug()


async def _malformed(_: Request, exc: Exception) -> Response:
    found: Sequence[Any] = exc.errors() if isinstance(exc, RequestValidationError) else ()
    faults = [_field_fault(error) for error in found]
    if any(fault.code == "json_invalid" for fault in faults):
        return problem(400, faults[0])
    if len(faults) == 1:
        return problem(422, faults[0], errors=faults)
    many = Fault("request", "well-formed fields", f"{len(faults)} faults", "see `errors`")
    return problem(422, many, errors=faults)


def _field_fault(error: Mapping[str, Any]) -> Fault:
    code = str(error["type"])
    if code == "json_invalid":
        place = f"body, character {error['loc'][-1]}"
        return Fault(place, "JSON", "text that is not", "correct the body", code)
    found = "nothing" if code == "missing" else shape_of(error.get("input"))
    # A message of our own validators may quote its input; those of pydantic itself do not.
    expected = "a valid value" if code in ("value_error", "assertion_error") else str(error["msg"])
    where = ".".join(str(part) for part in error["loc"])
    return Fault(where, expected, found, "correct the field", code)


async def _plain(_: Request, exc: Exception) -> Response:
    status = exc.status_code if isinstance(exc, HTTPException) else 500
    known = {
        400: Fault("body", "a readable body", "one that is not", "correct it", "bad_request"),
        404: Fault("path", "one of /openapi.json", "another", "correct the path", "not_found"),
        405: Fault("method", "one the path has", "another", "see /openapi.json", "method"),
    }
    phrase = HTTPStatus(status).phrase.lower()
    fault = known.get(status) or Fault("request", "one that can be served", phrase, "correct it")
    return problem(status, fault, headers=getattr(exc, "headers", None))
