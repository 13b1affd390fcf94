"""One way to refuse: place, value (never personal data), expectation and remedy."""

from __future__ import annotations

from services.kernel.errors import Fault, WrongUse


def refuse(where: str, *, found: str, expected: str, remedy: str) -> WrongUse:
    """Return the error to raise; the command line prints it and exits with 2."""
    return WrongUse(Fault(where=where, expected=expected, found=found, remedy=remedy))
